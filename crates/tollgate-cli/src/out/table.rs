//! Lines up columns, and makes them fit a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::failure::printable;

/// What stands between two columns.
const GAP: usize = 2;
/// The least that a column is cut to: a date and a mark.
const LEAST: usize = 11;
/// The column that is never cut or left out: it is what other commands want.
const WHOLE: &str = "ID";

/// Rows whose columns are to stand below each other.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// The widest cells so far: columns keep their place from one page to the next.
    widths: Vec<usize>,
    /// The heads of the columns, and what becomes of them, if they have to fit.
    fit: Option<Fit>,
}

/// How columns are to fit a terminal.
#[derive(Debug)]
struct Fit {
    columns: usize,
    heads: Vec<String>,
    /// Which of them are left out; decided by the first page.
    left_out: Option<Vec<bool>>,
}

impl Table {
    /// A table with heads, for a terminal of so many columns if it is one.
    pub(super) fn with_heads(heads: &[&str], columns: Option<usize>) -> Self {
        let mut table = Self {
            fit: columns.map(|columns| Fit {
                columns,
                heads: heads.iter().map(ToString::to_string).collect(),
                left_out: None,
            }),
            ..Self::default()
        };
        table.add(heads);
        table
    }

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
        let widths = match &mut self.fit {
            Some(fit) => fit.widths(&self.widths, &self.rows),
            None => self.widths.iter().copied().map(Some).collect(),
        };
        let mut text = String::new();
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let Some(width) = *width else { continue };
                let cell = cut(cell, width);
                line.push_str(&cell);
                let blanks = width.saturating_sub(cell.width()).saturating_add(GAP);
                line.extend(std::iter::repeat_n(' ', blanks));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The columns that were left out though there was something in them.
    pub(super) fn left_out(&self) -> Vec<&str> {
        let Some(fit) = &self.fit else { return vec![] };
        let heads = fit.heads.iter().zip(&self.widths);
        let out = fit.left_out.iter().flatten();
        let out = heads
            .zip(out)
            .filter(|((head, width), out)| **out && **width > head.width());
        out.map(|((head, _), _)| head.as_str()).collect()
    }
}

impl Fit {
    /// How wide each column is to be; none is left out.
    fn widths(&mut self, natural: &[usize], rows: &[Vec<String>]) -> Vec<Option<usize>> {
        let whole = |at: usize| self.heads.get(at).is_some_and(|head| head == WHOLE);
        let least = |at: usize, width: usize| if whole(at) { width } else { width.min(LEAST) };
        let out = self.left_out.get_or_insert_with(|| {
            let mut out = vec![false; natural.len()];
            if sum(natural, &out, |_, width| width) <= self.columns {
                return out;
            }
            for (at, out) in out.iter_mut().enumerate() {
                let cells = rows.iter().skip(1).filter_map(|row| row.get(at));
                *out = !whole(at) && cells.clone().all(|cell| matches!(cell.as_str(), "" | "-"));
            }
            // The first columns say the most.
            for at in (1..natural.len()).rev() {
                if sum(natural, &out, least) <= self.columns {
                    break;
                }
                if let Some(out) = out.get_mut(at).filter(|_| !whole(at)) {
                    *out = true;
                }
            }
            out
        });
        let mut room = self.columns.saturating_sub(sum(natural, out, least));
        let mut widths: Vec<usize> = natural
            .iter()
            .enumerate()
            .map(|(at, it)| least(at, *it))
            .collect();
        let mut grew = true;
        while grew {
            grew = false;
            for ((width, natural), out) in widths.iter_mut().zip(natural).zip(out.iter()) {
                if room > 0 && !out && *width < *natural {
                    *width = width.saturating_add(1);
                    room = room.saturating_sub(1);
                    grew = true;
                }
            }
        }
        let widths = widths.into_iter().zip(out.iter());
        widths.map(|(width, out)| (!out).then_some(width)).collect()
    }
}

/// How wide a line is of the columns that are not left out.
fn sum(natural: &[usize], out: &[bool], of: impl Fn(usize, usize) -> usize) -> usize {
    let columns = natural.iter().zip(out).enumerate();
    let widths = columns
        .filter(|(_, (_, out))| !**out)
        .map(|(at, (width, _))| of(at, *width));
    let line = widths.fold(0, |line: usize, width| {
        line.saturating_add(width).saturating_add(GAP)
    });
    line.saturating_sub(GAP)
}

/// The cell, or as much of it as there is room for, with a mark.
fn cut(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |c: &char| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let mut text: String = cell.chars().take_while(fits).collect();
    text.push('…');
    text
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

    fn fitted(columns: usize) -> Table {
        let heads = ["NAME", "NOTE", "ID", "MORE", "LAST"];
        let mut table = Table::with_heads(&heads, Some(columns));
        let id = "0123456789abcdef0123456789abcdef";
        table.add([
            "a name that is long",
            "-",
            id,
            "日本日本日本日本",
            "last words",
        ]);
        table
    }

    #[test]
    fn a_table_that_fits_is_whole() {
        let mut table = fitted(200);
        assert!(table.text().contains("  -     0123"));
        assert!(table.left_out().is_empty());
    }

    #[test]
    fn a_table_that_does_not_fit_loses_what_is_empty_then_is_cut_then_loses_its_last_columns() {
        for (columns, line, out) in [
            (
                82,
                "a name that is lo…  0123456789abcdef0123456789abcdef  日本日本日本日本  last words",
                &[][..],
            ),
            (
                70,
                "a name tha…  0123456789abcdef0123456789abcdef  日本日本日…  last words",
                &[],
            ),
            (
                60,
                "a name that…  0123456789abcdef0123456789abcdef  日本日本日…",
                &["LAST"],
            ),
            (
                50,
                "a name that is …  0123456789abcdef0123456789abcdef",
                &["MORE", "LAST"],
            ),
            (
                9,
                "a name tha…  0123456789abcdef0123456789abcdef",
                &["MORE", "LAST"],
            ),
        ] {
            let mut table = fitted(columns);
            let text = table.text();
            assert_eq!(text.lines().nth(1).unwrap(), line, "{columns}");
            assert_eq!(table.left_out(), out, "{columns}");
            table.add(["b", "noted", "1", "more", "still"]);
            let next = table.text();
            assert!(next.starts_with("b  ") && !next.contains("noted"), "{next}");
        }
    }
}
