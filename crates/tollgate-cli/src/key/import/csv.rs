//! Reads records from CSV, as RFC 4180 has it, with either line end.

use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader};

use super::record::{COLUMNS, Record, Refused};
use super::source::{LONGEST, Line, Records};
use crate::failure::Failure;

/// More fields than any header can have.
const FIELDS: usize = 32;

/// A file of CSV, whose first line names the columns.
pub(super) struct Csv<R> {
    from: R,
    core: Reader,
    /// The columns, by their place.
    columns: Vec<&'static str>,
    fields: Vec<u8>,
    ends: [usize; FIELDS],
    /// How many line ends were read, and how many bytes.
    lines: u64,
    read: u64,
}

/// What stands between two line ends, unless they are quoted.
enum Row {
    /// Of so many fields.
    Good(usize),
    TooLong,
}

impl<R: BufRead> Csv<R> {
    /// Reads the first line.
    pub(super) fn begin(from: R, has_organization: bool) -> Result<Self, Failure> {
        let mut csv = Self {
            from,
            core: Reader::new(),
            columns: Vec::new(),
            fields: vec![0; LONGEST],
            ends: [0; FIELDS],
            lines: 0,
            read: 0,
        };
        let Some((line, row)) = csv.row()? else {
            return Err(Failure::new(format!(
                "it is empty; its first line has to name columns, of {}",
                COLUMNS.join(", ")
            )));
        };
        let columns = csv.header(&row, has_organization);
        csv.columns = columns.map_err(|refused| Failure::new(format!("line {line}: {refused}")))?;
        Ok(csv)
    }

    fn header(&self, row: &Row, has_organization: bool) -> Result<Vec<&'static str>, Refused> {
        let mut columns = Vec::new();
        for name in self.texts(row)? {
            let known = COLUMNS.into_iter().find(|column| *column == name);
            let Some(column) = known else {
                let shown: String = name.chars().take(64).collect();
                return Err(Refused::new(format!(
                    "`{shown}` is not a column; write {}",
                    COLUMNS.join(", ")
                )));
            };
            if columns.contains(&column) {
                return Err(Refused::new(format!(
                    "the column `{column}` is there twice"
                )));
            }
            columns.push(column);
        }
        if has_organization && columns.contains(&"organization") {
            return Err(Refused::new(
                "the file has a column `organization`, and `--org` names one for all; leave out \
                 one of the two",
            ));
        }
        let needed = ["organization", "name", "digest"].into_iter();
        let mut needed = needed.skip(usize::from(has_organization));
        if let Some(missing) = needed.find(|column| !columns.contains(column)) {
            let remedy = if missing == "organization" {
                ", and no `--org` names one for all"
            } else {
                ""
            };
            return Err(Refused::new(format!(
                "there is no column `{missing}`{remedy}"
            )));
        }
        Ok(columns)
    }

    /// The next row that is not blank, and the line that it begins on.
    fn row(&mut self) -> Result<Option<(u64, Row)>, Failure> {
        self.skip_line_ends()?;
        let line = self.lines.saturating_add(1);
        let (mut written, mut ended, mut too_long) = (0, 0, false);
        loop {
            let input = self.from.fill_buf()?;
            let fields = self.fields.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(ended..).unwrap_or_default();
            let (result, taken, wrote, came) = self.core.read_record(input, fields, ends);
            let newlines = input.iter().take(taken).filter(|byte| **byte == b'\n');
            let newlines = u64::try_from(newlines.count()).unwrap_or(u64::MAX);
            self.lines = self.lines.saturating_add(newlines);
            self.from.consume(taken);
            self.read = self.read.saturating_add(u64::try_from(taken).unwrap_or(0));
            written = written.saturating_add(wrote);
            ended = ended.saturating_add(came);
            match result {
                ReadRecordResult::InputEmpty => {}
                // The rest of it is read to find its end, and thrown away.
                ReadRecordResult::OutputFull => (written, too_long) = (0, true),
                ReadRecordResult::OutputEndsFull => (ended, too_long) = (0, true),
                ReadRecordResult::Record if too_long => return Ok(Some((line, Row::TooLong))),
                ReadRecordResult::Record => return Ok(Some((line, Row::Good(ended)))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// The parser passes over blank lines too, but does not say on which line it goes on.
    fn skip_line_ends(&mut self) -> Result<(), Failure> {
        loop {
            let input = self.from.fill_buf()?;
            let blank = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
            let taken = input.iter().take_while(blank).count();
            if taken == 0 {
                return Ok(());
            }
            let newlines = input.iter().take(taken).filter(|byte| **byte == b'\n');
            let newlines = u64::try_from(newlines.count()).unwrap_or(u64::MAX);
            self.lines = self.lines.saturating_add(newlines);
            self.from.consume(taken);
            self.read = self.read.saturating_add(u64::try_from(taken).unwrap_or(0));
        }
    }

    fn texts(&self, row: &Row) -> Result<Vec<&str>, Refused> {
        let Row::Good(fields) = row else {
            return Err(Refused::new(format!(
                "it is longer than {LONGEST} bytes or {FIELDS} fields; is a quote left open?"
            )));
        };
        let mut start = 0;
        let texts = self.ends.iter().take(*fields).map(|end| {
            let field = self.fields.get(start..*end).unwrap_or_default();
            start = *end;
            std::str::from_utf8(field).map_err(|_| Refused::new("it is not UTF-8 text"))
        });
        texts.collect()
    }

    fn record(&self, row: &Row) -> Result<Record, Refused> {
        let texts = self.texts(row)?;
        if texts.len() != self.columns.len() {
            return Err(Refused::new(format!(
                "it has {} fields, and the first line {}",
                texts.len(),
                self.columns.len()
            )));
        }
        let mut record = Record::default();
        for (column, text) in self.columns.iter().zip(texts) {
            record.set(column, text);
        }
        Ok(record)
    }
}

impl<R: BufRead> Records for Csv<R> {
    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let row = self.row()?;
        Ok(row.map(|(line, row)| (line, self.record(&row))))
    }

    fn read(&self) -> u64 {
        self.read
    }
}
