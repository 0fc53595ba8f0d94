//! Errors: all flat, whoever makes them.

use std::time::Duration;

use axum::http::Method;
use tollgate::core::accounts::Role;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::plan::Limits;
use tollgate::core::rate::RateLimit;
use tollgate_testkit::faults::{Fault, Operation};

use super::app::api::{self, LONGEST_BODY};
use super::{Bench, OF_ACME, assert_flat};

#[tokio::test]
async fn errors_of_the_framework_are_flat() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let search = "/api/v1/dataleaks/search";
    let app = &bench.app;
    let long = format!(r#"{{"domain":"{}"}}"#, "a".repeat(LONGEST_BODY));
    let unknown = format!(r#"{{"{}":1}}"#, "a".repeat(8_000));
    let query = format!("/api/v1/dataleaks/domain?{}=1", "a".repeat(8_000));
    let odd = Method::from_bytes(b"BREW").unwrap();
    for (status, request) in [
        (404, app.get("/api/v1/nothing")),
        (404, app.get("/")),
        (405, app.put("/api/v1/watchlists")),
        (405, app.get(search)),
        (405, app.request(odd, search)),
        (413, app.post(search).json(long)),
        (415, app.post(search).body("text/plain", "{}")),
        (400, app.post(search).json("{")),
        (400, app.post(search).json("[]")),
        (400, app.post(search).json(unknown)),
        (400, app.get(&query)),
        (400, app.get("/api/v1/watchlists/%ff")),
        (400, app.get("/api/v1//watchlists")),
    ] {
        let answer = request.key(&key).send().await;
        let told = assert_flat(&answer, status);
        assert!(told.len() < 2_000, "{told}");
    }
}

#[tokio::test]
async fn a_path_that_takes_other_methods_names_them() {
    let bench = Bench::new().await;
    let path = format!("/api/v1/watchlists/{OF_ACME}");
    let answer = bench.app.put(&path).send().await;
    assert_flat(&answer, 405);
    let allowed = answer.header("allow").unwrap();
    for method in ["GET", "PATCH", "DELETE"] {
        assert!(allowed.contains(method), "{allowed}");
    }
}

#[tokio::test]
async fn too_many_requests_are_told_flat() {
    let bench = Bench::with(|gate| gate.failures_per_minute(1)).await;
    let key = bench.key("acme").await;
    let once = RateLimit::exact(1, Duration::from_secs(60)).unwrap();
    let limits = Limits::new().with_rate(once);
    let (acme, actor) = (OrgId::new("acme").unwrap(), Actor::named("test"));
    let keyring = bench.gate().keyring();
    let set = keyring.set_limits(&acme, Some(&limits), &actor);
    set.await.unwrap();
    let list = || bench.app.get("/api/v1/watchlists");
    list().key(&key).send().await.assert_status(200);
    let answer = list().key(&key).send().await;
    assert_flat(&answer, 429);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");

    // So are too many keys that look good and are none.
    let format = KeyFormat::new(&api::catalog().unwrap().keys().format);
    let mut told = Vec::new();
    for _ in 0..5 {
        let guess = format.generate("live").unwrap();
        let bearer = format!("Bearer {}", guess.secret.expose());
        let answer = list().header("authorization", bearer).send().await;
        assert_flat(&answer, answer.status());
        told.push(answer.status());
    }
    assert!(
        told.starts_with(&[401]) && told.ends_with(&[429]),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_a_flat_503_and_never_a_401() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    bench.kit.faults().set(Operation::Find, Fault::Fail);
    let answer = bench.app.get("/api/v1/watchlists").key(&key).send().await;
    assert_flat(&answer, 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test]
async fn a_suspended_workspace_is_told_flat() {
    let bench = Bench::new().await;
    let workspace = bench.kit.organization("initech").suspended();
    workspace.make().await;
    let key = bench.key("initech").await;
    for (.., request) in bench.good() {
        assert_flat(&request.key(&key).send().await, 403);
    }
}

#[tokio::test]
async fn errors_of_the_management_routes_are_flat() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let owner = bench.kit.session("owner@acme.example");
    let owner = owner.member("acme", Role::Owner).begin().await;
    let app = &bench.app;
    let keys = "/admin/organizations/acme/keys";
    let wrong = r#"{"email":"ann@acme.example","password":"a wrong one"}"#;
    for (status, request) in [
        (401, app.get(keys)),
        (401, app.get(keys).key(&key)),
        (401, app.get(keys).session(&owner).key(&key)),
        (401, app.post("/admin/session").json(wrong)),
        (404, app.get("/admin/nothing").session(&owner)),
        (
            404,
            app.get("/admin/organizations/globex/keys").session(&owner),
        ),
        (405, app.delete(keys).session(&owner)),
        (
            403,
            app.post("/admin/organizations")
                .session(&owner)
                .json(r#"{"id":"x","plan":"enterprise"}"#),
        ),
        (400, app.get(&format!("{keys}?limit=0")).session(&owner)),
        (400, app.post(keys).session(&owner).json("{")),
        (400, app.post(keys).session(&owner).json(r#"{"name":1}"#)),
        (
            400,
            app.post(keys)
                .session(&owner)
                .json(r#"{"name":"x","scopes":["no:such"]}"#),
        ),
        (415, app.post(keys).session(&owner).body("text/plain", "{}")),
    ] {
        assert_flat(&request.send().await, status);
    }
}
