//! Where records come from: a file that a thread reads ahead of those who check and write.
//!
//! Whatever is in the file, a record has a longest form and a batch a largest, and two batches are
//! in memory: one at work and one that is being read.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::thread;

use clap::ValueEnum;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tollgate_core::keyring::ForeignKey;

use super::csv::Csv;
use super::jsonl::Jsonl;
use super::record::{Record, Refused, Usual};
use crate::failure::Failure;

/// The most bytes that a record has.
pub(super) const LONGEST: usize = 16 * 1024;
/// An import is the faster the larger its batches are.
const RECORDS: usize = 100_000;
const BYTES: u64 = 32 * 1024 * 1024;
const PIECE: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A record, and the line that it begins on.
pub(super) type Line = (u64, Result<Record, Refused>);

/// Reads records one after another.
pub(super) trait Records {
    fn next(&mut self) -> Result<Option<Line>, Failure>;

    /// How many bytes were read.
    fn read(&self) -> u64;
}

/// How records are written down.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, whose first line names the columns
    Csv,
    /// A JSON object on each line
    Jsonl,
}

/// Records that are to be added at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) keys: Vec<ForeignKey>,
    /// The line of each key.
    pub(super) lines: Vec<u64>,
    /// The others.
    pub(super) refused: Vec<(u64, Refused)>,
    /// How much of the file was read with it.
    pub(super) read: u64,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Source {
    batches: mpsc::Receiver<Result<Batch, Failure>>,
    bytes: Option<u64>,
}

impl Source {
    /// Begins to read; `-` is standard input.
    pub(super) fn open(path: &Path, format: Option<Format>, usual: Usual) -> Result<Self, Failure> {
        let format = format.map_or_else(|| told_by(path), Ok)?;
        let shown = path.display().to_string();
        let failed =
            move |failure: Failure| failure.within(format_args!("cannot import `{shown}`"));
        let (file, bytes): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(|error| failed(error.into()))?;
            let known = file.metadata().ok().filter(std::fs::Metadata::is_file);
            (Box::new(file), known.map(|it| it.len()))
        };
        let (to, batches) = mpsc::channel(1);
        let runtime = Handle::current();
        // Not the runtime's, which would wait at the end for somebody to type more.
        thread::Builder::new().spawn(move || {
            let told = read(file, format, &usual, &runtime, &to);
            if let Err(failure) = told {
                // Nobody is left to be told that the command was stopped.
                let _ = to.blocking_send(Err(failed(failure)));
            }
        })?;
        Ok(Self { batches, bytes })
    }

    /// How long the file is, if that is known.
    pub(super) const fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The next batch, until there is none.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, Failure> {
        self.batches.recv().await.transpose()
    }
}

fn told_by(path: &Path) -> Result<Format, Failure> {
    let end = path.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    match end.as_ref().and_then(|end| end.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl") => Ok(Format::Jsonl),
        _ => Err(Failure::usage(format!(
            "`{}` does not end in `.csv` or `.jsonl`; write `--format csv` or `--format jsonl`",
            path.display()
        ))),
    }
}

fn read(
    mut file: Box<dyn Read + Send>,
    format: Format,
    usual: &Usual,
    runtime: &Handle,
    to: &mpsc::Sender<Result<Batch, Failure>>,
) -> Result<(), Failure> {
    let mut first = Vec::new();
    (&mut file).take(3).read_to_end(&mut first)?;
    if first == BYTE_ORDER_MARK {
        first.clear();
    }
    let from = BufReader::with_capacity(PIECE, Cursor::new(first).chain(file));
    let mut records: Box<dyn Records> = match format {
        Format::Csv => Box::new(Csv::begin(from, usual.organization.is_some())?),
        Format::Jsonl => Box::new(Jsonl::begin(from)),
    };
    // A batch is read when the one before it is taken, and not earlier.
    while let Ok(place) = runtime.block_on(to.reserve()) {
        let batch = batch(&mut *records, usual)?;
        if batch.lines.is_empty() && batch.refused.is_empty() {
            break;
        }
        place.send(Ok(batch));
    }
    Ok(())
}

fn batch(records: &mut dyn Records, usual: &Usual) -> Result<Batch, Failure> {
    let mut batch = Batch::default();
    let most = records.read().saturating_add(BYTES);
    while batch.lines.len().saturating_add(batch.refused.len()) < RECORDS && records.read() < most {
        let Some((line, record)) = records.next()? else {
            break;
        };
        match record.and_then(|record| record.key(usual)) {
            Ok(key) => {
                batch.keys.push(key);
                batch.lines.push(line);
            }
            Err(refused) => batch.refused.push((line, refused)),
        }
    }
    batch.read = records.read();
    Ok(batch)
}
