//! What every [`UsageStore`] must do.
//!
//! [`usage_store_contract!`](crate::usage_store_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use std::net::IpAddr;

use tollgate_core::store::KeyStore;
use tollgate_core::usage::{KeyUsage, UsageCount, UsageStore, UsageTotals};

use crate::records::{api_key, at, change, digest, key_id, organization};

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
