//! The kit itself: what it claims holds, and what does not hold it says.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tollgate::access::{Access, authenticated, optional, public, scope};
use tollgate::client_address::TrustedProxies;
use tollgate::core::change::Actor;
use tollgate::core::rate::RateLimit;
use tollgate::{Bill, Catalog, Denial, Gate, Plan, Principal, Routes, Scope};

use super::*;
use crate::faults::{Fault, Operation};

fn catalog() -> Catalog {
    let minute = Duration::from_secs(60);
    let free = Plan::new("free")
        .rank(0)
        .rate(RateLimit::exact(5, minute).unwrap());
    let pro = Plan::new("pro")
        .rank(1)
        .rate(RateLimit::smooth(100, minute).unwrap());
    Catalog::builder()
        .scope("iocs:read")
        .scope(Scope::new("iocs:write").implies("iocs:read"))
        .plan(free)
        .plan(pro)
        .build()
        .unwrap()
}

async fn per_item(mut bill: Bill) -> Result<&'static str, Denial> {
    bill.items(3).await?;
    Ok("done")
}

async fn echo(caller: Option<Principal>, request: axum::extract::Request) -> String {
    let known = caller.map_or("nobody".to_owned(), |caller| caller.key_name().to_owned());
    format!("{known} {}", request.uri())
}

fn routes(gate: &Gate) -> Routes {
    let read = || scope("iocs:read");
    let costly = |access: Access| access.credits(2).rate_cost(2);
    gate.routes()
        .get("/iocs", async || "none", costly(read()))
        .post("/iocs", async || "made", scope("iocs:write"))
        .post("/items", per_item, read().credits_per_item(2))
        .get("/me", async || "me", authenticated())
        .get("/echo", echo, optional())
        .get("/leak", async || tracing::info!("harmless"), public())
}

async fn kit() -> (TestGate, TestApp) {
    let kit = TestGate::new(catalog()).await;
    let app = kit.app(routes(kit.gate()).into_service().unwrap());
    kit.organization("acme").credits(20).make().await;
    (kit, app)
}

/// What a claim that does not hold says.
async fn failure(claim: impl Future<Output = ()>) -> String {
    let failed = AssertUnwindSafe(claim).catch_unwind().await;
    *failed.unwrap_err().downcast::<String>().unwrap()
}

#[tokio::test]
async fn what_a_request_consumed_is_known_exactly() {
    let (kit, app) = kit().await;
    let reader = kit.key("acme").scopes(["iocs:read"]).make().await;
    let both = tokio::join!(
        app.get("/iocs").key(&reader).send(),
        app.post("/items").key(&reader).send(),
    );
    both.0.assert_consumed(Consumed::rate(2).credits(2));
    both.1.assert_consumed(Consumed::rate(1).credits(6));
    let refused = app.post("/iocs").key(&reader).send().await;
    refused
        .assert_denied("insufficient_permissions")
        .assert_status(403)
        .assert_consumed(Consumed::NOTHING);
    assert_eq!(kit.balance("acme").available(), 12);
}

#[tokio::test]
async fn one_clock_moves_expiry_and_rates() {
    let (kit, app) = kit().await;
    kit.organization("hobby").plan("free").make().await;
    let minute = Duration::from_secs(60);
    let key = kit.key("hobby").expires_in(2 * minute).make().await;
    for status in [200, 200, 200, 200, 200, 429] {
        app.get("/me").key(&key).send().await.assert_status(status);
    }
    kit.advance(minute + Duration::from_secs(1)).await;
    app.get("/me").key(&key).send().await.assert_success();
    kit.advance(minute).await;
    let late = app.get("/me").key(&key).send().await;
    late.assert_denied("invalid_api_key");
}

#[tokio::test]
async fn a_call_comes_from_where_it_says() {
    let near = "10.0.0.0/8".parse().unwrap();
    let kit = TestGate::with(catalog(), |builder| {
        builder.trusted_proxies(TrustedProxies::x_forwarded_for(near))
    });
    let kit = kit.await;
    let app = kit.app(routes(kit.gate()).into_service().unwrap());
    kit.organization("acme").make().await;
    let key = kit.key("acme").allow_ip("203.0.113.7").make().await;
    let call = || app.get("/me").key(&key);
    call().send().await.assert_denied("ip_not_allowed");
    call().from("203.0.113.7").send().await.assert_success();
    let from = || call().from("203.0.113.7");
    from()
        .through(["10.0.0.9", "10.0.0.1"])
        .send()
        .await
        .assert_success();
    from()
        .through(["198.51.100.1"])
        .send()
        .await
        .assert_denied("ip_not_allowed");
}

