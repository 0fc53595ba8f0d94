use std::time::Duration;

use fastrand::Rng;
use tokio::sync::oneshot;
use tollgate_core::credits::{Grant, Idempotency, Ledger};
use tollgate_core::error::StoreErrorKind;
use tollgate_servers::Postgres;
use tollgate_testkit::clock::START;
use tollgate_testkit::records::{at, change, hold_id, hold_request, org};

use super::*;
use crate::ledger::queue::Tell;
use crate::postgres::PostgresOptions;
use crate::session::{Backend, Transaction};
use crate::store::{PostgresStore, SqlStore, SqliteStore};

/// Holds that were there before the batch; the second and third are of requests that may come again.
const OLD: u32 = 101;
const ONCE: u32 = 102;
const TWICE: u32 = 103;

fn hold(n: u32) -> Op {
    Op::Hold(Box::new(hold_request(n, "acme", 1, 5)), nobody())
}

/// A hold of a request that may come again under this name.
fn once(n: u32, name: &str, now: Timestamp) -> Op {
    let idempotency = Idempotency {
        key: name.to_owned(),
        fingerprint: [1; 32],
        expires_at: now.after(Duration::from_secs(1)),
    };
    let mut request = hold_request(n, "acme", 1, 5);
    (request.at, request.idempotency) = (now, Some(Arc::new(idempotency)));
    request.deadline = now.after(Duration::from_secs(60));
    Op::Hold(Box::new(request), nobody())
}

fn extend(n: u32) -> Op {
    let extension = Extension {
        id: hold_id(n),
        credits: 7,
        owed: 2,
        deadline: at(90),
        at: at(1),
    };
    Op::Extend(extension, nobody())
}

fn settle(n: u32, credits: u64) -> Op {
    let settle = Settle {
        id: hold_id(n),
        credits,
        at: at(1),
        outcome: Some(b"done".as_slice().into()),
        parts: Vec::new(),
    };
    Op::Settle(settle, nobody())
}

fn void(n: u32) -> Op {
    Op::Void {
        id: hold_id(n),
        organization: org("acme"),
        at: at(1),
        tell: nobody(),
    }
}

fn nobody<T>() -> Tell<T> {
    oneshot::channel().0
}

/// A batch of these, with the old holds and a wallet that has enough.
fn decided(ops: &[Op]) -> Batch {
    let held = |n, may_come_again| {
        let mut hold = Hold::open(&hold_request(n, "acme", 1, 5), 5);
        hold.idempotent = may_come_again;
        (hold_id(n), hold)
    };
    let holds = vec![held(OLD, false), held(ONCE, true), held(TWICE, true)];
    let mut account = Account::default();
    account.grant(1_000, 0, None).unwrap();
    account.hold(15, 15).unwrap();
    let mut batch = Batch::of(holds, vec![(org("acme"), account)]);
    batch.decide(ops);
    batch
}

#[test]
fn a_batch_is_flat_where_no_statement_needs_what_another_writes() {
    let flat = [
        vec![],
        vec![hold(1)],
        // One wallet, written once.
        vec![hold(1), hold(2)],
        // Opened once, however often it is asked for.
        vec![hold(1), hold(1)],
        vec![hold(1), settle(OLD, 5)],
        vec![hold(1), void(OLD), extend(ONCE)],
        vec![extend(OLD), settle(OLD, 6)],
        vec![settle(OLD, 5), settle(OLD, 5), void(OLD)],
        vec![void(1)],
        // It is refused, since its tombstone is there first.
        vec![void(1), hold(1)],
        vec![once(1, "a", at(0))],
        vec![
            once(1, "a", at(0)),
            once(2, "a", at(0)),
            once(3, "b", at(0)),
        ],
        vec![once(1, "a", at(0)), settle(OLD, 5)],
        vec![settle(ONCE, 5), void(TWICE), hold(1)],
    ];
    for ops in flat {
        assert!(decided(&ops).is_flat(), "{}", shown(&ops));
    }
    let deep = [
        vec![hold(1), settle(1, 5)],
        vec![hold(1), settle(1, 0)],
        vec![hold(2), hold(1), void(1)],
        vec![hold(1), extend(1)],
        vec![once(1, "a", at(0)), settle(1, 5)],
        vec![once(1, "a", at(0)), settle(ONCE, 5)],
        vec![once(1, "a", at(0)), void(ONCE)],
    ];
    for ops in deep {
        assert!(!decided(&ops).is_flat(), "{}", shown(&ops));
    }
}

