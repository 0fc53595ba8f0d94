//! Holds end by the server's clock, whatever the nodes' clocks say.

use std::time::Duration;

use tollgate_core::clock::{Clock as _, SystemClock, Timestamp};
use tollgate_core::credits::{Extension, Grant, HoldRequest, Ledger, Settle, Settlement};
use tollgate_core::error::StoreErrorKind;
use tollgate_servers::Postgres;
use tollgate_sqlx::{PostgresOptions, PostgresStore};
use tollgate_testkit::records::{change, hold_id, hold_request, org};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const AT_MOST: u32 = 100;

/// A node as an app opens it.
async fn node() -> PostgresStore {
    let url = Postgres::shared().fresh();
    let options = PostgresOptions::new(&url).allow_lost_commits();
    let node = options.open().await.unwrap();
    let grant = Grant::new(org("acme"), 100);
    node.grant(grant, change(0)).await.unwrap();
    node
}

/// What the clocks of three nodes say at this moment.
fn clocks() -> [Timestamp; 3] {
    let now = SystemClock::default().now().wall;
    [now.before(DAY), now, now.after(DAY)]
}

/// By a node whose clock says so, for so long.
async fn hold(node: &PostgresStore, n: u32, at: Timestamp, lasts: Duration) {
    let request = HoldRequest {
        at,
        deadline: at.after(lasts),
        ..hold_request(n, "acme", 5, 5)
    };
    node.hold(&request).await.unwrap();
}

async fn settle(node: &PostgresStore, n: u32) -> Settlement {
    let settle = Settle {
        id: hold_id(n),
        credits: 5,
        at: Timestamp::default(),
        outcome: None,
        parts: Vec::new(),
    };
    node.settle(settle).await.unwrap()
}

/// A node that is a day ahead would end them all.
#[tokio::test]
async fn no_node_ends_the_holds_of_another_whose_clock_differs() {
    let node = node().await;
    for (n, at) in (0..).zip(clocks()) {
        hold(&node, n, at, MINUTE).await;
        for now in clocks() {
            assert_eq!(node.expire(now, AT_MOST).await.unwrap(), 0, "{at} by {now}");
        }
    }
    for n in 0..3 {
        let charged = Settlement::Settled { charged: 5 };
        assert_eq!(settle(&node, n).await, charged);
    }
}

/// And a node that is a day behind would end none.
#[tokio::test]
async fn what_is_over_is_ended_by_a_node_of_any_clock() {
    let node = node().await;
    for at in clocks() {
        for (n, now) in (0..).zip(clocks()) {
            let n = n + 10 * u32::try_from(at.as_unix_secs_ceil() % 1_000_000).unwrap();
            hold(&node, n, at, Duration::ZERO).await;
            assert_eq!(node.expire(now, AT_MOST).await.unwrap(), 1, "{at} by {now}");
        }
    }
}

#[tokio::test]
async fn a_hold_that_is_renewed_lasts_by_the_servers_clock_too() {
    let node = node().await;
    for (n, at) in (0..).zip(clocks()) {
        hold(&node, n, at, Duration::ZERO).await;
        let extension = Extension {
            id: hold_id(n),
            credits: 0,
            owed: 0,
            deadline: at.after(MINUTE),
            at,
        };
        node.extend(extension).await.unwrap();
        for now in clocks() {
            assert_eq!(node.expire(now, AT_MOST).await.unwrap(), 0, "{at} by {now}");
        }
    }
    assert_eq!(settle(&node, 1).await, Settlement::Settled { charged: 5 });
    let again = node.hold(&hold_request(1, "acme", 5, 5)).await.unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Conflict);
}
