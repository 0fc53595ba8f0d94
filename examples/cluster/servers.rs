//! The database and the Redis that all nodes share: thrown away, or named by whoever starts it.

use tokio::task::spawn_blocking;
use tollgate_examples::failure::Failure;
use tollgate_servers::{Postgres, Redis};
use tollgate_sqlx::{AnyOptions, AnyStore};

use crate::flags::Flags;

/// Where they are. Those that were started end when this is dropped, or else with the process,
/// however it ends.
#[derive(Debug)]
pub(crate) struct Servers {
    database: String,
    redis: String,
    allow_lost_commits: bool,
    _postgres: Option<Postgres>,
    _redis: Option<Redis>,
}

impl Servers {
    /// Starts those that have no URL.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where the machine has no such server, or it does not start.
    pub(crate) async fn start(flags: &Flags) -> Result<Self, Failure> {
        let remedy = |flag| {
            move |error: String| {
                Failure::new(error).with_remedy(format!("or name a server of yours with `{flag}`"))
            }
        };
        let (database, postgres) = if let Some(url) = flags.database() {
            (url.to_owned(), None)
        } else {
            // What is charged is on the disk, as it would be elsewhere.
            let start = || Postgres::try_start_with(&[("fsync", "on")]);
            let started = spawn_blocking(start).await?;
            let started = started.map_err(remedy("--database"))?;
            (started.url(), Some(started))
        };
        let (redis, started) = if let Some(url) = flags.redis() {
            (url.to_owned(), None)
        } else {
            let started = spawn_blocking(|| Redis::try_start_with(&[])).await?;
            let started = started.map_err(remedy("--redis"))?;
            (started.url(), Some(started))
        };
        Ok(Self {
            database,
            redis,
            allow_lost_commits: flags.allow_lost_commits(),
            _postgres: postgres,
            _redis: started,
        })
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn redis(&self) -> &str {
        &self.redis
    }

    pub(crate) const fn allow_lost_commits(&self) -> bool {
        self.allow_lost_commits
    }

    pub(crate) async fn open(&self) -> Result<AnyStore, Failure> {
        open(&self.database, self.allow_lost_commits).await
    }
}

/// Opens the database.
///
/// # Errors
///
/// A [`Failure`] that names it without its password.
pub(crate) async fn open(url: &str, allow_lost_commits: bool) -> Result<AnyStore, Failure> {
    let options = AnyOptions::new(url);
    let options = if allow_lost_commits {
        options.allow_lost_commits()
    } else {
        options
    };
    Ok(options.open().await?)
}
