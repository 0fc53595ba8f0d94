//! What is printed: tables for people, JSON for programs.
//!
//! Whoever reads may go away early (`tollgate key list | head -1`); that is no failure, except for
//! a secret, which nobody could read again.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write as _};

use console::Term;
use serde::Serialize;

use crate::failure::{Failure, printable};
use crate::out::table::Table;

mod table;

/// Something that can be printed, in a list of its like or alone.
pub(crate) trait Shown: Serialize {
    /// The heads of a table's columns.
    const COLUMNS: &'static [&'static str];

    /// A row of the table, by columns.
    fn row(&self) -> Vec<String>;

    /// The lines that say everything, by name.
    fn lines(&self) -> Vec<(&'static str, String)> {
        Self::COLUMNS.iter().copied().zip(self.row()).collect()
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Out {
    to: BufWriter<Stdout>,
    json: bool,
    closed: bool,
    /// How wide the terminal is, if it is one: what is piped is whole.
    columns: Option<usize>,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            to: BufWriter::new(io::stdout()),
            json,
            closed: false,
            columns: Term::stdout()
                .size_checked()
                .map(|(_, columns)| columns.into()),
        }
    }

    /// Whether programs read it.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether nobody reads it any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints one thing, with all that is to be said of it.
    pub(crate) fn one<T: Shown>(&mut self, shown: &T) -> Result<(), Failure> {
        if self.json {
            return self.value(shown);
        }
        let mut table = Table::default();
        for (name, value) in shown.lines() {
            table.add([name.to_lowercase(), value]);
        }
        self.bytes(table.text().as_bytes())
    }

    /// Prints something that cannot be printed again: fails if it does not arrive.
    pub(crate) fn once<T: Shown>(&mut self, shown: &T) -> Result<(), Failure> {
        self.one(shown)?;
        self.arrived()
    }

    /// Fails if what was printed so far does not arrive.
    pub(crate) fn arrived(&mut self) -> Result<(), Failure> {
        self.to.flush().or_else(|error| self.judge(error))?;
        if self.closed {
            return Err(Failure::new("nobody reads standard output"));
        }
        Ok(())
    }

    /// Begins a list.
    pub(crate) fn list<T: Shown>(&mut self) -> List<'_> {
        List {
            table: Table::with_heads(T::COLUMNS, self.columns),
            out: self,
            any: false,
        }
    }

    /// Prints a value as JSON, over several lines.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        self.to.write_all(bytes).or_else(|error| self.judge(error))
    }

    /// Prints what is left.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        self.to.flush().or_else(|error| self.judge(error))
    }

    fn judge(&mut self, error: io::Error) -> Result<(), Failure> {
        self.closed = true;
        if error.kind() == ErrorKind::BrokenPipe {
            return Ok(());
        }
        Err(Failure::from(error).within("cannot write to standard output"))
    }
}

/// How many rows are lined up at once.
const ROWS: usize = 500;

/// A list that is printed while it is read, so that it may be longer than memory.
#[derive(Debug)]
#[must_use = "a list is printed whole by `end`"]
pub(crate) struct List<'a> {
    out: &'a mut Out,
    table: Table,
    any: bool,
}

impl List<'_> {
    /// Adds one, and says whether anybody wants more.
    pub(crate) fn add<T: Shown>(&mut self, shown: &T) -> Result<bool, Failure> {
        if self.out.json {
            let before = if self.any { ",\n  " } else { "[\n  " };
            self.any = true;
            let text = serde_json::to_string(shown)?;
            self.out.bytes(format!("{before}{text}").as_bytes())?;
        } else {
            self.table.add(shown.row());
            if self.table.rows() >= ROWS {
                self.out.bytes(self.table.text().as_bytes())?;
            }
        }
        Ok(!self.out.is_closed())
    }

    /// Prints the rest.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        if !self.out.json {
            self.out.bytes(self.table.text().as_bytes())?;
            let left_out = self.table.left_out().join(", ");
            if !left_out.is_empty() {
                self.out.finish()?;
                note(format_args!(
                    "there is no room for {left_out}; pipe it (`| cat`), or write `--json`"
                ));
            }
            return Ok(());
        }
        self.out.line(if self.any { "\n]" } else { "[]" })
    }
}

/// Says something beside the results, to people.
pub(crate) fn note(text: impl fmt::Display) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr(), "note: {}", printable(&text.to_string()));
}

/// What there is, or a dash.
pub(crate) fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
