//! Two nodes that want the same rows: neither fails, and neither waits for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tollgate_core::audit::{AuditHead, AuditKey, AuditStore, AuditVerifier};
use tollgate_core::change::{ChangeFeed, Changed};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Grant, HoldAnswer, HoldRequest, Idempotency, Ledger, Refund, Settle,
};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::{HoldId, KeyId};
use tollgate_core::record::KeyStatus;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{KeyStore, Rotation};
use tollgate_servers::{Lag, Postgres, Proxy};
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{api_key, at, change, hold_request, org, organization};

use super::{open, steady};
use crate::{number, say};

const TASKS: u32 = 64;
const ORGANIZATIONS: u32 = 24;
const WRITERS: u32 = 8;

/// `TOLLGATE_PAIRS` says how often. New organizations come all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_many_organizations_from_two_nodes_never_fail() {
    let charges = number("TOLLGATE_PAIRS", 6_000);
    let url = Postgres::shared().fresh();
    let nodes = [open(&url).await, open(&url).await];
    let began = steady();
    let asked = Arc::new(AtomicU64::new(0));
    let refunded = Arc::new(AtomicU64::new(0));
    let tasks = nodes.iter().cycle().take(TASKS as usize).map(|node| {
        let (node, asked, refunded) = (node.clone(), Arc::clone(&asked), Arc::clone(&refunded));
        tokio::spawn(async move {
            loop {
                let n = asked.fetch_add(1, Ordering::Relaxed);
                if n >= charges {
                    return;
                }
                charge_anybody(&node, n / 500, &refunded).await;
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let ended = Arc::new(AtomicBool::new(false));
    let sweeper = tokio::spawn(sweep(nodes[0].clone(), Arc::clone(&ended)));
    for task in tasks {
        task.await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    let (forgotten, refunded) = (sweeper.await.unwrap(), refunded.load(Ordering::Relaxed));
    let took = steady().since(began);
    say(&format!(
        "{charges} charges of {ORGANIZATIONS} organizations from two nodes in {took:.1?}, \
         {refunded} refunded and {forgotten} rows forgotten meanwhile"
    ));
    assert!(forgotten > 0 && refunded > 0);
    while nodes[0].expire(at(100), 100).await.unwrap() > 0 {}
    while forget(&nodes[1], at(300)).await > 0 {}
    let sums = Postgres::shared().query(&url, SUMS).unwrap();
    assert_eq!(sums.trim(), "0|0|0|0");
}

/// What is left of holds and repeats, what wallets hold, and by how much they differ from the books.
const SUMS: &str = "SELECT (SELECT count(*) FROM tollgate_holds), \
     (SELECT count(*) FROM tollgate_repeats), (SELECT sum(held) FROM tollgate_wallets), \
     (SELECT sum(settled) FROM tollgate_wallets) \
     + (SELECT sum(credits) FROM tollgate_entries WHERE kind IN ('charge', 'refund'))";

/// Charges one of many organizations, each of which is new in each round.
async fn charge_anybody(node: &PostgresStore, round: u64, refunded: &AtomicU64) {
    let name = format!("org-{round}-{}", fastrand::u32(..ORGANIZATIONS));
    if fastrand::u8(..16) == 0 {
        let grant = Grant::new(org(&name), 3);
        node.grant(grant, change(0)).await.unwrap();
    }
    let mut request = new_request(&name, 2);
    request.allowance = Some(Allowance {
        month: at(0).start_of_month(),
        credits: 50,
        expires_at: None,
    });
    if fastrand::bool() {
        // Some come again.
        request.idempotency = Some(Arc::new(Idempotency {
            key: fastrand::u8(..8).to_string(),
            fingerprint: [1; 32],
            expires_at: at(150),
        }));
    }
    let HoldAnswer::Held { credits, .. } = node.hold(&request).await.unwrap() else {
        return;
    };
    // Some are left to the sweeper.
    if fastrand::u8(..8) > 0 {
        let settle = Settle {
            id: request.id,
            credits,
            at: at(1),
            outcome: None,
            parts: Vec::new(),
        };
        node.settle(settle).await.unwrap();
        if fastrand::u8(..16) == 0 && refund(node, &request).await {
            refunded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A quarter of them is too young to be forgotten.
fn new_request(name: &str, most: u64) -> HoldRequest {
    HoldRequest {
        id: HoldId::from_parts(
            at(fastrand::u64(..200)),
            &std::array::from_fn(|_| fastrand::u8(..)),
        ),
        ..hold_request(0, name, 1, most)
    }
}

async fn sweep(node: PostgresStore, ended: Arc<AtomicBool>) -> u64 {
    let mut forgotten = 0;
    while !ended.load(Ordering::Relaxed) {
        node.expire(at(100), 100).await.unwrap();
        forgotten += forget(&node, at(150)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    forgotten
}

/// All has ended before, and all repeats are over.
async fn forget(node: &PostgresStore, before: Timestamp) -> u64 {
    node.forget(before, at(300), 100).await.unwrap()
}

/// Gives back of what was charged just now. Says whether it was not forgotten already.
async fn refund(node: &PostgresStore, request: &HoldRequest) -> bool {
    let refund = Refund {
        organization: request.organization.clone(),
        hold: request.id,
        credits: 1,
        reference: request.id.to_string(),
    };
    match node.refund(refund, change(1)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::NotFound, "{error}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_manages_from_two_nodes_never_fails_and_the_trails_are_whole() {
    let (node, _) = manage(Some("shared")).await;
    let key = AuditKey::default();
    let heads = node.audit_heads(None, 100).await.unwrap();
    assert_eq!(heads.len(), 1 + WRITERS as usize);
    for head in heads {
        verify(&node, &key, head).await;
    }
}

async fn verify(node: &PostgresStore, key: &AuditKey, head: AuditHead) {
    let organization = head.organization.clone();
    let mut verifier = AuditVerifier::new(key, organization.clone(), Some(head));
    loop {
        let after = verifier.seq();
        let records = node.audit_after(organization.as_ref(), after, 100);
        let records = records.await.unwrap();
        if records.is_empty() {
            break;
        }
        for record in records {
            verifier.follow(&record).unwrap();
        }
    }
    verifier.finish().unwrap();
}

/// Whoever reads on from the newest change that it has seen would never see one that is committed
/// later with a lower number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_feed_misses_none_of_eight_writers_changes() {
    let (node, seen) = manage(None).await;
    let mut all = Vec::new();
    read_on(&node, &mut all).await;
    assert_eq!(seen.len(), all.len());
    assert_eq!(seen, all);
}

/// Makes, edits, rotates and revokes keys and grants credits, from two nodes at once, of an
/// organization for each writer, and of one that all may share; and reads the feed meanwhile.
/// `TOLLGATE_MANAGED` says how many keys each writer makes.
async fn manage(shared: Option<&'static str>) -> (PostgresStore, Vec<Changed>) {
    let keys = number("TOLLGATE_MANAGED", 25);
    let url = Postgres::shared().fresh();
    let nodes = [open(&url).await, open(&url).await];
    if let Some(name) = shared {
        let made = nodes[0].insert_organization(organization(name), change(0));
        made.await.unwrap();
    }
    let ended = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (node, ended) = (open(&url).await, Arc::clone(&ended));
        async move {
            let mut seen = Vec::new();
            loop {
                let is_last = ended.load(Ordering::Relaxed);
                read_on(&node, &mut seen).await;
                if is_last {
                    return seen;
                }
            }
        }
    });
    let began = steady();
    let writers = nodes.iter().cycle().zip(0..WRITERS).map(|(node, writer)| {
        let node = node.clone();
        tokio::spawn(async move { write(&node, writer, keys, shared).await })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    let seen = reader.await.unwrap();
    let took = steady().since(began);
    say(&format!(
        "{} changes by {WRITERS} writers on two nodes in {took:.1?}",
        seen.len()
    ));
    let [node, _] = nodes;
    (node, seen)
}

async fn read_on(node: &PostgresStore, seen: &mut Vec<Changed>) {
    loop {
        let after = seen.last().map_or(0, |last| last.seq);
        let more = node.since(after, 100).await.unwrap();
        if more.is_empty() {
            return;
        }
        seen.extend(more);
    }
}

async fn write(node: &PostgresStore, writer: u32, keys: u64, shared: Option<&str>) {
    let own = format!("writer-{writer}");
    let made = node.insert_organization(organization(&own), change(0));
    made.await.unwrap();
    for n in 0..keys {
        let name = shared.filter(|_| n % 2 == 0).unwrap_or(&own);
        let digest = || KeyDigest::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
        let mut key = api_key(0, name);
        key.id = KeyId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
        let made = node.insert_key(key.clone(), digest(), change(0));
        made.await.unwrap();
        key.name = format!("key {n}");
        key = node.update_key(key, None, change(1)).await.unwrap();
        let rotation = Rotation {
            digest: digest(),
            old_valid_until: at(2),
        };
        let rotated = node.update_key(key, Some(rotation), change(2));
        key = rotated.await.unwrap();
        let grant = Grant::new(org(name), 1);
        node.grant(grant, change(3)).await.unwrap();
        key.status = KeyStatus::Revoked;
        node.update_key(key, None, change(4)).await.unwrap();
    }
}

/// The server ends a transaction that stands idle for a second; the rest is for the others.
const HELD_UP: Duration = Duration::from_millis(1_500);
const GIVES_UP: Duration = Duration::from_secs(20);

/// `TOLLGATE_STOPS` says how often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_while_it_manages_holds_the_others_up_for_a_second_at_most() {
    let stops = number("TOLLGATE_STOPS", 3);
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let (other, node) = (open(&url).await, open(&proxy.url_for(&url)).await);
    let mut waits = Vec::new();
    for _ in 0..stops {
        let grants = tokio::spawn({
            let node = node.clone();
            async move {
                loop {
                    let _ = node.grant(Grant::new(org("acme"), 1), change(0)).await;
                }
            }
        });
        cut_off_in_the_middle(&proxy, &url).await;
        let (lag, began) = (Lag::watch(), steady());
        for what in ["a charge", "a grant"] {
            loop {
                let failed = if what == "a charge" {
                    other.hold(&new_request("acme", 1)).await.err()
                } else {
                    let grant = Grant::new(org("acme"), 1);
                    other.grant(grant, change(0)).await.err()
                };
                let waited = steady().since(began);
                assert!(waited < GIVES_UP, "{what} waits for {waited:.1?}");
                let Some(error) = failed else { break };
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            }
        }
        let (waited, late) = (steady().since(began), lag.end());
        assert!(waited < HELD_UP + 4 * late, "{waited:?}, with {late:?}");
        waits.push(waited);
        grants.abort();
        proxy.pass();
    }
    say(&format!(
        "cut off {stops} times in the middle of a grant: the other node charged and granted after \
         {waits:.2?}"
    ));
}

/// Leaves the server waiting for the end of a transaction that has locked a wallet.
async fn cut_off_in_the_middle(proxy: &Proxy, url: &str) {
    const LOCKED: &str = "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) \
         WHERE datname = current_database() AND state = 'idle in transaction' \
         AND relation = 'tollgate_wallets'::regclass AND mode = 'RowShareLock'";
    let began = steady();
    loop {
        let waited = steady().since(began);
        assert!(waited < Duration::from_secs(20), "no grant locks a wallet");
        // Most of the time, the server waits for the next statement.
        proxy.delay(Duration::from_millis(5));
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..200))).await;
        proxy.black_hole();
        // What has arrived is done soon.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let locked = Postgres::shared().query(url, LOCKED).unwrap();
        if locked.trim() != "0" {
            return;
        }
    }
}
