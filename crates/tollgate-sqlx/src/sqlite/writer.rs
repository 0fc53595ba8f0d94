//! The one connection that writes. Whoever wants it waits in line, and it is never checked between
//! two transactions, as a pool would check it: one on which something failed is closed instead.

use std::fmt;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The connection that writes, opened when it is first needed.
#[derive(Clone)]
pub(super) struct Writer {
    options: Arc<SqliteConnectOptions>,
    slot: Arc<Mutex<Slot>>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Open(SqliteConnection),
    /// The store was closed: nobody opens it again.
    Closed,
}

impl Writer {
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        Self {
            options: Arc::new(options),
            slot: Arc::default(),
        }
    }

    /// Waits for it, until what is returned is dropped.
    pub(super) async fn acquire(&self) -> Result<Turn, sqlx::Error> {
        let mut slot = Arc::clone(&self.slot).lock_owned().await;
        match &*slot {
            Slot::Open(_) => {}
            Slot::Empty => *slot = Slot::Open(self.options.connect().await?),
            Slot::Closed => return Err(sqlx::Error::PoolClosed),
        }
        Ok(Turn(slot))
    }

    pub(super) async fn close(&self) {
        let closed = std::mem::replace(&mut *self.slot.lock().await, Slot::Closed);
        if let Slot::Open(connection) = closed {
            // What was committed is durable, however badly closing goes.
            let _ = connection.close().await;
        }
    }
}

/// The connection that writes, in the hands of one.
pub(super) struct Turn(OwnedMutexGuard<Slot>);

impl Turn {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        match &mut *self.0 {
            Slot::Open(connection) => Ok(connection),
            Slot::Empty | Slot::Closed => Err(sqlx::Error::PoolClosed),
        }
    }

    /// Closes it, which rolls back what is open; the next who writes opens another.
    pub(super) fn discard(mut self) {
        *self.0 = Slot::Empty;
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
