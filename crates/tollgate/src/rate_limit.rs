//! Holds callers to their rates, quotas and requests under way.
//!
//! | | |
//! | --- | --- |
//! | reads | the [`Principal`](crate::Principal) and the limits of its plan |
//! | denies | `rate_limit_exceeded`, `quota_exceeded`, `too_many_concurrent_requests` (429 each); a store that is down (503) |
//! | writes | `X-RateLimit-*`, `RateLimit` and `RateLimit-Policy`, on admitted and denied responses |
//!
//! All windows and quotas are consumed, or none. A smooth window admits a burst of N and refills
//! evenly, so up to 2N − 1 requests in an unlucky window; declare it exact where a product
//! documents "N per minute".
//!
//! # Order
//!
//! Inside the authenticator and the scope guard: what is refused there consumes nothing. Outside
//! the credit meter: what is too fast costs nothing.
//!
//! # Example
//!
//! ```
//! use tollgate::access::authenticated;
//! use tollgate::authenticate::AuthenticateLayer;
//! use tollgate::rate_limit::RateLimitLayer;
//! use tower::ServiceBuilder;
//!
//! # fn stack(gate: &tollgate::Gate) -> Result<(), tollgate::StartError> {
//! let stack = ServiceBuilder::new()
//!     .layer(AuthenticateLayer::new(gate))
//!     .layer(RateLimitLayer::new(gate, authenticated().rate_cost(2))?);
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::future::Either;
use http::{Request, Response};
use tollgate_core::clock::{Clock, Moment};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::plan::Limits;
use tollgate_core::quota::{QuotaBlocks, QuotaTally};
use tollgate_core::rate::{InFlight, Limiter, Subject, Take, Tally};
use tollgate_core::reply::{BoxFuture, Reply};
use tower_layer::Layer;

use crate::access::Access;
use crate::denial::{Denial, DenialKind, ceil_secs};
use crate::gate::{Gate, StartError};
use crate::guard::{Guard, Guarded};
use crate::passage::{Passage, RateReport, Ticket};
use crate::routes::Route;
use crate::verified::VerifiedKey;

pub use headers::RateHeaders;

mod headers;

/// Holds callers to their limits. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct RateLimitLayer(RateLimit);

impl RateLimitLayer {
    /// Counts by the limiter of this gate, with the rate cost and class of an access. What else
    /// it says is not looked at.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the cost can never be admitted, or no plan knows the class.
    pub fn new(gate: &Gate, access: Access) -> Result<Self, StartError> {
        Ok(Self(RateLimit(Route::alone(gate, access)?)))
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = Guarded<S, RateLimit>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.0.clone())
    }
}

/// The judgement of [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit(Arc<Route>);

impl Guard for RateLimit {
    const MARKS_RESPONSES: bool = true;

    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let ticket = Ticket::find(request.extensions());
        let caller = ticket.and_then(Ticket::caller);
        let (Some(ticket), Some(caller)) = (ticket, caller) else {
            return Reply::failed(Denial::misplaced("AuthenticateLayer"));
        };
        let case = Case {
            route: &self.0,
            ticket,
            key: caller.verified(),
            now: self.0.gate.clock().now(),
        };
        ticket.with(|passage| case.judge(passage))
    }

    fn leave(&self, ticket: &Ticket, response: &mut Response<Body>) {
        let gate = &self.0.gate;
        let (report, caller) =
            ticket.with(|passage| (passage.rates.clone(), passage.caller.clone()));
        if let (Some(report), Some(caller)) = (report, caller) {
            let limits = caller.verified().limits(self.0.rate_class.as_deref());
            let (now, headers) = (gate.clock().now(), response.headers_mut());
            gate.rate_headers().write(&report, limits, now, headers);
        }
    }
}

/// What counts, for a whole gate.
#[derive(Debug)]
pub(crate) struct Rates {
    pub(crate) limiter: Arc<dyn Limiter>,
    pub(crate) quotas: QuotaBlocks,
    pub(crate) in_flight: InFlight,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deadline: Duration,
}

impl Rates {
    /// What an identified caller has left, for a response that consumed nothing; on its way if the
    /// limiter has to ask somebody.
    pub(crate) fn report(
        &self,
        route: Option<&Arc<Route>>,
        key: &VerifiedKey,
        now: Moment,
    ) -> Either<RateReport, BoxFuture<RateReport>> {
        let class = route.and_then(|route| route.rate_class.as_ref());
        let (limits, subject) = (key.limits(class.map(|class| &**class)), subject(class, key));
        let quotas = self.quotas.peek(&subject, limits.quotas(), now);
        self.with_rates(limits, &subject, now, quotas)
    }

