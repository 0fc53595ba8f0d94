//! What a running app knows of the limits, and what that says to a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Consumes, Question, Step, Verdict};
use crate::clock::Timestamp;
use crate::plan::Limits;
use crate::quota::QuotaTally;
use crate::rate::Tally;

/// How much of the limits is used: peeked at with what the request would take, and not consumed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever peeks fills every field")]
pub struct Live {
    /// What the limiter says.
    pub rates: Tally,
    /// What the quotas say.
    pub quotas: QuotaTally,
    /// How many requests are under way.
    pub in_flight: u32,
}

/// What is left of one limit.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Left {
    /// Its name: `minute`, `day`; `in_flight` for requests under way.
    pub limit: String,
    /// How many units it has.
    pub units: u64,
    /// How many are left.
    pub remaining: u64,
    /// In how many seconds all of them are free, rounded up; not told of requests under way.
    pub resets_in: Option<u64>,
}

impl Live {
    /// What is left of each of these limits: rates, quotas, requests under way.
    pub(super) fn left(&self, limits: Option<&Limits>, now: Timestamp) -> Vec<Left> {
        let Some(limits) = limits else {
            return Vec::new();
        };
        let rates = limits.rates().iter().zip(&self.rates.windows);
        let rates = rates.map(|(limit, state)| Left {
            limit: limit.name().to_owned(),
            units: state.limit.into(),
            remaining: state.remaining.into(),
            resets_in: Some(secs(state.reset_after)),
        });
        let quotas = limits.quotas().iter().zip(&self.quotas.quotas);
        let quotas = quotas.map(|(limit, state)| Left {
            limit: limit.name().to_owned(),
            units: state.limit,
            remaining: state.remaining,
            resets_in: Some(secs(state.reset_at.since(now))),
        });
        let under_way = limits.in_flight().map(|cap| Left {
            limit: "in_flight".to_owned(),
            units: cap.get().into(),
            remaining: cap.get().saturating_sub(self.in_flight).into(),
            resets_in: None,
        });
        rates.chain(quotas).chain(under_way).collect()
    }
}

impl Question<'_> {
    pub(super) fn rates(&self, consumes: &Consumes) -> Step {
        let none = Limits::new();
        let limits = consumes.limits.as_ref().unwrap_or(&none);
        let counted = !limits.rates().is_empty() || !limits.quotas().is_empty();
        let takes = counted && consumes.rate_units > 0;
        if !takes && limits.in_flight().is_none() {
            return Step::new("rates", Verdict::Passes, "nothing is limited");
        }
        let Some(live) = self.live else {
            let because = "how much is used is known to the running app";
            return Step::new("rates", Verdict::Unknown, because);
        };
        if let Some(refusal) = live.refusal(limits, consumes.rate_units) {
            return refusal;
        }
        let because = if takes {
            format!("it takes {}, which is left", consumes.rate_units)
        } else {
            "more requests may be under way".to_owned()
        };
        Step::new("rates", Verdict::Passes, because)
    }
}

impl Live {
    /// The limit that refuses, in the order of the stack: requests under way, rates, quotas.
    fn refusal(&self, limits: &Limits, units: u32) -> Option<Step> {
        let refuses = |code, because| Some(Step::new("rates", Verdict::refuses(code), because));
        if let Some(cap) = limits.in_flight()
            && self.in_flight >= cap.get()
        {
            let because = format!("{} of {cap} requests are under way", self.in_flight);
            return refuses("too_many_concurrent_requests", because);
        }
        if units == 0 {
            return None;
        }
        if !self.rates.admitted {
            let windows = limits.rates().iter().zip(&self.rates.windows);
            let short = windows.filter(|(_, state)| state.retry_after.is_some());
            let because = match short.max_by_key(|(_, state)| state.retry_after) {
                Some((limit, state)) => format!(
                    "it takes {units}, and `{}` has {} of {} left; there is enough in {} s",
                    limit.name(),
                    state.remaining,
                    state.limit,
                    secs(state.retry_after.unwrap_or_default()),
                ),
                None => format!("it takes {units}, and a rate has less left"),
            };
            return refuses("rate_limit_exceeded", because);
        }
        let mut quotas = limits.quotas().iter().zip(&self.quotas.quotas);
        let (limit, state) = quotas.find(|(_, state)| state.refused)?;
        let because = format!(
            "it takes {units}, and `{}` has {} of {} left until {}",
            limit.name(),
            state.remaining,
            state.limit,
            state.reset_at,
        );
        refuses("quota_exceeded", because)
    }
}

/// Rounded up, so that whoever waits has waited long enough.
fn secs(time: Duration) -> u64 {
    let more = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(more)
}
