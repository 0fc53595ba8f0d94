//! SQLite: one connection that writes, a few that read.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tollgate_core::audit::AuditKey;
use tollgate_core::change::Told;
use tollgate_core::error::StoreError;

use crate::open::{Location, OpenError};
use crate::session::{Backend, Dialect, Time, sealed::Sealed};
use crate::store::{SqlStore, SqliteStore};
use connection::{Borrowed, Connection, WriteTransaction};
use writer::Writer;

mod connection;
mod errors;
mod file;
mod migrations;
mod writer;

const READERS: u32 = 4;
/// Sixteen megabytes, in SQLite's words: the pages that charges touch stay in memory.
const WRITER_CACHE: &str = "-16000";
/// Twenty-four: the index that lists read fits, of two hundred thousand keys. A scan of more than
/// fits reads each page anew.
const READER_CACHE: &str = "-24000";
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How to open a database.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until opened"]
pub struct SqliteOptions {
    location: String,
    synchronous: SqliteSynchronous,
    audit: AuditKey,
    existing: bool,
    alone: bool,
}

impl SqliteOptions {
    /// The database at a location, as [`SqliteStore::open`] takes it.
    pub fn new(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            synchronous: SqliteSynchronous::Full,
            audit: AuditKey::default(),
            existing: false,
            alone: false,
        }
    }

    /// Opens what Tollgate has made, and makes nothing: a file that is missing, or has no tables of
    /// Tollgate, is an error.
    pub const fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// Refuses a file that somebody else has open, such as a running app, at the time it is opened.
    pub const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Seals the audit trail with a key, so that who can write to the database cannot write the
    /// trail anew. Every process that shares the database needs the same.
    pub fn audit_key(mut self, key: AuditKey) -> Self {
        self.audit = key;
        self
    }

    /// Does not wait for the disk at each commit. A crash of the app still loses nothing; a crash
    /// of the machine may lose the last commits, and charges with them, but breaks nothing.
    pub const fn synchronous_normal(mut self) -> Self {
        self.synchronous = SqliteSynchronous::Normal;
        self
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// As [`SqliteStore::open`].
    pub async fn open(self) -> Result<SqliteStore, OpenError> {
        let (backend, shown) = match Location::parse(&self.location)? {
            Location::Memory => (Sqlite::in_memory(), "the database in memory".to_owned()),
            Location::File(path) => {
                file::prepare(&path, self.existing)?;
                if self.alone {
                    file::refuse_others(&path).await?;
                }
                let shown = format!("`{}`", path.display());
                (Sqlite::on_file(&path, self.synchronous), shown)
            }
        };
        migrations::run(&backend.writer, &shown, self.existing).await?;
        Ok(SqlStore::new(backend, self.audit))
    }
}

/// The connections to an SQLite database.
#[derive(Clone)]
pub struct Sqlite {
    writer: Writer,
    /// None for a database in memory, which has one connection and is gone with it.
    readers: Option<SqlitePool>,
}

impl Sqlite {
    fn in_memory() -> Self {
        let options = SqliteConnectOptions::new()
            .in_memory(true)
            .foreign_keys(true);
        Self {
            writer: Writer::new(options),
            readers: None,
        }
    }

    fn on_file(path: &Path, synchronous: SqliteSynchronous) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(synchronous)
            .foreign_keys(true);
        let writes = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("cache_size", WRITER_CACHE)
            // What a statement that fails half-way has to take back: a file of it is written for
            // each import's step.
            .pragma("temp_store", "MEMORY");
        let reads = options.read_only(true).pragma("cache_size", READER_CACHE);
        // Connections live as long as they work; one that does not is closed by whoever finds out.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        Self {
            writer: Writer::new(writes),
            readers: Some(readers.connect_lazy_with(reads)),
        }
    }

    pub(crate) async fn close(&self) {
        // The last connection to be closed moves the log into the file, and a reader cannot.
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.writer.close().await;
    }

    async fn writer(&self) -> Result<Connection, StoreError> {
        let turn = self.writer.acquire().await.map_err(errors::store_error)?;
        let in_memory = self.readers.is_none();
        Ok(Connection::new(Borrowed::Writer(turn), in_memory))
    }
}

impl Sealed for Sqlite {}

impl Backend for Sqlite {
    type Read = Connection;
    type Write = WriteTransaction;

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn time(&self) -> Time {
        Time::Callers
    }

    async fn read(&self) -> Result<Connection, StoreError> {
        let Some(readers) = &self.readers else {
            return self.writer().await;
        };
        let connection = readers.acquire().await.map_err(errors::store_error)?;
        Ok(Connection::new(Borrowed::Reader(connection), false))
    }

    async fn write(&self) -> Result<WriteTransaction, StoreError> {
        WriteTransaction::begin(self.writer().await?).await
    }

    async fn charge(&self) -> Result<WriteTransaction, StoreError> {
        self.write().await
    }

    async fn count(&self) -> Result<WriteTransaction, StoreError> {
        self.write().await
    }

    async fn told(&self) -> Told {
        std::future::pending().await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("in_memory", &self.readers.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod charges;
#[cfg(test)]
mod tests;
