//! A connection that somebody gave up on is not used again.

use std::time::Duration;

use tollgate_core::clock::SystemClock;
use tollgate_core::credits::{Grant, Ledger};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreErrorKind;
use tollgate_core::reply::Reply;
use tollgate_core::store::KeyStore;
use tollgate_servers::{Postgres, Proxy};
use tollgate_testkit::records::{api_key, change, digest, hold_request, key_id, org, organization};

use super::{open, steady};

/// Every reply comes so much later, which nobody waits for: whoever writes charges for many gives
/// up after a second.
const LATE: Duration = Duration::from_millis(1_300);
const DEADLINE: Duration = Duration::from_millis(40);
/// The server notices that a client is gone when it has something to say, or once a second.
const NOTICED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_on_is_closed_and_never_answers_another_question() {
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let (direct, store) = (open(&url).await, open(&proxy.url_for(&url)).await);
    let acme = organization("acme");
    direct.insert_organization(acme, change(0)).await.unwrap();
    for n in 0..20 {
        let key = api_key(n.into(), "acme");
        direct.insert_key(key, digest(n), change(0)).await.unwrap();
    }
    let grant = Grant::new(org("acme"), 100);
    direct.grant(grant, change(0)).await.unwrap();
    direct.close().await;
    let mut seen = 0;
    for n in 0..20_u8 {
        let (found, held) = (store.find(&digest(n)), hold_request(n.into(), "acme", 1, 1));
        assert_eq!(found.await.unwrap().unwrap().key.id, key_id(n.into()));
        store.hold(&held).await.unwrap();
        if n % 7 > 0 {
            continue;
        }
        let since = server.query(&url, "SELECT clock_timestamp()").unwrap();
        proxy.delay(LATE);
        give_up(store.find(&digest(n + 1))).await;
        give_up(store.hold(&hold_request(100 + u32::from(n), "acme", 1, 1))).await;
        let given_up = backends(server, &url, since.trim());
        seen += given_up.len();
        proxy.pass();
        let found = store.find(&digest(n + 2)).await.unwrap();
        assert_eq!(found.unwrap().key.id, key_id(u32::from(n) + 2));
        closed(server, &url, &given_up).await;
    }
    assert!(seen > 0, "nothing was asked for that could be given up on");
}

async fn give_up<T: Send + 'static>(reply: Reply<T>) {
    let given_up = within(&SystemClock::default(), DEADLINE, "the store", reply).await;
    let kind = given_up.err().map(|error| error.kind());
    assert_eq!(kind, Some(StoreErrorKind::TimedOut));
}

/// Waits until none of these is there any more.
async fn closed(server: &Postgres, url: &str, given_up: &[String]) {
    let began = steady();
    loop {
        let left = backends(server, url, "-infinity");
        let left: Vec<_> = left.iter().filter(|it| given_up.contains(it)).collect();
        if left.is_empty() {
            return;
        }
        assert!(steady().since(began) < NOTICED, "still there: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server's processes that the store has asked something since then.
fn backends(server: &Postgres, url: &str, since: &str) -> Vec<String> {
    let listed = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'tollgate' AND query_start > '{since}'"
    );
    let listed = server.query(url, &listed).unwrap();
    listed.lines().map(str::to_owned).collect()
}
