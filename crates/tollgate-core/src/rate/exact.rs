//! Exact windows: at most N in any window.
//!
//! The window is cut into sixty slots. A unit counts from the slot that it was consumed in until
//! that slot has wholly left the window, so it may count up to one slot too long, never too
//! short: no interval as long as the window ever sees more than N.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Steady;
use crate::rate::{RateLimit, WindowState};

const SLOTS: u64 = 60;

/// What is kept of one window: the slots with units in them, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Exact {
    slots: VecDeque<Slot>,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When its units stop counting.
    leaves: Steady,
    units: u32,
}

/// How long a slot is, in nanoseconds: whole microseconds, rounded up.
fn slot_nanos(limit: &RateLimit) -> u64 {
    let micros = u64::try_from(limit.window().as_micros()).unwrap_or(u64::MAX);
    micros.div_ceil(SLOTS).max(1).saturating_mul(1000)
}

/// When a unit consumed now stops counting: the end of its slot, and a whole window more.
fn leaves(limit: &RateLimit, now: Steady) -> Steady {
    let slot = slot_nanos(limit);
    let end = now
        .as_nanos()
        .checked_div(slot)
        .unwrap_or(0)
        .saturating_add(1)
        .saturating_mul(slot);
    Steady::from_nanos(end).after(limit.window())
}

impl Exact {
    pub(super) fn is_free(&self, now: Steady) -> bool {
        self.slots.back().is_none_or(|slot| slot.leaves <= now)
    }

    pub(super) fn free_at(&self) -> Steady {
        self.slots
            .back()
            .map_or(Steady::default(), |slot| slot.leaves)
    }

    /// Forgets what has left the window.
    pub(super) fn advance(&mut self, now: Steady) {
        while let Some(oldest) = self.slots.front().filter(|slot| slot.leaves <= now) {
            self.used = self.used.saturating_sub(oldest.units);
            self.slots.pop_front();
        }
    }

    /// What the window says to `cost`; nothing is consumed. [`advance`](Self::advance) it first.
    pub(super) fn measure(&self, limit: &RateLimit, cost: u32, now: Steady) -> WindowState {
        let units = limit.units().get();
        let wanted = self.used.saturating_add(cost);
        let refused = cost > 0 && wanted > units;
        let retry_after = refused.then(|| {
            let mut excess = wanted.saturating_sub(units);
            let frees = self.slots.iter().find(|slot| {
                excess = excess.saturating_sub(slot.units);
                excess == 0
            });
            frees.map_or(limit.window(), |slot| slot.leaves.since(now))
        });
        WindowState {
            limit: units,
            remaining: units.saturating_sub(self.used),
            reset_after: self.free_at().since(now),
            next_after: self
                .slots
                .front()
                .map_or(Duration::ZERO, |slot| slot.leaves.since(now)),
            retry_after,
        }
    }

