//! Checks that only observe, and what is written down of each use.

use std::net::IpAddr;
use std::time::Duration;

use tollgate::access::{Access, Check, authenticated, optional, scope};
use tollgate::core::ip::IpRules;
use tollgate::{Bill, Gate, Principal, Routes};
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{DAY, HOUR, TestApp, TestKey, actor, eventually, org, unknown_secret};

const SECOND: Duration = Duration::from_secs(1);

async fn done() -> &'static str {
    "done"
}

/// Each demand once as a rule, and once only observed.
fn routes(gate: &Gate) -> Routes {
    let demands: [(_, fn() -> Access, _); 6] = [
        ("/credential", authenticated, Check::Credential),
        ("/organization", authenticated, Check::Organization),
        ("/ip", authenticated, Check::Ip),
        ("/scope", || scope("iocs:read"), Check::Scope),
        ("/plan", || authenticated().plan("pro"), Check::Plan),
        ("/credits", || authenticated().credits(5), Check::Credits),
    ];
    let mut routes = gate.routes();
    for (path, access, check) in demands {
        let observed = format!("/observe{path}");
        routes = routes.get(path, done, access().rate_cost(0)).get(
            &observed,
            done,
            access().rate_cost(0).observe(check),
        );
    }
    routes
        .get("/rate", done, authenticated())
        .get("/observe/rate", done, authenticated().observe(Check::Rate))
        .get(
            "/observe/maybe",
            done,
            optional().observe(Check::Credential),
        )
}

async fn refused_then_observed(app: &TestApp, path: &str, key: &TestKey, status: u16) {
    let observed = format!("/observe{path}");
    assert_eq!(app.get(path).key(key).status().await, status, "{path}");
    assert_eq!(app.get(&observed).key(key).status().await, 200, "{path}");
}

#[tokio::test]
async fn a_check_that_only_observes_lets_pass_what_it_would_refuse() {
    let app = TestApp::new(routes).await;
    let key = app.key("acme", []).await;
    let nobody = TestKey {
        id: key.id,
        secret: unknown_secret(),
    };
    let rules = IpRules::allowing("203.0.113.0/24".parse().unwrap());
    let fenced = app.key_with("acme", |key| key.ip_rules(rules)).await;
    refused_then_observed(&app, "/credential", &nobody, 401).await;
    refused_then_observed(&app, "/ip", &fenced, 403).await;
    refused_then_observed(&app, "/scope", &key, 403).await;
    refused_then_observed(&app, "/plan", &key, 403).await;
    refused_then_observed(&app, "/credits", &key, 402).await;
    for _ in 0..5 {
        assert_eq!(app.get("/rate").key(&key).status().await, 200);
    }
    refused_then_observed(&app, "/rate", &key, 429).await;
    let keyring = app.gate.keyring();
    keyring.suspend(&org("acme"), &actor()).await.unwrap();
    refused_then_observed(&app, "/organization", &key, 403).await;
    assert_eq!(app.get("/observe/credential").status().await, 200);
    assert_eq!(app.get("/observe/maybe").key(&nobody).status().await, 200);
}

