//! Reads records from lines of JSON.

use std::io::{BufRead, Read as _};

use super::record::{Record, Refused};
use super::source::{LONGEST, Line, Records};
use crate::failure::Failure;

/// A file with an object on each line.
pub(super) struct Jsonl<R> {
    from: R,
    text: Vec<u8>,
    lines: u64,
    read: u64,
}

impl<R: BufRead> Jsonl<R> {
    pub(super) const fn begin(from: R) -> Self {
        Self {
            from,
            text: Vec::new(),
            lines: 0,
            read: 0,
        }
    }

    /// Reads a line, and says whether there is one.
    fn line(&mut self) -> Result<bool, Failure> {
        self.text.clear();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        // One more, which is what tells a line that is too long.
        let mut some = (&mut self.from).take(most.saturating_add(1));
        let mut read = some.read_until(b'\n', &mut self.text)?;
        if read > LONGEST && !self.text.ends_with(b"\n") {
            read = read.saturating_add(self.from.skip_until(b'\n')?);
        }
        self.lines = self.lines.saturating_add(1);
        self.read = self.read.saturating_add(u64::try_from(read).unwrap_or(0));
        Ok(read > 0)
    }

    fn record(&self) -> Result<Record, Refused> {
        if self.text.len() > LONGEST {
            let reason = format!("it is longer than {LONGEST} bytes");
            return Err(Refused::new(reason));
        }
        let text = std::str::from_utf8(&self.text);
        let text = text.map_err(|_| Refused::new("it is not UTF-8 text"))?;
        // Serde would repeat whatever else it is, a secret perhaps.
        if !text.trim_start().starts_with('{') {
            return Err(Refused::new("it is not a JSON object"));
        }
        serde_json::from_str(text.trim_end()).map_err(|error| {
            // Serde counts lines too, and knows of one.
            let place = format!(" at line {} column {}", error.line(), error.column());
            let told = error.to_string();
            let told = told.strip_suffix(&place).unwrap_or(&told);
            if error.is_data() {
                Refused::new(told)
            } else {
                Refused::new(format!("column {}: {told}", error.column()))
            }
        })
    }
}

impl<R: BufRead> Records for Jsonl<R> {
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        while self.line()? {
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some((self.lines, self.record())));
            }
        }
        Ok(None)
    }

    fn read(&self) -> u64 {
        self.read
    }
}
