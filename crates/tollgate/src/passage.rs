//! What Tollgate knows of one request on its way through: shared by the layers further out and
//! further in, and by what a handler extracts.

use std::net::IpAddr;
use std::sync::Arc;

use http::Extensions;
use parking_lot::Mutex;
use tollgate_core::clock::Moment;
use tollgate_core::id::RequestId;
use tollgate_core::quota::QuotaTally;
use tollgate_core::rate::{InFlightPermit, Tally};

use crate::credential::Presented;
use crate::principal::Principal;
use crate::routes::Route;
use crate::session::Session;
use crate::tab::Tab;

/// The one thing that Tollgate leaves in a request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket(Arc<Mutex<Passage>>);

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// When the request came, or when its look-up was done.
    pub(crate) now: Option<Moment>,
    pub(crate) address: Option<IpAddr>,
    /// For the entry of what is charged.
    pub(crate) request_id: RequestId,
    /// `None` until somebody has looked.
    pub(crate) presented: Option<Presented>,
    pub(crate) caller: Option<Principal>,
    pub(crate) session: Option<Session>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) rates: Option<RateReport>,
    pub(crate) tab: Option<Tab>,
    pub(crate) in_flight: Option<InFlightPermit>,
}

/// What the rate limiter said, for the headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateReport {
    pub(crate) rates: Tally,
    pub(crate) quotas: QuotaTally,
}

impl Ticket {
    /// The ticket of a request that has just come in.
    pub(crate) fn of(
        now: Moment,
        address: Option<IpAddr>,
        request_id: RequestId,
        presented: Presented,
    ) -> Self {
        Self(Arc::new(Mutex::new(Passage {
            now: Some(now),
            address,
            request_id,
            presented: Some(presented),
            ..Passage::default()
        })))
    }

    pub(crate) fn find(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(crate) fn find_or_issue(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_with(Self::default)
    }

    /// Looks at, or changes, what is known. Must not wait inside.
    pub(crate) fn with<T>(&self, see: impl FnOnce(&mut Passage) -> T) -> T {
        see(&mut self.0.lock())
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.with(|passage| passage.address)
    }

    pub(crate) fn set_address(&self, address: Option<IpAddr>) {
        self.with(|passage| passage.address = address);
    }

    pub(crate) fn caller(&self) -> Option<Principal> {
        self.with(|passage| passage.caller.clone())
    }
}
