//! Tells of changes as soon as they are committed: a connection that listens.
//!
//! The listener only says that it is worth asking; what changed is read from the table. So a
//! notification that is lost costs the time until the table is read anyway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener, PgPool};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tollgate_core::change::Told;

use super::{CONNECT, reason};

const CHANNEL: &str = "tollgate_changes";
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// The listener, once somebody wants to be told.
#[derive(Clone)]
pub(super) struct Feed {
    pool: PgPool,
    listener: Arc<Mutex<Listener>>,
}

#[derive(Default)]
struct Listener {
    connected: Option<PgListener>,
    /// Whether it was connected before.
    was_connected: bool,
    /// Whether it was told why it is not connected.
    is_explained: bool,
}

impl Feed {
    /// Listens on a connection of this pool, which nobody else uses.
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            listener: Arc::default(),
        }
    }

    pub(super) async fn told(&self) -> Told {
        let mut listener = self.listener.lock().await;
        let told = listener.told(&self.pool);
        let Ok(told) = self.pool.close_event().do_until(told).await else {
            drop(listener);
            return std::future::pending().await;
        };
        told
    }

    pub(super) async fn close(&self) {
        // Whoever waits to be told lets go of the listener at this. Its connection is still in its
        // hands, and the pool would wait for it for ever.
        let closed = self.pool.close();
        self.listener.lock().await.connected = None;
        closed.await;
    }
}

impl Listener {
    async fn told(&mut self, pool: &PgPool) -> Told {
        loop {
            if let Some(connected) = &mut self.connected {
                match connected.try_recv().await {
                    Ok(Some(_)) => {
                        // Those who are behind it are about the same reading.
                        while connected.next_buffered().is_some() {}
                        return Told::Changed;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "the listener's connection broke"),
                }
                self.connected = None;
                self.is_explained = false;
                tracing::warn!("lost the connection that tells of changes; they are asked for");
                continue;
            }
            match connect(pool).await {
                Ok(connected) => {
                    self.connected = Some(connected);
                    let was_told = std::mem::replace(&mut self.is_explained, false);
                    if std::mem::replace(&mut self.was_connected, true) || was_told {
                        tracing::warn!("PostgreSQL tells of changes again");
                        return Told::Again;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot listen for changes; will try again");
                    if !std::mem::replace(&mut self.is_explained, true) {
                        explain(pool, &error).await;
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// A pool says only that it waited in vain.
async fn explain(pool: &PgPool, error: &sqlx::Error) {
    let options = pool.connect_options();
    let connecting = PgConnection::connect_with(&options);
    let why = match timeout(CONNECT, connecting).await {
        Ok(Ok(_)) => {
            let why = reason(error);
            tracing::warn!(why, "cannot listen to PostgreSQL; tries until it can");
            return;
        }
        Ok(Err(error)) => reason(&error),
        Err(_) => "it does not answer".to_owned(),
    };
    tracing::warn!(why, "cannot connect to PostgreSQL; tries until it can");
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}
