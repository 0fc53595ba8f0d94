//! What the handlers share.

use std::fmt;
use std::sync::Arc;

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
