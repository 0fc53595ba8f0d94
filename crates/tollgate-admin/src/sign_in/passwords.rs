//! Work with passwords, which takes some 20 ms and 19 MiB: off the threads that requests wait for,
//! and not too much at once.

use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tollgate::{Denial, DenialKind};

/// How many may wait for their turn.
const WAITING: usize = 64;

/// Takes turns at work with passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    waiting: Semaphore,
    working: Semaphore,
}

impl Passwords {
    /// As many at once as there are processors.
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, Into::into);
        Self {
            waiting: Semaphore::new(WAITING),
            working: Semaphore::new(processors),
        }
    }

    /// Does the work on a thread of its own, when it is its turn. A 503 if too many wait.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Denial> {
        let unavailable = |reason: &str| Denial::new(DenialKind::Unavailable).with_reason(reason);
        let waiting = self.waiting.try_acquire();
        let _waiting = waiting.map_err(|_| unavailable("too many wait for their password"))?;
        let working = self.working.acquire().await;
        let _working = working.map_err(|_| unavailable("no work is taken any more"))?;
        let runtime = Handle::current();
        let worked = tokio::task::spawn_blocking(move || runtime.block_on(work));
        worked
            .await
            .map_err(|_| unavailable("the work with a password ended"))
    }
}
