//! One read of the store for all who wait for the same key.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;

use crate::cache::Copy;

type Flight = Shared<BoxFuture<'static, Result<Copy, StoreError>>>;
type UnderWay = HashMap<KeyDigest, Flight, foldhash::quality::RandomState>;

#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<UnderWay>>);

impl Flights {
    pub(super) fn has(&self, digest: &KeyDigest) -> bool {
        self.0.lock().contains_key(digest)
    }

    /// Waits for the read that is under way, or begins one.
    ///
    /// The read is a task of its own: it goes on when whoever began it hangs up, so the others
    /// never inherit a read that stood still meanwhile.
    pub(super) fn join(
        &self,
        digest: KeyDigest,
        read: impl FnOnce() -> Reply<Copy>,
    ) -> Reply<Copy> {
        let mut under_way = self.0.lock();
        if let Some(flight) = under_way.get(&digest) {
            return Reply::later(flight.clone());
        }
        let future = match read() {
            Reply::Now(result) => return Reply::Now(result),
            Reply::Later(future) => future,
        };
        let (start, started) = oneshot::channel::<JoinHandle<_>>();
        let flight = async move {
            let task = started.await.map_err(|_| crashed())?;
            task.await.unwrap_or_else(|_| Err(crashed()))
        };
        let flight = flight.boxed().shared();
        under_way.insert(digest, flight.clone());
        drop(under_way);
        // A runtime that has ended drops the task at once, and with it the landing, which wants
        // the lock.
        let landing = Landing(Arc::clone(&self.0), digest);
        let task = tokio::spawn(async move {
            let _landing = landing;
            future.await
        });
        // Whoever waits for the flight holds the other end.
        let _ = start.send(task);
        Reply::later(flight)
    }
}

/// Takes a flight off the board when it ends, in whatever way.
struct Landing(Arc<Mutex<UnderWay>>, KeyDigest);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

fn crashed() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the look-up crashed or was shut down",
    )
}
