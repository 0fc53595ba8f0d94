//! What each refusal consumed, read from counters: rates by the next response, quotas, wallets.

use std::time::Duration;

use http::Method;
use tollgate::access::{Access, authenticated, optional, public, scope};
use tollgate::core::ip::IpRules;
use tollgate::{Gate, Routes};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{DAY, Door, MINUTE, TestApp, TestKey, actor, eventually, org, unknown_secret};

async fn done() -> &'static str {
    "done"
}

/// Routes that cost three credits, one unit of the plan's rates, and one that only looks.
fn routes(gate: &Gate) -> Routes {
    let paid = |access: Access| access.credits(3);
    gate.routes()
        .get("/any", done, paid(authenticated()))
        .get("/iocs", done, paid(scope("iocs:read")))
        .get("/pro", done, paid(authenticated().plan("pro")))
        .get("/stix", done, paid(authenticated().feature("format.stix")))
        .get("/daily", done, paid(authenticated().rate_class("daily")))
        .get("/look", done, authenticated().rate_cost(0))
        .get(
            "/look/daily",
            done,
            authenticated().rate_class("daily").rate_cost(0),
        )
        .get("/public", done, public())
        .get("/maybe", done, paid(optional()))
}

async fn app() -> TestApp {
    let app = TestApp::new(routes).await;
    app.grant("acme", 30).await;
    app
}

async fn remaining(app: &TestApp, key: &TestKey) -> u64 {
    let answer = app.get("/look").key(key).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.remaining()
}

async fn quota_left(app: &TestApp, key: &TestKey) -> u64 {
    app.get("/look/daily").key(key).send().await.remaining()
}

#[tokio::test]
async fn what_is_refused_before_the_limits_consumes_nothing() {
    let app = app().await;
    let key = app.key("acme", []).await;
    let rules = IpRules::allowing("203.0.113.0/24".parse().unwrap());
    let fenced = app.key_with("acme", |key| key.ip_rules(rules)).await;
    for (call, status) in [
        (app.get("/any"), 401),
        (app.get("/any").header("x-api-key", "junk"), 401),
        (app.get("/any").header("x-api-key", unknown_secret()), 401),
        (
            app.get("/any").key(&key).header("x-api-key", &*key.secret),
            400,
        ),
        (app.get("/any").key(&fenced), 403),
        (app.get("/iocs").key(&key), 403),
        (app.get("/pro").key(&key), 403),
        (app.get("/stix").key(&key), 403),
    ] {
        assert_eq!(call.status().await, status);
    }
    assert_eq!(remaining(&app, &key).await, 5);
    assert_eq!(app.balance("acme").available(), 30);
}

#[tokio::test]
async fn a_suspended_or_restricted_organization_consumes_nothing() {
    let app = app().await;
    let keyring = app.gate.keyring();
    let key = app.key("acme", []).await;
    keyring.suspend(&org("acme"), &actor()).await.unwrap();
    assert_eq!(app.get("/any").key(&key).status().await, 403);
    keyring
        .restrict_billing(&org("acme"), &actor())
        .await
        .unwrap();
    assert_eq!(app.get("/any").key(&key).status().await, 403);
    keyring.activate(&org("acme"), &actor()).await.unwrap();
    assert_eq!(remaining(&app, &key).await, 5);
    assert_eq!(app.balance("acme").available(), 30);
}

#[tokio::test]
async fn a_429_consumes_no_credit_and_no_unit() {
    let app = app().await;
    let key = app.key("acme", []).await;
    for _ in 0..5 {
        assert_eq!(app.get("/any").key(&key).status().await, 200);
    }
    for _ in 0..3 {
        assert_eq!(app.get("/any").key(&key).status().await, 429);
    }
    assert_eq!(app.charged("acme"), 15);
    app.clock.advance(MINUTE);
    assert_eq!(remaining(&app, &key).await, 5);
}

#[tokio::test]
async fn a_quota_that_refuses_consumes_no_credit() {
    let app = app().await;
    let key = app.key("acme", []).await;
    for left in [2, 1, 0] {
        let answer = app.get("/daily").key(&key).send().await;
        assert_eq!((answer.status, answer.remaining()), (200, left));
    }
    assert_eq!(app.get("/daily").key(&key).status().await, 429);
    assert_eq!(app.charged("acme"), 9);
    assert_eq!(
        remaining(&app, &key).await,
        5,
        "a class of its own leaves the others alone"
    );
}

#[tokio::test]
async fn a_402_keeps_the_unit_that_it_took() {
    let app = app().await;
    app.organization("poor", "free").await;
    app.grant("poor", 2).await;
    let key = app.key("poor", []).await;
    assert_eq!(app.get("/any").key(&key).status().await, 402);
    assert_eq!(app.get("/daily").key(&key).status().await, 402);
    assert_eq!(remaining(&app, &key).await, 4);
    assert_eq!(quota_left(&app, &key).await, 2);
    assert_eq!(app.balance("poor").available(), 2);
}

