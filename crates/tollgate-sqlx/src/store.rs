//! The store itself: a backend, and every port on top of it.

use tollgate_core::audit::AuditKey;

use crate::any::Any;
use crate::ledger::{Queue, Sweeper};
use crate::open::{OpenError, is_postgres};
use crate::postgres::{Postgres, PostgresOptions};
use crate::session::Backend;
use crate::sqlite::{Sqlite, SqliteOptions};

/// Keeps everything that a gate keeps, in an SQL database. Clones share their connections.
#[derive(Clone, Debug)]
pub struct SqlStore<B> {
    pub(crate) backend: B,
    pub(crate) charges: Queue,
    pub(crate) sweeper: Sweeper,
    pub(crate) audit: AuditKey,
}

/// The store on SQLite.
pub type SqliteStore = SqlStore<Sqlite>;

impl SqliteStore {
    /// Opens a database, makes it if it does not exist, and brings its tables up to date.
    ///
    /// Takes `sqlite://path`, `sqlite:path`, a bare path, or `sqlite::memory:` for a database
    /// that is gone with the store. A new file can be read by its owner only.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says in one sentence why the database cannot be opened.
    pub async fn open(location: &str) -> Result<Self, OpenError> {
        SqliteOptions::new(location).open().await
    }

    /// Waits for what is under way, and closes every connection. Later calls fail.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

/// The store on PostgreSQL.
pub type PostgresStore = SqlStore<Postgres>;

impl PostgresStore {
    /// Opens a database that many nodes may share, and brings its tables up to date. Every name
    /// in it begins with `tollgate_`, so that it may be the app's own.
    ///
    /// Takes `postgres://user:password@host/name`, as libpq does; with
    /// `?options[search_path]=name` the tables are in a schema of their own, which has to exist.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says in one sentence why the database cannot be opened: among others that the
    /// server is older than 15, a standby, or does not wait for its disk.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        PostgresOptions::new(url).open().await
    }

    /// Waits for what is under way, and closes every connection; on PostgreSQL for 5 s at most, since a
    /// server may hang. Later calls fail.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

/// The store on either, as its URL says.
pub type AnyStore = SqlStore<Any>;

impl AnyStore {
    /// Opens what [`SqliteStore::open`] or [`PostgresStore::open`] takes.
    ///
    /// # Errors
    ///
    /// As theirs.
    pub async fn open(location: &str) -> Result<Self, OpenError> {
        AnyOptions::new(location).open().await
    }

    /// Waits for what is under way, and closes every connection; on PostgreSQL for 5 s at most, since a
    /// server may hang. Later calls fail.
    pub async fn close(&self) {
        match &self.backend {
            Any::Sqlite(it) => it.close().await,
            Any::Postgres(it) => it.close().await,
        }
    }
}

/// How to open a database of either kind.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until opened"]
#[non_exhaustive]
pub enum AnyOptions {
    /// On SQLite.
    Sqlite(SqliteOptions),
    /// On PostgreSQL.
    Postgres(PostgresOptions),
}

impl AnyOptions {
    /// The database at a location, as [`AnyStore::open`] takes it.
    pub fn new(location: &str) -> Self {
        if is_postgres(location) {
            Self::Postgres(PostgresOptions::new(location))
        } else {
            Self::Sqlite(SqliteOptions::new(location))
        }
    }

    /// As [`SqliteOptions::existing`].
    pub fn existing(self) -> Self {
        match self {
            Self::Sqlite(it) => Self::Sqlite(it.existing()),
            Self::Postgres(it) => Self::Postgres(it.existing()),
        }
    }

    /// As [`SqliteOptions::audit_key`].
    pub fn audit_key(self, key: AuditKey) -> Self {
        match self {
            Self::Sqlite(it) => Self::Sqlite(it.audit_key(key)),
            Self::Postgres(it) => Self::Postgres(it.audit_key(key)),
        }
    }

    /// As [`PostgresOptions::allow_lost_commits`]; on SQLite nothing changes, which waits for its
    /// disk whatever it is told here.
    pub fn allow_lost_commits(self) -> Self {
        match self {
            Self::Sqlite(it) => Self::Sqlite(it),
            Self::Postgres(it) => Self::Postgres(it.allow_lost_commits()),
        }
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// As [`AnyStore::open`].
    pub async fn open(self) -> Result<AnyStore, OpenError> {
        Ok(match self {
            Self::Sqlite(it) => it.open().await?.with(Any::Sqlite),
            Self::Postgres(it) => it.open().await?.with(Any::Postgres),
        })
    }
}

impl<B> SqlStore<B> {
    fn with<C>(self, change: impl FnOnce(B) -> C) -> SqlStore<C> {
        SqlStore {
            backend: change(self.backend),
            charges: self.charges,
            sweeper: self.sweeper,
            audit: self.audit,
        }
    }
}

impl<B: Backend> SqlStore<B> {
    pub(crate) fn new(backend: B, audit: AuditKey) -> Self {
        Self {
            backend,
            charges: Queue::default(),
            sweeper: Sweeper::default(),
            audit,
        }
    }
}
