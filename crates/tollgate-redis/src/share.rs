//! What a node admits by itself.

use std::fmt;
use std::num::NonZeroU32;

use metrics::{Counter, counter};
use smallvec::SmallVec;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::rate::{Limiter, LocalLimiter, RateKind, RateLimit, Take, Tally};
use tollgate_core::reply::Reply;

use crate::options::WhenDown;

/// Decides without Redis.
///
/// What it counted stays when Redis is back, so that going and coming admits no second share.
#[derive(Debug)]
pub(crate) struct Share {
    nodes: NonZeroU32,
    when_down: WhenDown,
    exceptions: Vec<(Box<str>, WhenDown)>,
    local: LocalLimiter,
    telemetry: Telemetry,
}

impl Share {
    pub(crate) fn new(
        nodes: NonZeroU32,
        when_down: WhenDown,
        exceptions: Vec<(Box<str>, WhenDown)>,
    ) -> Self {
        let outcome =
            |outcome: &'static str| counter!("tollgate_redis_degraded_total", "outcome" => outcome);
        Self {
            nodes,
            when_down,
            exceptions,
            local: LocalLimiter::new(),
            telemetry: Telemetry {
                admitted: outcome("admitted"),
                refused: outcome("refused"),
                unavailable: outcome("unavailable"),
            },
        }
    }

    /// Takes from this node's part, or only looks.
    pub(crate) fn decide(&self, take: &Take<'_>, commit: bool) -> Result<Tally, StoreError> {
        let decided = self.count(take, commit);
        if commit {
            let Telemetry {
                admitted,
                refused,
                unavailable,
            } = &self.telemetry;
            let counter = match &decided {
                Ok(tally) if tally.admitted => admitted,
                Ok(_) => refused,
                Err(_) => unavailable,
            };
            counter.increment(1);
        }
        decided
    }

    fn count(&self, take: &Take<'_>, commit: bool) -> Result<Tally, StoreError> {
        let mut limits: SmallVec<[RateLimit; 2]> = SmallVec::new();
        for limit in take.limits {
            limits.push(self.part(limit, take.cost)?);
        }
        let part = Take {
            limits: &limits,
            ..*take
        };
        let reply = if commit {
            self.local.take(&part)
        } else {
            self.local.peek(&part)
        };
        let Reply::Now(Ok(mut tally)) = reply else {
            return Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "Redis is down",
            ));
        };
        // Callers know the limit of all nodes together.
        for (window, limit) in tally.windows.iter_mut().zip(take.limits) {
            window.limit = limit.units().get();
        }
        Ok(tally)
    }

    /// This node's part of a limit, for a request of this cost.
    fn part(&self, limit: &RateLimit, cost: u32) -> Result<RateLimit, StoreError> {
        let name = limit.name();
        let named = |(of, _): &&(Box<str>, WhenDown)| **of == *name;
        // The last word counts, as for every other option.
        let exception = self.exceptions.iter().rev().find(named);
        let refused = |why: &str| {
            let message = format!("Redis is down, and `{name}` {why}");
            Err(StoreError::new(StoreErrorKind::Unavailable, message))
        };
        if exception.map_or(self.when_down, |(_, when_down)| *when_down) == WhenDown::Refuse {
            return refused("is not counted without it");
        }
        let all = limit.units().get();
        let units = all.checked_div(self.nodes.get()).unwrap_or(0);
        // What no limit could admit is refused as ever; the rest would wait for nothing.
        if units == 0 || (cost > units && cost <= all) {
            return refused("has too small a share on each node");
        }
        let part = match limit.kind() {
            RateKind::Smooth => RateLimit::smooth(units, limit.window()),
            _ => RateLimit::exact(units, limit.window()),
        };
        // A part of a limit that can be can be.
        part.or_else(|_| refused("cannot be shared"))
    }
}

struct Telemetry {
    admitted: Counter,
    refused: Counter,
    unavailable: Counter,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_core::clock::{Moment, Steady, Timestamp};
    use tollgate_core::id::OrgId;
    use tollgate_core::rate::Subject;

    use super::*;

    const NOW: Moment = Moment {
        wall: Timestamp::from_secs(0),
        steady: Steady::from_nanos(0),
    };

    fn share(nodes: u32, exceptions: &[(&str, WhenDown)]) -> Share {
        let exceptions = exceptions.iter().map(|(name, it)| ((*name).into(), *it));
        let nodes = NonZeroU32::new(nodes).unwrap();
        Share::new(nodes, WhenDown::Share, exceptions.collect())
    }

    fn take(share: &Share, limits: &[RateLimit], cost: u32) -> Result<Tally, StoreError> {
        let subject = &Subject::organization(OrgId::new("acme").unwrap());
        let take = Take {
            subject,
            limits,
            cost,
            now: NOW,
        };
        let peeked = share.decide(&take, false);
        let taken = share.decide(&take, true);
        assert_eq!(peeked.is_ok(), taken.is_ok());
        taken
    }

    fn limits(units: u32) -> [RateLimit; 2] {
        let minute = Duration::from_secs(60);
        [
            RateLimit::smooth(units, minute).unwrap().named("smooth"),
            RateLimit::exact(units, minute).unwrap().named("exact"),
        ]
    }

    #[test]
    fn a_node_admits_its_part_rounded_down_and_tells_the_whole_limit() {
        for limit in limits(11) {
            let share = share(4, &[]);
            let limits = [limit];
            for left in [1, 0] {
                let tally = take(&share, &limits, 1).unwrap();
                assert!(tally.admitted);
                assert_eq!(tally.windows[0].limit, 11);
                assert_eq!(tally.windows[0].remaining, left);
            }
            assert!(!take(&share, &limits, 1).unwrap().admitted);
        }
    }

    #[test]
    fn what_no_share_could_ever_admit_is_unavailable_and_not_told_to_wait() {
        let share = share(4, &[]);
        for limit in limits(3) {
            let error = take(&share, &[limit], 1).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
        let [smooth, exact] = limits(11);
        let error = take(&share, &[smooth.clone(), exact], 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Redis is down, and `smooth` has too small a share on each node"
        );
        assert!(!take(&share, &[smooth], 12).unwrap().admitted);
    }

    #[test]
    fn one_window_that_is_not_counted_without_redis_refuses_the_request() {
        let share = share(
            1,
            &[("exact", WhenDown::Share), ("exact", WhenDown::Refuse)],
        );
        let [smooth, exact] = limits(5);
        let error = take(&share, &[smooth.clone(), exact], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Redis is down, and `exact` is not counted without it"
        );
        // Nothing was consumed.
        assert_eq!(take(&share, &[smooth], 1).unwrap().windows[0].remaining, 4);
    }
}