    /// Adds what is left of the rates; nothing if the limiter does not say.
    fn with_rates(
        &self,
        limits: &Limits,
        subject: &Subject,
        now: Moment,
        quotas: QuotaTally,
    ) -> Either<RateReport, BoxFuture<RateReport>> {
        let unknown = |_| Tally {
            admitted: true,
            ..Tally::default()
        };
        match self.peek(limits, subject, 0, now) {
            Reply::Now(rates) => Either::Left(RateReport {
                rates: rates.unwrap_or_else(unknown),
                quotas,
            }),
            Reply::Later(rates) => Either::Right(Box::pin(async move {
                RateReport {
                    rates: rates.await.unwrap_or_else(unknown),
                    quotas,
                }
            })),
        }
    }

    fn peek(&self, limits: &Limits, subject: &Subject, cost: u32, now: Moment) -> Reply<Tally> {
        let take = Take {
            subject,
            limits: limits.rates(),
            cost,
            now,
        };
        let peeked = self.limiter.peek(&take);
        within(&*self.clock, self.deadline, "the rate limiter", peeked)
    }
}

/// One request in front of its limits.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) route: &'a Arc<Route>,
    pub(crate) ticket: &'a Ticket,
    pub(crate) key: &'a Arc<VerifiedKey>,
    pub(crate) now: Moment,
}

/// The same, for as long as it has to wait.
struct Waiting {
    route: Arc<Route>,
    ticket: Ticket,
    key: Arc<VerifiedKey>,
    subject: Subject,
    now: Moment,
}

impl Waiting {
    fn case(&self) -> Case<'_> {
        Case {
            route: &self.route,
            ticket: &self.ticket,
            key: &self.key,
            now: self.now,
        }
    }
}

impl<'a> Case<'a> {
    /// Consumes what the request costs, or nothing.
    ///
    /// The cap on requests under way comes first, since what it gives goes back by itself.
    /// Quotas, which may wait for their store, are taken before the rates, and put back if a
    /// rate refuses.
    pub(crate) fn judge(self, passage: &mut Passage) -> Reply<(), Denial> {
        let subject = subject(self.route.rate_class.as_ref(), self.key);
        let limits = self.limits();
        if let Some(cap) = limits.in_flight() {
            let Some(permit) = self.rates().in_flight.enter(&subject, cap) else {
                return Reply::failed(
                    Denial::new(DenialKind::TooManyInFlight)
                        .with_detail("limit", cap.get())
                        .with_retry_after(Duration::from_secs(1)),
                );
            };
            passage.in_flight = Some(permit);
        }
        if self.cost() == 0 {
            return Reply::ready(());
        }
        if limits.quotas().is_empty() {
            return self.take_rates(passage, &subject, QuotaTally::default());
        }
        // A rate that will refuse spares the quota's store a debit, if that is known at once.
        let foretold = self.rates().peek(limits, &subject, self.cost(), self.now);
        if let Reply::Now(Ok(foretold)) = foretold
            && !foretold.admitted
        {
            return self.conclude(passage, &subject, foretold, None).into();
        }
        let Rates {
            quotas,
            clock,
            deadline,
            ..
        } = self.rates();
        let taken = quotas.take(&subject, limits.quotas(), self.cost(), self.now);
        match within(&**clock, *deadline, "the quota store", taken) {
            Reply::Now(Ok(quotas)) => self.after_quotas(passage, &subject, quotas),
            Reply::Now(Err(error)) => Reply::failed(Denial::unavailable(&error)),
            Reply::Later(taken) => {
                let waiting = self.waiting(&subject);
                Reply::later(async move {
                    let quotas = taken.await.map_err(|error| Denial::unavailable(&error))?;
                    let Waiting {
                        ticket, subject, ..
                    } = &waiting;
                    let case = waiting.case();
                    let after = ticket.with(|passage| case.after_quotas(passage, subject, quotas));
                    after.await
                })
            }
        }
    }

    fn waiting(&self, subject: &Subject) -> Waiting {
        Waiting {
            route: Arc::clone(self.route),
            ticket: self.ticket.clone(),
            key: Arc::clone(self.key),
            subject: subject.clone(),
            now: self.now,
        }
    }

