//! PostgreSQL: what many nodes share.
//!
//! | pool | for |
//! | --- | --- |
//! | lookups | everything that reads |
//! | charges | credits: the one transaction at a time in which charges share |
//! | counts | quotas, usage, what is due or over: transactions that lock the rows they change |
//! | changes | management: transactions that wait for each other, on all nodes |
//! | feed | the one connection that listens |
//!
//! They are apart so that none can use up the connections of another: however long charges wait
//! for a slow disk, keys are still looked up; however many quotas begin anew at midnight, charges
//! are written.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::time::timeout;
use tollgate_core::audit::AuditKey;
use tollgate_core::change::Told;
use tollgate_core::error::StoreError;

use crate::open::OpenError;
use crate::session::{Backend, Dialect, Time, sealed::Sealed};
use crate::store::{PostgresStore, SqlStore};
use connection::{Connection, WriteTransaction};
use feed::Feed;
use location::Location;

mod connection;
mod errors;
mod feed;
mod location;
mod migrations;
mod rights;
mod settings;

const LOOKUPS: u32 = 4;
/// Whoever leads the queue of charges has one, while the pool tries the one that it had before; nobody
/// else wants any.
const CHARGES: u32 = 2;
const COUNTS: u32 = 2;
const CHANGES: u32 = 2;
/// How long a connection is waited for, and the first one at the start.
const CONNECT: Duration = Duration::from_secs(2);
const FIRST_CONNECT: Duration = Duration::from_secs(10);
/// How long a statement is waited for that nobody else gives up earlier.
const READ: Duration = Duration::from_secs(10);
const CHARGE: Duration = Duration::from_secs(1);
const CHANGE: Duration = Duration::from_secs(10);
/// How long is waited for what is under way at the end. Nobody else waits for it longer.
const CLOSE: Duration = Duration::from_secs(5);
/// A connection that was not used for so long is tried before it is used again.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// Alone, among all who manage these tables, until the transaction ends. It is a row of theirs, so
/// that it is the same one whatever a session's search path is, and nobody's who may not write it.
macro_rules! lock_changes {
    () => {
        "SELECT FROM tollgate_migrations WHERE version = 1 FOR UPDATE"
    };
}
const LOCK_CHANGES: &str = lock_changes!();
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const BEGIN_CHANGE: &str = concat!("BEGIN ISOLATION LEVEL READ COMMITTED; ", lock_changes!());

/// How to open a database on PostgreSQL.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until opened"]
pub struct PostgresOptions {
    location: Location,
    audit: AuditKey,
    existing: bool,
    may_lose: bool,
    time: Time,
}

impl PostgresOptions {
    /// The database at a URL, as [`PostgresStore::open`] takes it.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            location: Location(url.into()),
            audit: AuditKey::default(),
            existing: false,
            may_lose: false,
            time: Time::Servers,
        }
    }

    /// Opens what Tollgate has made, and makes nothing: a database that has no tables of Tollgate
    /// is an error.
    pub const fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// Seals the audit trail with a key, so that who can write to the database cannot write the
    /// trail anew. Every process that shares the database needs the same.
    pub fn audit_key(mut self, key: AuditKey) -> Self {
        self.audit = key;
        self
    }

    /// Opens it even if the server does not wait for its disk (`fsync` or `synchronous_commit` is
    /// off): a crash of its machine may lose the last charges.
    pub const fn allow_lost_commits(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// Ends holds by the time that each call tells, in place of the server's: for tests.
    #[doc(hidden)]
    pub const fn by_the_callers_time(mut self) -> Self {
        self.time = Time::Callers;
        self
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// As [`PostgresStore::open`].
    pub async fn open(self) -> Result<PostgresStore, OpenError> {
        let options = self.location.options()?;
        let shown = format!(
            "the database `{}` on {}:{}",
            options.get_database().unwrap_or(options.get_username()),
            options.get_host(),
            options.get_port(),
        );
        let refused = |error: sqlx::Error| {
            OpenError::new(format!("{shown} cannot be opened: {}", reason(&error)))
                .with_cause(cause(error))
        };
        // A migration that takes its time is no reason to log all of it.
        let first = options.clone().disable_statement_logging();
        let connected = timeout(FIRST_CONNECT, PgConnection::connect_with(&first)).await;
        let connected = connected.map_err(|_| {
            let patience = FIRST_CONNECT.as_secs();
            OpenError::new(format!(
                "{shown} cannot be opened: it did not answer within {patience} s"
            ))
        })?;
        let mut first = connected.map_err(refused)?;
        first.execute(settings::OPENING).await.map_err(refused)?;
        settings::check(&mut first, &shown, self.may_lose).await?;
        // Who opens what exists may be somebody who only reads.
        if !self.existing {
            rights::check(&mut first, &shown).await?;
        }
        migrations::run(&mut first, &shown, self.existing).await?;
        first.close().await.map_err(refused)?;
        Ok(SqlStore::new(
            Postgres::new(&options, self.time),
            self.audit,
        ))
    }
}

/// What an error says without a secret.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => error.to_string(),
        _ => "the connection failed".to_owned(),
    }
}

