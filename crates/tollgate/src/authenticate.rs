//! Finds the key of a request, looks it up, and leaves a [`Principal`].
//!
//! | | |
//! | --- | --- |
//! | reads | the credential, which it takes out of the request; the client's address |
//! | denies | missing and invalid keys (401), two keys (400), suspended organizations (403), too many failures (429), a store that is down (503) |
//! | writes | a [`Principal`] |
//!
//! The first checks cost no I/O: a text whose prefix, length or checksum is wrong is turned away
//! unread. A good key that is cached is never held up by anybody's failures, not even when its copy
//! has to be read again; one that is not is let in when it comes back as it was told.
//!
//! # Order
//!
//! Inside the client's address, by which failures are counted. Outside of everything that asks
//! who calls.
//!
//! # Example
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tollgate::authenticate::AuthenticateLayer;
//! use tollgate::{Catalog, Gate, Plan, Principal};
//! use tollgate::core::memory::MemoryStore;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let catalog = Catalog::builder().plan(Plan::new("free")).build()?;
//! let gate = Gate::builder(catalog).store(MemoryStore::default()).build().await?;
//! let app = Router::new()
//!     .route("/", get(|caller: Principal| async move { caller.key_name().to_owned() }))
//!     .layer(AuthenticateLayer::new(&gate));
//! let response = app.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! ```

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use tollgate_core::clock::Moment;
use tollgate_core::invalid::Invalid;
use tollgate_core::rate::{
    InFlight, InFlightPermit, Limiter, LocalLimiter, RateLimit, Subject, Take,
};
use tollgate_core::record::{KeyFault, OrgStatus};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tower_layer::Layer;

use crate::authenticate::greylist::Greylist;
use crate::credential::Presented;
use crate::denial::{Denial, DenialKind};
use crate::gate::Gate;
use crate::guard::{Guard, Guarded};
use crate::passage::Ticket;
use crate::principal::Principal;
use crate::verified::VerifiedKey;

mod greylist;

/// Finds and looks up keys. See the [module docs](self) for its place in the stack.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing until they wrap a service"]
pub struct AuthenticateLayer(Authenticate);

impl AuthenticateLayer {
    /// Looks keys up in the store of this gate, through its cache.
    pub fn new(gate: &Gate) -> Self {
        Self(Authenticate(gate.clone()))
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Guarded<S, Authenticate>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.0.clone())
    }
}

/// The judgement of [`AuthenticateLayer`].
#[derive(Clone, Debug)]
pub struct Authenticate(Gate);

impl Guard for Authenticate {
    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial> {
        let gate = &self.0;
        let presented = gate.take_credential(request);
        let ticket = Ticket::find_or_issue(request.extensions_mut()).clone();
        let address = ticket.with(|passage| {
            passage.presented = Some(presented);
            passage.address
        });
        let now = gate.clock().now();
        identify(gate, presented, address, now).and_then(move |key| {
            ticket.with(|passage| passage.caller = Some(Principal::new(Arc::clone(&key))));
            judge_organization(&key, false).into()
        })
    }
}

/// Finds the good key of what was presented.
pub(crate) fn identify(
    gate: &Gate,
    presented: Presented,
    address: Option<IpAddr>,
    now: Moment,
) -> Reply<Arc<VerifiedKey>, Denial> {
    let digest = match presented {
        Presented::Key(digest, _) => digest,
        Presented::Nothing => return Reply::failed(missing(gate)),
        Presented::Several => return Reply::failed(DenialKind::AmbiguousCredential.into()),
        Presented::Malformed(_) => {
            gate.failures().count(address, now);
            return Reply::failed(invalid("it cannot be a key of this app"));
        }
    };
    match gate.keys().recall(&digest, now.steady) {
        Some(found) => good(gate, found, address, now).into(),
        None => read(gate, digest, address, now),
    }
}

/// Reads a key that is not cached, unless its sender has failed too often. A copy that is only too
/// old was a key's, so it is no guess; and who joins a read that is under way begins none.
fn read(
    gate: &Gate,
    digest: KeyDigest,
    address: Option<IpAddr>,
    now: Moment,
) -> Reply<Arc<VerifiedKey>, Denial> {
    let turn = if gate.keys().has_copy(&digest) || gate.keys().is_being_read(&digest) {
        None
    } else {
        match gate.failures().turn(&digest, address, now) {
            Ok(turn) => turn,
            Err(wait) => {
                let denial = Denial::new(DenialKind::TooManyFailures).with_retry_after(wait);
                return Reply::failed(denial);
            }
        }
    };
    match gate.keys().read(digest) {
        Reply::Now(Ok(found)) => good(gate, found, address, now).into(),
        Reply::Now(Err(error)) => Reply::failed(Denial::unavailable(&error)),
        Reply::Later(found) => {
            let mut guess = Guess {
                gate: gate.clone(),
                address,
                answered: false,
                _turn: turn,
            };
            Reply::later(async move {
                let found = found.await;
                guess.answered = true;
                let found = found.map_err(|error| Denial::unavailable(&error))?;
                good(&guess.gate, found, address, guess.gate.clock().now())
            })
        }
    }
}

/// A look-up that is under way. Whoever hangs up before its answer has failed; else guesses whose
/// answer nobody waits for would be free.
struct Guess {
    gate: Gate,
    address: Option<IpAddr>,
    answered: bool,
    _turn: Option<InFlightPermit>,
}

impl Drop for Guess {
    fn drop(&mut self) {
        if !self.answered {
            let now = self.gate.clock().now();
            self.gate.failures().count(self.address, now);
        }
    }
}

