//! The list of one's keys.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::core::accounts::Role;
use tollgate::core::store::KeyQuery;
use tollgate_testkit::app::TestSession;

use super::{SCOPES, World, all, api};

const KEYS: &str = "/api/v1/keys";

async fn list(world: &World, session: &TestSession) -> Value {
    let answer = world.app.get(KEYS).session(session).send().await;
    answer.assert_status(200);
    answer.json()
}

#[tokio::test]
async fn each_key_has_every_field_of_the_schema_and_of_the_example() {
    let world = World::new().await;
    let quarter = Duration::from_secs(90 * 86_400);
    let key = world.kit.key("lab").scopes(["read:iocs", "read:articles"]);
    let key = key.edit(|new| new.plan("pro")).expires_in(quarter);
    let key = key.make().await;
    let session = world.session("ann@example.com", &["lab"]).await;
    let body = list(&world, &session).await;
    let shown = body["data"].as_array().unwrap().iter();
    let shown = shown
        .clone()
        .find(|shown| shown["id"] == key.key.id.to_string());
    assert_eq!(
        shown.unwrap(),
        &json!({
            "id": key.key.id.to_string(),
            "key_prefix": key.key.display_prefix,
            "key_preview": "sk_live_••••••••",
            "name": key.key.name,
            "tier": "pro",
            "scopes": ["read:articles", "read:iocs"],
            "rate_limit_per_minute": 1000,
            "rate_limit_per_day": 1_000_000,
            "total_requests": 0,
            "last_used_at": null,
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-04-01T00:00:00Z",
            "revoked_at": null,
        })
    );
    let of_free = body["data"].as_array().unwrap().iter();
    let of_free = of_free
        .clone()
        .find(|shown| shown["tier"] == "free")
        .unwrap();
    assert_eq!(of_free["rate_limit_per_minute"], 10);
    assert_eq!(of_free["rate_limit_per_day"], 1000);
}

#[tokio::test]
async fn all_keys_of_all_organizations_of_the_user_are_listed() {
    let world = World::new().await;
    world.kit.organization("others").plan("pro").make().await;
    let foreign = world.kit.key("others").make().await;
    let ids = async |session: &TestSession| {
        let body = list(&world, session).await;
        let ids = all(&body, "id").into_iter().map(str::to_owned);
        let ids: BTreeSet<String> = ids.collect();
        assert_eq!(body["meta"], json!({ "total": ids.len() }));
        ids
    };
    let set = |keys: &[&super::TestKey]| -> BTreeSet<String> {
        keys.iter().map(|key| key.key.id.to_string()).collect()
    };
    let (free, pro) = (&world.free, &world.pro);
    let one = world.session("ann@example.com", &["lab"]).await;
    assert_eq!(ids(&one).await, set(&[free]));
    let both = world.session("bob@example.com", &["lab", "soc"]).await;
    assert_eq!(ids(&both).await, set(&[free, pro]));
    let none = world.session("cat@example.com", &[]).await;
    assert_eq!(ids(&none).await, set(&[]));
    let operator = world.kit.session("dan@example.com").everywhere(Role::Owner);
    let operator = operator.cookie(api::SESSION_COOKIE).begin().await;
    assert_eq!(ids(&operator).await, set(&[free, pro, &foreign]));
}

#[tokio::test]
async fn revoked_keys_stay_listed() {
    let world = World::new().await;
    let session = world.session("ann@example.com", &["lab"]).await;
    world.kit.advance(Duration::from_secs(5)).await;
    world.free.revoke(&world.kit).await;
    let body = list(&world, &session).await;
    assert_eq!(all(&body, "revoked_at"), ["2026-01-01T00:00:05Z"]);
    assert_eq!(body["meta"]["total"], 1);
}

