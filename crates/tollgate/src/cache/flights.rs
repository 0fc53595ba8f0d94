//! One read of the store for all who wait for the same key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;

use crate::cache::Copy;

type Flight = Shared<BoxFuture<'static, Result<Copy, StoreError>>>;
type UnderWay = HashMap<KeyDigest, Flight, foldhash::quality::RandomState>;

#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<UnderWay>>);

impl Flights {
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
        let flight = match under_way.entry(digest) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(slot) => {
                let future = match read() {
                    Reply::Now(result) => return Reply::Now(result),
                    Reply::Later(future) => future,
                };
                let landing = Landing(Arc::clone(&self.0), digest);
                let task = tokio::spawn(async move {
                    let _landing = landing;
                    future.await
                });
                let flight = task.map(|joined| joined.unwrap_or_else(|_| Err(crashed())));
                slot.insert(flight.boxed().shared()).clone()
            }
        };
        drop(under_way);
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