#[tokio::test]
async fn a_ledger_that_is_down_charges_nothing() {
    let app = app().await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Hold, Fault::Fail);
    assert_eq!(app.get("/any").key(&key).status().await, 503);
    app.faults.set_all(Fault::None);
    assert_eq!(app.balance("acme").available(), 30);
    assert_eq!(remaining(&app, &key).await, 4);
}

#[tokio::test]
async fn a_hold_whose_reply_is_lost_is_given_back() {
    let app = app().await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Hold, Fault::LoseReply);
    assert_eq!(app.get("/any").key(&key).status().await, 503);
    app.settled().await;
    assert_eq!(app.balance("acme").available(), 30);
}

#[tokio::test]
async fn a_ledger_that_hangs_is_given_up_at_its_deadline() {
    let app = app().await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Hold, Fault::Hang);
    let call = app.get("/any").key(&key).status();
    let late = async {
        let asked = async || app.faults.calls(Operation::Hold) > 0;
        eventually("the hold is asked for", asked).await;
        app.clock.advance(Duration::from_secs(1));
    };
    assert_eq!(tokio::join!(call, late).0, 503);
    app.settled().await;
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn head_costs_as_get() {
    let app = app().await;
    let key = app.key("acme", []).await;
    let answer = app.call(Method::HEAD, "/any").key(&key).send().await;
    assert_eq!(
        (answer.status, answer.body.len(), answer.remaining()),
        (200, 0, 4)
    );
    assert_eq!(app.charged("acme"), 3);
}

#[tokio::test]
async fn a_public_route_charges_nothing_whatever_is_sent() {
    let app = app().await;
    let key = app.key("acme", []).await;
    for call in [
        app.get("/public"),
        app.get("/public").key(&key),
        app.get("/public").key(&key).key(&key),
        app.get("/public").header("x-api-key", "junk"),
        app.get("/public").header("x-api-key", unknown_secret()),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
        assert_eq!(answer.header("cache-control"), None);
    }
    assert_eq!(remaining(&app, &key).await, 5);
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn an_optional_route_is_anonymous_or_charged_or_refused() {
    let app = app().await;
    let key = app.key("acme", []).await;
    let answer = app.get("/maybe").send().await;
    assert_eq!(
        (answer.status, answer.header("x-ratelimit-limit")),
        (200, None)
    );
    assert_eq!(answer.header("vary"), Some("authorization, x-api-key"));
    assert_eq!(app.charged("acme"), 0);
    let answer = app.get("/maybe").key(&key).send().await;
    assert_eq!((answer.status, answer.remaining()), (200, 4));
    assert_eq!(app.charged("acme"), 3);
    for bad in ["junk".to_owned(), unknown_secret()] {
        assert_eq!(
            app.get("/maybe").header("x-api-key", bad).status().await,
            401
        );
    }
}

#[tokio::test]
async fn keys_of_the_test_environment_are_free_but_limited() {
    let app = app().await;
    app.organization("poor", "free").await;
    let key = app.key_with("poor", |key| key.environment("test")).await;
    let answer = app.get("/any").key(&key).send().await;
    assert_eq!((answer.status, answer.remaining()), (200, 4));
    assert_eq!(app.balance("poor").granted, 0);
}

#[tokio::test]
async fn a_place_under_way_is_free_again_after_the_answer() {
    let door = Door::closed();
    let inner = door.clone();
    let app = TestApp::new(|gate| {
        let wait = move || async move { inner.pass().await };
        gate.routes().get(
            "/narrow",
            wait,
            authenticated().rate_class("narrow").credits(3),
        )
    })
    .await;
    app.grant("acme", 30).await;
    let key = app.key("acme", []).await;
    let second = async {
        door.knocked().await;
        let refused = app.get("/narrow").key(&key).send().await;
        assert_eq!(
            (refused.status, refused.remaining()),
            (429, 99),
            "it took no unit"
        );
        assert_eq!(app.balance("acme").held, 3, "it holds nothing");
        door.open();
    };
    let (first, ()) = tokio::join!(app.get("/narrow").key(&key).status(), second);
    assert_eq!(first, 200);
    door.open();
    assert_eq!(app.get("/narrow").key(&key).status().await, 200);
    assert_eq!(app.charged("acme"), 6);
}

#[tokio::test]
async fn a_plans_monthly_credits_are_granted_once_a_month() {
    let app = app().await;
    let key = app.key("umbra", []).await;
    for charged in [3, 6] {
        assert_eq!(app.get("/any").key(&key).status().await, 200);
        let balance = app.balance("umbra");
        assert_eq!((balance.granted, balance.settled), (100, charged));
    }
    app.clock.advance(31 * DAY);
    assert_eq!(app.get("/any").key(&key).status().await, 200);
    assert_eq!(app.balance("umbra").granted, 200);
}
