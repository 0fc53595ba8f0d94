//! What every [`UsageStore`] must do.
//!
//! [`usage_store_contract!`](crate::usage_store_contract) makes one test of each case.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use std::net::IpAddr;

use tollgate_core::clock::Timestamp;
use tollgate_core::store::KeyStore;
use tollgate_core::usage::{
    KeyUsage, UsageCount, UsageOf, UsagePeriod, UsageQuery, UsageRow, UsageStore, UsageTotals,
};

use crate::records::{api_key, at, change, digest, key_id, org, organization};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! usage_store_contract {
    ($make:expr) => {
        $crate::__contract_tests! { usage_store, $make;
            a_key_that_was_never_used_has_zeros,
            batches_add_up,
            a_key_may_be_in_a_batch_twice,
            unknown_keys_are_ignored,
            last_used_never_goes_back,
            an_unknown_address_keeps_the_last_known_one,
            counts_do_not_overflow,
            a_deleted_key_has_no_usage,
            counters_are_added_up_as_asked,
            counters_of_days_begin_with_the_day,
            counters_have_an_end,
        }
    };
}

async fn with_key<S: KeyStore>(store: &S) {
    store
        .insert_organization(organization("acme"), change(0))
        .await
        .unwrap();
    store
        .insert_key(api_key(1, "acme"), digest(1), change(0))
        .await
        .unwrap();
}

fn used(n: u32, secs: u64, address: &str, requests: u64) -> KeyUsage {
    let count = |outcome: &str, requests| UsageCount {
        route: "GET /iocs/{id}".into(),
        outcome: outcome.into(),
        hour: at(0),
        requests,
    };
    KeyUsage {
        key: key_id(n),
        last_used_at: at(secs),
        last_address: address.parse().ok(),
        with_old_secret: 1,
        counts: vec![count("2xx", requests), count("rate_limited", 2)],
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// A key without usage reads as zeros, known or not.
pub async fn a_key_that_was_never_used_has_zeros<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    for n in [1, 9] {
        let usage = store.usage(&key_id(n)).await.unwrap();
        assert_eq!(usage, UsageTotals::default());
    }
}

/// Totals are the sum of all batches.
pub async fn batches_add_up<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    for secs in 1..=3 {
        let batch = vec![used(1, secs, "192.0.2.1", 10)];
        store.record_usage(batch).await.unwrap();
    }
    store.record_usage(vec![]).await.unwrap();
    assert_eq!(
        store.usage(&key_id(1)).await.unwrap(),
        UsageTotals {
            total_requests: 36,
            with_old_secret: 3,
            last_used_at: Some(at(3)),
            last_address: address("192.0.2.1"),
        }
    );
}

/// Two entries of one key in one batch count twice.
pub async fn a_key_may_be_in_a_batch_twice<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    let batch = vec![used(1, 1, "192.0.2.1", 1), used(1, 2, "2001:db8::1", 1)];
    store.record_usage(batch).await.unwrap();
    let usage = store.usage(&key_id(1)).await.unwrap();
    assert_eq!((usage.total_requests, usage.with_old_secret), (6, 2));
    assert_eq!(usage.last_address, address("2001:db8::1"));
}

/// A key that was deleted meanwhile does not spoil a batch.
pub async fn unknown_keys_are_ignored<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    let batch = vec![used(9, 1, "192.0.2.9", 1), used(1, 1, "192.0.2.1", 1)];
    store.record_usage(batch).await.unwrap();
    let unknown = store.usage(&key_id(9)).await.unwrap();
    assert_eq!(unknown, UsageTotals::default());
    assert_eq!(store.usage(&key_id(1)).await.unwrap().total_requests, 3);
}

/// Batches of several processes arrive in any order.
pub async fn last_used_never_goes_back<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    for (secs, address) in [(5, "192.0.2.5"), (4, "192.0.2.4")] {
        let batch = vec![used(1, secs, address, 1)];
        store.record_usage(batch).await.unwrap();
    }
    let usage = store.usage(&key_id(1)).await.unwrap();
    assert_eq!(usage.last_used_at, Some(at(5)));
    assert_eq!(usage.last_address, address("192.0.2.5"));
    assert_eq!(usage.total_requests, 6);
}

