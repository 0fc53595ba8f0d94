//! Changes of one thing, one after another.
//!
//! A store refuses a change of what somebody else changed meanwhile, and the change is tried again.
//! Who floods a thing with changes could so keep everybody else from changing it; here they wait for
//! their turn, at least within one process.

use std::fmt;
use std::sync::Arc;

use futures_util::lock::{Mutex, MutexGuard};

/// How many things may change at once.
const STRIPES: usize = 64;

/// Turns to change things by their id. Clones share them.
#[derive(Clone)]
pub(crate) struct Turns(Arc<[Mutex<()>; STRIPES]>);

impl Turns {
    /// Waits for a turn to change this; it ends when the guard is dropped.
    pub(crate) async fn take(&self, id: &[u8]) -> Option<MutexGuard<'_, ()>> {
        // The last bytes of an id are random.
        let last = usize::from(id.last().copied().unwrap_or_default());
        let stripe = self.0.get(last.checked_rem(STRIPES)?)?;
        Some(stripe.lock().await)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::new(()))))
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}
