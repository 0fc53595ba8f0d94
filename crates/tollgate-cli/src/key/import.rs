//! `tollgate key import`: keys of another system, from a file of digests.
//!
//! They become good all at once, at the end of the file; whatever ends the command before that
//! leaves nothing behind.

use std::future::{Future, pending, poll_fn};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use clap::Args;
use serde::Serialize;
use tollgate_core::change::Actor;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::{Import, KeyImporter};

use super::change::usual_environment;
use crate::args::Why;
use crate::desk::Desk;
use crate::failure::{Failure, printable};
use crate::out::{Out, Shown, note};
use crate::progress::Progress;
use record::Usual;
use source::{Batch, Format, Source};

mod csv;
mod jsonl;
mod record;
mod source;

/// How many refused records are told in JSON; standard error has all.
const TOLD: usize = 1_000;
/// How much of a reason is told, in characters.
const REASON: usize = 400;

/// What is imported, and how.
#[derive(Debug, Args)]
pub(crate) struct ImportKeys {
    /// The file, `.csv` or `.jsonl`; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The organization of all keys, if the file does not name one for each
    #[arg(long)]
    org: Option<OrgId>,
    /// How the file is written, if its name does not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Checks everything and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Imports the good records even if others are refused
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    why: Why,
}

/// What became of the records.
#[derive(Debug, Default, Serialize)]
struct Report {
    records: u64,
    refused: u64,
    imported: u64,
    dry_run: bool,
    seconds: f64,
    keys_per_second: u64,
    refusals: Vec<Refusal>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    line: u64,
    error: String,
}

impl ImportKeys {
    pub(super) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let catalog = desk.catalog().await?;
        let usual = Usual {
            organization: self.org,
            environment: usual_environment(&catalog),
        };
        let source = Source::open(&self.file, self.format, usual)?;
        let actor = desk.actor(self.why).await?;
        let importer = desk.importer(catalog);
        let importer = if self.dry_run {
            importer.dry_run()
        } else {
            importer
        };
        let began = desk.steady();
        let mut report = Report {
            dry_run: self.dry_run,
            ..Report::default()
        };
        let mut import = None;
        let added = add(source, importer, &actor, &mut import, &mut report);
        let added = unless_stopped(added).await;
        let good = report.records.saturating_sub(report.refused);
        let wanted = good > 0 && (report.refused == 0 || self.keep_going);
        match (import, added) {
            (Some(import), Some(Ok(()))) if wanted => report.imported = import.activate().await?,
            (import, added) => {
                if added.is_none() {
                    note("stopped; removing what was staged");
                }
                let abandoned = abandon(import).await;
                let stopped = || Err(Failure::new("it was stopped, and nothing was imported"));
                added.unwrap_or_else(stopped).and(abandoned)?;
            }
        }
        let took = desk.steady().since(began);
        report.seconds = took.as_secs_f64();
        let rate = u128::from(good).saturating_mul(1_000);
        let rate = rate
            .checked_div(took.as_millis().max(1))
            .unwrap_or_default();
        report.keys_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
        out.one(&report)?;
        report.judge(self.keep_going)
    }
}

/// Adds the whole file, to an import that begins with its first record.
async fn add(
    mut source: Source,
    importer: KeyImporter,
    actor: &Actor,
    import: &mut Option<Import>,
    report: &mut Report,
) -> Result<(), Failure> {
    let progress = source
        .bytes()
        .map_or_else(Progress::none, Progress::of_bytes);
    let mut importer = Some(importer);
    while let Some(batch) = source.next().await? {
        if let Some(importer) = importer.take() {
            *import = Some(importer.begin(actor).await?);
        }
        let Some(import) = import.as_mut() else { break };
        let Batch {
            keys,
            lines,
            refused,
            read,
        } = batch;
        let records = lines.len().saturating_add(refused.len());
        let mut refusals: Vec<_> = refused
            .into_iter()
            .map(|(line, refused)| Refusal::new(line, &refused.to_string()))
            .collect();
        for refused in import.add(keys).await? {
            let line = lines.get(refused.index).copied().unwrap_or_default();
            refusals.push(Refusal::new(line, &refused.error.to_string()));
        }
        refusals.sort_by_key(|refusal| refusal.line);
        progress.beside(|| refusals.iter().for_each(Refusal::tell));
        report.note(records, refusals);
        progress.reach(read);
    }
    Ok(())
}

/// Removes what was staged, unless that takes longer than somebody wants to wait.
async fn abandon(import: Option<Import>) -> Result<(), Failure> {
    let Some(import) = import else { return Ok(()) };
    match unless_stopped(import.abandon()).await {
        Some(abandoned) => Ok(abandoned?),
        None => Err(Failure::new(
            "nothing was imported; what was staged is removed by the next import, in a minute at \
             the earliest",
        )),
    }
}

/// Does work until Ctrl-C is pressed.
async fn unless_stopped<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut stopped = pin!(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Then Ctrl-C does what it always does.
            pending::<()>().await;
        }
    });
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        stopped.as_mut().poll(context).map(|()| None)
    })
    .await
}

impl Refusal {
    fn new(line: u64, reason: &str) -> Self {
        let mut error: String = reason.chars().take(REASON).collect();
        if error.len() < reason.len() {
            error.push('…');
        }
        Self { line, error }
    }

    fn tell(&self) {
        let Self { line, error } = self;
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(io::stderr(), "line {line}: {}", printable(error));
    }
}

impl Report {
    fn note(&mut self, records: usize, refusals: Vec<Refusal>) {
        let count = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        self.records = self.records.saturating_add(count(records));
        self.refused = self.refused.saturating_add(count(refusals.len()));
        let room = TOLD.saturating_sub(self.refusals.len());
        self.refusals.extend(refusals.into_iter().take(room));
    }

    fn judge(&self, keep_going: bool) -> Result<(), Failure> {
        if self.refused == 0 {
            return Ok(());
        }
        let then = match (self.dry_run, keep_going) {
            (true, _) => "",
            (false, true) => "; the others were imported",
            (false, false) => {
                "; nothing was imported: mend them, or leave them out with `--keep-going`"
            }
        };
        Err(Failure::new(format!(
            "{} of {} records were refused{then}",
            self.refused, self.records
        )))
    }
}

impl Shown for Report {
    const COLUMNS: &'static [&'static str] = &["records", "refused", "imported", "keys a second"];

    fn row(&self) -> Vec<String> {
        let imported = if self.dry_run {
            "0 (dry run)".to_owned()
        } else {
            self.imported.to_string()
        };
        vec![
            self.records.to_string(),
            self.refused.to_string(),
            imported,
            self.keys_per_second.to_string(),
        ]
    }
}