#[tokio::test]
async fn more_keys_than_a_page_of_the_store_are_all_listed() {
    let world = World::new().await;
    for _ in 0..KeyQuery::MOST {
        world.kit.key("lab").make().await;
    }
    let session = world.session("ann@example.com", &["lab"]).await;
    let body = list(&world, &session).await;
    let all_of_them = KeyQuery::MOST + 1;
    assert_eq!(body["meta"]["total"], all_of_them);
    let ids: BTreeSet<&str> = all(&body, "id").into_iter().collect();
    assert_eq!(u32::try_from(ids.len()), Ok(all_of_them));
}

#[tokio::test]
async fn requests_are_counted_and_the_newest_key_comes_first() {
    let world = World::new().await;
    let session = world.session("ann@example.com", &["lab"]).await;
    world.kit.advance(Duration::from_secs(10)).await;
    let newer = world.kit.key("lab").scopes(SCOPES).make().await;
    for _ in 0..3 {
        let answer = world.app.get("/api/v1/stats").key(&newer).send().await;
        answer.assert_status(200);
    }
    // Usage is written once a second.
    world.kit.advance(Duration::from_secs(2)).await;
    let body = list(&world, &session).await;
    assert_eq!(body["data"][0]["id"], newer.key.id.to_string());
    assert_eq!(body["data"][0]["total_requests"], 3);
    assert_eq!(body["data"][0]["last_used_at"], "2026-01-01T00:00:10Z");
    assert_eq!(body["data"][1]["id"], world.free.key.id.to_string());
}

#[tokio::test]
async fn only_the_prefix_of_a_secret_is_shown() {
    let world = World::new().await;
    let session = world.session("ann@example.com", &["lab"]).await;
    let answer = world.app.get(KEYS).session(&session).send().await;
    assert!(!answer.text().contains(world.free.secret()));
    let body = answer.json();
    let prefix = body["data"][0]["key_prefix"].as_str().unwrap();
    assert_eq!(prefix.len(), "sk_live_zIc8".len());
    assert!(world.free.secret().starts_with(prefix));
}

#[tokio::test]
async fn a_session_is_needed_and_no_key_will_do() {
    let world = World::new().await;
    let session = world.session("ann@example.com", &["lab", "soc"]).await;
    let secret = world.pro.secret();
    let get = || world.app.get(KEYS);
    for call in [
        get(),
        get().key(&world.pro),
        get().header("x-api-key", secret.to_owned()),
        get().path(&format!("{KEYS}?api_key={secret}")),
        // A key beside a good session.
        get().session(&session).key(&world.pro),
        get()
            .session(&session)
            .header("x-api-key", secret.to_owned()),
        get()
            .session(&session)
            .path(&format!("{KEYS}?api_key={secret}")),
        get().cookie("sb-access-token=nonsense"),
    ] {
        let answer = call.send().await;
        answer.assert_status(401).assert_denied("session_required");
    }
    get().session(&session).send().await.assert_status(200);
}

#[tokio::test]
async fn the_session_is_in_its_own_cookie() {
    let world = World::new().await;
    assert_eq!(api::SESSION_COOKIE, "sb-access-token");
    let elsewhere = world
        .kit
        .session("ann@example.com")
        .member("lab", Role::Owner);
    let elsewhere = elsewhere.cookie("__Host-tollgate_session").begin().await;
    let answer = world.app.get(KEYS).session(&elsewhere).send().await;
    answer.assert_status(401);
    let here = world.session("ann@example.com", &["lab"]).await;
    world
        .app
        .get(KEYS)
        .session(&here)
        .send()
        .await
        .assert_status(200);
}

#[tokio::test]
async fn the_same_session_manages_under_admin() {
    let world = World::new().await;
    let session = world.session("ann@example.com", &["lab"]).await;
    let path = "/admin/organizations/lab/keys";
    let answer = world.app.get(path).session(&session).send().await;
    answer.assert_status(200);
    assert_eq!(all(&answer.json(), "id"), [world.free.key.id.to_string()]);
    world
        .app
        .get(path)
        .key(&world.free)
        .send()
        .await
        .assert_status(401);
}