    fn rates(&self) -> &'a Rates {
        self.route.gate.rates()
    }

    fn limits(&self) -> &'a Limits {
        self.key.limits(self.route.rate_class.as_deref())
    }

    fn cost(&self) -> u32 {
        self.route.access.rate_cost
    }

    fn after_quotas(
        &self,
        passage: &mut Passage,
        subject: &Subject,
        quotas: QuotaTally,
    ) -> Reply<(), Denial> {
        if quotas.admitted {
            return self.take_rates(passage, subject, quotas);
        }
        let limits = self.limits();
        match (self.rates()).with_rates(limits, subject, self.now, quotas) {
            Either::Left(report) => Reply::failed(self.refuse(passage, report)),
            Either::Right(report) => {
                let waiting = self.waiting(subject);
                Reply::later(async move {
                    let (report, case) = (report.await, waiting.case());
                    Err((waiting.ticket).with(|passage| case.refuse(passage, report)))
                })
            }
        }
    }

    fn take_rates(
        &self,
        passage: &mut Passage,
        subject: &Subject,
        quotas: QuotaTally,
    ) -> Reply<(), Denial> {
        let take = Take {
            subject,
            limits: self.limits().rates(),
            cost: self.cost(),
            now: self.now,
        };
        if take.limits.is_empty() {
            let rates = Tally {
                admitted: true,
                ..Tally::default()
            };
            return self.conclude(passage, subject, rates, Some(quotas)).into();
        }
        let Rates {
            limiter,
            clock,
            deadline,
            ..
        } = self.rates();
        match within(&**clock, *deadline, "the rate limiter", limiter.take(&take)) {
            Reply::Now(Ok(tally)) => self.conclude(passage, subject, tally, Some(quotas)).into(),
            Reply::Now(Err(error)) => Reply::failed(self.give_up(passage, subject, &error)),
            Reply::Later(tally) => {
                let waiting = self.waiting(subject);
                Reply::later(async move {
                    let (case, subject) = (waiting.case(), &waiting.subject);
                    let tally = tally.await;
                    waiting.ticket.with(|passage| match tally {
                        Ok(tally) => case.conclude(passage, subject, tally, Some(quotas)),
                        Err(error) => Err(case.give_up(passage, subject, &error)),
                    })
                })
            }
        }
    }

    fn give_up(&self, passage: &mut Passage, subject: &Subject, error: &StoreError) -> Denial {
        self.put_back(subject);
        // Whoever has waited for the limiter does not wait once more, for what it would tell.
        passage.rates = Some(RateReport::default());
        Denial::unavailable(error)
    }

    fn put_back(&self, subject: &Subject) {
        let quotas = self.limits().quotas();
        self.rates()
            .quotas
            .put_back(subject, quotas, self.cost(), self.now);
    }

    /// Ends with what the rates said; `taken` are the quotas that were consumed before.
    fn conclude(
        &self,
        passage: &mut Passage,
        subject: &Subject,
        rates: Tally,
        taken: Option<QuotaTally>,
    ) -> Result<(), Denial> {
        if rates.admitted {
            let quotas = taken.unwrap_or_default();
            passage.rates = Some(RateReport { rates, quotas });
            return Ok(());
        }
        if taken.is_some() {
            self.put_back(subject);
        }
        let quotas = self
            .rates()
            .quotas
            .peek(subject, self.limits().quotas(), self.now);
        Err(self.refuse(passage, RateReport { rates, quotas }))
    }

    /// The denial of the window or quota that refused; its report is kept for the headers.
    fn refuse(&self, passage: &mut Passage, report: RateReport) -> Denial {
        let limits = self.limits();
        let mut quotas = report.quotas.quotas.iter().zip(limits.quotas());
        let denial = match quotas.find(|(state, _)| state.refused) {
            Some((state, limit)) => Denial::new(DenialKind::QuotaExceeded)
                .with_detail("quota", limit.name())
                .with_detail("limit", state.limit)
                .with_detail("resets_at", state.reset_at.to_string())
                .with_retry_after(state.reset_at.since(self.now.wall)),
            None => rate_denial(&report.rates, limits),
        };
        passage.rates = Some(report);
        denial
    }
}

fn rate_denial(rates: &Tally, limits: &Limits) -> Denial {
    let wait = rates.retry_after();
    let denial = Denial::new(DenialKind::RateLimited)
        .with_retry_after(wait)
        .with_detail("retry_after", ceil_secs(wait).max(1));
    let windows = rates.windows.iter().zip(limits.rates());
    let refused = windows.filter(|(state, _)| state.retry_after.is_some());
    match refused.max_by_key(|(state, _)| state.retry_after) {
        Some((state, limit)) => denial
            .with_detail("window", limit.name())
            .with_detail("limit", state.limit)
            .with_detail("window_seconds", ceil_secs(limit.window())),
        None => denial,
    }
}

/// Who is counted on routes of a class: a class of routes that the plan knows is counted apart.
pub(crate) fn subject<'a>(class: Option<&Arc<str>>, key: &'a VerifiedKey) -> Cow<'a, Subject> {
    let subject = key.subject(class.map(|class| &**class));
    match class {
        Some(class) if key.plan.classes.contains_key(&**class) => {
            Cow::Owned(subject.into_owned().in_class(Arc::clone(class)))
        }
        _ => subject,
    }
}
