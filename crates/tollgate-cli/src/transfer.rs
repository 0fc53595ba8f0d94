//! `tollgate move`: everything in a database on SQLite to one on PostgreSQL.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tollgate_core::clock::{Clock as _, SystemClock};
use tollgate_sqlx::{AnyOptions, PostgresStore, SqliteStore, Transfer, Transferred};

use crate::args::Settings;
use crate::failure::Failure;
use crate::out::{Out, Shown, note};
use crate::progress::Progress;

/// What is moved, and where to.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The database that everything is moved to: `postgres://user@host/name`; a password is to
    /// stand in the variable
    #[arg(
        long,
        value_name = "URL",
        env = "TOLLGATE_MOVE_TO",
        hide_env_values = true
    )]
    to: String,
    /// Counts what there is, looks at the target, and moves nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was moved.
#[derive(Debug, Serialize)]
struct Report {
    rows: u64,
    tables: BTreeMap<&'static str, u64>,
    dry_run: bool,
    seconds: f64,
}

/// A table, in a list for people.
#[derive(Debug, Serialize)]
struct Rows(&'static str, u64);

impl Move {
    pub(crate) async fn run(self, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
        let from = self.source(settings).await?;
        let moved = self.moved(&from, settings).await;
        from.close().await;
        let (moved, seconds) = moved?;
        if out.json() {
            return out.value(&Report {
                rows: moved.rows(),
                tables: moved.tables().collect(),
                dry_run: self.dry_run,
                seconds,
            });
        }
        let mut list = out.list::<Rows>();
        for (table, rows) in moved.tables() {
            list.add(&Rows(table, rows))?;
        }
        list.end()?;
        if !self.dry_run {
            note(
                "the old database has all that it had, and nobody is to use it any more: start the \
                 app on the new one",
            );
        }
        Ok(())
    }

    async fn source(&self, settings: &Settings) -> Result<SqliteStore, Failure> {
        let Some(database) = &settings.database else {
            return Err(Failure::usage(
                "no database is named that is to be moved; write `--database sqlite://keys.db`",
            ));
        };
        match AnyOptions::new(database) {
            AnyOptions::Sqlite(options) => {
                let options = options.existing();
                // A dry run may be made beside the app.
                let options = if self.dry_run {
                    options
                } else {
                    options.alone()
                };
                Ok(options.open().await?)
            }
            _ => Err(Failure::usage(
                "only a database on SQLite can be moved; between servers, PostgreSQL's own \
                 `pg_dump` and `pg_restore` do it",
            )),
        }
    }

    async fn moved(
        &self,
        from: &SqliteStore,
        settings: &Settings,
    ) -> Result<(Transferred, f64), Failure> {
        let clock = SystemClock::default();
        let began = clock.now().steady;
        let transfer = Transfer::new(from);
        let counted = transfer.count().await?;
        let Some(to) = self.target(settings).await? else {
            return Ok((counted, 0.0));
        };
        let progress = Progress::of(counted.rows(), false);
        let moved = if self.dry_run {
            to.check_empty().await.map(|()| counted)
        } else {
            transfer.run(&to, |rows| progress.reach(rows)).await
        };
        drop(progress);
        to.close().await;
        Ok((moved?, clock.now().steady.since(began).as_secs_f64()))
    }

    /// The target; none if it is only looked at, and has no tables yet.
    async fn target(&self, settings: &Settings) -> Result<Option<PostgresStore>, Failure> {
        let AnyOptions::Postgres(options) = settings.options(&self.to) else {
            return Err(Failure::usage(
                "a database is moved to PostgreSQL; write `--to postgres://user@host/name`",
            ));
        };
        let options = if self.dry_run {
            options.existing()
        } else {
            options
        };
        match options.open().await {
            Err(error) if self.dry_run && error.is_missing() => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }
}

impl Shown for Rows {
    const COLUMNS: &'static [&'static str] = &["TABLE", "ROWS"];

    fn row(&self) -> Vec<String> {
        vec![self.0.to_owned(), self.1.to_string()]
    }
}
