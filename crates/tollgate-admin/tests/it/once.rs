//! A key that is made once, however often its request is sent.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate::core::accounts::Role;

use crate::support::{Answer, App, on_every_store};

on_every_store!(
    a_request_that_comes_again_is_told_its_key_without_the_secret,
    a_name_is_of_one_user_and_for_one_body,
    of_many_at_once_one_makes_a_key,
);

const KEYS: &str = "/admin/organizations/acme/keys";

async fn make(app: &App, who: &str, name: &str, body: Value) -> Answer {
    let call = app.post(KEYS).cookie(who).header("idempotency-key", name);
    call.json(body).send().await
}

async fn count(app: &App, who: &str) -> u64 {
    let listed = app.get(KEYS).cookie(who).ok().await;
    listed["meta"]["total"].as_u64().unwrap()
}

async fn a_request_that_comes_again_is_told_its_key_without_the_secret(app: App) {
    let operator = app.user("operator", None, Role::Owner).await;
    let who = app.cookie(&operator).await;
    let body = json!({"name": "mailer", "scopes": ["iocs:read"]});
    let first = make(&app, &who, "n-1", body.clone()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    let again = make(&app, &who, "\"n-1\"", body.clone()).await;
    assert_eq!(again.status, 200, "{again:?}");
    let told = again.json();
    assert_eq!(told["data"]["id"], first.json()["data"]["id"]);
    assert_eq!(
        (&told["secret"], &told["replayed"]),
        (&Value::Null, &json!(true))
    );
    assert!(!again.text.contains(&secret));
    assert_eq!(count(&app, &who).await, 1);

    let path = format!("{KEYS}/{}", told["data"]["id"].as_str().unwrap());
    app.call("DELETE", &path).cookie(&who).ok().await;
    assert_eq!(make(&app, &who, "n-1", body.clone()).await.status, 409);
    app.clock.advance(Duration::from_secs(86_400));
    let who = app.cookie(&operator).await;
    assert_eq!(make(&app, &who, "n-1", body).await.status, 201);
}

async fn a_name_is_of_one_user_and_for_one_body(app: App) {
    let (admin, owner) = (
        app.signed_in(Role::Admin).await,
        app.signed_in(Role::Owner).await,
    );
    let body = json!({"name": "mailer"});
    assert_eq!(make(&app, &admin, "n-1", body.clone()).await.status, 201);
    let other = make(&app, &admin, "n-1", json!({"name": "other"})).await;
    assert_eq!(
        (other.status, &other.json()["error"]["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    assert_eq!(make(&app, &owner, "n-1", body.clone()).await.status, 201);
    for bad in ["", "a b", &"x".repeat(256)] {
        assert_eq!(
            make(&app, &admin, bad, body.clone()).await.status,
            400,
            "{bad:?}"
        );
    }
    assert_eq!(count(&app, &owner).await, 2);
}

async fn of_many_at_once_one_makes_a_key(app: App) {
    let admin = app.signed_in(Role::Admin).await;
    let body = || json!({"name": "mailer"});
    let (a, b, c) = tokio::join!(
        make(&app, &admin, "n-1", body()),
        make(&app, &admin, "n-1", body()),
        make(&app, &admin, "n-1", body()),
    );
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses
            .iter()
            .all(|status| [200, 201, 409].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(count(&app, &admin).await, 1);
    // Whoever was told to wait may come again.
    assert_eq!(make(&app, &admin, "n-1", body()).await.status, 200);
}