#[tokio::test]
async fn a_check_that_only_observes_leaves_the_others_at_work() {
    let app = TestApp::new(routes).await;
    let key = app.key("acme", []).await;
    let keyring = app.gate.keyring();
    keyring.suspend(&org("acme"), &actor()).await.unwrap();
    for path in ["/scope", "/plan", "/credits", "/rate", "/ip", "/credential"] {
        let answer = app.get(&format!("/observe{path}")).key(&key).send().await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (403, "organization_suspended"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn credits_that_are_only_observed_are_charged_where_they_suffice() {
    let app = TestApp::new(routes).await;
    app.grant("acme", 7).await;
    let key = app.key("acme", []).await;
    for charged in [5, 5] {
        assert_eq!(app.get("/observe/credits").key(&key).status().await, 200);
        assert_eq!(app.charged("acme"), charged);
    }
    app.faults.set(Operation::Hold, Fault::Fail);
    assert_eq!(app.get("/observe/credits").key(&key).status().await, 200);
}

#[tokio::test]
async fn a_bill_goes_on_where_credits_are_only_observed() {
    let app = TestApp::new(|gate| {
        let count = |mut bill: Bill| async move { bill.items(4).await };
        let set = |mut bill: Bill| async move { bill.set(2) };
        let items = authenticated().credits_per_item(3);
        let between = authenticated().credits_between(1, 5);
        gate.routes()
            .get("/items", count, items.observe(Check::Credits))
            .get("/between", set, between.observe(Check::Credits))
    })
    .await;
    let key = app.key("acme", []).await;
    for path in ["/items", "/between"] {
        assert_eq!(app.get(path).key(&key).status().await, 200, "{path}");
    }
    assert_eq!(app.balance("acme").settled, 0);
    app.grant("acme", 5).await;
    assert_eq!(
        app.get("/items").key(&key).status().await,
        200,
        "one of four can be held"
    );
}

fn who(gate: &Gate) -> Routes {
    let who = |caller: Principal| async move { caller.key_id().to_string() };
    gate.routes()
        .get("/who", who, authenticated().rate_cost(0))
        .get("/pro", who, authenticated().plan("pro"))
}

#[tokio::test]
async fn uses_are_written_together_after_a_second() {
    let app = TestApp::new(who).await;
    let key = app.key("acme", []).await;
    let written = app.faults.calls(Operation::Usage);
    for from in ["203.0.113.1", "203.0.113.2"] {
        assert_eq!(app.get("/who").key(&key).from(from).status().await, 200);
    }
    assert_eq!(
        app.get("/pro").key(&key).from("203.0.113.3").status().await,
        403
    );
    assert_eq!(
        app.usage(&key).total_requests,
        0,
        "no request waits for a write"
    );

    app.clock.advance(SECOND);
    eventually("usage is written", async || {
        app.usage(&key).total_requests > 0
    })
    .await;
    let usage = app.usage(&key);
    assert_eq!(app.faults.calls(Operation::Usage), written + 1, "one batch");
    assert_eq!(usage.total_requests, 3, "refusals of a known key count too");
    assert_eq!(usage.last_used_at, Some(tollgate_testkit::clock::START));
    assert_eq!(usage.last_address, Some(IpAddr::from([203, 0, 113, 3])));
}

#[tokio::test]
async fn uses_are_written_at_shutdown() {
    let app = TestApp::new(who).await;
    let key = app.key("acme", []).await;
    assert_eq!(app.get("/who").key(&key).status().await, 200);
    app.gate.shutdown().await;
    assert_eq!(app.usage(&key).total_requests, 1);
}

#[tokio::test]
async fn uses_of_an_old_secret_are_told_apart_until_its_grace_is_over() {
    let app = TestApp::new(who).await;
    let old = app.key("acme", []).await;
    assert_eq!(app.get("/who").key(&old).status().await, 200);
    let rotated = app
        .gate
        .keyring()
        .rotate(&old.id, HOUR, &actor())
        .await
        .unwrap();
    let new = TestKey {
        id: rotated.key.id,
        secret: rotated.secret.expose().to_owned(),
    };
    let answers = [
        app.get("/who").key(&old).send().await,
        app.get("/who").key(&new).send().await,
    ];
    assert_eq!(answers[0].text(), answers[1].text(), "it is the same key");
    app.clock.advance(HOUR);
    assert_eq!(app.get("/who").key(&old).status().await, 401);
    assert_eq!(app.get("/who").key(&new).status().await, 200);
    app.gate.shutdown().await;
    let usage = app.usage(&new);
    assert_eq!((usage.total_requests, usage.with_old_secret), (4, 1));
}

#[tokio::test]
async fn who_is_refused_unseen_is_no_use_of_a_key() {
    let app = TestApp::new(who).await;
    let key = app.key("acme", []).await;
    app.gate.keyring().revoke(&key.id, &actor()).await.unwrap();
    assert_eq!(app.get("/who").key(&key).status().await, 401);
    assert_eq!(app.get("/nowhere").key(&key).status().await, 404);
    app.gate.shutdown().await;
    assert_eq!(app.usage(&key).total_requests, 0);
}

#[tokio::test]
async fn an_edit_is_seen_by_the_next_request() {
    let app = TestApp::new(routes).await;
    let keyring = app.gate.keyring();
    let key = app.key("acme", []).await;
    let edit = || tollgate::core::keyring::EditKey::new();
    let scoped = async || app.get("/scope").key(&key).status().await;
    assert_eq!(scoped().await, 403);
    let wider = edit().scopes(["iocs:write"]);
    keyring.edit(&key.id, wider, &actor()).await.unwrap();
    assert_eq!(scoped().await, 200, "a scope implies another");
    keyring.disable(&key.id, &actor()).await.unwrap();
    assert_eq!(scoped().await, 401);
    keyring.enable(&key.id, &actor()).await.unwrap();
    assert_eq!(scoped().await, 200);
    keyring
        .set_plan(&org("acme"), "pro", &actor())
        .await
        .unwrap();
    assert_eq!(app.get("/plan").key(&key).status().await, 200);
    let ending = app.clock.clone();
    let end = tollgate::core::clock::Clock::now(&ending).wall.after(DAY);
    keyring
        .edit(&key.id, edit().expires_at(Some(end)), &actor())
        .await
        .unwrap();
    assert_eq!(scoped().await, 200);
    app.clock.advance(DAY);
    assert_eq!(scoped().await, 401);
    keyring.delete(&key.id, &actor()).await.unwrap();
    assert_eq!(scoped().await, 401);
}
