//! Smooth windows: governor's GCRA over our own state.
//!
//! A window keeps one point in time: when all of its units are free again (GCRA's theoretical
//! arrival time). Governor decides on a state relative to *now*, which GCRA does not mind, so one
//! decision can be measured without being committed, and a limit is a parameter, not a type.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::clock::{Steady, nanos};
use crate::rate::{RateLimit, WindowState};

/// What is kept of one window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Smooth {
    free_at: Steady,
    /// The period that `free_at` was counted with, in nanoseconds.
    period: u64,
}

impl Smooth {
    /// Whether nothing is consumed, so that forgetting the window changes nothing.
    pub(super) fn is_free(&self, now: Steady) -> bool {
        self.free_at <= now
    }

    pub(super) const fn free_at(&self) -> Steady {
        self.free_at
    }

    /// What the window is after `cost`, if it admits it; it is not changed.
    pub(super) fn measure(&self, limit: &RateLimit, cost: u32, now: Steady) -> (Self, WindowState) {
        let period = limit.period();
        let burst = limit.units();
        let kept = self.under(period, burst, now);
        let Some(cost) = NonZeroU32::new(cost) else {
            return (kept, kept.state(limit, period, now, None));
        };
        if cost > burst {
            return (kept, kept.state(limit, period, now, Some(limit.window())));
        }
        let debt = Debt(Cell::new(kept.debt(now)));
        // A period is never zero, and a cost above the burst was turned away above.
        let Some(quota) = Quota::with_period(period).map(|quota| quota.allow_burst(burst)) else {
            return (kept, kept.state(limit, period, now, Some(limit.window())));
        };
        let gcra: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
            RateLimiter::new(quota, &debt, Standing);
        match gcra.check_n(cost) {
            Ok(Ok(())) => {
                let after = Self {
                    free_at: after(now, debt.0.get()),
                    period: nanos(period),
                };
                (after, after.state(limit, period, now, None))
            }
            Ok(Err(refused)) => {
                let wait = up_to_micros(nanos(refused.wait_time_from(Nanos::default())));
                (kept, kept.state(limit, period, now, Some(wait)))
            }
            Err(_) => (kept, kept.state(limit, period, now, Some(limit.window()))),
        }
    }

    /// The same units used, counted with another period.
    fn under(self, period: Duration, burst: NonZeroU32, now: Steady) -> Self {
        let period = nanos(period);
        if self.period == period || self.period == 0 {
            return Self { period, ..self };
        }
        let used = self.debt(now).div_ceil(self.period).min(burst.get().into());
        Self {
            free_at: after(now, used.saturating_mul(period)),
            period,
        }
    }

    /// How long until all is free, in nanoseconds.
    const fn debt(&self, now: Steady) -> u64 {
        self.free_at.as_nanos().saturating_sub(now.as_nanos())
    }

    fn state(
        &self,
        limit: &RateLimit,
        period: Duration,
        now: Steady,
        retry_after: Option<Duration>,
    ) -> WindowState {
        let debt = self.debt(now);
        let period = nanos(period);
        let used = debt.div_ceil(period.max(1));
        let whole = used.saturating_sub(1).saturating_mul(period);
        WindowState {
            limit: limit.units().get(),
            remaining: limit
                .units()
                .get()
                .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)),
            reset_after: up_to_micros(debt),
            next_after: up_to_micros(debt.saturating_sub(whole)),
            retry_after,
        }
    }
}

const fn after(now: Steady, nanos: u64) -> Steady {
    Steady::from_nanos(now.as_nanos().saturating_add(nanos))
}

/// Nanoseconds, rounded up to whole microseconds.
const fn up_to_micros(nanos: u64) -> Duration {
    Duration::from_micros(nanos.div_ceil(1000))
}

/// How far ahead of now the window's point is, where governor reads and writes it.
struct Debt(Cell<u64>);

impl StateStore for &Debt {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(self.0.get().into()))?;
        self.0.set(next.as_u64());
        Ok(outcome)
    }
}

