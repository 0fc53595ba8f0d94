//! Charges that share a transaction, and wallets of an earlier version.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tollgate_core::credits::{
    EntryKind, Grant, HoldAnswer, HoldRequest, Idempotency, Ledger, Settle, Settlement,
};
use tollgate_core::error::StoreErrorKind;
use tollgate_testkit::records::{at, change, hold_id, hold_request, org};

use super::tests::{number, on_file};
use super::*;
use crate::session::{Session, Transaction, values};

/// Begins something that will have to wait.
async fn begin<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        assert!(Pin::new(&mut *future).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    // What writes has begun too, and waits for the connection.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn two_wallets() -> (tempfile::TempDir, SqliteStore) {
    let (dir, store) = on_file(|options| options).await;
    for name in ["acme", "other"] {
        let grant = Grant::new(org(name), 10);
        store.grant(grant, change(0)).await.unwrap();
    }
    (dir, store)
}

#[tokio::test]
async fn a_damaged_wallet_harms_nobody_elses_charge() {
    let (_dir, store) = two_wallets().await;
    let mut writer = store.backend.write().await.unwrap();
    let damage = "UPDATE tollgate_wallets SET pools = '[]' WHERE organization = 'acme'";
    writer.execute(damage, values![]).await.unwrap();
    let (acme, other) = (
        hold_request(1, "acme", 3, 3),
        hold_request(2, "other", 3, 3),
    );
    let mut acme = store.hold(&acme).into_future();
    let mut other = store.hold(&other).into_future();
    // Both wait for the writer, so one transaction gets them.
    begin(&mut acme).await;
    begin(&mut other).await;
    writer.commit().await.unwrap();
    let (acme, other) = tokio::join!(acme, other);
    assert_eq!(acme.unwrap_err().kind(), StoreErrorKind::Corrupt);
    let held = HoldAnswer::Held {
        credits: 3,
        available: 7,
    };
    assert_eq!(other.unwrap(), held);
}

/// The id of a hold that was forgotten, whose outcome is remembered.
#[tokio::test]
async fn what_the_database_refuses_of_one_charge_harms_nobody_elses() {
    let (_dir, store) = two_wallets().await;
    let once = |key: &str| HoldRequest {
        idempotency: Some(Arc::new(Idempotency {
            key: key.to_owned(),
            fingerprint: [1; 32],
            expires_at: at(1_000),
        })),
        ..hold_request(1, "acme", 3, 3)
    };
    store.hold(&once("a")).await.unwrap();
    let settle = Settle {
        id: hold_id(1),
        credits: 3,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    store.settle(settle).await.unwrap();
    assert_eq!(store.forget(at(500), at(500), 9).await.unwrap(), 1);
    let writer = store.backend.write().await.unwrap();
    let mut again = store.hold(&once("b")).into_future();
    let mut other = store.hold(&hold_request(2, "other", 3, 3)).into_future();
    begin(&mut again).await;
    begin(&mut other).await;
    drop(writer);
    let (again, other) = tokio::join!(again, other);
    assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Conflict);
    assert!(matches!(other.unwrap(), HoldAnswer::Held { .. }));
}

/// The rollback of what was under way was the runtime's to do.
#[test]
fn a_store_that_outlives_its_runtime_goes_on() {
    let runtime = || {
        let new = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        new.unwrap()
    };
    let first = runtime();
    let (_dir, store) = first.block_on(two_wallets());
    let writer = first.block_on(store.backend.write()).unwrap();
    let dropped = first.spawn(async move {
        let _writer = writer;
        std::future::pending::<()>().await;
    });
    drop(first);
    drop(dropped);
    let held = runtime().block_on(store.hold(&hold_request(1, "acme", 3, 3)).into_future());
    assert!(matches!(held.unwrap(), HoldAnswer::Held { .. }));
}

#[tokio::test]
async fn a_request_that_is_dropped_while_it_waits_for_its_hold_leaves_nothing() {
    let (_dir, store) = two_wallets().await;
    let writer = store.backend.write().await.unwrap();
    let request = hold_request(1, "acme", 3, 3);
    let mut dropped = Box::pin(store.hold(&request).into_future());
    begin(&mut dropped).await;
    drop(dropped);
    let other = hold_request(2, "acme", 1, 1);
    let mut waits = store.hold(&other).into_future();
    begin(&mut waits).await;
    drop(writer);
    waits.await.unwrap();
    let balance = store.balance(&org("acme"), at(0), None).await.unwrap();
    assert_eq!(balance.held, 1);
    let reader = &mut store.backend.read().await.unwrap();
    assert_eq!(
        number(reader, "SELECT count(*) FROM tollgate_holds").await,
        1
    );
}

/// As the first version left it: 10 granted, 3 charged, 2 held, and a tombstone.
#[tokio::test]
async fn wallets_and_holds_of_the_first_version_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tollgate.db");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    let first = include_str!("../../migrations/sqlite/0001_init.sql");
    let hex = |n: u32| format!("X'{:032x}'", u128::from_be_bytes(*hold_id(n).as_bytes()));
    let rows = format!(
        "CREATE TABLE tollgate_migrations (version INTEGER NOT NULL PRIMARY KEY, \
             name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;
         INSERT INTO tollgate_migrations VALUES (1, 'init', 0);
         INSERT INTO tollgate_wallets VALUES ('acme', 10, 3, 2, NULL);
         INSERT INTO tollgate_wallets VALUES ('spent', 4, 4, 0, NULL);
         INSERT INTO tollgate_holds VALUES
             ({}, 'acme', {}, 'GET /', 3, 'settled', 3, 0, 9, 1),
             ({}, 'acme', {}, 'GET /', 2, 'open', 0, 0, 9, NULL),
             ({}, 'acme', NULL, NULL, 0, 'voided', 0, 0, NULL, 1);",
        hex(1),
        hex(9),
        hex(2),
        hex(9),
        hex(3),
    );
    for sql in [first, &rows] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut old)
            .await
            .unwrap();
    }
    old.close().await.unwrap();

    let store = SqliteStore::open(path.to_str().unwrap()).await.unwrap();
    let acme = store.balance(&org("acme"), at(0), None).await.unwrap();
    assert_eq!((acme.granted, acme.settled, acme.held), (10, 3, 2));
    let settle = |n| Settle {
        id: hold_id(n),
        credits: 2,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    let settled = store.settle(settle(2)).await.unwrap();
    assert_eq!(settled, Settlement::Settled { charged: 2 });
    let again = store.settle(settle(1)).await.unwrap();
    assert_eq!(again, Settlement::AlreadyEnded { charged: 3 });
    let late = store.hold(&hold_request(3, "acme", 1, 1)).await;
    assert_eq!(late.unwrap_err().kind(), StoreErrorKind::Conflict);
    let entries = store.entries(&org("acme"), None, 9).await.unwrap();
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind, entry.credits, entry.balance))
        .collect();
    assert_eq!(said, [(EntryKind::Charge, -2, 5), (EntryKind::Grant, 7, 7)]);
    assert_eq!(store.entries(&org("spent"), None, 9).await.unwrap(), []);
    store
        .grant(Grant::new(org("spent"), 1), change(0))
        .await
        .unwrap();
    store.hold(&hold_request(4, "spent", 1, 1)).await.unwrap();
}