#[tokio::test]
async fn a_failure_says_what_was_asked_and_keeps_the_secret() {
    let (kit, app) = kit().await;
    let reader = kit.key("acme").scopes(["iocs:read"]).make().await;
    let claim = async {
        let call = app.post("/iocs?x=1").key(&reader).json("{}");
        let answer = call.cookie("a=canary; b=canary").send().await;
        answer.assert_success();
    };
    let said = failure(claim).await;
    for part in [
        "the status is 403, not a 2xx",
        "POST /iocs?x=1 from 192.0.2.1",
        &format!("as key {} of acme", reader.id()),
        "insufficient_permissions",
        "the steps of POST /iocs say",
        "scopes       insufficient_permissions: ",
        "curl -i -X POST -H \"authorization: Bearer $KEY\"",
        "--data-binary '{}'",
        "cookie: a=(hidden); b=(hidden)",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(!said.contains(reader.secret()), "{said}");
    assert!(!said.contains("canary"), "{said}");

    let claim = async {
        let answer = app.get("/iocs").key(&reader).send().await;
        answer.assert_consumed(Consumed::rate(1));
    };
    let said = failure(claim).await;
    let told = "it consumed 2 units of each rate and 2 credits, not 1 units";
    assert!(said.starts_with(told), "{said}");
}

#[tokio::test]
async fn a_claim_of_a_denial_needs_one() {
    let (kit, app) = kit().await;
    let key = kit.key("acme").make().await;
    let answer = app.get("/me").key(&key).send().await;
    let claim = async { assert_eq!(answer.assert_denied("invalid_api_key").status(), 401) };
    let said = failure(claim).await;
    assert!(said.starts_with("it was not denied"), "{said}");
    let nobody = app.get("/me").send().await;
    let claim = async { assert_eq!(nobody.assert_denied("invalid_api_key").status(), 401) };
    let said = failure(claim).await;
    assert!(
        said.starts_with("it was denied with `missing_api_key`"),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_with_a_secret_in_it_fails() {
    let (kit, app) = kit().await;
    let key = kit.key("acme").make().await;
    let path = format!("/echo?note={}", key.secret());
    let said = failure(async { drop(app.get(&path).send().await) }).await;
    let told = format!("the secret of key {} is in the answer", key.id());
    assert!(said.starts_with(&told), "{said}");
    assert!(!said.contains(key.secret()), "{said}");
}

#[tokio::test]
async fn a_secret_that_was_logged_fails_the_gate() {
    let (kit, app) = kit().await;
    let key = kit.key("acme").make().await;
    app.get("/leak").key(&key).send().await.assert_success();
    assert_eq!(kit.0.watch.logged(), None);
    tracing::debug!(secret = key.secret(), "an app that says too much");
    let id = key.id();
    drop(app);
    let said = failure(async move { drop(kit) }).await;
    assert!(said.contains(&format!("the secret of key {id} was logged")));
    assert!(said.contains("an app that says too much"), "{said}");
    assert!(!said.contains(key.secret()), "{said}");
}

#[tokio::test]
async fn a_hold_that_is_left_open_fails_the_gate() {
    let (kit, app) = kit().await;
    let reader = kit.key("acme").scopes(["iocs:read"]).make().await;
    kit.faults().set(Operation::Settle, Fault::Fail);
    drop(app.get("/iocs").key(&reader).send().await);
    drop(app);
    let said = failure(async move { drop(kit) }).await;
    assert!(said.starts_with("2 credits are still held"), "{said}");
}

#[tokio::test]
async fn a_limiter_fails_when_it_is_told_to() {
    let (kit, app) = kit().await;
    kit.organization("hobby").plan("free").make().await;
    let key = kit.key("hobby").make().await;
    for fault in [Fault::Fail, Fault::LoseReply] {
        kit.faults().set(Operation::Rates, fault);
        let answer = app.get("/me").key(&key).send().await;
        answer.assert_denied("service_unavailable");
    }
    kit.faults().set(Operation::Rates, Fault::Hang);
    let hung = tokio::spawn(async move { app.get("/me").key(&key).send().await });
    kit.advance(Duration::ZERO).await;
    kit.advance(Duration::from_secs(5)).await;
    let answer = hung.await.unwrap();
    answer.assert_denied("service_unavailable");
}

const TABLE: &str = "\
Each endpoint has its own path, and the permission that it needs stands beside it.

Method,Path,Permission,Credits
GET,/iocs,iocs:read,2
POST,/iocs,iocs:write,0
POST,/items,iocs:read,2/item
GET,/me,any key,0
GET,/echo,None (public),0
GET,/leak,public,0
";

async fn differences(documented: Documented) -> String {
    let (kit, app) = kit().await;
    let map = routes(kit.gate()).permissions();
    let matrix = app.matrix(&map).compute().await;
    failure(async { matrix.assert_documented(&documented) }).await
}

#[tokio::test]
async fn a_matrix_is_what_is_documented() {
    let (kit, app) = kit().await;
    let map = routes(kit.gate()).permissions();
    let matrix = app.matrix(&map).compute().await;
    let documented = Documented::table(TABLE).implies("iocs:write", ["iocs:read"]);
    matrix.assert_documented(&documented);
    let shown = matrix.to_string();
    let row = "| POST | /iocs | 0 | iocs:write, plan free, plan pro | nobody (missing_api_key), \
               no scopes (insufficient_permissions), iocs:read (insufficient_permissions) |";
    assert!(shown.contains(row), "{shown}");
}

#[tokio::test]
async fn each_cell_that_differs_is_named_in_either_direction() {
    let implied = |table: &str| Documented::table(table).implies("iocs:write", ["iocs:read"]);
    for (from, to, told) in [
        // The app is stricter, or more open.
        (
            "/iocs,iocs:write",
            "/iocs,iocs:read",
            "POST /iocs, iocs:read: documented is yes, and it is insufficient_permissions",
        ),
        (
            "/me,any key",
            "/me,iocs:read",
            "GET /me, no scopes: documented is insufficient_permissions, and it is yes",
        ),
        (
            "/me,any key",
            "/me,public",
            "GET /me, nobody: documented is yes, and it is missing_api_key",
        ),
        (
            "iocs:read,2\n",
            "iocs:read,3\n",
            "GET /iocs: documented are Fixed(3) credits, and the price is 2, and 2 were charged",
        ),
        (
            "2/item",
            "dynamic",
            "POST /items: documented are Dynamic credits, and the price is 2/item",
        ),
        (
            "GET,/leak,public,0\n",
            "",
            "GET /leak: there, but not documented",
        ),
        (
            "/leak,public",
            "/lake,public",
            "GET /lake: documented, but not there",
        ),
    ] {
        let table = TABLE.replace(from, to);
        assert_ne!(table, TABLE, "{from}");
        let said = differences(implied(&table)).await;
        assert!(said.contains(told), "{told}: {said}");
    }
    let said = differences(Documented::table(TABLE)).await;
    let told = "GET /iocs, iocs:write: documented is insufficient_permissions, and it is yes";
    assert!(said.contains(told), "{said}");
}

/// An app that lets through what it cannot check.
fn careless(gate: &Gate) -> Routes {
    let careless = async |caller: Option<Principal>| match caller {
        Some(_) => Ok("known"),
        None => Err(http::StatusCode::UNAUTHORIZED),
    };
    gate.routes()
        .get("/me", careless, authenticated())
        .get("/iocs", async || "none", scope("iocs:read"))
        .post("/iocs", async || "made", scope("iocs:write"))
}

async fn of(routes: fn(&Gate) -> Routes) -> (TestApp, tollgate::routes::PermissionMap) {
    let kit = TestGate::new(catalog()).await;
    let routes = routes(kit.gate());
    let map = routes.permissions();
    (kit.app(routes.into_service().unwrap()), map)
}

#[tokio::test]
async fn an_app_behind_the_gate_fails_closed() {
    Checklist::new(async || of(routes).await)
        .assert_fails_closed()
        .await;
    let mut checklist = Checklist::new(async || of(careless).await);
    checklist = checklist.sample(|call, _| call.header("x-sample", "1"));
    checklist.assert_fails_closed().await;
}

#[tokio::test]
async fn an_app_that_serves_what_it_cannot_check_is_found() {
    // Its own answer to a refusal, where the gate's should be.
    let open = tower::util::MapResponseLayer::new(|mut answer: http::Response<_>| {
        if answer.status() == 503 {
            *answer.status_mut() = http::StatusCode::OK;
            answer.extensions_mut().clear();
        }
        answer
    });
    let app = async || {
        let kit = TestGate::new(catalog()).await;
        let routes = careless(kit.gate());
        let map = routes.permissions();
        let service = tower::Layer::layer(&open, routes.into_service().unwrap());
        (kit.app(service), map)
    };
    let list = Checklist::new(app);
    let said = failure(list.assert_fails_closed()).await;
    assert!(
        said.contains("GET /me, Find Fail: it was not refused with a 503"),
        "{said}"
    );
    assert!(said.contains("GET /me, Rates Hang: "), "{said}");
}

#[tokio::test]
async fn a_key_that_the_kit_does_not_know_can_be_made_known() {
    let (kit, app) = kit().await;
    let new = tollgate::core::keyring::NewKey::new("acme".parse().unwrap(), "the app's own");
    let (keyring, actor) = (kit.gate().keyring(), Actor::system());
    let issued = keyring.issue(new.scopes(["iocs:read"]), &actor);
    let issued = issued.await.unwrap();
    let bearer = format!("Bearer {}", issued.secret.expose());
    let call = || app.get("/iocs").header("authorization", &*bearer);
    let unknown = call().send().await;
    let claim = async { assert_eq!(unknown.assert_consumed(Consumed::rate(2)).status(), 200) };
    let said = failure(claim).await;
    assert!(
        said.starts_with("it came with a key that the test did not make"),
        "{said}"
    );
    let key = kit.adopt(issued.key, issued.secret.expose());
    let known = call().send().await;
    known.assert_consumed(Consumed::rate(2).credits(2));
    assert_eq!(key.key.name, "the app's own");
}

#[tokio::test]
async fn what_the_app_names_gives_way_to_the_kit() {
    let other = crate::clock::ManualClock::new();
    let kit = TestGate::with(catalog(), |builder| {
        builder
            .store(tollgate::core::memory::MemoryStore::default())
            .clock(std::sync::Arc::new(other))
    });
    let kit = kit.await;
    let app = kit.app(routes(kit.gate()).into_service().unwrap());
    kit.organization("acme").credits(5).make().await;
    let key = kit.key("acme").scopes(["iocs:read"]);
    let key = key.expires_in(Duration::from_secs(60)).make().await;
    let read = app.get("/iocs").key(&key).send().await;
    read.assert_consumed(Consumed::rate(2).credits(2));
    kit.advance(Duration::from_secs(61)).await;
    let late = app.get("/iocs").key(&key).send().await;
    late.assert_denied("invalid_api_key");
}

#[tokio::test]
async fn a_matrix_that_saw_no_success_and_a_plan_that_nobody_named_are_told() {
    let (kit, _) = kit().await;
    let paid = |gate: &Gate| -> Routes {
        let lost = async || http::StatusCode::NOT_FOUND;
        let routes = gate.routes();
        let routes = routes.get(
            "/lost/{id}",
            lost,
            scope("iocs:read").credits(2).plan("pro"),
        );
        routes.post("/iocs", lost, scope("iocs:write"))
    };
    let map = paid(kit.gate()).permissions();
    let app = kit.app(paid(kit.gate()).into_service().unwrap());
    let matrix = app.matrix(&map).compute().await;
    let table = "Endpoint,Permission,Credits,Plan\nGET /lost/{id},iocs:read,2,Pro or above\n\
                 POST /iocs,iocs:write,0,-\n";
    let documented = Documented::table(table).implies("iocs:write", ["iocs:read"]);
    let said = failure(async { matrix.assert_documented(&documented) }).await;
    assert!(
        said.contains("names plans that `.plans([…])` does not: {\"Pro\"}"),
        "{said}"
    );
    let documented = documented.plans(["free", "pro"]);
    let said = failure(async { matrix.assert_documented(&documented) }).await;
    assert!(
        said.contains("GET /lost/{id}: no call of it succeeds"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[tokio::test]
async fn credits_that_were_refused_are_not_renewed() {
    let (kit, app) = kit().await;
    kit.organization("poor").make().await;
    let key = kit.key("poor").scopes(["iocs:read"]).make().await;
    let refused = app.get("/iocs").key(&key).send().await;
    refused.assert_denied("insufficient_credits");
    let asked = kit.faults().calls(Operation::Hold);
    for _ in 0..30 {
        kit.advance(Duration::from_secs(2)).await;
    }
    assert_eq!(kit.faults().calls(Operation::Hold), asked);
}
