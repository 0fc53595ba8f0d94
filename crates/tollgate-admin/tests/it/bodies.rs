//! Bodies and queries that say too much.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;

use crate::support::{App, on_every_store, org};

on_every_store!(a_body_sets_nothing_that_is_not_the_callers_to_set);

const KEYS: &str = "/admin/organizations/acme/keys";

/// Every column of every table, and what others have been caught by.
const COLUMNS: [&str; 34] = [
    "id",
    "organization",
    "organization_id",
    "org_id",
    "org",
    "owner",
    "user",
    "user_id",
    "userId",
    "creator",
    "created_by",
    "key_prefix",
    "display_prefix",
    "digest",
    "secret",
    "permissions",
    "status",
    "state",
    "created_at",
    "rotated_at",
    "revoked_at",
    "version",
    "force",
    "forced",
    "resources",
    "role",
    "is_admin",
    "memberships",
    "total_requests",
    "last_used_at",
    "import_id",
    "known_until",
    "replayed",
    "__proto__",
];

async fn a_body_sets_nothing_that_is_not_the_callers_to_set(app: App) {
    let owner = app.signed_in(Role::Owner).await;
    let (id, _) = app.key("acme", &[]).await;
    let key = format!("{KEYS}/{id}");
    let before = app
        .gate
        .keyring()
        .listed_key(&org("acme"), &id)
        .await
        .unwrap();
    for (method, path, good) in [
        ("POST", KEYS, json!({"name": "a key"})),
        ("PATCH", &*key, json!({})),
        ("PATCH", "/admin/organizations/acme", json!({})),
        ("POST", &format!("{key}/rotate"), json!({"grace": "0s"})),
        ("POST", &format!("{key}/revoke"), json!({})),
    ] {
        for column in COLUMNS {
            for value in [
                json!("x"),
                json!(true),
                json!(1),
                Value::Null,
                json!([]),
                json!({}),
            ] {
                let mut body = good.clone();
                body[column] = value;
                let answer = app
                    .call(method, path)
                    .cookie(&owner)
                    .json(body.clone())
                    .send()
                    .await;
                assert_eq!(answer.status, 422, "{method} {path} {body}: {answer:?}");
                assert!(
                    answer
                        .message()
                        .contains(&format!("unknown field `{column}`")),
                    "{answer:?}"
                );
            }
        }
    }
    let after = app
        .gate
        .keyring()
        .listed_key(&org("acme"), &id)
        .await
        .unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_body_that_is_no_json_too_long_or_of_another_form_is_told_so() {
    let app = App::memory().await;
    let owner = app.signed_in(Role::Owner).await;
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(64 * 1024));
    for (body, status, why) in [
        ("", 400, "EOF"),
        ("{", 400, "EOF"),
        ("{\"name\": \"a\"} x", 400, "trailing"),
        ("[\"a\"]", 422, "it is not an object"),
        ("null", 422, "it is not an object"),
        ("{}", 422, "missing field `name`"),
        ("{\"name\": 7}", 422, "integer `7`, expected a string"),
        (
            "{\"name\": \"a\", \"name\": \"b\"}",
            422,
            "duplicate field `name`",
        ),
        ("{\"name\": \"\"}", 422, "key name"),
        (
            "{\"name\": \"a\", \"expires_at\": \"tomorrow\"}",
            422,
            "`tomorrow` is not like",
        ),
        (
            "{\"name\": \"a\", \"ip_rules\": {\"allow\": [\"10.0.0.1/8\"]}}",
            422,
            "ip_rules.allow",
        ),
        ("{\"name\": \"a\", \"ip_rules\": {}}", 422, "name `allow`"),
        ("{\"name\": \"a\", \"ip_rules\": []}", 422, "expected a map"),
        (
            "{\"name\": \"a\", \"ip_rules\": {\"allow\": [\" \"]}}",
            422,
            "an entry is blank",
        ),
        (
            "{\"name\": \"a\", \"ip_rules\": {\"alow\": []}}",
            422,
            "nothing else",
        ),
        (
            "{\"name\": \"a\", \"reason\": \"two\\nlines\"}",
            422,
            "reason",
        ),
        (&*long, 413, ""),
    ] {
        let call = app
            .post(KEYS)
            .cookie(&owner)
            .header("content-type", "application/json");
        let answer = call.body(body.to_owned()).send().await;
        let what = format!("{body:.60} {answer:?}");
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.message().contains(why), "{what}");
    }
}

#[tokio::test]
async fn a_query_that_says_something_unknown_is_refused() {
    let app = App::memory().await;
    let operator = app.operator().await;
    let operations = app.operations.iter().filter(|of| of.method == "GET");
    for operation in operations {
        let (key, _) = app.key("acme", &[]).await;
        let path = operation.path.replace("{organization}", "acme");
        let user = app.accounts.users(None, None, 1).await.unwrap()[0].id;
        let path = path
            .replace("{key}", &key.to_string())
            .replace("{user}", &user.to_string());
        let ask = async |query: &str| {
            let mut call = app.get(&format!("/admin{path}{query}"));
            if operation.required != tollgate_admin::Required::Nothing {
                call = call.cookie(&operator);
            }
            call.send().await
        };
        assert_eq!(ask("").await.status, 200, "{path}");
        let refused = ask("?organization=umbra").await;
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        assert!(
            refused.message().contains("unknown field `organization`"),
            "{refused:?}"
        );
    }
    for (query, why) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=zz", "cursor"),
        ("status=gone", "status"),
        ("expiring_within=soon", "expiring_within"),
        ("unused_for=1", "unused_for"),
        ("rotation_due=false", "rotation_due"),
        ("limit=1&limit=2", "duplicate"),
    ] {
        let answer = app
            .get(&format!("{KEYS}?{query}"))
            .cookie(&operator)
            .send()
            .await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(answer.message().contains(why), "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_refused() {
    let app = App::memory().await;
    let operator = app.operator().await;
    for path in [
        "/organizations/%ff",
        "/organizations/acme/keys/%ff",
        "/users/%ff",
    ] {
        let answer = app
            .get(&format!("/admin{path}"))
            .cookie(&operator)
            .send()
            .await;
        assert_eq!(answer.status, 400, "{path} {answer:?}");
    }
}
