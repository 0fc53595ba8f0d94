//! Holds what a request costs before the work, and charges it by how it ended.
//!
//! | | |
//! | --- | --- |
//! | reads | the [`Principal`](crate::Principal) |
//! | denies | `insufficient_credits` (402); a ledger that is down (503) |
//! | writes | a [`Bill`](crate::Bill), for the handler |
//!
//! A response of 2xx or 304 charges what was held, or what the handler said. Any other, a panic
//! and a timeout give it back, and so does a client that hangs up before the handler recorded a
//! price. Each hold ends once. It is renewed while a handler works or a stream runs; one that a
//! crash leaves open is ended by the sweeper at its deadline, and charged what was noted of it.
//!
//! # Order
//!
//! Innermost, so that whatever is refused further out costs nothing.
//!
//! # Example
//!
//! ```
//! use tollgate::access::authenticated;
//! use tollgate::authenticate::AuthenticateLayer;
//! use tollgate::meter::CreditMeterLayer;
//! use tower::ServiceBuilder;
//!
//! # fn stack(gate: &tollgate::Gate) -> Result<(), tollgate::StartError> {
//! let stack = ServiceBuilder::new()
//!     .layer(AuthenticateLayer::new(gate))
//!     .layer(CreditMeterLayer::new(gate, authenticated().credits(3))?);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderName, Request, Response};
use tollgate_core::clock::Moment;
use tollgate_core::credits::{HoldAnswer, Idempotency, Outcome, Repeat};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::reply::Reply;
use tower_layer::Layer;

use crate::access::{Access, Check};
use crate::admission::would_refuse;
use crate::denial::{Denial, DenialKind};
use crate::gate::{Gate, StartError};
use crate::guard::{Guard, Guarded};
use crate::passage::{Passage, Ticket};
use crate::routes::Route;
use crate::tab::{Ending, Tab};
use crate::verified::{VerifiedKey, age};

/// Charges credits. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct CreditMeterLayer(CreditMeter);

impl CreditMeterLayer {
    /// Charges the price of an access to the ledger of this gate. What else it says is not
    /// looked at.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the price makes no sense.
    pub fn new(gate: &Gate, access: Access) -> Result<Self, StartError> {
        Ok(Self(CreditMeter(Route::alone(gate, access)?)))
    }
}

impl<S> Layer<S> for CreditMeterLayer {
    type Service = Guarded<S, CreditMeter>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.0.clone())
    }
}

/// The names of the headers that tell what a request was charged, and what is left.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "pass it to the gate"]
pub struct CreditHeaders {
    pub(crate) charged: HeaderName,
    pub(crate) remaining: HeaderName,
}

impl CreditHeaders {
    /// `X-Credits-Charged` and `X-Credits-Remaining`.
    pub const fn new() -> Self {
        Self {
            charged: HeaderName::from_static("x-credits-charged"),
            remaining: HeaderName::from_static("x-credits-remaining"),
        }
    }

    /// Other names.
    pub const fn named(charged: HeaderName, remaining: HeaderName) -> Self {
        Self { charged, remaining }
    }
}

impl Default for CreditHeaders {
    fn default() -> Self {
        Self::new()
    }
}

/// The judgement of [`CreditMeterLayer`].
#[derive(Clone, Debug)]
pub struct CreditMeter(Arc<Route>);

impl Guard for CreditMeter {
    const MARKS_RESPONSES: bool = true;

    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let ticket = Ticket::find(request.extensions());
        let caller = ticket.and_then(Ticket::caller);
        let (Some(ticket), Some(caller)) = (ticket, caller) else {
            return Reply::failed(Denial::misplaced("AuthenticateLayer"));
        };
        let now = self.0.gate.clock().now();
        let judged = ticket.with(|passage| judge(&self.0, ticket, passage, caller.verified(), now));
        // Nobody here knows how long the handler takes.
        let ticket = ticket.clone();
        judged.and_then(move |()| {
            ticket.with(|passage| passage.tab.as_mut().map(Tab::keep_alive));
            Reply::ready(())
        })
    }

    fn leave(&self, ticket: &Ticket, response: &mut Response<Body>) {
        let status = response.status();
        let tab = ticket.with(|passage| {
            // A stream, and whoever has taken the connection over, close their tab themselves.
            let outlives = passage.tab.as_mut().is_some_and(|tab| tab.outlives(status));
            if outlives { None } else { passage.tab.take() }
        });
        if let Some(mut tab) = tab {
            drop(tab.close(Ending::Answered(status)));
        }
    }
}

/// Opens the request's tab, and waits until its hold is durable.
pub(crate) fn judge(
    route: &Arc<Route>,
    ticket: &Ticket,
    passage: &mut Passage,
    key: &VerifiedKey,
    now: Moment,
) -> Reply<(), Denial> {
    let access = &route.access;
    if key.free || access.price.is_free() {
        return Reply::ready(());
    }
    let till = route.gate.till();
    let request = Tab::request(route, key, passage.request_id, now.wall);
    let least = request.least;
    // The tab stands before the ledger is asked, so that whoever hangs up now voids the hold.
    passage.tab = Some(Tab::new(route, &request));
    let ledger = till.ledger_of(access.charge.before_reply);
    match within(
        &*till.clock,
        till.deadline,
        "the ledger",
        ledger.hold(&request),
    ) {
        Reply::Now(held) => note(passage, held, least).into(),
        Reply::Later(held) => {
            let (route, ticket) = (Arc::clone(route), ticket.clone());
            let started = till.clock.now();
            Reply::later(async move {
                let held = held.await;
                let till = route.gate.till();
                till.telemetry
                    .store_took("hold", age(started.steady, till.clock.now()));
                ticket.with(|passage| note(passage, held, least))
            })
        }
    }
}

/// Opens the tab of a request with an idempotency key, or says what the first one was told.
pub(crate) async fn judge_once(
    route: &Arc<Route>,
    ticket: &Ticket,
    key: &VerifiedKey,
    now: Moment,
    idempotency: Arc<Idempotency>,
) -> Result<Option<Outcome>, Denial> {
    let till = route.gate.till();
    let request = ticket.with(|passage| {
        let mut request = Tab::request(route, key, passage.request_id, now.wall);
        request.idempotency = Some(idempotency);
        let mut tab = Tab::new(route, &request);
        tab.do_once();
        passage.tab = Some(tab);
        request
    });
    let least = request.least;
    let asked = till.durable.hold(&request);
    let held = within(&*till.clock, till.deadline, "the ledger", asked).await;
    till.telemetry
        .store_took("hold", age(now.steady, till.clock.now()));
    let stored = match &held {
        Ok(HoldAnswer::Repeated(Repeat::Done(outcome))) => Some(Arc::clone(outcome)),
        _ => None,
    };
    ticket.with(|passage| {
        let noted = note(passage, held, least);
        match noted {
            _ if stored.is_some() => Ok(stored),
            Err(denial)
                if denial.kind() == DenialKind::InsufficientCredits
                    && route.access.observed.has(Check::Credits) =>
            {
                would_refuse(route, &denial);
                drop(passage.tab.take());
                Ok(None)
            }
            noted => noted.map(|()| None),
        }
    })
}

fn note(
    passage: &mut Passage,
    held: Result<HoldAnswer, StoreError>,
    least: u64,
) -> Result<(), Denial> {
    let answer = held.map_err(|error| Denial::unavailable(&error))?;
    match passage.tab.as_mut() {
        Some(tab) => tab.note(&answer, least),
        None => Ok(()),
    }
}
