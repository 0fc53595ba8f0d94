//! Tells callers what they have left.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_core::clock::Moment;
use tollgate_core::plan::Limits;

use crate::denial::ceil_secs;
use crate::number;
use crate::passage::RateReport;

const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Which headers tell what is left. Both kinds may be on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "pass it to the gate"]
pub struct RateHeaders {
    legacy: bool,
    ietf: bool,
}

impl Default for RateHeaders {
    fn default() -> Self {
        Self {
            legacy: true,
            ietf: false,
        }
    }
}

impl RateHeaders {
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset` of the primary window: the shortest one,
    /// or the quota where there is no window. Reset is the Unix time at which all of it is free.
    pub fn new() -> Self {
        Self::default()
    }

    /// No headers but `Retry-After`.
    pub const fn none() -> Self {
        Self {
            legacy: false,
            ietf: false,
        }
    }

    /// `RateLimit-Policy` and `RateLimit` of every window and quota, as in
    /// draft-ietf-httpapi-ratelimit-headers-10; `t` is the time until one more unit is free.
    pub const fn with_ietf(mut self) -> Self {
        self.ietf = true;
        self
    }

    /// Leaves the `X-RateLimit-*` headers off.
    pub const fn without_legacy(mut self) -> Self {
        self.legacy = false;
        self
    }

    pub(crate) const fn are_off(self) -> bool {
        !self.legacy && !self.ietf
    }

    pub(crate) fn write(
        self,
        report: &RateReport,
        limits: &Limits,
        now: Moment,
        to: &mut HeaderMap,
    ) {
        if self.legacy
            && let Some((limit, remaining, reset)) = primary(report, limits, now)
        {
            number::write(
                [
                    (&X_LIMIT, limit),
                    (&X_REMAINING, remaining),
                    (&X_RESET, reset),
                ],
                to,
            );
        }
        if self.ietf
            && let Some((policy, limit)) = structured(report, limits, now)
        {
            to.insert(POLICY, policy);
            to.insert(LIMIT, limit);
        }
    }
}

/// Limit, remaining and reset of the shortest window, else of the first quota. Nothing where there
/// are windows of which nothing is known.
fn primary(report: &RateReport, limits: &Limits, now: Moment) -> Option<(u64, u64, u64)> {
    let windows = report.rates.windows.iter().zip(limits.rates());
    if let Some((state, _)) = windows.min_by_key(|(_, limit)| limit.window()) {
        let reset = now.wall.after(state.reset_after).as_unix_secs_ceil();
        return Some((state.limit.into(), state.remaining.into(), reset));
    }
    if !limits.rates().is_empty() {
        return None;
    }
    let quota = report.quotas.quotas.first()?;
    Some((
        quota.limit,
        quota.remaining,
        quota.reset_at.as_unix_secs_ceil(),
    ))
}

/// Lists of strings with parameters (RFC 9651). Names are visible ASCII without quotes.
fn structured(
    report: &RateReport,
    limits: &Limits,
    now: Moment,
) -> Option<(HeaderValue, HeaderValue)> {
    let (mut policy, mut limit) = (String::new(), String::new());
    let mut add = |name: &str, units: u64, window: u64, left: u64, next: u64| {
        let comma = if policy.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(policy, "{comma}\"{name}\";q={units};w={window}");
        let _ = write!(limit, "{comma}\"{name}\";r={left};t={next}");
    };
    for (state, of) in report.rates.windows.iter().zip(limits.rates()) {
        let next = state.retry_after.unwrap_or(state.next_after);
        add(
            of.name(),
            state.limit.into(),
            ceil_secs(of.window()),
            state.remaining.into(),
            ceil_secs(next),
        );
    }
    for (state, of) in report.quotas.quotas.iter().zip(limits.quotas()) {
        let period = state.reset_at.since(of.period().start(now.wall));
        let next = state.reset_at.since(now.wall);
        add(
            of.name(),
            state.limit,
            ceil_secs(period),
            state.remaining,
            ceil_secs(next),
        );
    }
    if policy.is_empty() {
        return None;
    }
    Some((policy.try_into().ok()?, limit.try_into().ok()?))
}
