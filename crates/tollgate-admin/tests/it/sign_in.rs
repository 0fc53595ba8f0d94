//! Sessions: begun at sign-in, over at sign-out, after a while, and with the password.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join3;
use serde_json::{Value, json};
use tollgate::core::accounts::{Accounts, Role};
use tollgate::core::change::Actor;
use tollgate::core::memory::MemoryStore;
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Fault, FaultyStore, Operation};

use crate::support::{Answer, App, HOUR, PASSWORD, on_every_store};

on_every_store!(
    a_session_begins_with_a_cookie_for_this_very_host_and_ends_at_sign_out,
    a_session_that_came_along_does_not_survive_the_sign_in,
    a_session_ends_when_it_is_idle_and_when_its_time_is_over,
    another_password_ends_every_session,
    who_is_not_there_and_who_may_not_enter_look_like_a_wrong_password,
    sessions_are_listed_and_ended_by_their_owner_only,
    guesses_are_slowed_before_their_hash_and_nobody_is_locked_out,
);

async fn sign_in(app: &App, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    app.post("/admin/session").json(body).send().await
}

async fn is_good(app: &App, cookie: &str) -> bool {
    match app.get("/admin/session").cookie(cookie).status().await {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

async fn a_session_begins_with_a_cookie_for_this_very_host_and_ends_at_sign_out(app: App) {
    app.user("ann", Some("acme"), Role::Admin).await;
    let answer = sign_in(&app, "ANN@acme.example", PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let (name, rest) = answer.header("set-cookie").split_once('=').unwrap();
    let (token, attributes) = rest.split_once("; ").unwrap();
    assert_eq!((name, token.len()), ("__Host-tollgate_session", 64));
    assert_eq!(
        attributes,
        "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"
    );
    assert!(!answer.text.contains(token));

    let cookie = answer.cookie();
    let me = app.get("/admin/session").cookie(&cookie).ok().await;
    assert_eq!(me["data"]["user"]["email"], "ann@acme.example");
    let membership = json!([{"organization": "acme", "role": "admin"}]);
    assert_eq!(me["data"]["user"]["memberships"], membership);

    let left = app
        .call("DELETE", "/admin/session")
        .cookie(&cookie)
        .send()
        .await;
    assert_eq!(left.status, 204);
    let cleared = left.header("set-cookie");
    assert!(
        cleared.starts_with("__Host-tollgate_session=; Path=/; Max-Age=0;"),
        "{cleared}"
    );
    assert!(!is_good(&app, &cookie).await);
}

async fn a_session_that_came_along_does_not_survive_the_sign_in(app: App) {
    app.user("ann", Some("acme"), Role::Admin).await;
    let planted = format!("{}={}", Accounts::COOKIE, "0".repeat(64));
    let body = json!({"email": "ann@acme.example", "password": PASSWORD});
    let first = app
        .post("/admin/session")
        .cookie(&planted)
        .json(body.clone())
        .send()
        .await;
    assert_ne!(first.cookie(), planted);
    assert!(!is_good(&app, &planted).await);
    let again = app
        .post("/admin/session")
        .cookie(&first.cookie())
        .json(body)
        .send()
        .await;
    assert!(!is_good(&app, &first.cookie()).await);
    assert!(is_good(&app, &again.cookie()).await);
    // A neighbouring host can set a second cookie, but not make it count.
    let two = format!("{}; {planted}", again.cookie());
    assert!(!is_good(&app, &two).await);
}

async fn a_session_ends_when_it_is_idle_and_when_its_time_is_over(app: App) {
    let ann = app.user("ann", Some("acme"), Role::Admin).await;
    let idle = app.cookie(&ann).await;
    app.clock.advance(Duration::from_secs(29 * 60));
    assert!(is_good(&app, &idle).await);
    app.clock.advance(Duration::from_secs(30 * 60));
    assert!(!is_good(&app, &idle).await);
    let busy = app.cookie(&ann).await;
    for _ in 0..35 {
        app.clock.advance(Duration::from_secs(20 * 60));
        assert!(is_good(&app, &busy).await);
    }
    app.clock.advance(Duration::from_secs(20 * 60));
    assert!(!is_good(&app, &busy).await);
}

async fn another_password_ends_every_session(app: App) {
    let ann = app.user("ann", Some("acme"), Role::Admin).await;
    let (one, two) = (app.cookie(&ann).await, app.cookie(&ann).await);
    let change = async |cookie: &str, current: &str, new: &str| {
        let body = json!({"current": current, "new": new});
        app.call("PUT", "/admin/session/password")
            .cookie(cookie)
            .json(body)
            .send()
            .await
    };
    assert_eq!(
        change(&one, "something else", "a new password")
            .await
            .status,
        403
    );
    assert_eq!(change(&one, PASSWORD, "short").await.status, 422);
    let changed = change(&one, PASSWORD, "a new password").await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert!(!is_good(&app, &one).await && !is_good(&app, &two).await);
    assert!(is_good(&app, &changed.cookie()).await);
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(
        sign_in(&app, "ann@acme.example", PASSWORD).await.status,
        401
    );
    assert_eq!(
        sign_in(&app, "ann@acme.example", "a new password")
            .await
            .status,
        200
    );
}

async fn who_is_not_there_and_who_may_not_enter_look_like_a_wrong_password(app: App) {
    app.user("ann", Some("acme"), Role::Admin).await;
    let ben = app.user("ben", Some("acme"), Role::Admin).await;
    let good = app.cookie(&ben).await;
    let actor = Actor::system();
    app.accounts
        .set_disabled(&ben.id, true, &actor)
        .await
        .unwrap();
    assert!(!is_good(&app, &good).await);
    let mut bodies = Vec::new();
    for (email, password) in [
        ("ann@acme.example", "another password"),
        ("ben@acme.example", PASSWORD),
        ("nobody@acme.example", PASSWORD),
        ("no address", PASSWORD),
    ] {
        let answer = sign_in(&app, email, password).await;
        assert_eq!(answer.status, 401, "{email}");
        assert_eq!(answer.header("set-cookie"), "");
        let mut body = answer.json();
        body["error"]["request_id"] = Value::Null;
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

async fn sessions_are_listed_and_ended_by_their_owner_only(app: App) {
    let ann = app.user("ann", Some("acme"), Role::Owner).await;
    let ben = app.user("ben", Some("acme"), Role::Owner).await;
    let (one, bens) = (app.cookie(&ann).await, app.cookie(&ben).await);
    app.clock.advance(Duration::from_secs(1));
    let two = app.cookie(&ann).await;
    let listed = app.get("/admin/sessions").cookie(&one).ok().await;
    let ids: Vec<&str> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        (ids.len(), &listed["data"][0]["current"]),
        (2, &json!(true))
    );
    let end = async |cookie: &str, id: &str| {
        let path = format!("/admin/sessions/{id}");
        app.call("DELETE", &path).cookie(cookie).send().await
    };
    let foreign = end(&bens, ids[1]).await;
    assert_eq!(foreign.status, 404);
    assert!(is_good(&app, &two).await);
    assert_eq!(end(&one, ids[1]).await.status, 204);
    assert!(!is_good(&app, &two).await && is_good(&app, &one).await);
    let gone = end(&bens, ids[1]).await;
    assert_eq!((gone.status, gone.message()), (404, foreign.message()));
}

async fn guesses_are_slowed_before_their_hash_and_nobody_is_locked_out(app: App) {
    app.user("ann", Some("acme"), Role::Admin).await;
    let guess = async |password: &str, from: [u8; 4]| {
        let body = json!({"email": "ann@acme.example", "password": password});
        app.post("/admin/session")
            .json(body)
            .from(from)
            .send()
            .await
    };
    for _ in 0..5 {
        assert_eq!(guess("guessed wrong", [198, 51, 100, 1]).await.status, 401);
    }
    let slowed = guess(PASSWORD, [198, 51, 100, 1]).await;
    assert_eq!(
        (slowed.status, slowed.header("retry-after")),
        (429, "12"),
        "{slowed:?}"
    );
    assert_eq!(guess(PASSWORD, [198, 51, 100, 2]).await.status, 200);
    app.clock.advance(Duration::from_secs(12));
    assert_eq!(guess(PASSWORD, [198, 51, 100, 1]).await.status, 200);
    app.clock.advance(HOUR);
}

/// Ben comes back in the very moment in which Ann signs in at the machine that he left.
#[tokio::test]
async fn a_session_that_two_replace_at_once_keeps_neither_from_signing_in() {
    let clock = ManualClock::new();
    let store = FaultyStore::new(MemoryStore::default(), Arc::new(clock.clone()));
    let faults = store.faults();
    let app = App::on(Arc::new(store), None, |admin| admin).await;
    app.user("ann", Some("acme"), Role::Viewer).await;
    let ben = app.user("ben", Some("acme"), Role::Viewer).await;
    let old = app.cookie(&ben).await;
    let enter = async |name: &str| {
        let body = json!({"email": format!("{name}@acme.example"), "password": PASSWORD});
        app.post("/admin/session")
            .cookie(&old)
            .json(body)
            .send()
            .await
    };
    // Each step of both waits for the other's: both find the old session before either ends it.
    faults.set(Operation::Accounts, Fault::Late(HOUR));
    let before = faults.calls(Operation::Accounts);
    let steps = async {
        for step in 1..=4 {
            while faults.calls(Operation::Accounts) < before + 2 * step {
                tokio::task::yield_now().await;
            }
            clock.advance(HOUR);
        }
    };
    let (ann, ben, ()) = join3(enter("ann"), enter("ben"), steps).await;
    faults.set_all(Fault::None);
    for entered in [&ann, &ben] {
        assert_eq!(entered.status, 200, "{entered:?}");
        assert!(is_good(&app, &entered.cookie()).await);
    }
    assert!(!is_good(&app, &old).await);
}