/// A request from nowhere does not wipe out where the one before came from.
pub async fn an_unknown_address_keeps_the_last_known_one<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    for (secs, address) in [(5, "192.0.2.5"), (6, "unknown")] {
        let batch = vec![used(1, secs, address, 1)];
        store.record_usage(batch).await.unwrap();
    }
    let usage = store.usage(&key_id(1)).await.unwrap();
    assert_eq!(usage.last_used_at, Some(at(6)));
    assert_eq!(usage.last_address, address("192.0.2.5"));
}

/// Counters that are as high as they go stay there.
pub async fn counts_do_not_overflow<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    for _ in 0..3 {
        let batch = vec![used(1, 1, "192.0.2.1", i64::MAX.unsigned_abs())];
        store.record_usage(batch).await.unwrap();
    }
    let usage = store.usage(&key_id(1)).await.unwrap();
    assert!(usage.total_requests >= i64::MAX.unsigned_abs());
}

/// Usage goes with its key.
pub async fn a_deleted_key_has_no_usage<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    let batch = vec![used(1, 1, "192.0.2.1", 1)];
    store.record_usage(batch.clone()).await.unwrap();
    store.delete_key(&key_id(1), change(2)).await.unwrap();
    store.record_usage(batch).await.unwrap();
    let usage = store.usage(&key_id(1)).await.unwrap();
    assert_eq!(usage, UsageTotals::default());
}

const HOUR: u64 = 3_600;

/// Three keys, of which the third is another's, in three hours from the start.
async fn counted<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    let made = store.insert_organization(organization("other"), change(0));
    made.await.unwrap();
    for (n, owner) in [(2, "acme"), (3, "other")] {
        let key = api_key(n.into(), owner);
        store.insert_key(key, digest(n), change(0)).await.unwrap();
    }
    let count = |hour, route: &str, outcome: &str, requests| UsageCount {
        route: route.into(),
        outcome: outcome.into(),
        hour: at(HOUR.saturating_mul(hour)),
        requests,
    };
    for (n, counts) in [
        (
            1,
            vec![count(0, "GET /a", "2xx", 1), count(1, "GET /a", "2xx", 2)],
        ),
        (
            1,
            vec![count(0, "GET /a", "2xx", 4), count(0, "GET /b", "4xx", 8)],
        ),
        (
            2,
            vec![count(1, "GET /a", "4xx", 16), count(2, "GET /a", "2xx", 32)],
        ),
        (3, vec![count(0, "GET /a", "2xx", 64)]),
    ] {
        let used = used(n, 1, "192.0.2.1", 0);
        let batch = vec![KeyUsage { counts, ..used }];
        store.record_usage(batch).await.unwrap();
    }
}

async fn asked<S: UsageStore>(store: &S, query: UsageQuery) -> Vec<UsageRow> {
    store.usage_counts(query).await.unwrap()
}

/// A row of so many hours from the start, of key 0 if keys are not told apart.
fn row(hour: u64, key: u32, route: &str, outcome: &str, requests: u64) -> UsageRow {
    UsageRow {
        start: at(HOUR.saturating_mul(hour)),
        key: (key > 0).then(|| key_id(key)),
        route: (!route.is_empty()).then(|| route.into()),
        outcome: (!outcome.is_empty()).then(|| outcome.into()),
        requests,
    }
}

