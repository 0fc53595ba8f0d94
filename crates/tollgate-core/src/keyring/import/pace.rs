//! How much an import writes at once, and how long others then have the database to themselves.

use std::time::Duration;

use crate::clock::Steady;

/// How many keys the first transaction has; the others are fitted to `STEP`.
const FIRST: usize = 2_000;
const FEWEST: usize = 1_000;
const MOST: usize = 10_000;
/// How long a step is to take, with the wait for its turn: somebody else's charge waits for so
/// long. A fast machine takes less for the most.
const STEP: Duration = Duration::from_millis(200);
const HALF_STEP: Duration = Duration::from_millis(100);
/// SQLite asks for its turn every 25 milliseconds at first, every 50 when it has waited for an
/// eighth of a second, and every 100 after a quarter: the longer a step was, the longer has it to
/// be left time to ask.
const SHORTEST_PAUSE: Duration = Duration::from_millis(26);
const LONGEST_PAUSE: Duration = Duration::from_millis(101);
/// What takes less time than this leaves time enough.
const SHORT: Duration = Duration::from_millis(5);

/// The size of the next step, and when it may begin.
#[derive(Debug)]
pub(super) struct Pace {
    step: usize,
    begins_at: Steady,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            step: FIRST,
            begins_at: Steady::from_nanos(0),
        }
    }

    /// How many keys a step has.
    pub(super) const fn step(&self) -> usize {
        self.step
    }

    /// Fits the steps that follow to how long one took.
    pub(super) fn fit(&mut self, took: Duration) {
        let step = self.step;
        let next = if took > STEP {
            step.checked_div(4)
                .map_or(step, |part| step.saturating_sub(part))
        } else if took < HALF_STEP {
            step.saturating_mul(2)
        } else {
            step
        };
        self.step = next.clamp(FEWEST, MOST);
    }

    /// Leaves the database to others, after it was taken until now for so long.
    pub(super) fn leave(&mut self, now: Steady, took: Duration) {
        self.begins_at = now.after(pause(took));
    }

    /// How long others still have the database.
    pub(super) const fn left(&self, now: Steady) -> Duration {
        self.begins_at.since(now)
    }
}

/// How long others have the database, after it was taken for so long.
fn pause(took: Duration) -> Duration {
    if took < SHORT {
        return Duration::ZERO;
    }
    let half = took.checked_div(2).unwrap_or_default();
    half.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_when_they_are_long() {
        let mut pace = Pace::new();
        let mut after = |millis| {
            pace.fit(Duration::from_millis(millis));
            pace.step()
        };
        assert_eq!([80, 80, 80, 80].map(&mut after), [4_000, 8_000, MOST, MOST]);
        assert_eq!([150, 201, 900].map(&mut after), [MOST, 7_500, 5_625]);
        let last = (0..20).map(|_| after(201)).last();
        assert_eq!(last, Some(FEWEST));
    }

    #[test]
    fn others_have_half_as_long_as_a_step_within_bounds() {
        for (took, left) in [(0, 0), (4, 0), (5, 26), (80, 40), (150, 75), (900, 101)] {
            let took = Duration::from_millis(took);
            assert_eq!(pause(took), Duration::from_millis(left), "{took:?}");
        }
    }

    #[test]
    fn what_was_left_to_others_runs_out() {
        let mut pace = Pace::new();
        let at = |millis: u64| Steady::default().after(Duration::from_millis(millis));
        assert_eq!(pace.left(at(0)), Duration::ZERO);
        pace.leave(at(100), Duration::from_millis(80));
        assert_eq!(pace.left(at(110)), Duration::from_millis(30));
        assert_eq!(pace.left(at(200)), Duration::ZERO);
    }
}
