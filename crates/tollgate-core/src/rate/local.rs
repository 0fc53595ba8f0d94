//! The limiter of one process: in memory, bounded, cleaned without being asked.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::clock::Steady;
use crate::rate::exact::Exact;
use crate::rate::smooth::Smooth;
use crate::rate::{Limiter, RateKind, RateLimit, Subject, Take, Tally, WindowState};
use crate::reply::Reply;

const SHARDS: usize = 64;
const SMALLEST_SWEEP: usize = 64;

/// Counts in this process's memory.
///
/// It keeps a bounded number of subjects, a million unless said otherwise. Subjects whose windows
/// are wholly free are forgotten, which changes nothing; when there are still too many, the one
/// that would be free first is forgotten, which refills its windows early.
pub struct LocalLimiter {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_capacity: usize,
}

struct Shard {
    subjects: HashMap<Subject, Windows, RandomState>,
    sweep_at: usize,
}

type Windows = SmallVec<[Window; 2]>;

/// One window of one subject; its kind is its limit's.
#[derive(Clone, Debug)]
enum Window {
    Smooth(Smooth),
    Exact(Box<Exact>),
}

impl LocalLimiter {
    /// Keeps up to a million subjects.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1_000_000)
    }

    /// Keeps up to about this many subjects.
    #[must_use]
    pub fn with_capacity(subjects: usize) -> Self {
        let hasher = RandomState::default();
        let shard = || {
            Mutex::new(Shard {
                subjects: HashMap::with_hasher(hasher.clone()),
                sweep_at: SMALLEST_SWEEP,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            shard_capacity: subjects.div_ceil(SHARDS).max(1),
            hasher,
        }
    }

    /// How many subjects are kept now.
    #[must_use]
    pub fn subjects(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().subjects.len())
            .sum()
    }

    fn decide(&self, take: &Take<'_>, commit: bool) -> Tally {
        let hash = self.hasher.hash_one(take.subject);
        // The map's own hash uses the low and the highest bits; the shard takes others.
        let shard = (hash >> 32).checked_rem(SHARDS as u64).unwrap_or(0);
        let Some(shard) = usize::try_from(shard)
            .ok()
            .and_then(|at| self.shards.get(at))
        else {
            return Tally::default();
        };
        let now = take.now.steady;
        let mut shard = shard.lock();
        if let Some(windows) = shard.subjects.get_mut(take.subject) {
            // A peek changes nothing, not even which windows are kept.
            if commit || fits(windows, take.limits) {
                return decide(windows, take, commit);
            }
            return decide(&mut windows.clone(), take, commit);
        }
        let mut windows = Windows::new();
        let tally = decide(&mut windows, take, commit);
        if commit && tally.admitted && take.cost > 0 {
            shard.make_room(self.shard_capacity, now);
            shard.subjects.insert(take.subject.clone(), windows);
        }
        tally
    }
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter for LocalLimiter {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        Reply::ready(self.decide(take, true))
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        Reply::ready(self.decide(take, false))
    }
}

impl fmt::Debug for LocalLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLimiter").finish_non_exhaustive()
    }
}

impl Shard {
    fn make_room(&mut self, capacity: usize, now: Steady) {
        let room = self.subjects.len() < self.sweep_at.min(capacity);
        if room {
            return;
        }
        self.subjects
            .retain(|_, windows| !windows.iter().all(|window| window.is_free(now)));
        if self.subjects.len() >= capacity {
            self.forget_some(capacity);
        }
        self.sweep_at = self.subjects.len().saturating_mul(2).max(SMALLEST_SWEEP);
    }

    /// Forgets the sixteenth that would be free first: at once, so that a flood of new subjects
    /// does not pay for a search each.
    fn forget_some(&mut self, capacity: usize) {
        let free_at = |windows: &Windows| windows.iter().map(Window::free_at).max();
        let mut by_time: Vec<_> = self.subjects.values().map(free_at).collect();
        let some = capacity.div_ceil(16).min(by_time.len().saturating_sub(1));
        let (_, &mut last, _) = by_time.select_nth_unstable(some);
        let mut left = some.max(1);
        self.subjects.retain(|_, windows| {
            let forget = left > 0 && free_at(windows) <= last;
            left = left.saturating_sub(forget.into());
            !forget
        });
    }
}

impl Window {
    fn of(limit: &RateLimit) -> Self {
        match limit.kind() {
            RateKind::Smooth => Self::Smooth(Smooth::default()),
            RateKind::Exact => Self::Exact(Box::default()),
        }
    }

