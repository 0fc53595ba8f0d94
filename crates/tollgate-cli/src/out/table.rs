//! Lines up columns.

use unicode_width::UnicodeWidthStr as _;

use crate::failure::printable;

/// Rows whose columns are to stand below each other.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// The widest cells so far: columns keep their place from one page to the next.
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn add(&mut self, row: impl IntoIterator<Item = impl AsRef<str>>) {
        let row = row.into_iter().map(|cell| printable(cell.as_ref()));
        let row: Vec<String> = row.collect();
        self.widths.resize(self.widths.len().max(row.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.width().max(*width);
        }
        self.rows.push(row);
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows since the last call, without blanks at their ends.
    pub(super) fn text(&mut self) -> String {
        let mut text = String::new();
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&self.widths) {
                line.push_str(cell);
                let blanks = width.saturating_sub(cell.width()).saturating_add(2);
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_is_in_them() {
        let mut table = Table::default();
        for row in [["ID", "NAME"], ["日本", "a\tb"], ["x", ""]] {
            table.add(row);
        }
        assert_eq!(table.text(), "ID    NAME\n日本  a\\tb\nx\n");
        table.add(["y", "z"]);
        assert_eq!(table.text(), "y     z\n", "the next page keeps the columns");
    }
}