/// What is beneath an error, unless [`reason`] has said all of it.
fn cause(error: sqlx::Error) -> Option<Box<dyn Error + Send + Sync>> {
    match error {
        // It would be told again, with a line of the server's source.
        sqlx::Error::Database(_) => None,
        sqlx::Error::Io(error) => Some(error.into()),
        sqlx::Error::Tls(error) => Some(error),
        error => Some(error.into()),
    }
}

/// The connections to a PostgreSQL database.
#[derive(Clone)]
pub struct Postgres {
    lookups: PgPool,
    charges: PgPool,
    counts: PgPool,
    changes: PgPool,
    feed: Feed,
    time: Time,
}

impl Postgres {
    fn new(options: &PgConnectOptions, time: Time) -> Self {
        Self {
            time,
            lookups: pool(options, LOOKUPS, settings::LOOKUPS),
            charges: pool(options, CHARGES, settings::CHARGES),
            counts: pool(options, COUNTS, settings::CHARGES),
            changes: pool(options, CHANGES, settings::CHANGES),
            feed: Feed::new(pool(options, 1, settings::LOOKUPS)),
        }
    }

    pub(crate) async fn close(&self) {
        let all = async {
            tokio::join!(
                self.feed.close(),
                self.lookups.close(),
                self.charges.close(),
                self.counts.close(),
                self.changes.close(),
            )
        };
        // Each connection says goodbye, which a server that hangs never takes.
        if timeout(CLOSE, all).await.is_err() {
            tracing::warn!("PostgreSQL does not answer; left its connections as they are");
        }
    }

    async fn begin(
        pool: &PgPool,
        patience: Duration,
        sql: &'static str,
    ) -> Result<WriteTransaction, StoreError> {
        let connection = pool.acquire().await.map_err(errors::store_error)?;
        WriteTransaction::begin(Connection::new(connection, patience), sql).await
    }
}

/// Connections live as long as they work; each has its settings from the start.
fn pool(options: &PgConnectOptions, most: u32, settings: &'static str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(CONNECT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, met| {
            Box::pin(async move {
                if met.idle_for > TRIED_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(settings).await.map(|_| ()) })
        })
        .connect_lazy_with(options.clone())
}

impl Sealed for Postgres {}

impl Backend for Postgres {
    type Read = Connection;
    type Write = WriteTransaction;

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn time(&self) -> Time {
        self.time
    }

    async fn read(&self) -> Result<Connection, StoreError> {
        let connection = self.lookups.acquire().await.map_err(errors::store_error)?;
        Ok(Connection::new(connection, READ))
    }

    async fn write(&self) -> Result<WriteTransaction, StoreError> {
        Self::begin(&self.changes, CHANGE, BEGIN_CHANGE).await
    }

    async fn charge(&self) -> Result<WriteTransaction, StoreError> {
        Self::begin(&self.charges, CHARGE, BEGIN).await
    }

    async fn count(&self) -> Result<WriteTransaction, StoreError> {
        Self::begin(&self.counts, CHARGE, BEGIN).await
    }

    async fn told(&self) -> Told {
        self.feed.told().await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
