//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tollgate_core::clock::{Clock, Moment, Steady, Timestamp};
use tollgate_core::reply::BoxFuture;

/// Where a new clock's wall clock stands: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// Where a new clock's steady clock stands. Not at zero, so that a point before it exists.
const STEADY_START: Steady = Steady::from_nanos(1_000_000_000);

/// Tells the time that a test set. Clones tell the same time.
///
/// ```
/// use std::time::Duration;
///
/// use tollgate_core::clock::Clock;
/// use tollgate_testkit::clock::ManualClock;
///
/// let clock = ManualClock::new();
/// assert_eq!(clock.now().wall.to_string(), "2026-01-01T00:00:00Z");
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().wall.to_string(), "2026-01-01T00:01:30Z");
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    now: Moment,
    sleepers: BTreeMap<u64, Sleeper>,
    next_sleeper: u64,
}

struct Sleeper {
    until: Steady,
    waker: Waker,
}

impl ManualClock {
    /// A clock at the start of 2026.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            now: Moment {
                wall: START,
                steady: STEADY_START,
            },
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        })))
    }

    /// Moves both clocks forward, and wakes whoever has slept long enough.
    pub fn advance(&self, duration: Duration) {
        let woken = {
            let state = &mut *self.0.lock();
            state.now.wall = state.now.wall.after(duration);
            state.now.steady = state.now.steady.after(duration);
            let now = state.now.steady;
            let due = |sleeper: &Sleeper| sleeper.until <= now;
            state
                .sleepers
                .values()
                .filter(|sleeper| due(sleeper))
                .map(|sleeper| sleeper.waker.clone())
                .collect::<Vec<_>>()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Sets the wall clock, forward or back, as an administrator may. The steady clock stays, and
    /// nobody wakes.
    pub fn jump_wall(&self, to: Timestamp) {
        self.0.lock().now.wall = to;
    }

    /// How many are asleep now: polled once, and neither done nor dropped.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.len()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.0.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(Sleep {
            until: self.now().steady.after(duration),
            clock: self.clone(),
            id: None,
        })
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("ManualClock")
            .field("now", &state.now)
            .field("sleepers", &state.sleepers.len())
            .finish()
    }
}

struct Sleep {
    clock: ManualClock,
    until: Steady,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = &mut *this.clock.0.lock();
        if state.now.steady >= this.until {
            if let Some(id) = this.id.take() {
                state.sleepers.remove(&id);
            }
            return Poll::Ready(());
        }
        let id = *this.id.get_or_insert_with(|| {
            state.next_sleeper = state.next_sleeper.saturating_add(1);
            state.next_sleeper
        });
        let sleeper = Sleeper {
            until: this.until,
            waker: cx.waker().clone(),
        };
        state.sleepers.insert(id, sleeper);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.0.lock().sleepers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::new();
        let sleep = tokio::spawn(clock.sleep(Duration::from_secs(2)));
        tokio::task::yield_now().await;
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(1_999));
        tokio::task::yield_now().await;
        assert!(!sleep.is_finished());
        clock.advance(Duration::from_millis(1));
        sleep.await.unwrap();
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn no_time_at_all_is_not_waited_for() {
        let clock = ManualClock::new();
        clock.sleep(Duration::ZERO).await;
        let sleep = clock.sleep(Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        sleep.await;
    }

    #[tokio::test]
    async fn a_dropped_sleeper_is_forgotten() {
        let clock = ManualClock::new();
        let sleep = tokio::spawn(clock.sleep(Duration::from_secs(2)));
        tokio::task::yield_now().await;
        sleep.abort();
        assert!(sleep.await.unwrap_err().is_cancelled());
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn a_jump_of_the_wall_moves_nothing_else() {
        let (clock, before) = (ManualClock::new(), ManualClock::new().now());
        let sleep = tokio::spawn(clock.sleep(Duration::from_secs(1)));
        tokio::task::yield_now().await;
        clock.jump_wall(Timestamp::from_secs(0));
        tokio::task::yield_now().await;
        assert_eq!(clock.now().steady, before.steady);
        assert_eq!(clock.now().wall, Timestamp::from_secs(0));
        assert!(!sleep.is_finished());
        clock.jump_wall(START.after(Duration::from_secs(3600)));
        tokio::task::yield_now().await;
        assert!(!sleep.is_finished());
    }
}