    /// Consumes what was measured, and says what is left.
    pub(super) fn commit(&mut self, limit: &RateLimit, cost: u32, now: Steady) -> WindowState {
        if cost > 0 {
            let leaves = leaves(limit, now);
            match self.slots.back_mut() {
                // After a plan change the newest slot may leave later than a new one would.
                Some(slot) if slot.leaves >= leaves => slot.units = slot.units.saturating_add(cost),
                _ => self.slots.push_back(Slot {
                    leaves,
                    units: cost,
                }),
            }
            self.used = self.used.saturating_add(cost);
        }
        self.measure(limit, 0, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(window: &mut Exact, limit: &RateLimit, cost: u32, now: Steady) -> WindowState {
        window.advance(now);
        let state = window.measure(limit, cost, now);
        if state.retry_after.is_some() {
            return state;
        }
        window.commit(limit, cost, now)
    }

    fn at(millis: u64) -> Steady {
        Steady::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn counts_down_to_zero_and_resets_as_a_whole() {
        let limit = RateLimit::exact(10, Duration::from_secs(60)).unwrap();
        let mut window = Exact::default();
        for remaining in (0..10).rev() {
            let state = take(&mut window, &limit, 1, at(500));
            assert_eq!(
                (state.remaining, state.reset_after),
                (remaining, Duration::from_millis(60_500))
            );
        }
        let refused = take(&mut window, &limit, 1, at(1000));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(60)));
        assert_eq!(take(&mut window, &limit, 10, at(61_000)).remaining, 0);
    }

    #[test]
    fn a_plan_change_keeps_the_units_used() {
        let slow = RateLimit::exact(10, Duration::from_secs(60)).unwrap();
        let fast = RateLimit::exact(100, Duration::from_secs(60)).unwrap();
        let mut window = Exact::default();
        take(&mut window, &slow, 7, at(0));
        assert_eq!(take(&mut window, &fast, 0, at(0)).remaining, 93);
    }

    #[test]
    fn to_ask_is_never_refused_and_leaves_no_trace() {
        let (ten, five) = (10, 5);
        let limit = |units| RateLimit::exact(units, Duration::from_secs(60)).unwrap();
        let mut window = Exact::default();
        assert_eq!(
            take(&mut window, &limit(ten), 0, at(0)).reset_after,
            Duration::ZERO
        );
        assert!(window.slots.is_empty());
        take(&mut window, &limit(ten), ten, at(0));
        // The plan has fewer units now than were used.
        let state = take(&mut window, &limit(five), 0, at(0));
        assert_eq!((state.remaining, state.retry_after), (0, None));
    }

    #[test]
    fn units_of_one_moment_share_a_slot() {
        let limit = RateLimit::exact(100, Duration::from_secs(60)).unwrap();
        let mut window = Exact::default();
        for _ in 0..100 {
            take(&mut window, &limit, 1, at(0));
        }
        assert_eq!(window.slots.len(), 1);
    }

    #[test]
    fn a_window_is_free_when_its_last_units_have_left_it() {
        let limit = RateLimit::exact(2, Duration::from_secs(60)).unwrap();
        let mut window = Exact::default();
        assert!(window.is_free(at(0)));
        take(&mut window, &limit, 1, at(0));
        let free_at = window.free_at();
        assert_eq!(free_at, at(61_000));
        assert!(!window.is_free(at(60_999)));
        assert!(window.is_free(at(61_000)));
    }

    proptest! {
        #[test]
        fn no_window_ever_sees_more_than_its_units(
            units in 1_u32..20,
            steps in prop::collection::vec((0_u64..5_000, 1_u32..4), 1..200),
        ) {
            let limit = RateLimit::exact(units, Duration::from_secs(10)).unwrap();
            let mut window = Exact::default();
            let (mut now, mut admitted) = (0, Vec::new());
            for (step, cost) in steps {
                now += step;
                let state = take(&mut window, &limit, cost, at(now));
                match state.retry_after {
                    None => admitted.extend((0..cost).map(|_| now)),
                    Some(wait) if cost <= units => {
                        let later = |wait: Duration| {
                            let mut window = window.clone();
                            take(&mut window, &limit, cost, at(now).after(wait)).retry_after
                        };
                        prop_assert_eq!(later(wait), None);
                        prop_assert!(later(wait.saturating_sub(Duration::from_nanos(1))).is_some());
                    }
                    Some(_) => {}
                }
            }
            for start in &admitted {
                let inside = admitted.iter().filter(|t| (*start..start + 10_000).contains(t)).count();
                prop_assert!(inside <= units as usize, "{inside} from {start}");
            }
        }

        #[test]
        fn a_quiet_window_later_all_units_are_there(units in 1_u32..1000, start in 0_u64..100_000) {
            let limit = RateLimit::exact(units, Duration::from_secs(60)).unwrap();
            let mut window = Exact::default();
            take(&mut window, &limit, units, at(start));
            prop_assert!(take(&mut window, &limit, units, at(start + 61_000)).retry_after.is_none());
        }
    }
}