/// The key, if there is one and its own state is good.
fn good(
    gate: &Gate,
    found: Option<Arc<VerifiedKey>>,
    address: Option<IpAddr>,
    now: Moment,
) -> Result<Arc<VerifiedKey>, Denial> {
    let Some(key) = found else {
        gate.failures().count(address, now);
        return Err(invalid("there is no such key"));
    };
    let Some(fault) = key.fault(now) else {
        return Ok(key);
    };
    gate.failures().count(address, now);
    let (kind, reason) = match fault {
        KeyFault::Revoked => (DenialKind::RevokedKey, "it is revoked"),
        KeyFault::Disabled => (DenialKind::DisabledKey, "it is disabled"),
        KeyFault::Expired => (DenialKind::ExpiredKey, "it has expired"),
        KeyFault::NotYetValid => (DenialKind::KeyNotYetValid, "it is not valid yet"),
        _ => (
            DenialKind::ExpiredKey,
            "it was rotated, and its grace is over",
        ),
    };
    let kind = if gate.tells_key_state() {
        kind
    } else {
        DenialKind::InvalidCredential
    };
    Err(Denial::new(kind).with_reason(format!("key {}: {reason}", key.id())))
}

/// Whether the organization's keys work.
pub(crate) fn judge_organization(key: &VerifiedKey, despite_billing: bool) -> Result<(), Denial> {
    match key.organization().status {
        OrgStatus::Active => Ok(()),
        OrgStatus::BillingRestricted if despite_billing => Ok(()),
        OrgStatus::BillingRestricted => Err(DenialKind::BillingRestricted.into()),
        _ => Err(DenialKind::OrganizationSuspended.into()),
    }
}

fn missing(gate: &Gate) -> Denial {
    Denial::new(DenialKind::MissingCredential).with_message(gate.missing_key_message())
}

fn invalid(reason: &str) -> Denial {
    Denial::new(DenialKind::InvalidCredential).with_reason(reason)
}

/// How many addresses are counted, each for up to four things. Tables of a power of two that are
/// full to seven eighths, as this many fill them, take the least memory.
const STRANGERS: usize = 64 * 896;

/// How many bad credentials an address may send before its look-ups are slowed down.
///
/// Only look-ups that need the store are slowed, to one a second for whoever comes first, and ten
/// for keys that come back after they were turned away; cached keys always pass, and a request
/// without a key never counts.
#[derive(Debug)]
pub(crate) struct Failures {
    limiter: LocalLimiter,
    threshold: [RateLimit; 1],
    slowed: [RateLimit; 1],
    returning: [RateLimit; 1],
    greylist: Greylist,
    /// Look-ups under way: of an address as many as it may still fail.
    reading: InFlight,
    failed_class: Arc<str>,
    slowed_class: Arc<str>,
    returning_class: Arc<str>,
}

impl Failures {
    pub(crate) fn new(per_minute: u32) -> Result<Self, Invalid> {
        Ok(Self {
            limiter: LocalLimiter::with_capacity(STRANGERS),
            threshold: [RateLimit::smooth(per_minute, Duration::from_secs(60))?],
            slowed: [RateLimit::smooth(1, Duration::from_secs(1))?],
            returning: [RateLimit::smooth(10, Duration::from_secs(1))?],
            greylist: Greylist::new(),
            reading: InFlight::new(),
            failed_class: "failed".into(),
            slowed_class: "slowed".into(),
            returning_class: "returning".into(),
        })
    }

    /// The limiter of strangers: bounded, and always in memory.
    pub(crate) const fn limiter(&self) -> &LocalLimiter {
        &self.limiter
    }

    fn count(&self, address: Option<IpAddr>, now: Moment) {
        if let Some(address) = address {
            // Whether it is admitted does not matter; the window is full either way.
            let failed = Subject::address(address).in_class(Arc::clone(&self.failed_class));
            self.decide(&failed, &self.threshold, now);
        }
    }

    /// The turn of an uncached look-up from this address, or how long it has to wait.
    ///
    /// What is under way counts as if it had failed: else any number could begin before the first
    /// has.
    fn turn(
        &self,
        digest: &KeyDigest,
        address: Option<IpAddr>,
        now: Moment,
    ) -> Result<Option<InFlightPermit>, Duration> {
        let Some(address) = address.map(Subject::address) else {
            return Ok(None);
        };
        let take = Take {
            subject: &address.clone().in_class(Arc::clone(&self.failed_class)),
            limits: &self.threshold,
            cost: 1,
            now,
        };
        let left = match self.limiter.peek(&take) {
            Reply::Now(Ok(tally)) => tally.windows.first().map_or(0, |window| window.remaining),
            _ => 0,
        };
        if let Some(cap) = NonZeroU32::new(left)
            && let Some(turn) = self.reading.enter(&address, cap)
        {
            return Ok(Some(turn));
        }
        if self.greylist.is_due(digest, now.steady) {
            let returning = address.clone().in_class(Arc::clone(&self.returning_class));
            if self.decide(&returning, &self.returning, now).is_none() {
                return Ok(None);
            }
        }
        let slowed = address.in_class(Arc::clone(&self.slowed_class));
        if self.decide(&slowed, &self.slowed, now).is_none() {
            return Ok(None);
        }
        self.greylist.note(digest, now.steady);
        Err(greylist::WAIT)
    }

    fn decide(&self, subject: &Subject, limits: &[RateLimit], now: Moment) -> Option<Duration> {
        let take = Take {
            subject,
            limits,
            cost: 1,
            now,
        };
        match self.limiter.take(&take) {
            Reply::Now(Ok(tally)) if tally.admitted => None,
            Reply::Now(Ok(tally)) => Some(tally.retry_after()),
            _ => Some(Duration::from_secs(1)),
        }
    }
}
