//! Two organizations: what is the other's is not there.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;

use crate::support::{App, on_every_store, org};

on_every_store!(
    what_is_anothers_looks_like_what_is_not_there,
    lists_show_ones_own_only,
);

/// Every route below an organization, and below a key, with a body that would do.
const BELOW: [(&str, &str, Option<&str>); 25] = [
    ("GET", "", None),
    ("PATCH", "", Some(r#"{"ip_rules":{"allow":[]}}"#)),
    ("POST", "/suspend", None),
    ("POST", "/activate", None),
    ("POST", "/billing-restrict", None),
    ("GET", "/resources", None),
    ("PUT", "/resources/domain/acme.example", None),
    ("GET", "/keys", None),
    ("POST", "/keys", Some(r#"{"name":"a key"}"#)),
    ("GET", "/keys/{key}", None),
    ("PATCH", "/keys/{key}", Some(r#"{"name":"other"}"#)),
    ("DELETE", "/keys/{key}", None),
    ("POST", "/keys/{key}/rotate", Some(r#"{"grace":"0s"}"#)),
    ("POST", "/keys/{key}/revoke", None),
    ("POST", "/keys/{key}/enable", None),
    ("POST", "/keys/{key}/disable", None),
    ("POST", "/keys/{key}/explain", Some(r#"{"path":"/iocs"}"#)),
    ("GET", "/keys/{key}/usage", None),
    ("GET", "/usage", None),
    ("GET", "/credits", None),
    ("POST", "/credits/grants", Some(r#"{"credits":5}"#)),
    ("GET", "/credits/entries", None),
    ("GET", "/audit", None),
    ("GET", "/members", None),
    (
        "POST",
        "/members",
        Some(r#"{"email":"a@b","role":"owner"}"#),
    ),
];

async fn what_is_anothers_looks_like_what_is_not_there(app: App) {
    let owner = app.signed_in(Role::Owner).await;
    let (mine, _) = app.key("acme", &[]).await;
    let (theirs, _) = app.key("umbra", &["iocs:read"]).await;
    let nobodys = "019b76da-a800-7000-8000-000000000000";
    let before = app
        .gate
        .keyring()
        .listed_key(&org("umbra"), &theirs)
        .await
        .unwrap();
    for (method, path, body) in BELOW {
        let ask = async |organization: &str, key: &str| {
            let path = format!("/admin/organizations/{organization}{path}").replace("{key}", key);
            let mut call = app.call(method, &path).cookie(&owner);
            if let Some(body) = body {
                call = call.body(body).header("content-type", "application/json");
            }
            let answer = call.send().await;
            let mut error = answer.json()["error"].clone();
            error["request_id"] = Value::Null;
            let error = error.to_string();
            (
                answer.status,
                error.replace(organization, "ORG").replace(key, "KEY"),
            )
        };
        // Another's organization, with their key and with mine, and one that is not there.
        let theirs_text = theirs.to_string();
        let foreign = ask("umbra", &theirs_text).await;
        assert_eq!(foreign.0, 404, "{method} {path}: {foreign:?}");
        assert_eq!(
            foreign,
            ask("umbra", &mine.to_string()).await,
            "{method} {path}"
        );
        assert_eq!(
            foreign,
            ask("nowhere", &theirs_text).await,
            "{method} {path}"
        );
        if path.contains("{key}") {
            // In mine, their key and one that is nobody's.
            let foreign = ask("acme", &theirs_text).await;
            assert_eq!(foreign.0, 404, "{method} {path}");
            assert_eq!(foreign, ask("acme", nobodys).await, "{method} {path}");
        }
    }
    let after = app
        .gate
        .keyring()
        .listed_key(&org("umbra"), &theirs)
        .await
        .unwrap();
    assert_eq!(before, after);
}

async fn lists_show_ones_own_only(app: App) {
    let (owner, operator) = (app.signed_in(Role::Owner).await, app.operator().await);
    for _ in 0..3 {
        app.key("acme", &[]).await;
        app.key("umbra", &[]).await;
    }
    let ids = |list: &Value, of: &str| -> Vec<String> {
        let rows = list["data"].as_array().unwrap().iter();
        rows.map(|row| row[of].as_str().unwrap().to_owned())
            .collect()
    };
    let listed = app.get("/admin/organizations").cookie(&owner).ok().await;
    assert_eq!(ids(&listed, "id"), ["acme"]);
    let listed = app.get("/admin/organizations").cookie(&operator).ok().await;
    assert_eq!(ids(&listed, "id"), ["acme", "umbra"]);

    let mut seen = Vec::new();
    let mut path = "/admin/organizations/acme/keys?limit=2".to_owned();
    loop {
        let page = app.get(&path).cookie(&owner).ok().await;
        assert_eq!(page["meta"]["total"], 3);
        assert!(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .all(|key| key["organization"] == "acme")
        );
        seen.extend(ids(&page, "id"));
        let Some(next) = page["meta"]["next"].as_str() else {
            break;
        };
        path = format!("/admin/organizations/acme/keys?limit=2&cursor={next}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let answer = app
        .get("/admin/organizations/acme/audit")
        .cookie(&owner)
        .ok()
        .await;
    // The organization, its owner and three keys.
    assert_eq!(answer["meta"]["total"], json!(5));
}
