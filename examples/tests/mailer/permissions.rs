//! What each permission level and each scope opens: every operation, really called.

use serde_json::{Value, json};
use tollgate_testkit::app::{Answer, Documented, TestKey};

use super::{Mailer, api, email};

/// Method, path, scope and credits of each operation.
const DOCUMENTED: &str = include_str!("documented.md");

struct Operation {
    method: &'static str,
    path: &'static str,
    scope: &'static str,
}

fn operations() -> Vec<Operation> {
    let operation = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Operation {
            method: cells[1],
            path: cells[2],
            scope: cells[3],
        }
    };
    DOCUMENTED.lines().skip(2).map(operation).collect()
}

/// The scopes, as the document lists them.
const SCOPES: [&str; 13] = [
    "emails:send",
    "emails:read",
    "templates:read",
    "templates:write",
    "domains:read",
    "domains:write",
    "webhooks:read",
    "webhooks:write",
    "projects:read",
    "sms:send",
    "whatsapp:send",
    "audience:read",
    "audience:write",
];

const SENDING: [&str; 3] = ["emails:send", "sms:send", "whatsapp:send"];

/// A path and a body with which an operation does its work. What it deletes, nothing else needs.
fn good(method: &str, path: &str) -> (String, Value) {
    let kind = path.split('/').nth(1).unwrap();
    let id = match (method, kind) {
        (_, "emails") => "email_welcome",
        ("DELETE", "templates") => "template_old",
        (_, "templates") => "template_welcome",
        ("DELETE", "domains") => "domain_shop",
        (_, "domains") => "domain_acme",
        ("DELETE", "webhooks") => "webhook_old",
        (_, "webhooks") => "webhook_delivery",
        ("DELETE", "contacts") => "contact_cleo",
        (_, "contacts") => "contact_ann",
        ("DELETE", "lists") => "list_old",
        (_, "lists") => "list_customers",
        ("DELETE", "segments") => "segment_bergen",
        (_, "segments") => "segment_oslo",
        _ => "",
    };
    let body = match kind {
        _ if !matches!(method, "POST" | "PUT") || path.ends_with("/verify") => Value::Null,
        "emails" => email(),
        "templates" => json!({"name": "Sale", "subject": "Sale", "text": "Hello {{name}}"}),
        "domains" => json!({"name": "news.acme.example"}),
        "webhooks" => json!({"url": "https://acme.example/new", "events": ["sent"]}),
        "sms" | "whatsapp" => json!({"to": "+15550100", "text": "Hello"}),
        "contacts" if method == "PUT" => json!({"email": "ann@new.example"}),
        "contacts" => json!({"email": "dan@customer.example"}),
        "lists" => json!({"name": "Prospects"}),
        "segments" => json!({"name": "All", "conditions": []}),
        _ => Value::Null,
    };
    (path.replace("{id}", id), body)
}

async fn call(mailer: &Mailer, operation: &Operation, key: Option<&TestKey>) -> Answer {
    let (path, body) = good(operation.method, operation.path);
    let call = mailer.app.request(operation.method.parse().unwrap(), &path);
    let call = match key {
        Some(key) => call.key(key),
        None => call,
    };
    let call = if body.is_null() {
        call
    } else {
        call.json(body)
    };
    call.send().await
}

/// Calls every operation as a key that has these scopes and no others.
async fn walk(mailer: &Mailer, key: &TestKey, granted: &[&str]) {
    for operation in operations() {
        let answer = call(mailer, &operation, Some(key)).await;
        if granted.contains(&operation.scope) {
            answer.assert_success();
        } else {
            answer
                .assert_status(403)
                .assert_denied("insufficient_permissions");
        }
    }
}

#[tokio::test]
async fn full_access_opens_every_operation() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    walk(&mailer, &key, &SCOPES).await;
}

#[tokio::test]
async fn sending_only_opens_sending_and_every_other_operation_is_a_403() {
    let mailer = Mailer::new().await;
    let key = mailer.level("sending-only").await;
    walk(&mailer, &key, &SENDING).await;
}

#[tokio::test]
async fn each_scope_alone_opens_its_operations_and_no_others() {
    for scope in SCOPES {
        let mailer = Mailer::new().await;
        let key = mailer.custom([scope]).await;
        walk(&mailer, &key, &[scope]).await;
    }
}

#[tokio::test]
async fn without_a_key_or_without_a_scope_nothing_is_open() {
    let mailer = Mailer::new().await;
    let bare = mailer.custom([]).await;
    for operation in operations() {
        let answer = call(&mailer, &operation, None).await;
        answer.assert_status(401).assert_denied("missing_api_key");
    }
    walk(&mailer, &bare, &[]).await;
}

/// A key of every scope but one is refused what that scope opens: nothing stands in for it.
#[tokio::test]
async fn all_other_scopes_together_do_not_stand_in_for_one() {
    for missing in SCOPES {
        let mailer = Mailer::new().await;
        let others: Vec<&str> = SCOPES
            .into_iter()
            .filter(|scope| *scope != missing)
            .collect();
        let key = mailer.kit.key("acme").scopes(others).make().await;
        for operation in operations().iter().filter(|one| one.scope == missing) {
            let answer = call(&mailer, operation, Some(&key)).await;
            answer.assert_denied("insufficient_permissions");
            let details = &answer.json()["error"]["details"];
            assert_eq!(details["missing"], json!([missing]), "{}", operation.path);
        }
    }
}

#[tokio::test]
async fn the_levels_are_thirteen_scopes_and_three_and_none_implies_another() {
    let catalog = api::catalog().unwrap();
    let declared: Vec<&str> = catalog.scopes().map(|scope| scope.name.as_str()).collect();
    assert_eq!(declared, SCOPES);
    assert_eq!(catalog.presets().count(), 2);
    assert_eq!(catalog.preset("full-access").unwrap().scopes, SCOPES);
    assert_eq!(catalog.preset("sending-only").unwrap().scopes, SENDING);
    for scope in SCOPES {
        let granted = catalog.closure([scope]);
        assert_eq!(catalog.names(&granted), [scope]);
    }
}

/// The document's words on each scope, as those who give keys scopes of their own read them.
#[tokio::test]
async fn the_catalog_says_what_each_scope_is_for() {
    let mailer = Mailer::new().await;
    let answer = mailer.app.get("/admin/catalog").session(&mailer.owner);
    let shown = answer.send().await.assert_status(200).text().to_owned();
    for about in [
        "Send emails via API",
        "List and retrieve sent email details and events",
        "Create, verify, and delete domains",
        "Create, update, and delete contacts, lists, and segments",
        "Full Access",
        "Sending Only",
    ] {
        assert!(shown.contains(about), "`{about}` is not in {shown}");
    }
}

/// Both directions: what is not documented is not served, and what is documented is.
#[tokio::test]
async fn the_app_does_what_the_documented_table_says_as_everybody() {
    let mailer = Mailer::new().await;
    let map = api::routes(mailer.kit.gate()).permissions();
    let matrix = mailer.app.matrix(&map).sample(|call, row| {
        let (_, body) = good(&row.method, &row.path);
        if body.is_null() {
            call
        } else {
            call.json(body)
        }
    });
    let documented = Documented::table(DOCUMENTED)
        .preset("full-access", SCOPES)
        .preset("sending-only", SENDING);
    matrix.compute().await.assert_documented(&documented);
}
