//! How often: limits per short window, and who is counted.
//!
//! Two kinds of counting, one vocabulary:
//!
//! | kind | admits | for |
//! | --- | --- | --- |
//! | [smooth](RateKind::Smooth) | a burst of N, then an even refill; up to 2N − 1 in an unlucky window | most APIs |
//! | [exact](RateKind::Exact) | at most N in *any* window, a first burst of N allowed | products that document "N per minute" |
//!
//! All windows of a request are consumed, or none. Times are whole microseconds, rounded up, so
//! that every implementation of [`Limiter`] agrees to the last one.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Moment;
use crate::id::{KeyId, OrgId};
use crate::invalid::Invalid;
use crate::ip::customer_block;
use crate::reply::Reply;

pub use in_flight::{InFlight, InFlightPermit};
pub use local::LocalLimiter;

mod exact;
mod in_flight;
mod local;
mod smooth;

/// The most units that a window may have.
pub const MAX_UNITS: u32 = 1_000_000_000;

/// How a rate counts. See the [module docs](self).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RateKind {
    /// Governor's GCRA.
    Smooth,
    /// A sliding window of sixty slots.
    Exact,
}

/// N units per window.
///
/// ```
/// use std::time::Duration;
///
/// use tollgate_core::rate::RateLimit;
///
/// let limit = RateLimit::exact(10, Duration::from_secs(60))?;
/// assert_eq!(limit.name(), "minute");
/// assert!(RateLimit::smooth(0, Duration::from_secs(60)).is_err());
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RateLimit {
    name: Arc<str>,
    units: NonZeroU32,
    window: Duration,
    /// The time in which one unit comes back.
    period: Duration,
    kind: RateKind,
}

impl RateLimit {
    fn new(units: u32, window: Duration, kind: RateKind) -> Result<Self, Invalid> {
        let Some(units) = NonZeroU32::new(units).filter(|units| units.get() <= MAX_UNITS) else {
            return Err(Invalid::new(
                "rate",
                format!("{units} units are not 1 to {MAX_UNITS}"),
            ));
        };
        if window < Duration::from_secs(1) || window > Duration::from_secs(3600) {
            return Err(Invalid::new(
                "rate",
                format!("a window of {window:?} is not 1 second to 1 hour; longer ones are quotas"),
            ));
        }
        let name = match (window.as_secs(), window.subsec_nanos()) {
            (1, 0) => Arc::from("second"),
            (60, 0) => Arc::from("minute"),
            (3600, 0) => Arc::from("hour"),
            (secs, 0) => Arc::from(format!("{secs}s")),
            _ => Arc::from(format!("{}ms", window.as_millis())),
        };
        let period = window.as_micros().div_ceil(units.get().into());
        Ok(Self {
            name,
            units,
            window,
            period: Duration::from_micros(u64::try_from(period).unwrap_or(u64::MAX)),
            kind,
        })
    }

    /// A burst of `units`, refilled evenly over the window.
    ///
    /// # Errors
    ///
    /// [`Invalid`] unless there are 1 to [`MAX_UNITS`] units in 1 second to 1 hour.
    pub fn smooth(units: u32, window: Duration) -> Result<Self, Invalid> {
        Self::new(units, window, RateKind::Smooth)
    }

    /// At most `units` in any window.
    ///
    /// It is kept in sixty slots, and a unit counts until its slot has wholly left the window: up to
    /// a sixtieth of it too long. So a window of 60 s may answer `Retry-After: 61`.
    ///
    /// # Errors
    ///
    /// As [`smooth`](Self::smooth).
    pub fn exact(units: u32, window: Duration) -> Result<Self, Invalid> {
        Self::new(units, window, RateKind::Exact)
    }

    /// Gives it a name of its own, in place of `second`, `minute`, `hour` or `90s`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Its name, as headers and errors show it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// N.
    #[must_use]
    pub const fn units(&self) -> NonZeroU32 {
        self.units
    }

    /// How long the window is.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// The time in which one unit comes back: whole microseconds, rounded up.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How it counts.
    #[must_use]
    pub const fn kind(&self) -> RateKind {
        self.kind
    }
}

/// Who is counted: an organization, a key or an address, each also for one class of routes.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Subject {
    who: Who,
    class: Option<Arc<str>>,
}

#[derive(Clone, Eq, Hash, PartialEq)]
enum Who {
    Organization(OrgId),
    Key(KeyId),
    Address(IpAddr),
}

impl Subject {
    const fn new(who: Who) -> Self {
        Self { who, class: None }
    }

    /// All keys of an organization together.
    #[must_use]
    pub const fn organization(id: OrgId) -> Self {
        Self::new(Who::Organization(id))
    }

    /// One key alone.
    #[must_use]
    pub const fn key(id: KeyId) -> Self {
        Self::new(Who::Key(id))
    }

    /// A customer's address: IPv4 whole, IPv6 by its /64.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::new(Who::Address(customer_block(address)))
    }

    /// The same, counted apart for a class of routes.
    #[must_use]
    pub fn in_class(mut self, class: Arc<str>) -> Self {
        self.class = Some(class);
        self
    }
}

/// Stable text, fit for a database key: `org:acme`, `key:<uuid>`, `ip:192.0.2.1`, `org:acme/exports`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Organization(id) => write!(f, "org:{id}")?,
            Who::Key(id) => write!(f, "key:{id}")?,
            Who::Address(address) => write!(f, "ip:{address}")?,
        }
        self.class
            .as_deref()
            .map_or(Ok(()), |class| write!(f, "/{class}"))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Counts units against limits.
pub trait Limiter: fmt::Debug + Send + Sync + 'static {
    /// Consumes `cost` units of every window, or of none.
    fn take(&self, take: &Take<'_>) -> Reply<Tally>;

    /// Says what [`take`](Self::take) would say, and consumes nothing. What is reported as
    /// remaining is what is there now.
    fn peek(&self, take: &Take<'_>) -> Reply<Tally>;
}

/// What is to be counted.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a limiter reads every field")]
pub struct Take<'a> {
    /// Who is counted.
    pub subject: &'a Subject,
    /// The windows to count in.
    pub limits: &'a [RateLimit],
    /// How many units. More than a limit has are always refused.
    pub cost: u32,
    /// Now.
    pub now: Moment,
}

/// What a limiter says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a limiter fills every field")]
pub struct Tally {
    /// Whether every window agreed; only then was anything consumed.
    pub admitted: bool,
    /// Each window, in the order of the limits.
    pub windows: SmallVec<[WindowState; 2]>,
}

impl Tally {
    /// How long to wait until the same cost is admitted; zero if it was.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let waits = self.windows.iter().filter_map(|window| window.retry_after);
        waits.max().unwrap_or_default()
    }
}

/// One window, after the decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a limiter fills every field")]
pub struct WindowState {
    /// How many units it has.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// How long until all of them are free, if nothing more is consumed.
    pub reset_after: Duration,
    /// How long until one more is free; zero if all are.
    pub next_after: Duration,
    /// Set if this window refused: how long until it would admit the same cost.
    pub retry_after: Option<Duration>,
}
