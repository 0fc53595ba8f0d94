//! Creating, reading and deleting keys, by people who are signed in.

use serde_json::Value;
use tollgate::core::accounts::Role;
use tollgate_testkit::app::{Answer, TestSession};

use super::{Bench, PERMISSIONS};

const ACME: &str = "/admin/organizations/acme/keys";

/// Somebody who belongs to two organizations of three.
async fn ann(bench: &Bench) -> TestSession {
    for organization in ["labs", "umbra"] {
        bench.kit.organization(organization).make().await;
    }
    let ann = bench.kit.session("ann@acme.example");
    let ann = ann.member("acme", Role::Admin).member("labs", Role::Admin);
    ann.begin().await
}

async fn create(bench: &Bench, who: &TestSession, keys: &str, body: &str) -> (String, String) {
    let created = bench.post(keys, body).session(who).send().await;
    let created = created.assert_status(201).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&created["data"]["id"]), text(&created["secret"]))
}

async fn jobs(bench: &Bench, secret: &str) -> Answer {
    let bearer = format!("Bearer {secret}");
    let call = bench.app.get("/v1/jobs").header("authorization", bearer);
    call.send().await
}

#[tokio::test]
async fn the_full_key_is_shown_once_at_its_creation() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let body = r#"{"name":"staging","scopes":["jobs:read"]}"#;
    let (id, secret) = create(&bench, &ann, ACME, body).await;
    assert!(
        secret.starts_with("op_live_"),
        "the vendor and its one environment"
    );
    jobs(&bench, &secret).await.assert_status(200);
    for path in [
        ACME.to_owned(),
        format!("{ACME}/{id}"),
        "/admin/organizations/acme/audit".into(),
    ] {
        let shown = bench.app.get(&path).session(&ann).send().await;
        let text = shown.assert_status(200).text();
        assert!(text.contains(&id), "{path}");
        assert!(!text.contains(&secret), "{path}");
    }
}

#[tokio::test]
async fn every_key_is_a_live_one() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let live = r#"{"name":"live","environment":"live"}"#;
    let (_, secret) = create(&bench, &ann, ACME, live).await;
    assert!(secret.starts_with("op_live_"));
    let test = bench.post(ACME, r#"{"name":"test","environment":"test"}"#);
    let refused = test.session(&ann).send().await;
    assert!(refused.assert_status(422).text().contains("`test`"));
}

#[tokio::test]
async fn an_organization_has_several_keys_with_different_permissions() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let reader = r#"{"name":"dashboard","preset":"read-only"}"#;
    let (_, reader) = create(&bench, &ann, ACME, reader).await;
    let scanner = r#"{"name":"pipeline","scopes":["scan:create"]}"#;
    let (_, scanner) = create(&bench, &ann, ACME, scanner).await;
    jobs(&bench, &reader).await.assert_status(200);
    jobs(&bench, &scanner).await.assert_status(403);
    let scan = bench.post("/v1/scan", r#"{"sample":"mail"}"#);
    let scan = scan.header("authorization", format!("Bearer {scanner}"));
    scan.send().await.assert_status(202);
}

#[tokio::test]
async fn who_has_several_organizations_creates_separate_keys_for_each() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let listed = bench
        .app
        .get("/admin/organizations")
        .session(&ann)
        .send()
        .await;
    let listed = listed.assert_status(200).json();
    let ids = listed["data"].as_array().unwrap().iter();
    let ids: Vec<&str> = ids.map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["acme", "labs"]);

    let body = r#"{"name":"mine","scopes":["jobs:read"]}"#;
    let (_, of_acme) = create(&bench, &ann, ACME, body).await;
    let (_, of_labs) = create(&bench, &ann, "/admin/organizations/labs/keys", body).await;
    let seen = jobs(&bench, &of_acme).await.json();
    assert_eq!(seen[0]["id"], *bench.job);
    assert_eq!(jobs(&bench, &of_labs).await.text(), "[]");

    let foreign = bench.post("/admin/organizations/umbra/keys", body);
    foreign.session(&ann).send().await.assert_status(404);
}

#[tokio::test]
async fn a_deleted_key_is_refused_at_once() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let body = r#"{"name":"leaver","scopes":["jobs:read"]}"#;
    let (id, secret) = create(&bench, &ann, ACME, body).await;
    let (_, other) = create(&bench, &ann, ACME, body).await;
    jobs(&bench, &secret).await.assert_status(200);
    let deleted = bench.app.delete(&format!("{ACME}/{id}")).session(&ann);
    deleted.send().await.assert_status(204);
    let refused = jobs(&bench, &secret).await;
    refused.assert_status(401).assert_denied("INVALID_API_KEY");
    jobs(&bench, &other).await.assert_status(200);
}

#[tokio::test]
async fn a_rotated_key_replaces_an_exposed_one_immediately() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let body = r#"{"name":"exposed","scopes":["jobs:read"]}"#;
    let (id, old) = create(&bench, &ann, ACME, body).await;
    let rotated = bench
        .post(&format!("{ACME}/{id}/rotate"), r#"{"grace":"0s"}"#)
        .session(&ann);
    let rotated = rotated.send().await.assert_success().json();
    jobs(&bench, rotated["secret"].as_str().unwrap())
        .await
        .assert_status(200);
    jobs(&bench, &old).await.assert_denied("INVALID_API_KEY");
}

#[tokio::test]
async fn keys_do_not_manage_keys() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let key = bench.key("acme", &PERMISSIONS).await;
    bench.get(&key, ACME).await.assert_status(401);
    let beside = bench.app.get(ACME).session(&ann).key(&key).send().await;
    beside.assert_status(401);
}

#[tokio::test]
async fn a_broader_key_is_made_beside_a_narrow_one() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let narrow = r#"{"name":"first","scopes":["credits:read"]}"#;
    let (_, narrow) = create(&bench, &ann, ACME, narrow).await;
    jobs(&bench, &narrow).await.assert_status(403);
    let broad = r#"{"name":"second","scopes":["credits:read","jobs:read"]}"#;
    let (_, broad) = create(&bench, &ann, ACME, broad).await;
    jobs(&bench, &broad).await.assert_status(200);
    jobs(&bench, &narrow).await.assert_status(403);
}

#[tokio::test]
async fn keys_of_two_environments_are_revoked_independently() {
    let bench = Bench::new().await;
    let ann = ann(&bench).await;
    let new = |name: &str| format!(r#"{{"name":"{name}","scopes":["jobs:read"]}}"#);
    let (staging, of_staging) = create(&bench, &ann, ACME, &new("staging")).await;
    let (_, of_production) = create(&bench, &ann, ACME, &new("production")).await;
    let revoked = bench.post(&format!("{ACME}/{staging}/revoke"), "{}");
    revoked.session(&ann).send().await.assert_success();
    jobs(&bench, &of_staging)
        .await
        .assert_denied("INVALID_API_KEY");
    jobs(&bench, &of_production).await.assert_status(200);
    let listed = bench.app.get(ACME).session(&ann).send().await;
    assert!(listed.text().contains(&staging), "it stays listed");
}
