//! Many want the last credits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_core::clock::{Clock, SystemClock};
use tollgate_core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Settle};
use tollgate_core::id::HoldId;
use tollgate_servers::Postgres;
use tollgate_sqlx::{AnyOptions, AnyStore, SqliteOptions};
use tollgate_testkit::records::{at, change, hold_request, org};

use crate::{number, open, say};

const TASKS: u64 = 64;
/// Of so many refusals, one is followed by a grant, so that the credits are always the last ones.
const REFUSALS: u64 = 50;
const GRANT: u64 = 20;

#[derive(Debug, Default)]
struct Sums {
    /// Those that were begun; the last of each task is not made any more.
    begun: AtomicU64,
    granted: AtomicU64,
    charged: AtomicU64,
    refused: AtomicU64,
    voided: AtomicU64,
}

fn add(sum: &AtomicU64, more: u64) -> u64 {
    sum.fetch_add(more, Ordering::Relaxed)
}

/// `TOLLGATE_ATTEMPTS` says how often they try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_charge_the_last_credits_exactly_once() {
    let attempts = number("TOLLGATE_ATTEMPTS", 100_000);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.db");
    let options = SqliteOptions::new(path.to_str().unwrap()).synchronous_normal();
    let store = AnyOptions::Sqlite(options).open().await.unwrap();
    contend("SQLite", &[store], attempts).await;
}

/// `TOLLGATE_POSTGRES_ATTEMPTS` says how often they try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_nodes_of_postgres_they_charge_the_last_credits_exactly_once() {
    let attempts = number("TOLLGATE_POSTGRES_ATTEMPTS", 10_000);
    let url = Postgres::shared().fresh();
    let nodes = [open(&url).await, open(&url).await];
    contend("PostgreSQL", &nodes, attempts).await;
}

async fn contend(database: &str, nodes: &[AnyStore], attempts: u64) {
    let clock = SystemClock::default();
    let began = clock.now().steady;
    let sums = Arc::new(Sums::default());
    let store = nodes.first().unwrap();
    grant(store, &sums).await;
    let tasks: Vec<_> = (nodes.iter().cycle().zip(0..TASKS))
        .map(|(node, _)| tokio::spawn(try_often(node.clone(), Arc::clone(&sums), attempts)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // What was voided last, or granted last, is left.
    while attempt(store, &sums, true).await {}

    let took = clock.now().steady.since(began);
    say(&format!(
        "contention on {database}: {attempts} attempts in {took:.1?}: {sums:?}"
    ));
    let Sums {
        granted, charged, ..
    } = Arc::into_inner(sums).unwrap();
    let (granted, charged) = (granted.into_inner(), charged.into_inner());
    assert_eq!(charged, granted);
    let balance = store.balance(&org("acme"), at(0), None).await.unwrap();
    assert_eq!(
        (balance.granted, balance.settled, balance.held),
        (granted, charged, 0)
    );
    let last = store.entries(&org("acme"), None, 1).await.unwrap();
    assert_eq!(last.first().unwrap().balance, 0);
}

async fn try_often(store: AnyStore, sums: Arc<Sums>, attempts: u64) {
    while add(&sums.begun, 1) < attempts {
        let ends = fastrand::u8(0..4) > 0;
        let held = attempt(&store, &sums, ends).await;
        if !held && add(&sums.refused, 1).is_multiple_of(REFUSALS) {
            grant(&store, &sums).await;
        }
    }
}

/// Holds one credit, then charges it or gives it back. Says whether there was one.
async fn attempt(store: &AnyStore, sums: &Sums, charge: bool) -> bool {
    let id = HoldId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
    let request = HoldRequest {
        id,
        ..hold_request(0, "acme", 1, 1)
    };
    match store.hold(&request).await.unwrap() {
        HoldAnswer::Held { credits: 1, .. } => {}
        HoldAnswer::Insufficient { available: 0 } => return false,
        other => panic!("one credit was asked for: {other:?}"),
    }
    let at = at(0).after(Duration::from_secs(1));
    if charge {
        let settle = Settle {
            id,
            credits: 1,
            at,
            outcome: None,
            parts: Vec::new(),
        };
        add(&sums.charged, store.settle(settle).await.unwrap().charged());
    } else {
        store.void(id, &org("acme"), at).await.unwrap();
        add(&sums.voided, 1);
    }
    true
}

async fn grant(store: &AnyStore, sums: &Sums) {
    let grant = Grant::new(org("acme"), GRANT);
    store.grant(grant, change(0)).await.unwrap();
    add(&sums.granted, GRANT);
}
