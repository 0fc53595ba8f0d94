//! Keys: how they are made, what edits change at once, and how several keep out of each other's way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::{Catalog, Gate};
use tollgate_testkit::app::TestKey;
use tower::ServiceExt;

use super::{Mailer, api, email, told};

/// What a key may do now: list templates, send an email.
async fn may(mailer: &Mailer, key: &TestKey) -> [u16; 2] {
    let listed = mailer.get(key, "/templates").await.status();
    [listed, mailer.post(key, "/emails", email()).await.status()]
}

#[tokio::test]
async fn a_key_is_made_with_a_name_and_a_level_or_scopes_and_shown_once() {
    let mailer = Mailer::new().await;
    for (permissions, may) in [
        (json!({"preset": "full-access"}), [200, 201]),
        (json!({"preset": "sending-only"}), [403, 201]),
        (
            json!({"scopes": ["templates:read", "templates:write"]}),
            [200, 403],
        ),
    ] {
        let mut body = permissions.clone();
        body["name"] = json!("CI/CD pipeline, staging, owned by Ann");
        let made = mailer.manage("POST", "/keys", body).await;
        let made = made.assert_status(201).json();
        let secret = made["secret"].as_str().unwrap();
        let bearer = format!("Bearer {secret}");
        let get = mailer.app.get("/templates");
        let post = mailer.app.post("/emails").json(email());
        for (call, status) in [get, post].into_iter().zip(may) {
            let call = call.header("authorization", &*bearer);
            call.send().await.assert_status(status);
        }
        let id = made["data"]["id"].as_str().unwrap();
        let path = format!("/keys/{id}");
        let shown = mailer.manage("GET", &path, Value::Null).await;
        assert!(!shown.text().contains(secret));
        let shown = &shown.json()["data"];
        assert_eq!(shown["name"], "CI/CD pipeline, staging, owned by Ann");
        assert_eq!(shown["preset"], permissions["preset"]);
    }
}

#[tokio::test]
async fn a_scope_that_is_not_in_the_table_is_refused_by_name() {
    let mailer = Mailer::new().await;
    for scope in ["emails:write", "projects:write", "emails:*", "*"] {
        let body = json!({"name": "too much", "scopes": [scope]});
        let answer = mailer.manage("POST", "/keys", body).await;
        answer.assert_status(422);
        assert!(told(&answer).1.contains(scope), "{answer:?}");
    }
}

#[tokio::test]
async fn a_level_is_changed_at_any_time_and_takes_effect_with_the_next_request() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    for (edit, now) in [
        (json!({}), [200, 201]),
        (json!({"preset": "sending-only"}), [403, 201]),
        (json!({"preset": "full-access"}), [200, 201]),
        (json!({"scopes": ["templates:read"]}), [200, 403]),
        (json!({"scopes": []}), [403, 403]),
        (json!({"preset": "sending-only"}), [403, 201]),
    ] {
        mailer.edit(&key, edit).await.assert_status(200);
        assert_eq!(may(&mailer, &key).await, now);
    }
    assert_eq!(mailer.shown(&key).await["preset"], "sending-only");
}

/// The app is deployed again, with another idea of what Sending Only is.
#[tokio::test]
async fn keys_that_follow_a_level_follow_its_changes_and_custom_ones_do_not() {
    let store = Arc::new(MemoryStore::default());
    let build = async |catalog: Catalog| {
        let gate = Gate::builder(catalog).shared_store(Arc::clone(&store));
        gate.build().await.unwrap()
    };
    let before = build(api::catalog().unwrap()).await;
    let (acme, actor) = (OrgId::new("acme").unwrap(), Actor::named("test"));
    let organization = NewOrganization::new(acme.clone(), api::PLAN);
    let keyring = before.keyring();
    keyring
        .create_organization(organization, &actor)
        .await
        .unwrap();
    let follows = NewKey::new(acme.clone(), "follows").preset(api::SENDING_ONLY);
    let custom = NewKey::new(acme, "custom").scopes(["emails:send", "sms:send", "whatsapp:send"]);
    let follows = keyring.issue(follows, &actor).await.unwrap().secret;
    let custom = keyring.issue(custom, &actor).await.unwrap().secret;

    let mut spec = api::catalog().unwrap().spec().clone();
    let level = spec
        .presets
        .iter_mut()
        .find(|preset| preset.name == api::SENDING_ONLY);
    level.unwrap().scopes = vec!["emails:send".to_owned(), "projects:read".to_owned()];
    let after = build(Catalog::new(spec).unwrap()).await;
    for (gate, secret, statuses) in [
        (&before, &follows, [202, 403]),
        (&after, &follows, [403, 200]),
        (&after, &custom, [202, 403]),
    ] {
        let app = api::routes(gate).with_state(api::Mailer::with_samples(gate).unwrap());
        let app = app.into_service().unwrap();
        let sms = json!({"to": "+15550100", "text": "Hello"}).to_string();
        for ((method, path, body), status) in
            [("POST", "/sms", sms), ("GET", "/projects", String::new())]
                .into_iter()
                .zip(statuses)
        {
            let request = axum::http::Request::builder()
                .method(method)
                .uri(path)
                .header("authorization", format!("Bearer {}", secret.expose()))
                .header("content-type", "application/json");
            let request = request.body(axum::body::Body::from(body)).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
    }
}

#[tokio::test]
async fn keys_are_revoked_and_rotated_one_by_one() {
    let mailer = Mailer::new().await;
    let [production, staging, ci] = [
        mailer.level("sending-only").await,
        mailer.level("full-access").await,
        mailer.level("full-access").await,
    ];
    staging.revoke(&mailer.kit).await;
    let rotated = ci.rotate(&mailer.kit, Duration::ZERO).await;
    assert_eq!(may(&mailer, &production).await, [403, 201]);
    assert_eq!(may(&mailer, &staging).await, [401, 401]);
    assert_eq!(may(&mailer, &ci).await, [401, 401]);
    assert_eq!(may(&mailer, &rotated).await, [200, 201]);
}

#[tokio::test]
async fn usage_is_counted_by_key_and_changes_are_on_record() {
    let mailer = Mailer::new().await;
    let [used, idle] = [
        mailer.level("full-access").await,
        mailer.level("full-access").await,
    ];
    for _ in 0..3 {
        let call = mailer.app.get("/projects").key(&used).from("203.0.113.9");
        call.send().await.assert_status(200);
    }
    mailer
        .edit(&used, json!({"preset": "sending-only"}))
        .await
        .assert_status(200);
    mailer.kit.advance(Duration::from_secs(2)).await;
    let shown = mailer.shown(&used).await;
    assert_eq!(shown["total_requests"], 3);
    assert_eq!(shown["last_address"], "203.0.113.9");
    assert_eq!(mailer.shown(&idle).await["last_used_at"], Value::Null);
    let trail = mailer.manage("GET", "/audit", Value::Null).await.json();
    let changes = trail["data"].as_array().unwrap();
    let edited = changes.iter().find(|change| change["action"] == "key.edit");
    let edited = edited.unwrap();
    assert_eq!(edited["target"], format!("key:{}", used.id()));
    assert_eq!(edited["actor"], "user:ann@acme.example");
    assert_eq!(edited["after"]["permissions"]["preset"], "sending-only");
}
