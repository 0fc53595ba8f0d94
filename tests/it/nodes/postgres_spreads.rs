//! How soon another node knows what one was told.

use tollgate::CacheSettings;
use tollgate::core::clock::SystemClock;
use tollgate::core::keyring::{EditKey, KeyringError};
use tollgate_servers::Lag;
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Fault, Faults, FaultyStore, Operation};

use super::*;
use crate::support::eventually;

/// How often each is tried; `TOLLGATE_TRIALS` says otherwise.
const TRIALS: u64 = 1_000;
/// How old a copy may be on the node whose feed is dead, in place of ten seconds.
const MAX_AGE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_sees_a_change_within_a_second_and_its_own_at_once() {
    const LISTENING: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND state = 'idle' AND query LIKE 'LISTEN%'";
    let trials = std::env::var("TOLLGATE_TRIALS").map_or(TRIALS, |it| it.parse().unwrap());
    let url = Postgres::shared().fresh();
    let (own, other) = (
        &node(&url, "spreads", Plan::new("pro")).await,
        &told(&url).await,
    );
    let (id, text) = customer(&own.gate, &acme()).await;
    eventually("both listen", async || {
        Postgres::shared().query(&url, LISTENING).unwrap().trim() == "2"
    })
    .await;
    let lag = Lag::watch();
    let status = async |node: &Node| node.status("/iocs", &text).await;
    let mut took = Vec::new();
    for trial in 0..trials {
        assert_eq!(status(own).await, 200);
        seen(&status, other, 200).await;
        let refused = refuse(own, &id, trial).await;
        let told = Instant::now();
        assert_eq!(status(own).await, refused, "on the node that was told");
        seen(&status, other, refused).await;
        took.push(told.elapsed());
        admit_again(own, &id, trial).await;
    }
    let late = lag.end();
    took.sort_unstable();
    let of = |percent: usize| took.get(took.len() * percent / 100).unwrap();
    let slowest = took.last().unwrap();
    let line = format!(
        "changes seen by another node: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, at most {slowest:.1?} of {trials}, \
         on a machine that was {late:.1?} late",
        of(50),
        of(90),
        of(99),
    );
    say(&line);
    assert!(*of(99) <= Duration::from_secs(1) + late, "{line}");
    own.gate.shutdown().await;
    other.gate.shutdown().await;
}

/// Another node, whose clock stands still: it never looks for changes, and none of its copies grows
/// old. Whatever it knows it was told.
async fn told(url: &str) -> Node {
    let gate = Gate::builder(catalog(Plan::new("pro"))).store(store(url).await);
    Node::of(gate.clock(Arc::new(ManualClock::new())), routes).await
}

async fn seen(status: &impl AsyncFn(&Node) -> u16, node: &Node, expected: u16) {
    let began = Instant::now();
    while status(node).await != expected {
        assert!(began.elapsed() < PATIENCE, "{expected} was never seen");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// The moment before the first request that a node lets in again, and for which it reads the key.
async fn first_let_in(status: &impl AsyncFn(&Node) -> u16, node: &Node) -> Instant {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        if status(node).await == 200 {
            return asked;
        }
        assert!(began.elapsed() < PATIENCE, "it is never let in");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Has a node refuse the key from now on, in one of three ways; says with which status.
async fn refuse(node: &Node, id: &KeyId, trial: u64) -> u16 {
    let (keys, system) = (node.gate.keyring(), Actor::system());
    let nothing = EditKey::new().scopes::<&str>([]);
    let refused: Result<_, KeyringError> = match trial % 3 {
        0 => keys.disable(id, &system).await.map(|_| 401),
        1 => keys.edit(id, nothing, &system).await.map(|_| 403),
        _ => keys.suspend(&acme(), &system).await.map(|_| 403),
    };
    refused.unwrap()
}

async fn admit_again(node: &Node, id: &KeyId, trial: u64) {
    let (keys, system) = (node.gate.keyring(), Actor::system());
    let all = EditKey::new().scopes(["iocs:read"]);
    match trial % 3 {
        0 => keys.enable(id, &system).await.map(drop),
        1 => keys.edit(id, all, &system).await.map(drop),
        _ => keys.activate(&acme(), &system).await.map(drop),
    }
    .unwrap();
}

/// Another node of this database, whose copies grow old soon, and which is not told of changes.
async fn deaf(url: &str) -> (Node, Faults) {
    let store = FaultyStore::new(store(url).await, Arc::new(SystemClock::default()));
    let faults = store.faults();
    faults.set(Operation::Told, Fault::Hang);
    let gate = Gate::builder(catalog(Plan::new("pro"))).store(store);
    let settings = CacheSettings::new().with_max_age(MAX_AGE);
    let gate = gate.cache(settings.with_deadline(PATIENCE));
    (Node::of(gate, routes).await, faults)
}

/// With a feed that fails or hangs, and with one that can be read and does not tell. What is asked
/// for later than a copy may be old is refused, on any machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_feed_is_cut_sees_a_change_when_its_copies_are_too_old() {
    for fault in [Fault::Fail, Fault::Hang, Fault::None] {
        let url = Postgres::shared().fresh();
        let own = node(&url, "deaf", Plan::new("pro")).await;
        let (other, faults) = deaf(&url).await;
        let (id, text) = customer(&own.gate, &acme()).await;
        faults.set(Operation::Feed, fault);
        let status = async |node: &Node| node.status("/iocs", &text).await;
        let mut took = Vec::new();
        for trial in 0..6 {
            // Just now, so that its copy is as young as can be.
            let young = first_let_in(&status, &other).await;
            let refused = refuse(&own, &id, trial).await;
            let told = Instant::now();
            assert_eq!(status(&own).await, refused, "on the node that was told");
            loop {
                let asked = told.elapsed();
                let answer = status(&other).await;
                if answer == refused {
                    took.push(asked);
                    break;
                }
                let most = if answer == 200 { MAX_AGE } else { PATIENCE };
                assert!(asked < most, "{fault:?}: {answer} after {asked:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let age = young.elapsed();
            assert!(
                fault == Fault::None || age >= MAX_AGE,
                "the feed is not cut: a copy of {age:?} was dropped"
            );
            admit_again(&own, &id, trial).await;
        }
        took.sort_unstable();
        say(&format!(
            "changes seen by a node whose feed is cut ({fault:?}): {took:.0?}, at most {MAX_AGE:?}"
        ));
        own.gate.shutdown().await;
    }
}
