//! Sending: emails with their events, templates, webhooks, projects, and messages to telephones.

use serde_json::{Value, json};
use tollgate_testkit::app::TestKey;

use super::{Mailer, email, told};

async fn sent(mailer: &Mailer, key: &TestKey, body: Value) -> Value {
    let answer = mailer.post(key, "/emails", body).await;
    answer.assert_status(201).json()
}

fn with(changes: &Value) -> Value {
    let mut body = email();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn an_email_is_kept_listed_and_shown_with_its_events() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let sent = sent(&mailer, &key, with(&json!({"project": "project_shop"}))).await;
    assert_eq!(sent["text"], "It is on its way.");
    assert_eq!(sent["project"], "project_shop");
    let id = sent["id"].as_str().unwrap();
    let shown = mailer.get(&key, &format!("/emails/{id}")).await;
    assert_eq!(shown.assert_status(200).json(), sent);
    let listed = mailer.get(&key, "/emails").await.json();
    let listed: Vec<&Value> = listed.as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(*listed[1], sent);
    let events = mailer.get(&key, &format!("/emails/{id}/events")).await;
    let events = events.assert_status(200).json();
    let at = "2026-01-01T00:00:00Z";
    assert_eq!(
        events,
        json!([
            {"type": "queued", "at": at, "webhooks": []},
            {"type": "sent", "at": at, "webhooks": []},
            {"type": "delivered", "at": at, "webhooks": ["webhook_delivery", "webhook_old"]},
        ])
    );
    assert_eq!(sent["events"], events);
}

#[tokio::test]
async fn nothing_leaves_the_machine_and_every_answer_to_sending_says_so() {
    let mailer = Mailer::new().await;
    let key = mailer.level("sending-only").await;
    let message = json!({"to": "+15550100", "text": "Hello"});
    for (path, body) in [
        ("/emails", email()),
        ("/sms", message.clone()),
        ("/whatsapp", message),
    ] {
        let answer = mailer.post(&key, path, body).await;
        let note = answer.assert_success().json()["note"].clone();
        let note = note.as_str().unwrap();
        assert!(note.contains("sends nothing over the network"), "{note}");
    }
}

#[tokio::test]
async fn a_template_is_rendered_with_the_variables_of_the_email() {
    let mailer = Mailer::new().await;
    let key = mailer.custom(["emails:send"]).await;
    let request = |variables: Value| {
        json!({
            "from": "hello@acme.example",
            "to": ["ann@customer.example"],
            "template": "template_welcome",
            "variables": variables,
        })
    };
    let sent = sent(
        &mailer,
        &key,
        request(json!({"name": "Ann", "plan": "{{name}}"})),
    )
    .await;
    assert_eq!(sent["subject"], "Welcome, Ann");
    // A value is not read for variables again.
    assert_eq!(sent["text"], "Hello Ann, you are on the plan {{name}}.");
    let missing = request(json!({"name": "Ann"}));
    let missing = mailer.post(&key, "/emails", missing).await;
    missing.assert_status(422);
    assert!(told(&missing).1.contains("`plan`"));
    let line = request(json!({"name": "Ann\r\nBcc: all@acme.example", "plan": "pro"}));
    let line = mailer.post(&key, "/emails", line).await;
    line.assert_status(422);
    assert!(told(&line).1.starts_with("subject:"));
}

