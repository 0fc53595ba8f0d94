//! Every route, for everybody: what its row demands decides, and nothing else does.

use serde_json::{Value, json};
use tollgate::core::accounts::{Role, User};
use tollgate_admin::{Operation, Required};

use crate::support::{App, Call, HOUR, PASSWORD, on_every_store};

on_every_store!(each_route_answers_each_caller_as_its_row_demands);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Caller {
    Nobody,
    Expired,
    Foreigner,
    Member(Role),
    Operator,
    Key,
    KeyAndOperator,
}

const CALLERS: [Caller; 9] = [
    Caller::Nobody,
    Caller::Expired,
    Caller::Foreigner,
    Caller::Member(Role::Viewer),
    Caller::Member(Role::Admin),
    Caller::Member(Role::Owner),
    Caller::Operator,
    Caller::Key,
    Caller::KeyAndOperator,
];

/// The status that turns them away, if one does.
fn refusal(operation: &Operation, caller: Caller) -> Option<u16> {
    let names_one = operation.path.contains("{organization}");
    match (operation.required, caller) {
        (_, Caller::Key | Caller::KeyAndOperator) => Some(401),
        (Required::Nothing, _) => None,
        (_, Caller::Nobody | Caller::Expired) => Some(401),
        (Required::Session, _) | (_, Caller::Operator) => None,
        (_, Caller::Foreigner) if names_one => Some(404),
        (Required::Operator, _) => Some(403),
        (Required::Member(least), Caller::Member(role)) => (role < least).then_some(403),
        (required, caller) => panic!("{required:?} {caller:?}"),
    }
}

async fn each_route_answers_each_caller_as_its_row_demands(app: App) {
    let operator = app.user("operator", None, Role::Owner).await;
    let late = app.cookie(&operator).await;
    app.clock.advance(HOUR * 13);
    let foreigner = app.user("foreigner", Some("umbra"), Role::Owner).await;
    let mut members = Vec::new();
    for role in Role::ALL {
        members.push((role, app.user(role.as_str(), Some("acme"), role).await));
    }
    let (_, secret) = app.key("acme", &["api:full"]).await;
    assert!(app.operations.len() > 20);
    for (row, operation) in app.operations.iter().enumerate() {
        for (column, caller) in CALLERS.into_iter().enumerate() {
            let user = match caller {
                Caller::Foreigner => Some(&foreigner),
                Caller::Member(role) => members.iter().find(|of| of.0 == role).map(|of| &of.1),
                Caller::Operator | Caller::KeyAndOperator => Some(&operator),
                _ => None,
            };
            let (path, body) = sample(&app, operation, user, &format!("n{row}-{column}")).await;
            // Each from an address of its own, so that nobody signs in too often from one.
            let from = [
                10,
                0,
                u8::try_from(row).unwrap(),
                u8::try_from(column).unwrap(),
            ];
            let mut call = app.call(operation.method, &path).from(from);
            if let Some(body) = body {
                call = call.json(body);
            }
            if let Some(user) = user {
                call = call.cookie(&app.cookie(user).await);
            }
            call = match caller {
                Caller::Expired => call.cookie(&late),
                Caller::Key | Caller::KeyAndOperator => call.secret(&secret),
                _ => call,
            };
            check(call, operation, caller).await;
        }
    }
}

async fn check(call: Call<'_>, operation: &Operation, caller: Caller) {
    let answer = call.send().await;
    let what = format!(
        "{} {} by {caller:?}: {answer:?}",
        operation.method, operation.path
    );
    match refusal(operation, caller) {
        Some(status) => assert_eq!(answer.status, status, "{what}"),
        None => assert!((200..300).contains(&answer.status), "{what}"),
    }
    if answer.status >= 400 {
        assert!(answer.json()["error"]["code"].is_string(), "{what}");
    }
    if operation.path != "/openapi.json" {
        assert!(
            answer.header("cache-control").contains("no-store"),
            "{what}"
        );
    }
}

/// A request that succeeds, for who may make it.
async fn sample(
    app: &App,
    operation: &Operation,
    caller: Option<&User>,
    unique: &str,
) -> (String, Option<Value>) {
    let (key, _) = app.key("acme", &[]).await;
    let session = match caller {
        Some(user) if operation.path.contains("{session}") => {
            app.cookie(user).await;
            let theirs = app.accounts.sessions(&user.id).await.unwrap();
            theirs[0].id.to_string()
        }
        _ => key.to_string(),
    };
    let somebody = if operation.path.contains("{user}") {
        let user = app.user(unique, Some("acme"), Role::Viewer).await;
        user.id.to_string()
    } else {
        String::new()
    };
    let path = format!("/admin{}", operation.path)
        .replace("{organization}", "acme")
        .replace("{key}", &key.to_string())
        .replace("{session}", &session)
        .replace("{user}", &somebody)
        .replace("{kind}", "domain")
        .replace("{value}", "acme.example");
    let body = match (operation.method, operation.path) {
        ("POST", "/organizations") => Some(json!({"id": unique, "plan": "free"})),
        ("PATCH", "/organizations/{organization}") => {
            Some(json!({"ip_rules": {"deny": ["192.0.2.1"]}}))
        }
        ("POST", "/organizations/{organization}/keys") => Some(json!({"name": "a key"})),
        ("PATCH", "/organizations/{organization}/keys/{key}") => Some(json!({"name": "other"})),
        ("POST", "/organizations/{organization}/keys/{key}/rotate") => Some(json!({"grace": "1h"})),
        ("POST", "/organizations/{organization}/keys/{key}/explain") => {
            Some(json!({"path": "/iocs", "ip": "192.0.2.1"}))
        }
        ("POST", "/organizations/{organization}/members") => {
            let email = format!("{unique}@acme.example");
            Some(json!({"email": email, "role": "viewer", "password": PASSWORD}))
        }
        ("PATCH", "/organizations/{organization}/members/{user}") => Some(json!({"role": "admin"})),
        ("POST", "/users") => {
            let email = format!("{unique}@acme.example");
            Some(json!({"email": email, "password": PASSWORD}))
        }
        ("PATCH", "/users/{user}") => Some(json!({"disabled": true})),
        ("POST", "/organizations/{organization}/credits/grants") => Some(json!({"credits": 5})),
        ("POST", "/organizations/{organization}/credits/adjustments") => {
            Some(json!({"credits": 5, "reason": "a test"}))
        }
        ("POST", "/organizations/{organization}/credits/refunds") => {
            let hold = app.charged("acme").await;
            Some(json!({"hold": hold.to_string(), "credits": 1, "reference": unique}))
        }
        ("POST", "/session") => {
            Some(json!({"email": "operator@acme.example", "password": PASSWORD}))
        }
        ("PUT", "/session/password") => Some(json!({"current": PASSWORD, "new": PASSWORD})),
        _ => None,
    };
    (path, body)
}
