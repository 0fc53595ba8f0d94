//! The store itself: a backend, and every port on top of it.

use tollgate_core::audit::AuditKey;

use crate::ledger::Queue;
use crate::open::OpenError;
use crate::session::Backend;
use crate::sqlite::{Sqlite, SqliteOptions};

/// Keeps everything that a gate keeps, in an SQL database. Clones share their connections.
#[derive(Clone, Debug)]
pub struct SqlStore<B> {
    pub(crate) backend: B,
    pub(crate) charges: Queue,
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

impl<B: Backend> SqlStore<B> {
    pub(crate) fn new(backend: B, audit: AuditKey) -> Self {
        Self {
            backend,
            charges: Queue::default(),
            audit,
        }
    }
}