fn shown(ops: &[Op]) -> String {
    let shown = ops.iter().map(|op| match op {
        Op::Hold(it, _) if it.idempotency.is_some() => format!("once {:?}", it.id),
        Op::Hold(it, _) => format!("hold {:?}", it.id),
        Op::Extend(it, _) => format!("extend {:?}", it.id),
        Op::Settle(it, _) => format!("settle {:?} for {}", it.id, it.credits),
        Op::Void { id, .. } => format!("void {id:?}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// What is in the tables that a batch writes.
const TABLES: [&str; 4] = [
    "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY id), '[]')::text FROM tollgate_holds t",
    "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY organization), '[]')::text \
     FROM tollgate_wallets t",
    "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY seq), '[]')::text FROM tollgate_entries t",
    "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY hold_id), '[]')::text FROM tollgate_repeats t",
];
const BATCHES: u32 = 150;

/// Two databases are asked for the same: one writes as always, the other one statement after another.
#[tokio::test]
async fn what_postgres_writes_at_once_is_what_it_writes_one_by_one() {
    let (server, seed) = (Postgres::shared(), 47);
    let (together, apart) = (store(server).await, store(server).await);
    let mut chance = Rng::with_seed(seed);
    let (mut flat, mut deep) = (0, 0);
    let mut lacks = vec![
        "\"open\"",
        "\"settled\"",
        "\"voided\"",
        "\"charge\"",
        "\"lapse\"",
        "\"running\": 0",
        "\"running\": 1",
    ];
    for n in 0..BATCHES {
        let count = chance.usize(1..=6);
        let ops: Vec<Op> = (0..count).map(|_| any(&mut chance, n)).collect();
        if write(&together, &ops, true).await {
            flat += 1;
        } else {
            deep += 1;
        }
        write(&apart, &ops, false).await;
        let (one, other) = (rows(&together).await, rows(&apart).await);
        assert_eq!(one, other, "seed {seed}, batch {n}: {}", shown(&ops));
        lacks.retain(|it| !one.iter().any(|rows| rows.contains(it)));
    }
    assert!(flat > BATCHES / 10 && deep > BATCHES / 10, "{flat}, {deep}");
    assert!(lacks.is_empty(), "never written: {lacks:?}");
    together.close().await;
    apart.close().await;
}

async fn store(server: &Postgres) -> PostgresStore {
    let options = PostgresOptions::new(server.fresh())
        .allow_lost_commits()
        .by_the_callers_time();
    let store = options.open().await.unwrap();
    for n in 0..BATCHES / 10 {
        let mut grant = Grant::new(org("acme"), 60);
        grant.expires_at = Some(at(u64::from(n) * 10 + 5));
        store.grant(grant, change(0)).await.unwrap();
    }
    let grant = Grant::new(org("acme"), 1_000);
    store.grant(grant, change(0)).await.unwrap();
    store
}

/// An operation on a hold that may be new, or of one of the two batches before.
fn any(chance: &mut Rng, batch: u32) -> Op {
    let now = START.after(Duration::from_secs(batch.into()));
    let n = batch + chance.u32(0..3);
    match chance.u32(0..10) {
        0..4 => {
            // Of a few neighbours, so that one may come again when its time is over.
            let mut op = once(n, &format!("{}", n / 4), now);
            if let Op::Hold(request, _) = &mut op
                && chance.bool()
            {
                request.idempotency = None;
            }
            op
        }
        4 => extend(n),
        5..8 => settle(n, chance.u64(0..6)),
        _ => void(n),
    }
}

/// Does what the queue does. Says whether it was flat.
async fn write(store: &PostgresStore, ops: &[Op], may_be_at_once: bool) -> bool {
    let mut transaction = store.backend.charge().await.unwrap();
    let mut batch = Batch::read(&mut transaction, Time::Callers, ops)
        .await
        .unwrap();
    batch.decide(ops);
    let (writes, is_flat) = (batch.writes().unwrap(), batch.is_flat());
    if is_flat && may_be_at_once {
        transaction.commit_together(writes).await.unwrap();
    } else {
        transaction.commit_after(writes).await.unwrap();
    }
    is_flat
}

async fn rows(store: &PostgresStore) -> Vec<String> {
    let mut session = store.backend.read().await.unwrap();
    let mut all = Vec::new();
    for sql in TABLES {
        let row = session.fetch_optional(sql, Vec::new()).await.unwrap();
        all.push(row.unwrap().take().unwrap());
    }
    all
}

#[tokio::test]
async fn a_hold_without_a_wallet_is_told_as_damage_on_sqlite() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    end_without_wallet(&store).await;
}

#[tokio::test]
async fn a_hold_without_a_wallet_is_told_as_damage_on_postgres() {
    let store = store(Postgres::shared()).await;
    end_without_wallet(&store).await;
    store.close().await;
}

async fn end_without_wallet<B: Backend>(store: &SqlStore<B>) {
    let grant = Grant::new(org("acme"), 100);
    store.grant(grant, change(0)).await.unwrap();
    store.hold(&hold_request(0, "acme", 3, 3)).await.unwrap();
    let mut writer = store.backend.write().await.unwrap();
    let gone = "DELETE FROM tollgate_wallets";
    writer.execute(gone, Vec::new()).await.unwrap();
    writer.commit().await.unwrap();
    let settle = Settle {
        id: hold_id(0),
        credits: 3,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    let settled = store.settle(settle).await.unwrap_err();
    let voided = store.void(hold_id(0), &org("acme"), at(1)).await;
    for error in [settled, voided.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert_eq!(error.to_string(), "a hold has no wallet");
    }
    let mut reader = store.backend.read().await.unwrap();
    let rows = "SELECT (SELECT count(*) FROM tollgate_wallets), \
         (SELECT count(*) FROM tollgate_holds WHERE state = 'open')";
    let row = reader.fetch_optional(rows, Vec::new()).await.unwrap();
    let mut row = row.unwrap();
    let [wallets, open]: [i64; 2] = std::array::from_fn(|_| row.take().unwrap());
    assert_eq!((wallets, open), (0, 1));
}
