//! Usage of many keys is written in a few round trips, whoever else writes that of the same keys.

use std::time::Duration;

use tollgate_core::store::KeyStore;
use tollgate_core::usage::{KeyUsage, UsageCount, UsageOf, UsageQuery, UsageStore};
use tollgate_servers::{Lag, Postgres, Proxy};
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{api_key, at, change, digest, key_id, org, organization};

use super::{open, steady};
use crate::say;

/// As many as a gate writes at once.
const KEYS: u8 = 200;
const OUTCOMES: [&str; 3] = ["2xx", "4xx", "5xx"];
/// How long a statement that charges may take, and wait for a lock.
const PATIENCE: Duration = Duration::from_secs(1);

async fn with_keys(store: &PostgresStore) {
    let acme = organization("acme");
    store.insert_organization(acme, change(0)).await.unwrap();
    for n in 0..KEYS {
        let key = api_key(n.into(), "acme");
        store.insert_key(key, digest(n), change(0)).await.unwrap();
    }
}

/// One request of each outcome with each key, in no order.
fn piece(secs: u64) -> Vec<KeyUsage> {
    let count = |outcome: &str| UsageCount {
        route: "GET /iocs/{id}".into(),
        outcome: outcome.into(),
        hour: at(0),
        requests: 1,
    };
    let used = |n: u8| KeyUsage {
        key: key_id(n.into()),
        last_used_at: at(secs),
        last_address: None,
        with_old_secret: 1,
        counts: OUTCOMES.map(count).into(),
    };
    let mut piece: Vec<_> = (0..KEYS).map(used).collect();
    fastrand::shuffle(&mut piece);
    piece
}

/// It is about how often the database is asked, and not about how quick it is: asked for each key,
/// it would take seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_many_keys_takes_a_few_round_trips() {
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let store = open(&proxy.url_for(&url)).await;
    with_keys(&store).await;
    store.record_usage(piece(0)).await.unwrap();
    proxy.delay(Duration::from_millis(5));
    let (lag, began) = (Lag::watch(), steady());
    store.record_usage(piece(1)).await.unwrap();
    let took = steady().since(began);
    say(&format!(
        "usage of {KEYS} keys, with replies 5 ms late: {took:.1?}"
    ));
    let lag = lag.end();
    assert!(took < PATIENCE / 2 + 4 * lag, "{took:?}, with {lag:?}");
}

/// Each waits for the other at every key, and with replies that come late for as long as can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_usage_of_the_same_keys_never_fail() {
    const PIECES: u64 = 25;
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let near = open(&url).await;
    let nodes = [
        open(&proxy.url_for(&url)).await,
        open(&proxy.url_for(&url)).await,
    ];
    with_keys(&near).await;
    proxy.delay(Duration::from_millis(2));
    let writers = nodes.map(|node| {
        tokio::spawn(async move {
            for n in 0..PIECES {
                // Two at once, as when a gate shuts down while it writes; the day changes on the way.
                let pieces = [piece(n * 10_000), piece(n * 10_000)];
                let [one, two] = pieces.map(|piece| node.record_usage(piece));
                let (one, two) = tokio::join!(one, two);
                one.unwrap();
                two.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    // One that comes late takes no key back to the first day.
    near.record_usage(piece(0)).await.unwrap();
    let written = 4 * PIECES + 1;
    for n in 0..KEYS {
        let totals = near.usage(&key_id(n.into())).await.unwrap();
        let sums = (totals.total_requests, totals.with_old_secret);
        assert_eq!(sums, (3 * written, written), "key {n}");
        assert_eq!(totals.last_used_at, Some(at((PIECES - 1) * 10_000)));
    }
    let query = UsageQuery::new(UsageOf::Organization(org("acme")), at(0), at(1));
    let rows = near
        .usage_counts(query.by_key().by_outcome())
        .await
        .unwrap();
    assert_eq!(rows.len(), usize::from(KEYS) * OUTCOMES.len());
    assert!(rows.iter().all(|row| row.requests == written), "{rows:?}");
    let days = "SELECT count(*), min(last_used_day), max(last_used_day) FROM tollgate_keys";
    let day = at((PIECES - 1) * 10_000)
        .as_micros()
        .div_euclid(86_400_000_000);
    let days = server.query(&url, days).unwrap();
    assert_eq!(days.trim(), format!("{KEYS}|{day}|{day}"));
}
