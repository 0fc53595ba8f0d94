//! What every [`Limiter`] must do.
//!
//! The limiter is told the time with each call, so the cases need no clock but a number.
//! [`limiter_contract!`](crate::limiter_contract) makes one test of each case.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the limiter breaks its contract"
)]

use std::time::Duration;

use tollgate_core::clock::{Clock, Moment};
use tollgate_core::rate::{Limiter, RateLimit, Subject, Take, Tally};

use crate::at_once::at_once;
use crate::clock::ManualClock;
use crate::records::{key_id, org};

/// Makes a test of every case, with the limiter that `$make` builds.
#[macro_export]
macro_rules! limiter_contract {
    ($make:expr) => {
        $crate::__contract_tests! { limiter, $make;
            a_burst_is_admitted_and_no_more,
            a_smooth_rate_refills_evenly,
            an_exact_rate_admits_no_more_than_its_limit_in_any_window,
            whoever_waits_as_told_is_admitted,
            all_windows_are_consumed_or_none,
            a_peek_foretells_and_consumes_nothing,
            a_cost_above_the_limit_is_always_refused,
            a_cost_of_nothing_consumes_nothing,
            no_limits_admit_everything,
            subjects_and_classes_are_counted_apart,
            a_jump_of_the_wall_clock_changes_nothing,
            concurrent_takes_admit_exactly_the_limit,
        }
    };
}

fn smooth(units: u32, secs: u64) -> RateLimit {
    RateLimit::smooth(units, Duration::from_secs(secs)).unwrap()
}

fn exact(units: u32, secs: u64) -> RateLimit {
    RateLimit::exact(units, Duration::from_secs(secs)).unwrap()
}

fn acme() -> Subject {
    Subject::organization(org("acme"))
}

async fn take<L: Limiter>(limiter: &L, limits: &[RateLimit], cost: u32, now: Moment) -> Tally {
    let subject = &acme();
    let take = Take {
        subject,
        limits,
        cost,
        now,
    };
    limiter.take(&take).await.unwrap()
}

async fn peek<L: Limiter>(limiter: &L, limits: &[RateLimit], cost: u32, now: Moment) -> Tally {
    let subject = &acme();
    let take = Take {
        subject,
        limits,
        cost,
        now,
    };
    limiter.peek(&take).await.unwrap()
}

fn remaining(tally: &Tally) -> Vec<u32> {
    tally.windows.iter().map(|it| it.remaining).collect()
}

/// Both kinds admit a first burst of N, and refuse the next unit.
pub async fn a_burst_is_admitted_and_no_more<L: Limiter>(limiter: &L) {
    let now = ManualClock::new().now();
    for limit in [smooth(3, 60), exact(3, 61)] {
        let limits = [limit];
        for left in [2, 1, 0] {
            let tally = take(limiter, &limits, 1, now).await;
            assert!(tally.admitted);
            assert_eq!(remaining(&tally), [left]);
            assert_eq!(tally.retry_after(), Duration::ZERO);
        }
        let tally = take(limiter, &limits, 1, now).await;
        assert!(!tally.admitted);
        assert!(tally.retry_after() > Duration::ZERO);
        let limits: Vec<_> = tally.windows.iter().map(|it| it.limit).collect();
        assert_eq!(limits, [3]);
    }
}

/// A smooth rate gives one unit back every N-th of its window.
pub async fn a_smooth_rate_refills_evenly<L: Limiter>(limiter: &L) {
    let (clock, limits) = (ManualClock::new(), [smooth(6, 60)]);
    assert!(take(limiter, &limits, 6, clock.now()).await.admitted);
    clock.advance(Duration::from_millis(9_999));
    assert!(!take(limiter, &limits, 1, clock.now()).await.admitted);
    clock.advance(Duration::from_millis(1));
    assert!(take(limiter, &limits, 1, clock.now()).await.admitted);
    assert!(!take(limiter, &limits, 1, clock.now()).await.admitted);
    clock.advance(Duration::from_secs(60));
    let tally = peek(limiter, &limits, 6, clock.now()).await;
    assert!(tally.admitted);
}

/// An exact rate is asked every second for ten windows; no window saw more than N.
pub async fn an_exact_rate_admits_no_more_than_its_limit_in_any_window<L: Limiter>(limiter: &L) {
    let (clock, limits) = (ManualClock::new(), [exact(7, 30)]);
    let mut admitted: Vec<u64> = Vec::new();
    for second in 0..300 {
        if take(limiter, &limits, 1, clock.now()).await.admitted {
            admitted.push(second);
        }
        clock.advance(Duration::from_secs(1));
    }
    assert!(admitted.len() >= 7 * 9, "too few: {admitted:?}");
    for start in 0..300_u64 {
        let window = start..start.saturating_add(30);
        let seen = admitted.iter().filter(|at| window.contains(at)).count();
        assert!(seen <= 7, "{seen} from second {start}");
    }
}

