//! What every [`QuotaStore`] must do.
//!
//! [`quota_store_contract!`](crate::quota_store_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::clock::Timestamp;
use tollgate_core::quota::{DebitRequest, Debited, MAX_QUOTA, QuotaPeriod, QuotaStore};
use tollgate_core::rate::Subject;

use crate::at_once::at_once;
use crate::records::{at, key_id, org};

const DAY: u64 = 86_400;

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! quota_store_contract {
    ($make:expr) => {
        $crate::__contract_tests! { quota_store, $make;
            a_debit_gives_what_is_wanted_until_nothing_is_left,
            less_than_is_of_use_is_not_debited,
            who_wants_nothing_is_told_what_is_used,
            a_new_period_starts_at_zero,
            a_clock_that_is_set_back_reopens_nothing,
            subjects_periods_and_classes_are_counted_apart,
            what_is_given_back_can_be_debited_again,
            giving_back_never_makes_more_than_there_was,
            units_of_another_period_are_not_given_back,
            a_lower_limit_gives_nothing_once_it_is_passed,
            the_largest_quota_can_be_debited,
            concurrent_debits_give_exactly_the_limit,
        }
    };
}

fn acme() -> Subject {
    Subject::organization(org("acme"))
}

fn request(start: Timestamp, limit: u64, want: u64, at_least: u64) -> DebitRequest {
    DebitRequest {
        subject: acme(),
        period: QuotaPeriod::Day,
        start,
        limit,
        want,
        at_least,
    }
}

async fn debit<S: QuotaStore>(store: &S, request: DebitRequest) -> (u64, u64) {
    let Debited { granted, used } = store.debit(request).await.unwrap();
    (granted, used)
}

/// The last debit gives the rest, the one after it nothing.
pub async fn a_debit_gives_what_is_wanted_until_nothing_is_left<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 4, 1)).await, (4, 4));
    assert_eq!(debit(store, request(at(0), 10, 4, 1)).await, (4, 8));
    assert_eq!(debit(store, request(at(0), 10, 4, 1)).await, (2, 10));
    assert_eq!(debit(store, request(at(0), 10, 4, 1)).await, (0, 10));
}

/// Where less than `at_least` is left, it stays.
pub async fn less_than_is_of_use_is_not_debited<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 8, 1)).await, (8, 8));
    assert_eq!(debit(store, request(at(0), 10, 5, 3)).await, (0, 8));
    assert_eq!(debit(store, request(at(0), 10, 5, 2)).await, (2, 10));
}

/// A debit of nothing changes nothing, however much is left.
pub async fn who_wants_nothing_is_told_what_is_used<S: QuotaStore>(store: &S) {
    for (taken, used) in [(0, 0), (7, 7), (3, 10)] {
        if taken > 0 {
            let debited = debit(store, request(at(0), 10, taken, taken)).await;
            assert_eq!(debited, (taken, used));
        }
        for _ in 0..3 {
            assert_eq!(debit(store, request(at(0), 10, 0, 0)).await, (0, used));
        }
    }
}

/// Each period has its whole quota.
pub async fn a_new_period_starts_at_zero<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 10, 1)).await, (10, 10));
    assert_eq!(debit(store, request(at(DAY), 10, 3, 1)).await, (3, 3));
}

/// A debit for an earlier period than the newest counts on the newest.
pub async fn a_clock_that_is_set_back_reopens_nothing<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 1, 1)).await, (1, 1));
    assert_eq!(debit(store, request(at(DAY), 10, 8, 1)).await, (8, 8));
    assert_eq!(debit(store, request(at(0), 10, 8, 1)).await, (2, 10));
    assert_eq!(debit(store, request(at(DAY), 10, 1, 1)).await, (0, 10));
}

/// A day and a month, two subjects and two classes of one subject share nothing.
pub async fn subjects_periods_and_classes_are_counted_apart<S: QuotaStore>(store: &S) {
    let others = [
        (acme(), QuotaPeriod::Day),
        (acme(), QuotaPeriod::Month),
        (acme().in_class("exports".into()), QuotaPeriod::Day),
        (Subject::organization(org("other")), QuotaPeriod::Day),
        (Subject::key(key_id(1)), QuotaPeriod::Day),
    ];
    for (subject, period) in others {
        let request = DebitRequest {
            subject,
            period,
            ..request(at(0), 10, 10, 1)
        };
        assert_eq!(debit(store, request).await, (10, 10));
    }
}

/// Units that were given back are there again.
pub async fn what_is_given_back_can_be_debited_again<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 10, 1)).await, (10, 10));
    store
        .give_back(acme(), QuotaPeriod::Day, at(0), 4)
        .await
        .unwrap();
    assert_eq!(debit(store, request(at(0), 10, 10, 1)).await, (4, 10));
}

/// More than was used cannot be given back.
pub async fn giving_back_never_makes_more_than_there_was<S: QuotaStore>(store: &S) {
    let day = QuotaPeriod::Day;
    store.give_back(acme(), day, at(0), 5).await.unwrap();
    assert_eq!(debit(store, request(at(0), 10, 3, 1)).await, (3, 3));
    store.give_back(acme(), day, at(0), u64::MAX).await.unwrap();
    assert_eq!(debit(store, request(at(0), 10, 20, 1)).await, (10, 10));
}

/// Yesterday's units are gone.
pub async fn units_of_another_period_are_not_given_back<S: QuotaStore>(store: &S) {
    let day = QuotaPeriod::Day;
    assert_eq!(debit(store, request(at(0), 10, 5, 1)).await, (5, 5));
    assert_eq!(debit(store, request(at(DAY), 10, 5, 1)).await, (5, 5));
    store.give_back(acme(), day, at(0), 5).await.unwrap();
    store.give_back(acme(), day, at(2 * DAY), 5).await.unwrap();
    assert_eq!(debit(store, request(at(DAY), 10, 1, 1)).await, (1, 6));
}

/// A smaller plan in the middle of a period keeps what was used.
pub async fn a_lower_limit_gives_nothing_once_it_is_passed<S: QuotaStore>(store: &S) {
    assert_eq!(debit(store, request(at(0), 10, 8, 1)).await, (8, 8));
    assert_eq!(debit(store, request(at(0), 5, 1, 0)).await, (0, 8));
    assert_eq!(debit(store, request(at(0), 9, 5, 1)).await, (1, 9));
}

/// There is no overflow within the bounds of a quota.
pub async fn the_largest_quota_can_be_debited<S: QuotaStore>(store: &S) {
    let all = || request(at(0), MAX_QUOTA, u64::MAX, 1);
    assert_eq!(debit(store, all()).await, (MAX_QUOTA, MAX_QUOTA));
    assert_eq!(debit(store, all()).await, (0, MAX_QUOTA));
}

/// However many nodes debit at once, they get the limit and no more.
pub async fn concurrent_debits_give_exactly_the_limit<S: QuotaStore>(store: &S) {
    let debits = at_once(32, |_| store.debit(request(at(0), 100, 7, 1))).await;
    let granted: u64 = debits.into_iter().map(|it| it.unwrap().granted).sum();
    assert_eq!(granted, 100);
}
