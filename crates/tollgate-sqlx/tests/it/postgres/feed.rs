//! Other nodes are told of a change as soon as it is committed, and told when they could not be.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tollgate_core::change::{ChangeFeed, Told};
use tollgate_core::clock::Steady;
use tollgate_core::credits::{Grant, Ledger};
use tollgate_core::id::KeyId;
use tollgate_core::record::{ApiKey, KeyStatus};
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::KeyStore;
use tollgate_servers::{Lag, Postgres, Proxy};
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{api_key, change, org, organization};

use super::{open, steady};
use crate::{number, say};

/// A feed that has not told by then does not tell.
const PATIENCE: Duration = Duration::from_secs(5);
/// Long enough that whatever is told of is told.
const QUIET: Duration = Duration::from_millis(300);

/// `TOLLGATE_REVOCATIONS` says how many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_is_told_of_a_revocation_within_milliseconds() {
    let revocations = number("TOLLGATE_REVOCATIONS", 1_000);
    let url = Postgres::shared().fresh();
    let (ours, theirs) = (open(&url).await, open(&url).await);
    let keys = make_keys(&ours, revocations).await;
    let mut seen = theirs.newest().await.unwrap();
    listen(&ours, &theirs, &mut seen).await;
    let (lag, mut after_reply, mut whole) = (Lag::watch(), Vec::new(), Vec::new());
    for key in keys {
        let id = key.id;
        let began = steady();
        let heard = tokio::spawn(hear(theirs.clone(), id, seen));
        revoke(&ours, key).await;
        let replied = steady();
        let heard = timeout(PATIENCE, heard).await.unwrap().unwrap();
        seen = heard.0;
        after_reply.push(heard.1.since(replied));
        whole.push(heard.1.since(began));
    }
    let late = lag.end();
    let [_, p99, _] = distribution(&mut whole);
    let from_reply = distribution(&mut after_reply);
    say(&format!(
        "{revocations} revocations, until another node has read of them: median, p99 and longest \
         {whole:.1?} from the call, {from_reply:.1?} from its reply, on a machine that was {late:.1?} late",
        whole = distribution(&mut whole),
    ));
    assert!(p99 < Duration::from_secs(1) + late, "{p99:?}");
}

async fn make_keys(store: &PostgresStore, keys: u64) -> Vec<ApiKey> {
    let acme = organization("acme");
    store.insert_organization(acme, change(0)).await.unwrap();
    let mut made = Vec::new();
    for n in 0..keys {
        let mut key = api_key(0, "acme");
        key.id = KeyId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        let digest = KeyDigest::from_bytes(digest);
        let inserted = store.insert_key(key.clone(), digest, change(0));
        inserted.await.unwrap();
        made.push(key);
    }
    made
}

async fn revoke(store: &PostgresStore, mut key: ApiKey) {
    key.status = KeyStatus::Revoked;
    store.update_key(key, None, change(1)).await.unwrap();
}

/// Waits until the feed tells, and reads on, until this key was read of.
async fn hear(node: PostgresStore, key: KeyId, mut seen: u64) -> (u64, Steady) {
    loop {
        assert_eq!(node.told().await.unwrap(), Told::Changed);
        for change in node.since(seen, 100).await.unwrap() {
            seen = change.seq;
            if change.key == Some(key) {
                return (seen, steady());
            }
        }
    }
}

/// Changes something until the listener, which connects when it is first asked, has told of it.
async fn listen(ours: &PostgresStore, theirs: &PostgresStore, seen: &mut u64) {
    let (mut told, began) = (pin!(theirs.told().into_future()), steady());
    loop {
        assert!(steady().since(began) < PATIENCE, "told of nothing");
        grant(ours).await;
        if let Ok(told) = timeout(Duration::from_millis(50), &mut told).await {
            assert_eq!(told.unwrap(), Told::Changed);
            break;
        }
    }
    // What was told of twice is told of once.
    while timeout(QUIET, theirs.told().into_future()).await.is_ok() {}
    *seen = theirs.newest().await.unwrap();
}

async fn grant(store: &PostgresStore) {
    let grant = Grant::new(org("acme"), 1);
    store.grant(grant, change(0)).await.unwrap();
}