/// What `retry_after` says is long enough.
pub async fn whoever_waits_as_told_is_admitted<L: Limiter>(limiter: &L) {
    let (clock, limits) = (ManualClock::new(), [smooth(7, 60), exact(5, 45)]);
    let mut refused = 0;
    for _ in 0..40 {
        let tally = take(limiter, &limits, 2, clock.now()).await;
        if !tally.admitted {
            refused += 1;
            clock.advance(tally.retry_after());
            assert!(take(limiter, &limits, 2, clock.now()).await.admitted);
        }
    }
    assert!(refused > 0);
}

/// A window that agreed loses nothing when another refuses.
pub async fn all_windows_are_consumed_or_none<L: Limiter>(limiter: &L) {
    let (now, limits) = (ManualClock::new().now(), [smooth(10, 60), exact(2, 1)]);
    assert!(take(limiter, &limits, 2, now).await.admitted);
    let tally = take(limiter, &limits, 1, now).await;
    assert!(!tally.admitted);
    assert_eq!(remaining(&tally), [8, 0]);
    let refusals: Vec<_> = tally.windows.iter().map(|it| it.retry_after).collect();
    assert!(matches!(refusals.as_slice(), [None, Some(_)]));
    assert_eq!(remaining(&peek(limiter, &limits, 0, now).await), [8, 0]);
}

/// A peek says whether, not what would be left.
pub async fn a_peek_foretells_and_consumes_nothing<L: Limiter>(limiter: &L) {
    let (now, limits) = (ManualClock::new().now(), [smooth(3, 60), exact(4, 30)]);
    for _ in 0..5 {
        let tally = peek(limiter, &limits, 3, now).await;
        assert!(tally.admitted);
        assert_eq!(remaining(&tally), [3, 4]);
    }
    assert!(take(limiter, &limits, 3, now).await.admitted);
    let tally = peek(limiter, &limits, 1, now).await;
    assert!(!tally.admitted);
    assert_eq!(remaining(&tally), [0, 1]);
}

/// What can never be admitted consumes nothing either.
pub async fn a_cost_above_the_limit_is_always_refused<L: Limiter>(limiter: &L) {
    let now = ManualClock::new().now();
    for limit in [smooth(3, 60), exact(3, 61)] {
        let limits = [limit];
        for cost in [4, u32::MAX] {
            assert!(!take(limiter, &limits, cost, now).await.admitted);
        }
        assert!(take(limiter, &limits, 3, now).await.admitted);
    }
}

/// A free request is admitted even where nothing is left.
pub async fn a_cost_of_nothing_consumes_nothing<L: Limiter>(limiter: &L) {
    let (now, limits) = (ManualClock::new().now(), [smooth(1, 60), exact(1, 60)]);
    for left in [1, 0] {
        let tally = take(limiter, &limits, 0, now).await;
        assert!(tally.admitted);
        assert_eq!(remaining(&tally), [left, left]);
        take(limiter, &limits, 1, now).await;
    }
}

/// Without a window there is nothing to refuse.
pub async fn no_limits_admit_everything<L: Limiter>(limiter: &L) {
    let tally = take(limiter, &[], u32::MAX, ManualClock::new().now()).await;
    assert!(tally.admitted);
    assert!(tally.windows.is_empty());
}

/// Two subjects, and two classes of one subject, share nothing.
pub async fn subjects_and_classes_are_counted_apart<L: Limiter>(limiter: &L) {
    let (now, limits) = (ManualClock::new().now(), [exact(1, 60)]);
    let subjects = [
        acme(),
        acme().in_class("exports".into()),
        Subject::organization(org("other")),
        Subject::key(key_id(1)),
    ];
    for expected in [true, false] {
        for subject in &subjects {
            let take = Take {
                subject,
                limits: &limits,
                cost: 1,
                now,
            };
            let tally = limiter.take(&take).await.unwrap();
            assert_eq!(tally.admitted, expected, "{subject}");
        }
    }
}

/// Windows go by the steady clock.
pub async fn a_jump_of_the_wall_clock_changes_nothing<L: Limiter>(limiter: &L) {
    let (clock, limits) = (ManualClock::new(), [smooth(1, 60), exact(1, 60)]);
    let start = clock.now().wall;
    assert!(take(limiter, &limits, 1, clock.now()).await.admitted);
    for wall in [
        start.after(Duration::from_secs(7_200)),
        start.before(Duration::from_secs(7_200)),
    ] {
        clock.jump_wall(wall);
        assert!(!take(limiter, &limits, 1, clock.now()).await.admitted);
    }
}

/// However many ask at once, N are admitted.
pub async fn concurrent_takes_admit_exactly_the_limit<L: Limiter>(limiter: &L) {
    let now = ManualClock::new().now();
    let (subject, limits) = (acme(), [smooth(10, 3600), exact(12, 3600).named("x")]);
    let tallies = at_once(32, |_| {
        limiter.take(&Take {
            subject: &subject,
            limits: &limits,
            cost: 1,
            now,
        })
    })
    .await;
    let admitted = tallies
        .into_iter()
        .filter(|it| it.as_ref().unwrap().admitted);
    assert_eq!(admitted.count(), 10);
}