    fn is_free(&self, now: Steady) -> bool {
        match self {
            Self::Smooth(window) => window.is_free(now),
            Self::Exact(window) => window.is_free(now),
        }
    }

    fn free_at(&self) -> Steady {
        match self {
            Self::Smooth(window) => window.free_at(),
            Self::Exact(window) => window.free_at(),
        }
    }

    const fn is_of(&self, limit: &RateLimit) -> bool {
        matches!(
            (self, limit.kind()),
            (Self::Smooth(_), RateKind::Smooth) | (Self::Exact(_), RateKind::Exact)
        )
    }
}

/// Measures every window, then commits all if all agree.
fn decide(windows: &mut Windows, take: &Take<'_>, commit: bool) -> Tally {
    fit(windows, take.limits);
    let now = take.now.steady;
    let mut after: SmallVec<[Option<Smooth>; 2]> = SmallVec::new();
    let mut tally = Tally {
        admitted: true,
        windows: SmallVec::new(),
    };
    for (window, limit) in windows.iter_mut().zip(take.limits) {
        let (next, state) = match window {
            Window::Smooth(smooth) => {
                let (next, state) = smooth.measure(limit, take.cost, now);
                (Some(next), state)
            }
            Window::Exact(exact) => {
                exact.advance(now);
                (None, exact.measure(limit, take.cost, now))
            }
        };
        tally.admitted &= state.retry_after.is_none();
        after.push(next);
        tally.windows.push(state);
    }
    if !commit || !tally.admitted {
        // A window that agreed has told what would be left; nothing was consumed after all.
        for ((window, limit), state) in windows.iter().zip(take.limits).zip(&mut tally.windows) {
            if state.retry_after.is_none() {
                *state = standing(window, limit, now);
            }
        }
        return tally;
    }
    for (((window, limit), next), state) in windows
        .iter_mut()
        .zip(take.limits)
        .zip(after)
        .zip(&mut tally.windows)
    {
        match (window, next) {
            (Window::Smooth(smooth), Some(next)) => *smooth = next,
            (Window::Exact(exact), _) => *state = exact.commit(limit, take.cost, now),
            (Window::Smooth(_), None) => {}
        }
    }
    tally
}

fn standing(window: &Window, limit: &RateLimit, now: Steady) -> WindowState {
    match window {
        Window::Smooth(smooth) => smooth.measure(limit, 0, now).1,
        Window::Exact(exact) => exact.measure(limit, 0, now),
    }
}

fn fits(windows: &Windows, limits: &[RateLimit]) -> bool {
    let mut pairs = windows.iter().zip(limits);
    windows.len() == limits.len() && pairs.all(|(window, limit)| window.is_of(limit))
}

