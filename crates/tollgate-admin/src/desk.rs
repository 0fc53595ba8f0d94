//! What the handlers share.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;
use tollgate::Gate;
use tollgate_core::clock::Timestamp;

use crate::cookies::SessionCookies;
use crate::once::UnderWay;
use crate::operation::Operation;

/// What the handlers share. Clones share everything.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) gate: Gate,
    pub(crate) sign_in: Option<SessionCookies>,
    pub(crate) under_way: Arc<UnderWay>,
    pub(crate) operations: Arc<[Operation]>,
    /// Held by who changes people: two who take each other's roles at once would leave nobody.
    pub(crate) people: Arc<Mutex<()>>,
}

impl Desk {
    pub(crate) fn now(&self) -> Timestamp {
        self.gate.clock().now().wall
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("sign_in", &self.sign_in)
            .finish_non_exhaustive()
    }
}
