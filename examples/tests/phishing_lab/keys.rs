//! Keys as their owners manage them.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_testkit::app::{TestApp, TestGate, TestSession};

use crate::stores;

use super::{EVERY_SCOPE, api, good, routes};

const KEYS: &str = "/admin/organizations/acme/keys";

/// The lab with its management routes, and an admin of an organization.
async fn managed() -> (TestGate, TestApp, TestSession) {
    let builder = stores::kit(api::catalog().unwrap());
    let cookies = SessionCookies::new(builder.accounts());
    let sessions = cookies.clone();
    let builder = builder.configure(|gate| gate.sessions(sessions));
    let kit = builder.build().await;
    let admin = Admin::new(kit.gate()).with_sign_in(cookies).routes();
    let routes = routes(kit.gate()).nest("/admin", admin);
    let app = kit.app(routes.into_service().unwrap());
    kit.organization("acme").credits(100).make().await;
    let ann = kit.session("ann@acme.example").member("acme", Role::Admin);
    let ann = ann.begin().await;
    (kit, app, ann)
}

#[tokio::test]
async fn permissions_are_edited_and_the_key_stays_as_it_is() {
    let (kit, app, ann) = managed().await;
    let key = kit.key("acme").preset("lookups").make().await;
    let path = format!("{KEYS}/{}", key.id());
    let edit = |body: Value| app.patch(&path).session(&ann).json(body).send();
    let scan = || {
        good(app.post("/exposure/scan"), "/exposure/scan")
            .key(&key)
            .send()
    };
    let dns = || {
        good(app.post("/phishing/dns"), "/phishing/dns")
            .key(&key)
            .send()
    };

    scan().await.assert_denied("insufficient_permissions");
    let before = app.get(&path).session(&ann).send().await.json();
    let added = edit(json!({"scopes": ["phishing:read", "exposure:read"]})).await;
    added.assert_success();
    scan().await.assert_success();
    dns().await.assert_success();
    for name in ["id", "key_prefix", "name", "created_at", "rotated_at"] {
        assert_eq!(added.json()["data"][name], before["data"][name], "{name}");
    }
    assert!(added.json().get("secret").is_none());

    edit(json!({"scopes": ["exposure:read"]}))
        .await
        .assert_success();
    dns().await.assert_denied("insufficient_permissions");
    edit(json!({"preset": "lookups"})).await.assert_success();
    dns().await.assert_success();

    // Only an active key has a pencil beside it.
    key.revoke(&kit).await;
    edit(json!({"scopes": ["exposure:read"]}))
        .await
        .assert_status(409);
}

#[tokio::test]
async fn the_nine_available_permissions_are_listed_and_can_be_assigned() {
    let (_kit, app, ann) = managed().await;
    let catalog = app.get("/admin/catalog").session(&ann).send().await.json();
    let scopes = catalog["data"]["scopes"].as_array().unwrap();
    let names: Vec<_> = scopes
        .iter()
        .map(|scope| scope["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, EVERY_SCOPE);
    let plans = scopes.iter().filter(|scope| !scope["plan"].is_null());
    let plans: Vec<_> = plans
        .map(|scope| (&scope["name"], &scope["plan"]))
        .collect();
    let starter = json!("starter");
    let of_starter = [json!("phishing:ai"), json!("ai:chat"), json!("ai:triage")];
    assert_eq!(
        plans,
        of_starter
            .iter()
            .map(|name| (name, &starter))
            .collect::<Vec<_>>()
    );
    for scope in EVERY_SCOPE {
        let body = json!({"name": scope, "scopes": [scope]});
        let made = app.post(KEYS).session(&ann).json(body).send().await;
        made.assert_status(201);
        assert_eq!(made.json()["data"]["warnings"], json!([]));
    }
}

#[tokio::test]
async fn a_legacy_scope_is_accepted_hidden_kept_from_new_keys_and_warned_of() {
    let (kit, app, ann) = managed().await;
    // A key of old. Nobody makes one by accident: it takes force.
    let forced = |scope: &'static str| kit.key("acme").edit(move |new| new.scopes([scope]).force());
    let (read, write) = (
        forced("lab:read").make().await,
        forced("lab:write").make().await,
    );
    for (key, opens, shut, warned) in [
        (
            &read,
            "/exposure/scan",
            "/phishing/analyze/ai",
            "`lab:read` is deprecated: use granular permissions, such as `phishing:read`",
        ),
        (
            &write,
            "/phishing/analyze/ai",
            "/exposure/scan",
            "`lab:write` is deprecated: use granular permissions, such as `phishing:ai`",
        ),
    ] {
        let call = |path| good(app.post(path), path).key(key).send();
        call(opens).await.assert_success();
        call(shut).await.assert_denied("insufficient_permissions");
        let path = format!("{KEYS}/{}", key.id());
        let shown = app.get(&path).session(&ann).send().await.json();
        assert_eq!(shown["data"]["warnings"], json!([warned]));
    }

    let catalog = app.get("/admin/catalog").session(&ann).send().await;
    assert!(!catalog.text().contains("lab:"), "{}", catalog.text());
    let of_old = [
        "lab:read",
        "lab:write",
        "detection:read",
        "detection:write",
        "darkweb:read",
    ];
    for scope in of_old
        .into_iter()
        .chain(["ai:read", "file:read", "file:write", "file:analyze"])
    {
        assert!(!catalog.text().contains(&format!("\"{scope}\"")), "{scope}");
        let body = json!({"name": "new", "scopes": [scope]});
        let refused = app.post(KEYS).session(&ann).json(body).send().await;
        refused.assert_status(422);
        let body = json!({"scopes": [scope]});
        let path = format!("{KEYS}/{}", read.id());
        app.patch(&path)
            .session(&ann)
            .json(body)
            .send()
            .await
            .assert_status(422);
    }
}