/// Of a key or of all keys of an organization; of hours that begin in time; what is not told
/// apart is added up.
pub async fn counters_are_added_up_as_asked<S: KeyStore + UsageStore>(store: &S) {
    counted(store).await;
    let hours = |of, from: u64, until: u64| {
        let at = |hour: u64| at(HOUR.saturating_mul(hour));
        UsageQuery::new(of, at(from), at(until))
    };
    let acme = |from, until| hours(UsageOf::Organization(org("acme")), from, until);
    let first = |from, until| hours(UsageOf::Key(key_id(1)), from, until);
    assert_eq!(asked(store, acme(0, 3)).await, [row(0, 0, "", "", 63)]);
    assert_eq!(asked(store, acme(1, 2)).await, [row(1, 0, "", "", 18)]);
    assert_eq!(asked(store, first(0, 9)).await, [row(0, 0, "", "", 15)]);
    assert_eq!(asked(store, first(2, 9)).await, []);
    let nobody = UsageOf::Organization(org("nobody"));
    assert_eq!(asked(store, hours(nobody, 0, 9)).await, []);
    assert_eq!(
        asked(store, acme(0, 9).by_key()).await,
        [row(0, 1, "", "", 15), row(0, 2, "", "", 48)]
    );
    assert_eq!(
        asked(store, acme(0, 9).by_route()).await,
        [row(0, 0, "GET /a", "", 55), row(0, 0, "GET /b", "", 8)]
    );
    assert_eq!(
        asked(store, acme(0, 9).per(UsagePeriod::Hour)).await,
        [
            row(0, 0, "", "", 13),
            row(1, 0, "", "", 18),
            row(2, 0, "", "", 32),
        ]
    );
    let all = acme(0, 2).per(UsagePeriod::Hour).by_outcome();
    assert_eq!(
        asked(store, all.by_route().by_key()).await,
        [
            row(0, 1, "GET /a", "2xx", 5),
            row(0, 1, "GET /b", "4xx", 8),
            row(1, 1, "GET /a", "2xx", 2),
            row(1, 2, "GET /a", "4xx", 16),
        ]
    );
    store.delete_key(&key_id(1), change(9)).await.unwrap();
    assert_eq!(asked(store, first(0, 9)).await, []);
    assert_eq!(asked(store, acme(0, 9)).await, [row(0, 0, "", "", 48)]);
}

/// Days are those of UTC.
pub async fn counters_of_days_begin_with_the_day<S: KeyStore + UsageStore>(store: &S) {
    with_key(store).await;
    let day = Timestamp::from_secs(20_000 * 86_400);
    let count = |secs: i64, requests| UsageCount {
        route: "GET /a".into(),
        outcome: "2xx".into(),
        hour: Timestamp::from_secs(20_000 * 86_400 + secs),
        requests,
    };
    let counts = vec![
        count(-3_600, 1),
        count(0, 2),
        count(82_800, 4),
        count(86_400, 8),
    ];
    let used = used(1, 1, "192.0.2.1", 0);
    let batch = vec![KeyUsage { counts, ..used }];
    store.record_usage(batch).await.unwrap();
    let of = UsageOf::Key(key_id(1));
    let until = Timestamp::from_secs(20_002 * 86_400);
    let query = UsageQuery::new(of, Timestamp::from_secs(0), until);
    let rows = asked(store, query.per(UsagePeriod::Day)).await;
    let days: Vec<_> = rows.iter().map(|row| (row.start, row.requests)).collect();
    let after = |days: i64| Timestamp::from_secs((20_000 + days) * 86_400);
    assert_eq!(days, [(after(-1), 1), (day, 6), (after(1), 8)]);
}

/// And a sum that is as high as it goes stays there.
pub async fn counters_have_an_end<S: KeyStore + UsageStore>(store: &S) {
    counted(store).await;
    let of = UsageOf::Organization(org("acme"));
    let query = UsageQuery::new(of, at(0), at(9 * HOUR)).per(UsagePeriod::Hour);
    let two = asked(store, query.clone().limit(2)).await;
    assert_eq!(two, [row(0, 0, "", "", 13), row(1, 0, "", "", 18)]);
    let most = vec![used(2, 1, "192.0.2.1", i64::MAX.unsigned_abs())];
    store.record_usage(most).await.unwrap();
    let rows = asked(store, query.limit(1)).await;
    assert!(rows.first().unwrap().requests >= i64::MAX.unsigned_abs());
}