/// Gives a subject one window for each limit, keeping those that still fit.
fn fit(windows: &mut Windows, limits: &[RateLimit]) {
    if fits(windows, limits) {
        return;
    }
    let mut old = std::mem::take(windows);
    for limit in limits {
        let kept = old.iter().position(|window| window.is_of(limit));
        windows.push(kept.map_or_else(|| Window::of(limit), |at| old.remove(at)));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Moment, Timestamp};

    fn at(millis: u64) -> Moment {
        Moment {
            wall: Timestamp::from_micros(i64::try_from(millis).unwrap() * 1000),
            steady: Steady::from_nanos(millis * 1_000_000),
        }
    }

    fn address(n: u32) -> Subject {
        Subject::address(Ipv4Addr::from_bits(n).into())
    }

    fn smooth(units: u32, secs: u64) -> RateLimit {
        RateLimit::smooth(units, Duration::from_secs(secs)).unwrap()
    }

    fn exact(units: u32, secs: u64) -> RateLimit {
        RateLimit::exact(units, Duration::from_secs(secs)).unwrap()
    }

    #[test]
    fn all_windows_or_none() {
        let limiter = LocalLimiter::new();
        let (subject, limits) = (address(1), [smooth(10, 60), exact(2, 1)]);
        let take = |cost, millis| {
            limiter.decide(
                &Take {
                    subject: &subject,
                    limits: &limits,
                    cost,
                    now: at(millis),
                },
                true,
            )
        };
        assert!(take(2, 0).admitted);
        let refused = take(1, 0);
        assert!(!refused.admitted);
        assert_eq!(refused.windows[0].remaining, 8);
        assert_eq!(refused.windows[0].retry_after, None);
        assert!(refused.windows[1].retry_after.is_some());
        assert_eq!(take(0, 0).windows[0].remaining, 8);
    }

    #[test]
    fn a_flood_of_addresses_stays_within_bounds() {
        let limiter = LocalLimiter::with_capacity(1000);
        let limits = [smooth(10, 60)];
        for n in 0..20_000 {
            let take = Take {
                subject: &address(n),
                limits: &limits,
                cost: 1,
                now: at(0),
            };
            assert!(limiter.decide(&take, true).admitted);
        }
        let kept = limiter.subjects();
        assert!((900..=1000 + SHARDS).contains(&kept), "{kept}");
    }

    #[test]
    fn a_flood_neither_frees_nor_forgets_who_waits_longest() {
        for long in [smooth(1, 3600), exact(1, 3600)] {
            let limiter = LocalLimiter::with_capacity(6400);
            let take = |n, limit: &RateLimit, millis| {
                let take = Take {
                    subject: &address(n),
                    limits: std::slice::from_ref(limit),
                    cost: 1,
                    now: at(millis),
                };
                limiter.decide(&take, true).admitted
            };
            assert!((0..64).all(|n| take(n, &long, 0)));
            // The first half leaves no window free, the second finds those of the first free.
            for n in 0..40_000 {
                let millis = if n < 20_000 { 0 } else { 20_000 };
                assert!(take(1000 + n, &smooth(1, 10), millis));
            }
            assert!((0..64).all(|n| !take(n, &long, 20_000)), "{long:?}");
        }
    }

    #[test]
    fn who_consumed_nothing_is_not_kept() {
        let limiter = LocalLimiter::new();
        let limits = [smooth(10, 60), exact(10, 60)];
        for (cost, commit) in [(0, true), (0, false), (1, false), (11, true), (11, false)] {
            let take = Take {
                subject: &address(1),
                limits: &limits,
                cost,
                now: at(0),
            };
            limiter.decide(&take, commit);
            assert_eq!(limiter.subjects(), 0, "{cost} {commit}");
        }
        assert_eq!(format!("{limiter:?}"), "LocalLimiter { .. }");
    }

    #[test]
    fn free_subjects_are_forgotten_without_being_asked() {
        let limiter = LocalLimiter::new();
        let limits = [smooth(1, 1)];
        for n in 0..100_000 {
            let take = Take {
                subject: &address(n),
                limits: &limits,
                cost: 1,
                now: at(n.into()),
            };
            limiter.decide(&take, true);
        }
        assert!(limiter.subjects() < 10_000, "{}", limiter.subjects());
    }

    #[test]
    fn a_new_list_of_limits_keeps_what_still_fits() {
        let limiter = LocalLimiter::new();
        let subject = address(1);
        let take = |limits: &[RateLimit], cost| {
            limiter.decide(
                &Take {
                    subject: &subject,
                    limits,
                    cost,
                    now: at(0),
                },
                true,
            )
        };
        take(&[smooth(10, 60), exact(10, 60)], 4);
        let tally = take(&[exact(20, 60)], 0);
        assert_eq!(tally.windows[0].remaining, 16);
        // A window of another kind begins anew, and counts from the first request on.
        assert_eq!(take(&[smooth(20, 60)], 5).windows[0].remaining, 15);
        assert_eq!(take(&[smooth(20, 60)], 0).windows[0].remaining, 15);
        assert_eq!(take(&[exact(20, 60)], 0).windows[0].remaining, 20);
    }

    proptest! {
        #[test]
        fn a_refusal_changes_nothing(
            steps in prop::collection::vec((0_u64..3_000, 1_u32..5), 1..100),
        ) {
            let limiter = LocalLimiter::new();
            let (subject, limits) = (address(1), [smooth(5, 10), exact(7, 20), smooth(3, 1)]);
            let mut now = 0;
            for (step, cost) in steps {
                now += step;
                let take = Take { subject: &subject, limits: &limits, cost, now: at(now) };
                let peek = || limiter.decide(&Take { cost: 0, ..take }, false);
                let before = peek();
                let foretold = limiter.decide(&take, false);
                let tally = limiter.decide(&take, true);
                prop_assert_eq!(foretold.admitted, tally.admitted);
                if tally.admitted {
                    let spent = before.windows.iter().zip(&peek().windows).all(|(a, b)| a.remaining - b.remaining == cost);
                    prop_assert!(spent);
                } else {
                    prop_assert_eq!(before, peek());
                    let again = Take { now: Moment { steady: take.now.steady.after(tally.retry_after()), ..take.now }, ..take };
                    prop_assert!(limiter.decide(&again, false).admitted || cost > 3);
                }
            }
        }
    }
}
