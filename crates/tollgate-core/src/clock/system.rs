//! The machine's own clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::{Clock, Moment, Steady, Timestamp, micros, nanos};
use crate::reply::BoxFuture;

/// How often the wall clock is read, in nanoseconds of the steady one. In between it is reckoned.
const WALL_EVERY: u64 = 10_000_000;

/// The machine's own clocks, waiting on tokio's timer.
///
/// Every request asks for the time, and asking costs a good part of what a request costs. So the
/// steady clock is quanta's, and the wall clock is the steady one plus an offset that is taken
/// every ten milliseconds: a wall clock that is set is seen that much later.
#[derive(Clone, Debug)]
pub struct SystemClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: quanta::Clock,
    start: quanta::Instant,
    /// What to add to the steady clock for the wall clock, in microseconds.
    offset: AtomicI64,
    /// When the offset is to be taken again.
    due: AtomicU64,
}

impl Default for SystemClock {
    fn default() -> Self {
        let clock = quanta::Clock::new();
        Self(Arc::new(Inner {
            start: clock.now(),
            clock,
            offset: AtomicI64::new(0),
            due: AtomicU64::new(0),
        }))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let Inner {
            clock,
            start,
            offset,
            due,
        } = &*self.0;
        let steady = nanos(clock.now().saturating_duration_since(*start));
        let elapsed = i64::try_from(steady / 1000).unwrap_or(i64::MAX);
        if steady >= due.load(Ordering::Acquire) {
            offset.store(
                wall().as_micros().saturating_sub(elapsed),
                Ordering::Release,
            );
            due.store(steady.saturating_add(WALL_EVERY), Ordering::Release);
        }
        let wall = offset.load(Ordering::Acquire).saturating_add(elapsed);
        Moment {
            wall: Timestamp::from_micros(wall),
            steady: Steady::from_nanos(steady),
        }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the Clock that everything else asks"
)]
fn wall() -> Timestamp {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(Timestamp::default(), |since| {
            Timestamp::from_micros(micros(since))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go_on_together_and_near_the_machines() {
        let (clock, began) = (SystemClock::default(), wall());
        let first = clock.now();
        assert!(began <= first.wall && first.wall <= wall());
        let mut last = first;
        for _ in 0..100_000 {
            let now = clock.now();
            assert!(now.steady >= last.steady);
            last = now;
        }
        let (by_wall, by_steady) = (last.wall.since(first.wall), last.steady.since(first.steady));
        // Whoever is held up between the two clocks is so for less than all of it took.
        assert!(by_wall.abs_diff(by_steady) < wall().since(began));
    }
}
