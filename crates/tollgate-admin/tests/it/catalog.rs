//! What is declared, over HTTP, and what is said of a key that holds what is on its way out.

use serde_json::Value;
use tollgate::core::accounts::Role;
use tollgate::core::change::Actor;
use tollgate::core::keyring::NewKey;

use crate::support::{App, on_every_store, org};

on_every_store!(
    a_legacy_scope_is_listed_for_those_who_ask,
    a_key_that_holds_a_deprecated_scope_says_so,
);

async fn a_legacy_scope_is_listed_for_those_who_ask(app: App) {
    let viewer = app.signed_in(Role::Viewer).await;
    for (path, listed) in [
        ("/admin/catalog", false),
        ("/admin/catalog?legacy=false", false),
        ("/admin/catalog?legacy=true", true),
    ] {
        let catalog = app.get(path).cookie(&viewer).ok().await;
        let scopes = catalog["data"]["scopes"].as_array().unwrap();
        let names = |list: &Value| -> Vec<String> {
            let names = list.as_array().unwrap().iter();
            names.map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let is = |scope: &&Value, name| scope["name"] == name;
        assert_eq!(
            scopes.iter().any(|it| is(&it, "old:read")),
            listed,
            "{path}"
        );
        let full = scopes.iter().find(|it| is(it, "api:full")).unwrap();
        let implied = names(&full["implies"]);
        assert!(implied.contains(&"iocs:read".to_owned()), "{implied:?}");
        assert_eq!(implied.contains(&"old:read".to_owned()), listed, "{path}");
    }
    let odd = app.get("/admin/catalog?legacy=1").cookie(&viewer);
    assert_eq!(odd.status().await, 400);
}

async fn a_key_that_holds_a_deprecated_scope_says_so(app: App) {
    let viewer = app.signed_in(Role::Viewer).await;
    let new = NewKey::new(org("acme"), "of old").scopes(["old:read", "iocs:read"]);
    let keyring = app.gate.keyring();
    let old = keyring.issue(new.force(), &Actor::system()).await.unwrap();
    let new = NewKey::new(org("acme"), "new").scopes(["iocs:read"]);
    let new = keyring.issue(new, &Actor::system()).await.unwrap();
    for (id, warnings) in [
        (old.key.id, vec!["`old:read` is deprecated: use iocs:read"]),
        (new.key.id, vec![]),
    ] {
        let path = format!("/admin/organizations/acme/keys/{id}");
        let shown = app.get(&path).cookie(&viewer).ok().await;
        assert_eq!(shown["data"]["warnings"], serde_json::json!(warnings));
    }
}
