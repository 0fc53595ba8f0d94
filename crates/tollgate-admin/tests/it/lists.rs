//! Lists, a page at a time.

use serde_json::Value;
use tollgate::core::accounts::Role;
use tollgate::core::credits::Grant;

use crate::support::{App, on_every_store, org, system};

on_every_store!(every_list_ends_where_nothing_follows);

/// Three rows at least in each list that has pages.
async fn three_of_each(app: &App) -> String {
    let operator = app.operator().await;
    let made = tollgate::core::keyring::NewOrganization::new(org("third"), "free");
    let keyring = app.gate.keyring();
    keyring.create_organization(made, &system()).await.unwrap();
    for (n, role) in Role::ALL.into_iter().enumerate() {
        app.user(role.as_str(), Some("acme"), role).await;
        app.key("acme", &[]).await;
        let credits = u64::try_from(n).unwrap() + 1;
        let grant = Grant::new(org("acme"), credits);
        app.gate.credits().grant(grant, &system()).await.unwrap();
    }
    operator
}

async fn every_list_ends_where_nothing_follows(app: App) {
    let cookie = three_of_each(&app).await;
    let page = async |list: &str, query: &str| -> Value {
        let path = format!("/admin{list}?{query}");
        let page = app.get(&path).cookie(&cookie).ok().await;
        assert!(page["meta"].get("total").is_some(), "{path}: {page}");
        page
    };
    for list in [
        "/organizations",
        "/organizations/acme/keys",
        "/organizations/acme/members",
        "/organizations/acme/credits/entries",
        "/organizations/acme/audit",
        "/users",
        "/audit",
    ] {
        let whole = page(list, "limit=1000").await;
        let rows = whole["data"].as_array().unwrap();
        assert!(rows.len() >= 3, "{list}: {whole}");
        assert!(whole["meta"]["next"].is_null(), "{list}: {whole}");
        let full = page(list, &format!("limit={}", rows.len())).await;
        assert_eq!(full["data"], whole["data"], "{list}");
        assert!(full["meta"]["next"].is_null(), "{list}: {}", full["meta"]);
        let most = page(list, &format!("limit={}", rows.len() - 1)).await;
        let next = most["meta"]["next"].as_str().unwrap();
        let last = page(list, &format!("limit=1&cursor={next}")).await;
        assert_eq!(last["data"].as_array().unwrap()[..], rows[rows.len() - 1..]);
        assert!(last["meta"]["next"].is_null(), "{list}: {}", last["meta"]);
    }
}

/// A store gives one key more than the longest page has.
#[tokio::test]
async fn the_longest_page_ends_where_nothing_follows() {
    const KEYS: &str = "/admin/organizations/acme/keys?limit=1000";
    let app = App::memory().await;
    let operator = app.operator().await;
    for _ in 0..1000 {
        app.key("acme", &[]).await;
    }
    let full = app.get(KEYS).cookie(&operator).ok().await;
    assert_eq!(full["data"].as_array().unwrap().len(), 1000);
    assert!(full["meta"]["next"].is_null(), "{}", full["meta"]);
    app.key("acme", &[]).await;
    let full = app.get(KEYS).cookie(&operator).ok().await;
    assert_eq!(full["data"].as_array().unwrap().len(), 1000);
    let next = full["meta"]["next"].as_str().unwrap();
    let last = app.get(&format!("{KEYS}&cursor={next}"));
    let last = last.cookie(&operator).ok().await;
    assert_eq!(last["data"].as_array().unwrap().len(), 1);
    assert!(last["meta"]["next"].is_null(), "{}", last["meta"]);
    assert_eq!(last["meta"]["total"], 1001);
}
