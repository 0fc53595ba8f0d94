//! What changes nothing leaves no trace.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;

use crate::support::{App, on_every_store, org};

on_every_store!(what_changes_nothing_is_answered_and_not_recorded);

async fn what_changes_nothing_is_answered_and_not_recorded(app: App) {
    let cookie = app.operator().await;
    let ann = app.user("ann", Some("acme"), Role::Viewer).await;
    let (id, secret) = app.key("acme", &["iocs:read"]).await;
    let acme = "/admin/organizations/acme";
    let (key, member) = (
        format!("{acme}/keys/{id}"),
        format!("{acme}/members/{}", ann.id),
    );
    let (user, domain) = (
        format!("/admin/users/{}", ann.id),
        format!("{acme}/resources/domain/a"),
    );
    let rules = json!({"allow": ["203.0.113.0/24"]});
    let mut steps: Vec<(&str, String, Value)> = vec![
        (
            "PATCH",
            key.clone(),
            json!({"name": "b", "scopes": ["iocs:read"], "ip_rules": rules}),
        ),
        ("POST", format!("{key}/disable"), json!({})),
        ("POST", format!("{key}/enable"), json!({})),
        (
            "PATCH",
            acme.to_owned(),
            json!({"plan": "pro", "ip_rules": rules}),
        ),
        ("PUT", domain.clone(), Value::Null),
        ("DELETE", domain, Value::Null),
        ("PATCH", member, json!({"role": "admin"})),
        ("PATCH", user.clone(), json!({"role_everywhere": "viewer"})),
        ("PATCH", user.clone(), json!({"disabled": true})),
        ("PATCH", user, json!({"disabled": false})),
        ("POST", format!("{key}/revoke"), json!({})),
    ];
    for state in ["suspend", "billing-restrict", "activate"] {
        steps.push(("POST", format!("{acme}/{state}"), json!({})));
    }
    let records = async || {
        let mut records = 0;
        for chain in [None, Some(org("acme"))] {
            let trail = app.gate.audit().oldest(chain.as_ref(), 0, 1000).await;
            records += trail.unwrap().len();
        }
        records
    };
    for (method, path, body) in steps {
        let call = async || {
            let call = app.call(method, &path).cookie(&cookie);
            if body.is_null() {
                call.ok().await
            } else {
                call.json(body.clone()).ok().await
            }
        };
        let before = records().await;
        let first = call().await;
        let after = records().await;
        assert!(after > before, "{method} {path}");
        assert_eq!(call().await, first, "{method} {path}");
        assert_eq!(records().await, after, "{method} {path}");
    }
    assert_eq!(app.get("/iocs").secret(&secret).status().await, 401);
}
