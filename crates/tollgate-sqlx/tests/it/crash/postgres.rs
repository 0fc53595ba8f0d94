//! On PostgreSQL: one process that is killed, and one of many, while the others go on.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::Ledger;
use tollgate_core::error::StoreErrorKind;
use tollgate_servers::{Lag, Postgres};
use tollgate_sqlx::AnyStore;

use super::audit::{Books, Granted, Told};
use super::node::Node;
use super::worker::{ORGANIZATIONS, choice, now, request};
use super::{Database, Place, STARTS, expire_as_owed, found_out, grant, kill_often};
use crate::{number, open, say};

const ON_POSTGRES: Place = Place {
    fresh: || Database {
        location: Postgres::shared().fresh(),
        _dir: None,
    },
    lives: 2_000..30_000,
};
const NODES: usize = 3;
/// Another acknowledges something so soon after one was killed, where the machine is never late.
const GOES_ON: Duration = Duration::from_secs(1);
/// The server ends a transaction that stands idle for a second; the rest is for the charges.
const HELD_UP: Duration = Duration::from_millis(1_500);

/// `TOLLGATE_POSTGRES_KILLS` says how often.
#[tokio::test]
async fn whatever_was_acknowledged_survives_kill_9_and_the_sums_agree() {
    let kills = number("TOLLGATE_POSTGRES_KILLS", 200);
    let began = now();
    let (tally, found) = kill_often(&ON_POSTGRES, "sound", kills).await;
    let took = now().since(began);
    say(&format!("kill -9 on PostgreSQL: {tally:?} in {took:.1?}"));
    found.unwrap();
    assert_eq!(tally.kills, kills);
    assert!(tally.holds >= kills && tally.settles > 0 && tally.open > 0);
}

#[tokio::test]
async fn a_ledger_that_reads_and_then_writes_is_found_out() {
    let found = found_out(&ON_POSTGRES, "reads_then_writes").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_commits_in_two_parts_is_found_out() {
    let found = found_out(&ON_POSTGRES, "two_commits").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_acknowledges_before_it_commits_is_found_out() {
    let found = found_out(&ON_POSTGRES, "tells_early").await;
    assert!(found.contains("is not there"), "{found}");
}

/// `TOLLGATE_NODE_KILLS` says how often one is.
#[tokio::test]
async fn while_one_of_three_nodes_is_killed_the_others_go_on_acknowledging() {
    let kills = number("TOLLGATE_NODE_KILLS", 40);
    let began = now();
    let location = (ON_POSTGRES.fresh)().location;
    let store = open(&location).await;
    let mut granted = Granted::default();
    grant(&store, &mut granted).await;
    let mut nodes = Vec::new();
    nodes.resize_with(NODES, || Node::start(&location, "sound"));
    let mut books = Books::beside_others(&location).await;
    let mut all = Told::default();
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        for node in &nodes {
            node.acknowledges(STARTS).unwrap();
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
        let killed = nodes.swap_remove(fastrand::usize(..NODES));
        all.extend(Told::read(&killed.kill().unwrap()).unwrap());
        let (lag, at) = (Lag::watch(), now());
        for node in &nodes {
            node.acknowledges(STARTS).unwrap();
        }
        let (took, late) = (now().since(at), lag.end());
        assert!(took < GOES_ON + 4 * late, "{took:?}, with {late:?}");
        slowest = slowest.max(took);
        // In every moment, while they go on.
        books.sums(&granted).await.unwrap();
        grant(&store, &mut granted).await;
        nodes.push(Node::start(&location, "sound"));
    }
    for node in nodes {
        all.extend(Told::read(&node.kill().unwrap()).unwrap());
    }
    books.close().await;
    store.close().await;
    let open = check(&location, &granted, &all, kills).await.unwrap();
    say(&format!(
        "kill -9 of one of {NODES} nodes: {kills} kills, {} holds, {} settles, {} voids, {open} \
         open at the end in {:.1?}; the others acknowledged after {slowest:.1?} at the latest",
        all.holds(),
        all.settles(),
        all.voids(),
        now().since(began)
    ));
}

/// The books, once nobody writes in them any more. Says how many holds were open.
async fn check(location: &str, granted: &Granted, all: &Told, kills: u64) -> Result<u64, String> {
    let start = Timestamp::default();
    let lives = NODES + usize::try_from(kills).unwrap();
    let mut books = Books::open(location).await;
    books.sums(granted).await?;
    books.keep(all, start).await?;
    books.few_were_not_told(all, start, lives).await?;
    let store = open(location).await;
    let open = expire_as_owed(&store, &mut books, start).await?;
    books.sums(granted).await?;
    books.lines().await?;
    books.still_keep(all).await?;
    store.close().await;
    Ok(open)
}

/// `TOLLGATE_STOPS` says how often.
#[tokio::test]
async fn a_node_that_stops_in_the_middle_of_a_charge_holds_the_others_up_for_a_second_at_most() {
    let stops = number("TOLLGATE_STOPS", 5);
    let location = (ON_POSTGRES.fresh)().location;
    let store = open(&location).await;
    let mut granted = Granted::default();
    grant(&store, &mut granted).await;
    let mut watch = PgConnectOptions::from_str(&location)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let node = Node::start(&location, "sound");
    let mut waits = Vec::new();
    for _ in 0..stops {
        node.acknowledges(STARTS).unwrap();
        stop_in_the_middle(&node, &mut watch).await;
        let (lag, at) = (Lag::watch(), now());
        for name in ORGANIZATIONS {
            charge_as_soon_as_possible(&store, name, at).await;
        }
        let (waited, late) = (now().since(at), lag.end());
        assert!(waited < HELD_UP + 4 * late, "{waited:?}, with {late:?}");
        waits.push(waited);
        node.signal("CONT");
    }
    // What it was told before and after is so.
    let mut lines = node.kill().unwrap();
    let failures = lines.len();
    lines.retain(|line| !line.starts_with("failed "));
    let failures = failures - lines.len();
    drop(watch);
    store.close().await;
    let mut books = Books::open(&location).await;
    books.sums(&granted).await.unwrap();
    let told = Told::read(&lines).unwrap();
    books.keep(&told, Timestamp::default()).await.unwrap();
    books.lines().await.unwrap();
    say(&format!(
        "stopped {stops} times in the middle of a charge: the other node charged everybody after \
         {waits:.2?}; {} holds, {failures} failures of the stopped one",
        told.holds()
    ));
}

/// Stops it at a moment at which the server waits for it to end a transaction with locked wallets.
async fn stop_in_the_middle(node: &Node, watch: &mut PgConnection) {
    const BUSY: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'";
    const LOCKED: &str = "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid) \
         WHERE datname = current_database() AND state = 'idle in transaction' \
         AND relation = 'tollgate_wallets'::regclass";
    loop {
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..3_000)));
        node.signal("STOP");
        while count(watch, BUSY).await > 0 {}
        if count(watch, LOCKED).await > 0 {
            return;
        }
        node.signal("CONT");
    }
}

async fn count(watch: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(watch).await.unwrap()
}

async fn charge_as_soon_as_possible(store: &AnyStore, name: &str, since: Timestamp) {
    let (id, ..) = choice();
    while let Err(error) = store.hold(&request(id, name, 1)).await {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(now().since(since) < STARTS, "{error}");
    }
    store
        .void(id, &tollgate_testkit::records::org(name), now())
        .await
        .unwrap();
}
