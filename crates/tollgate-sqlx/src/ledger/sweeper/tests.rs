use tollgate_core::credits::{Grant, Ledger, Settle};
use tollgate_servers::Postgres;
use tollgate_testkit::records::{at, change, hold_id, hold_request, org};

use super::*;
use crate::postgres::PostgresOptions;
use crate::store::{SqlStore, SqliteStore};

/// Holds of these come first.
const DAMAGED: u32 = 7;
const LIMIT: u32 = 3;

/// The sums, or all of it.
const WALLETS: [&str; 3] = [
    "UPDATE tollgate_wallets SET granted = granted + 100 WHERE organization = 'acme'",
    "UPDATE tollgate_wallets SET held = 0 WHERE organization = 'acme'",
    "DELETE FROM tollgate_wallets WHERE organization = 'acme'",
];
const HOLDS: &str = "UPDATE tollgate_holds SET paid_priority = 300 WHERE organization = 'acme'";

/// Damages what the first of two organizations has, and sweeps.
async fn sweep<B: Backend>(store: &SqlStore<B>, damage: &'static str) {
    let others = [DAMAGED, DAMAGED + 1];
    for (name, holds) in [("acme", 0..DAMAGED), ("other", DAMAGED..DAMAGED + 2)] {
        let grant = Grant::new(org(name), 100);
        store.grant(grant, change(0)).await.unwrap();
        for n in holds {
            store.hold(&hold_request(n, name, 3, 3)).await.unwrap();
        }
    }
    let mut writer = store.backend.write().await.unwrap();
    writer.execute(damage, values![]).await.unwrap();
    writer.commit().await.unwrap();
    let before = rows(store).await;
    assert_eq!(store.expire(at(59), LIMIT).await.unwrap(), 0, "{damage}");
    let ended = store.expire(at(60), 1).await;
    assert_eq!(ended.unwrap(), 1, "{damage}");
    let ended = store.expire(at(60), LIMIT).await;
    assert_eq!(ended.unwrap(), 1, "{damage}");
    assert_eq!(store.expire(at(60), LIMIT).await.unwrap(), 0, "{damage}");
    let balance = store.balance(&org("other"), at(60), None).await.unwrap();
    assert_eq!(balance.held, 0, "{damage}");
    assert_eq!(rows(store).await, before, "{damage}");
    for n in others {
        let settled = store.settle(settle(n)).await.unwrap();
        assert_eq!(settled.charged(), 0, "{damage}");
    }
}

fn settle(n: u32) -> Settle {
    Settle {
        id: hold_id(n),
        credits: 3,
        at: at(61),
        outcome: None,
        parts: Vec::new(),
    }
}

/// What the damaged organization has: its wallets, what they hold, its open holds.
async fn rows<B: Backend>(store: &SqlStore<B>) -> [i64; 3] {
    const ROWS: &str = "SELECT (SELECT count(*) FROM tollgate_wallets WHERE organization = 'acme'), \
         (SELECT CAST(coalesce(sum(held), 0) AS BIGINT) FROM tollgate_wallets \
         WHERE organization = 'acme'), \
         (SELECT count(*) FROM tollgate_holds WHERE organization = 'acme' AND state = 'open')";
    let mut reader = store.backend.read().await.unwrap();
    let found = reader.fetch_optional(ROWS, values![]).await.unwrap();
    let mut row = found.unwrap();
    std::array::from_fn(|_| row.take().unwrap())
}

#[tokio::test]
async fn what_is_damaged_keeps_nobody_elses_hold_from_ending_on_sqlite() {
    for damage in WALLETS.into_iter().chain([HOLDS]) {
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        sweep(&store, damage).await;
    }
}

#[tokio::test]
async fn what_is_damaged_keeps_nobody_elses_hold_from_ending_on_postgres() {
    for damage in WALLETS.into_iter().chain([HOLDS]) {
        let options = PostgresOptions::new(Postgres::shared().fresh())
            .allow_lost_commits()
            .by_the_callers_time();
        let store = options.open().await.unwrap();
        sweep(&store, damage).await;
        store.close().await;
    }
}

#[test]
fn the_same_damage_is_told_once() {
    let damage = |wallets: &[&str], holds: &[u32]| Damage {
        wallets: wallets.iter().copied().map(org).collect(),
        holds: holds.iter().copied().map(hold_id).collect(),
    };
    let told = damage(&["acme"], &[1]);
    for (damage, is_news) in [
        (damage(&[], &[]), false),
        (damage(&["acme"], &[]), false),
        (damage(&["acme"], &[1]), false),
        (damage(&["acme", "other"], &[1]), true),
        (damage(&["acme"], &[1, 2]), true),
        (damage(&[], &[2]), true),
    ] {
        assert_eq!(damage.is_news(&told), is_news, "{damage:?}");
    }
}
