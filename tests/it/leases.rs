//! Credits that are leased ahead: charged in memory, noted each second, given back at shutdown.

use std::time::Duration;

use axum::extract::Path;
use tollgate::access::{Access, authenticated};
use tollgate::core::credits::EntryKind;
use tollgate::{Bill, Denial, DenialKind};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{Door, TestApp, eventually, org};

fn paid() -> Access {
    authenticated().credits(3).rate_cost(0)
}

async fn app() -> TestApp {
    TestApp::with(
        |builder| builder.lease_credits(1000),
        |gate| {
            let items = async |mut bill: Bill| bill.items(4).await.map(|()| "");
            gate.routes()
                .get("/", async || "", paid())
                .get(
                    "/fails",
                    async || Err::<(), _>(Denial::from(DenialKind::Internal)),
                    paid(),
                )
                .get(
                    "/items",
                    items,
                    authenticated().credits_per_item(5).rate_cost(0),
                )
                .get("/durable", async || "", paid().settle_before_reply())
                .post("/once", async || "", paid().idempotent())
        },
    )
    .await
}

async fn pass(app: &TestApp, seconds: u32) {
    for _ in 0..seconds {
        app.clock.advance(Duration::from_secs(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn charges_are_noted_each_second_and_made_at_shutdown() {
    let app = app().await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    for _ in 0..50 {
        assert_eq!(app.get("/").key(&key).status().await, 200);
        assert_eq!(app.get("/fails").key(&key).status().await, 500);
    }
    assert_eq!(app.get("/items").key(&key).status().await, 200);
    // The ledger behind is asked for few of them.
    let asked = app.faults.calls(Operation::Hold);
    assert!(asked < 10, "{asked}");
    assert_eq!(app.charged("acme"), 0);
    let seen = app.gate.balance(&org("acme")).await.unwrap();
    assert_eq!((seen.settled, seen.held), (170, 0));
    app.gate.shutdown().await;
    assert_eq!((app.charged("acme"), app.balance("acme").held), (170, 0));
    let entries = app.gate.credits().entries(&org("acme"), None, 10).await;
    let entries = entries.unwrap().into_iter();
    let charges = entries.filter(|entry| entry.kind == EntryKind::Charge);
    let mut charges: Vec<_> = charges
        .map(|entry| {
            (
                entry.route.unwrap().to_string(),
                entry.credits,
                entry.reason.unwrap(),
            )
        })
        .collect();
    charges.sort();
    let part = |route: &str, credits, requests: &str| (route.into(), credits, requests.into());
    assert_eq!(
        charges,
        [
            part("GET /", -150, "50 requests"),
            part("GET /items", -20, "1 request")
        ]
    );
}

#[tokio::test]
async fn what_is_to_be_durable_is_not_leased() {
    let app = app().await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    assert_eq!(app.get("/durable").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 3);
    let once = app.post("/once").header("idempotency-key", "k").key(&key);
    assert_eq!(once.status().await, 200);
    assert_eq!(app.charged("acme"), 6);
    app.gate.shutdown().await;
    assert_eq!(app.charged("acme"), 9);
}

#[tokio::test]
async fn a_wallet_is_spent_to_its_last_credit() {
    let app = app().await;
    app.grant("acme", 3 * 64 + 2).await;
    let key = app.key("acme", []).await;
    let calls = (0..100).map(|_| app.get("/").key(&key).status());
    let statuses = futures_util::future::join_all(calls).await;
    let good = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(
        (
            good,
            statuses.iter().filter(|status| **status == 402).count()
        ),
        (64, 36)
    );
    pass(&app, 3).await;
    assert_eq!((app.charged("acme"), app.balance("acme").held), (192, 0));
}

#[tokio::test]
async fn a_ledger_that_is_down_is_503_once_the_lease_is_spent() {
    let app = app().await;
    app.grant("acme", 1000).await;
    let key = app.key("acme", []).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.faults.set_all(Fault::Fail);
    let mut good = 0;
    let refused = loop {
        match app.get("/").key(&key).status().await {
            200 => good += 1,
            status => break status,
        }
    };
    assert_eq!(refused, 503);
    assert!(good < 10, "{good}");
    app.faults.set_all(Fault::None);
    pass(&app, 10).await;
    assert_eq!(app.charged("acme"), 3 * (good + 2));
}

/// Requests that the server has not drained, and those that come later, are charged all the same.
#[tokio::test]
async fn what_goes_on_after_the_shutdown_is_charged() {
    let door = Door::closed();
    let way = door.clone();
    let app = TestApp::with(
        |builder| builder.lease_credits(1000),
        |gate| {
            let wait = move || async move { way.pass().await };
            gate.routes()
                .get("/", async || "", paid())
                .get("/slow", wait, paid())
        },
    )
    .await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    let meanwhile = async {
        door.knocked().await;
        app.gate.shutdown().await;
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/slow").key(&key).status(), meanwhile);
    assert_eq!(status, 200);
    assert_eq!(app.get("/").key(&key).status().await, 200);
    eventually("all is charged", async || app.charged("acme") == 9).await;
}

#[tokio::test]
async fn a_store_that_hangs_keeps_no_lease_from_being_given_back() {
    let app = app().await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.faults.set(Operation::Catalog, Fault::Hang);
    app.faults.set(Operation::Usage, Fault::Hang);
    let time = async {
        eventually("the lease is given back", async || app.charged("acme") == 3).await;
        pass(&app, 11).await;
    };
    tokio::join!(app.gate.shutdown(), time);
    assert_eq!(app.balance("acme").held, 0);
}

/// It may have been granted: nobody would give it back before its time is over.
#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_voided() {
    let app = app().await;
    app.grant("acme", 10).await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Hold, Fault::LoseReply);
    assert_eq!(app.get("/").key(&key).status().await, 503);
    app.faults.set_all(Fault::None);
    eventually("it is voided", async || app.balance("acme").held == 0).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.gate.shutdown().await;
    assert_eq!((app.charged("acme"), app.balance("acme").held), (3, 0));
}

#[tokio::test]
async fn a_ledger_that_hung_once_is_asked_again() {
    let app = app().await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Hold, Fault::Hang);
    let time = async {
        eventually("it is asked", async || {
            app.faults.calls(Operation::Hold) > 0
        })
        .await;
        pass(&app, 10).await;
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), time);
    assert_eq!(status, 503);
    app.faults.set_all(Fault::None);
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.gate.shutdown().await;
}

/// What nobody can pay is no wish of those who share the lease.
#[tokio::test]
async fn a_raise_that_is_refused_harms_nobody_else() {
    let app = TestApp::with(
        |builder| builder.lease_credits(100),
        |gate| {
            let items = async |Path(n): Path<usize>, mut bill: Bill| bill.items(n).await;
            let access = authenticated().credits_per_item(1).rate_cost(0);
            gate.routes().get("/{n}", items, access)
        },
    )
    .await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    for second in 1..=5 {
        for _ in 0..4 {
            assert_eq!(app.get("/9000000000000").key(&key).status().await, 402);
            assert_eq!(app.get("/300").key(&key).status().await, 200);
        }
        // It is hung up in the middle of the raise.
        app.faults.set(Operation::Hold, Fault::Hang);
        let huge = app.get("/9000000000000").key(&key);
        let _ = tokio::time::timeout(Duration::from_millis(50), huge.status()).await;
        app.faults.set_all(Fault::None);
        pass(&app, 6).await;
        assert!(app.charged("acme") + app.balance("acme").held >= second * 1200);
    }
    app.gate.shutdown().await;
    eventually("all is charged", async || app.charged("acme") == 6000).await;
}

#[tokio::test]
async fn long_requests_keep_one_lease_and_not_many() {
    let door = Door::closed();
    let way = door.clone();
    let app = TestApp::with(
        |builder| builder.lease_credits(100_000),
        |gate| {
            let wait = move || async move { way.pass().await };
            let items = async |Path(n): Path<usize>, mut bill: Bill| bill.items(n).await;
            gate.routes()
                .get("/", async || "", paid())
                .get("/slow", wait, paid())
                .get(
                    "/items/{n}",
                    items,
                    authenticated().credits_per_item(1).rate_cost(0),
                )
        },
    )
    .await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    let calls = async {
        let mut slow = Vec::new();
        for _ in 0..10 {
            slow.push(app.get("/slow").key(&key).status());
        }
        futures_util::future::join_all(slow).await
    };
    let meanwhile = async {
        for _ in 0..10 {
            door.knocked().await;
            assert_eq!(app.get("/").key(&key).status().await, 200);
            pass(&app, 3).await;
        }
        let available = app.gate.balance(&org("acme")).await.unwrap().available();
        let all = app.get(&format!("/items/{available}")).key(&key);
        assert_eq!(all.status().await, 200);
        for _ in 0..10 {
            door.open();
        }
    };
    let (statuses, ()) = tokio::join!(calls, meanwhile);
    assert_eq!(statuses, [200; 10]);
    app.gate.shutdown().await;
    assert_eq!(
        (app.charged("acme"), app.balance("acme").held),
        (100_000, 0)
    );
}

/// It lands when nobody renews leases any more.
#[tokio::test]
async fn a_lease_that_is_granted_during_the_shutdown_ends_with_its_request() {
    let app = app().await;
    app.grant("acme", 100_000).await;
    let key = app.key("acme", []).await;
    app.faults
        .set(Operation::Hold, Fault::Late(Duration::from_millis(500)));
    let meanwhile = async {
        eventually("it is asked", async || {
            app.faults.calls(Operation::Hold) > 0
        })
        .await;
        app.faults.set_all(Fault::None);
        let shutdown = app.gate.shutdown();
        let time = pass(&app, 3);
        tokio::join!(shutdown, time);
    };
    let (status, ()) = tokio::join!(app.get("/").key(&key).status(), meanwhile);
    assert_eq!(status, 200);
    eventually("it is charged", async || app.charged("acme") == 3).await;
    assert_eq!(app.balance("acme").held, 0);
}