#[tokio::test]
async fn templates_are_created_updated_and_deleted() {
    let mailer = Mailer::new().await;
    let key = mailer
        .custom(["templates:read", "templates:write", "emails:send"])
        .await;
    let template = |text: &str| json!({"name": "Sale", "subject": "Sale", "text": text});
    let made = mailer.post(&key, "/templates", template("old {{x}}")).await;
    let id = made.assert_status(201).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/templates/{id}");
    let updated = mailer.put(&key, &path, template("new {{x}} {{")).await;
    updated.assert_status(200);
    assert_eq!(mailer.get(&key, &path).await.json()["text"], "new {{x}} {{");
    let request = json!({
        "from": "hello@acme.example", "to": ["ann@customer.example"],
        "template": id, "variables": {"x": "1"},
    });
    assert_eq!(
        sent(&mailer, &key, request.clone()).await["text"],
        "new 1 {{"
    );
    mailer.delete(&key, &path).await.assert_status(204);
    mailer.get(&key, &path).await.assert_status(404);
    mailer
        .put(&key, &path, template("x"))
        .await
        .assert_status(404);
    mailer.delete(&key, &path).await.assert_status(404);
    mailer
        .post(&key, "/emails", request)
        .await
        .assert_status(422);
    let left = mailer.get(&key, "/templates").await.json();
    assert_eq!(left.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn webhooks_are_told_of_the_events_that_they_name_while_they_are_enabled() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let hook = |enabled: bool| json!({"url": "https://acme.example/q", "events": ["queued"], "enabled": enabled});
    let made = mailer.post(&key, "/webhooks", hook(true)).await;
    let id = made.assert_status(201).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/webhooks/{id}");
    let told = async || sent(&mailer, &key, email()).await["events"][0]["webhooks"].clone();
    assert_eq!(told().await, json!([id]));
    mailer
        .put(&key, &path, hook(false))
        .await
        .assert_status(200);
    assert_eq!(mailer.get(&key, &path).await.json()["enabled"], false);
    assert_eq!(told().await, json!([]));
    mailer.put(&key, &path, hook(true)).await.assert_status(200);
    mailer.delete(&key, &path).await.assert_status(204);
    assert_eq!(told().await, json!([]));
    mailer.get(&key, &path).await.assert_status(404);
}

#[tokio::test]
async fn projects_are_listed() {
    let mailer = Mailer::new().await;
    let key = mailer.custom(["projects:read"]).await;
    let projects = mailer.get(&key, "/projects").await.json();
    let names: Vec<_> = projects
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["Newsletter", "Shop"]);
}

#[tokio::test]
async fn an_sms_is_measured_in_parts_and_a_whatsapp_message_is_not() {
    let mailer = Mailer::new().await;
    let key = mailer.custom(["sms:send", "whatsapp:send"]).await;
    for (text, parts) in [
        ("a".repeat(160), 1),
        ("a".repeat(161), 2),
        ("a".repeat(307), 3),
        ("ø".repeat(70), 1),
        ("ø".repeat(71), 2),
        ("😀".repeat(35), 1),
        ("😀".repeat(36), 2),
    ] {
        let body = json!({"to": "+15550100", "text": text});
        let sms = mailer.post(&key, "/sms", body.clone()).await;
        assert_eq!(sms.assert_status(202).json()["parts"], parts, "{text}");
        let whatsapp = mailer.post(&key, "/whatsapp", body).await;
        let whatsapp = whatsapp.assert_status(202).json();
        assert_eq!(whatsapp.get("parts"), None);
        assert_eq!(whatsapp["text"], text);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_with_its_field() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let long = "x".repeat(20_001);
    let many = vec!["ann@customer.example"; 51];
    for (path, body, field) in [
        ("/emails", with(&json!({"from": "ann"})), "from: `ann`"),
        (
            "/emails",
            with(&json!({"from": "a@shop.acme.example"})),
            "from: `shop.acme.example`",
        ),
        (
            "/emails",
            with(&json!({"from": "a@globex.example"})),
            "from: `globex.example`",
        ),
        ("/emails", with(&json!({"to": []})), "to: it is empty"),
        (
            "/emails",
            with(&json!({"to": many})),
            "to: it has 51 entries",
        ),
        (
            "/emails",
            with(&json!({"to": ["a b@c.example"]})),
            "to: `a b@c.example`",
        ),
        (
            "/emails",
            with(&json!({"subject": "a\nBcc: b"})),
            "subject: ",
        ),
        (
            "/emails",
            with(&json!({"text": long})),
            "text: it has 20001 bytes",
        ),
        ("/emails", with(&json!({"text": " "})), "text: "),
        (
            "/emails",
            with(&json!({"template": "template_welcome"})),
            "subject, text, template: ",
        ),
        (
            "/emails",
            with(&json!({"project": "project_none"})),
            "project: ",
        ),
        ("/emails", with(&json!({"cc": []})), "cc"),
        (
            "/sms",
            json!({"to": "5550100", "text": "Hello"}),
            "to: `5550100`",
        ),
        ("/sms", json!({"to": "+15550100", "text": ""}), "text: "),
        (
            "/whatsapp",
            json!({"to": "+0555010055", "text": "Hello"}),
            "to: ",
        ),
        (
            "/webhooks",
            json!({"url": "http://acme.example", "events": ["sent"]}),
            "url: ",
        ),
        (
            "/webhooks",
            json!({"url": "https://acme.example", "events": []}),
            "events: ",
        ),
    ] {
        let answer = mailer.post(&key, path, body).await;
        answer.assert_status(422);
        let (_, message) = told(&answer);
        assert!(message.contains(field), "`{field}` is not in `{message}`");
    }
}