/// The median, the 99th percentile and the longest.
fn distribution(times: &mut [Duration]) -> [Duration; 3] {
    times.sort_unstable();
    let last = times.len() - 1;
    [last / 2, last * 99 / 100, last].map(|n| *times.get(n).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_connection_is_killed_says_so_and_is_told_again() {
    const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let server = Postgres::shared();
    let url = server.fresh();
    let (ours, theirs) = (open(&url).await, open(&url).await);
    listen(&ours, &theirs, &mut 0).await;
    for _ in 0..3 {
        let began = steady();
        assert_eq!(server.query(&url, KILL).unwrap().trim(), "1");
        assert_eq!(tell(&theirs).await, Told::Again);
        say(&format!(
            "a listener that was killed listens after {:.1?}",
            steady().since(began)
        ));
        // Once it says so, nothing is missed.
        grant(&ours).await;
        assert_eq!(tell(&theirs).await, Told::Changed);
        let more = timeout(QUIET, theirs.told().into_future()).await;
        assert!(more.is_err(), "told of nothing: {more:?}");
    }
}

async fn tell(node: &PostgresStore) -> Told {
    let told = timeout(PATIENCE, node.told().into_future()).await;
    told.unwrap().unwrap()
}

/// Connections that are closed at once are tried for now and then, and not as fast as can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_cannot_connect_tries_a_few_times_a_second() {
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let (ours, theirs) = (open(&url).await, open(&proxy.url_for(&url)).await);
    listen(&ours, &theirs, &mut 0).await;
    proxy.cut();
    let tries = async {
        tokio::select! {
            told = theirs.told().into_future() => panic!("told by nobody: {told:?}"),
            tries = hang_up(proxy.port(), 10) => tries,
        }
    };
    let tries = timeout(PATIENCE, tries).await.unwrap().unwrap();
    let (first, last) = (tries.first().unwrap(), tries.last().unwrap());
    // Each begins after the one before it has failed, so that a machine which is late can only make
    // them rarer.
    let took = last.since(*first);
    assert!(took >= Duration::from_secs(1), "tried 10 times in {took:?}");
    proxy.pass();
    assert_eq!(tell(&theirs).await, Told::Again);
    grant(&ours).await;
    assert_eq!(tell(&theirs).await, Told::Changed);
}

/// Takes so many connections on this port, closes each, and says when.
async fn hang_up(port: u16, connections: usize) -> io::Result<Vec<Steady>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut taken = Vec::new();
    while taken.len() < connections {
        let connection = listener.accept().await?;
        taken.push(steady());
        drop(connection);
    }
    Ok(taken)
}

/// Nobody who waits to be told keeps a store from closing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_closes_while_somebody_waits_to_be_told() {
    let url = Postgres::shared().fresh();
    let store = open(&url).await;
    let waits = tokio::spawn(store.told().into_future());
    sleep(Duration::from_millis(50)).await;
    timeout(PATIENCE, store.close()).await.unwrap();
    waits.abort();
}

/// Nor does a gate that was shut down first, and so no longer waits to be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_closes_once_nobody_waits_to_be_told_any_more() {
    let url = Postgres::shared().fresh();
    let (ours, theirs) = (open(&url).await, open(&url).await);
    listen(&ours, &theirs, &mut 0).await;
    timeout(PATIENCE, theirs.close()).await.unwrap();
}

/// Nor does one whose server is gone: whoever waits for a connection, or finds out why there is
/// none, stops at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_its_server_closes_while_somebody_waits_to_be_told() {
    let server = Postgres::shared();
    let url = server.fresh();
    for lost_for in [100, 2_100, 4_100].map(Duration::from_millis) {
        let proxy = Proxy::before(server.port()).await;
        let (ours, theirs) = (open(&url).await, open(&proxy.url_for(&url)).await);
        listen(&ours, &theirs, &mut 0).await;
        // Its connection is gone, and the next one is never answered.
        proxy.cut();
        sleep(Duration::from_millis(50)).await;
        proxy.black_hole();
        let waits = tokio::spawn(theirs.told().into_future());
        sleep(lost_for).await;
        let (lag, began) = (Lag::watch(), steady());
        timeout(PATIENCE, theirs.close()).await.unwrap();
        let (took, late) = (steady().since(began), lag.end());
        let most = Duration::from_secs(1) + 4 * late;
        assert!(took < most, "{lost_for:?}: {took:?}, with {late:?}");
        waits.abort();
    }
}

/// Nor does a server that says nothing more, on connections that are open as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_closes_while_its_server_hangs() {
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let (ours, theirs) = (open(&url).await, open(&proxy.url_for(&url)).await);
    listen(&ours, &theirs, &mut 0).await;
    proxy.black_hole();
    timeout(2 * PATIENCE, theirs.close()).await.unwrap();
}