/// A clock that stands at zero: the state is relative to now.
#[derive(Clone, Debug)]
struct Standing;

impl Clock for Standing {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    fn limit(units: u32, secs: u64) -> RateLimit {
        RateLimit::smooth(units, Duration::from_secs(secs)).unwrap()
    }

    fn at(micros: u64) -> Steady {
        Steady::from_nanos(micros * 1000)
    }

    fn take(window: &mut Smooth, limit: &RateLimit, cost: u32, now: Steady) -> WindowState {
        let (after, state) = window.measure(limit, cost, now);
        if state.retry_after.is_none() {
            *window = after;
        }
        state
    }

    #[test]
    fn a_burst_then_an_even_refill() {
        let (limit, mut window) = (limit(3, 60), Smooth::default());
        for remaining in [2, 1, 0] {
            assert_eq!(take(&mut window, &limit, 1, at(0)).remaining, remaining);
        }
        let refused = take(&mut window, &limit, 1, at(0));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(20)));
        assert_eq!(refused.reset_after, Duration::from_secs(60));
        assert_eq!(
            take(&mut window, &limit, 1, at(19_999_999)).retry_after,
            Some(Duration::from_micros(1))
        );
        assert_eq!(
            take(&mut window, &limit, 1, at(20_000_000)).retry_after,
            None
        );
    }

    #[test]
    fn an_unlucky_window_sees_almost_twice_the_units() {
        // 2N − 1, as the docs of the module say: the price of a smooth refill after a burst.
        let (limit, mut window) = (limit(60, 60), Smooth::default());
        let ticks = (0..60_000_u64).map(|ms| at(ms * 1000));
        let admitted = ticks.filter(|now| take(&mut window, &limit, 1, *now).retry_after.is_none());
        assert_eq!(admitted.count(), 119);
    }

    #[test]
    fn a_plan_change_keeps_the_units_used() {
        let (slow, fast) = (limit(10, 60), limit(100, 60));
        let mut window = Smooth::default();
        take(&mut window, &slow, 7, at(0));
        assert_eq!(window.measure(&fast, 0, at(0)).1.remaining, 93);
        take(&mut window, &fast, 1, at(0));
        assert_eq!(window.measure(&slow, 0, at(0)).1.remaining, 2);
    }

    #[test]
    fn a_cost_above_the_burst_is_always_refused() {
        let (limit, mut window) = (limit(3, 60), Smooth::default());
        assert!(take(&mut window, &limit, 4, at(0)).retry_after.is_some());
        assert_eq!(take(&mut window, &limit, 3, at(0)).remaining, 0);
    }

    proptest! {
        #[test]
        fn agrees_with_governor(
            units in 1_u32..50,
            secs in 1_u64..100,
            steps in prop::collection::vec((0_u64..20_000_000, 1_u32..6), 1..60),
        ) {
            let limit = limit(units, secs);
            let mut window = Smooth::default();
            let quota = Quota::with_period(limit.period()).unwrap().allow_burst(limit.units());
            let clock = FakeRelativeClock::default();
            let oracle = RateLimiter::direct_with_clock(quota, clock.clone());
            let mut now = 0;
            for (step, cost) in steps {
                now += step;
                clock.advance(Duration::from_micros(step));
                let state = take(&mut window, &limit, cost, at(now));
                let oracle = oracle.check_n(NonZeroU32::new(cost).unwrap());
                prop_assert_eq!(state.retry_after.is_none(), matches!(oracle, Ok(Ok(()))));
                if let (Some(wait), true) = (state.retry_after, cost <= units) {
                    let later = |micros: u64| window.measure(&limit, cost, at(now + micros)).1;
                    let wait = u64::try_from(wait.as_micros()).unwrap();
                    prop_assert!(later(wait).retry_after.is_none());
                    prop_assert!(later(wait - 1).retry_after.is_some());
                }
            }
        }
    }
}
