//! Records belong to an organization: to others they are not there. And they have bounds.

use serde_json::{Value, json};

use super::{Mailer, email, told};

/// How many records of a kind an organization has at most.
const MOST_RECORDS: usize = 200;

/// One of each kind that `acme` has.
const FOREIGN: [(&str, &str); 7] = [
    ("/emails", "email_welcome"),
    ("/templates", "template_welcome"),
    ("/domains", "domain_acme"),
    ("/webhooks", "webhook_delivery"),
    ("/contacts", "contact_ann"),
    ("/lists", "list_customers"),
    ("/segments", "segment_oslo"),
];

fn body_for(path: &str) -> Value {
    match path {
        "/templates" => json!({"name": "a", "subject": "b", "text": "c"}),
        "/webhooks" => json!({"url": "https://globex.example", "events": ["sent"]}),
        "/contacts" => json!({"email": "x@globex.example"}),
        "/segments" => json!({"name": "a", "conditions": []}),
        _ => json!({"name": "a"}),
    }
}

/// The answers are the same but for the id, which the caller has sent.
#[tokio::test]
async fn a_foreign_id_looks_like_none_whatever_is_done_with_it() {
    let mailer = Mailer::new().await;
    let globex = mailer.kit.key("globex").preset("full-access").make().await;
    let acme = mailer.level("full-access").await;
    for (path, id) in FOREIGN {
        let before = mailer.get(&acme, &format!("{path}/{id}")).await;
        let before = before.assert_status(200).json();
        let mut tried: Vec<(&str, String)> = vec![("GET", "{}".to_owned())];
        match path {
            "/emails" => tried.push(("GET", "{}/events".to_owned())),
            "/domains" => tried.push(("POST", "{}/verify".to_owned())),
            _ => tried.push(("PUT", "{}".to_owned())),
        }
        if path != "/emails" {
            tried.push(("DELETE", "{}".to_owned()));
        }
        for (method, rest) in tried {
            let mut answers = Vec::new();
            for id in [id, "nothing_like_it"] {
                let path_of_one = format!("{path}/{}", rest.replace("{}", id));
                let call = mailer.app.request(method.parse().unwrap(), &path_of_one);
                let call = call.key(&globex).json(body_for(path));
                let answer = call.send().await;
                answer.assert_status(404).assert_denied("not_found");
                answers.push(told(&answer).1.replace(id, "…"));
            }
            assert_eq!(answers[0], answers[1], "{method} {path}");
        }
        assert_eq!(
            mailer.get(&acme, &format!("{path}/{id}")).await.json(),
            before
        );
    }
}

#[tokio::test]
async fn lists_have_the_records_of_the_organization_only() {
    let mailer = Mailer::new().await;
    let globex = mailer.kit.key("globex").preset("full-access").make().await;
    for (path, ids) in [
        ("/emails", vec![]),
        ("/templates", vec!["template_goodbye"]),
        ("/domains", vec!["domain_globex"]),
        ("/webhooks", vec![]),
        ("/projects", vec![]),
        ("/contacts", vec![]),
        ("/lists", vec![]),
        ("/segments", vec![]),
    ] {
        let listed = mailer.get(&globex, path).await.json();
        let listed = listed.as_array().unwrap().iter();
        let listed: Vec<_> = listed.map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids, "{path}");
    }
}

/// An id in a body is an id too.
#[tokio::test]
async fn what_a_body_names_is_looked_for_in_the_organization() {
    let mailer = Mailer::new().await;
    let acme = mailer.level("full-access").await;
    for name in ["template_goodbye", "template_none"] {
        let mut body = json!({"from": "hello@acme.example", "to": ["ann@customer.example"]});
        body["template"] = json!(name);
        let answer = mailer.post(&acme, "/emails", body).await;
        answer.assert_status(422);
        let message = told(&answer).1.replace(name, "…");
        assert_eq!(
            message,
            "template: there is no template `…`; list those that there are"
        );
    }
    let globex = mailer.kit.key("globex").preset("full-access").make().await;
    let contact = json!({"email": "x@globex.example", "lists": ["list_customers"]});
    mailer
        .post(&globex, "/contacts", contact)
        .await
        .assert_status(422);
}

/// Two keys of an organization see the same records.
#[tokio::test]
async fn records_are_the_organizations_and_not_the_keys() {
    let mailer = Mailer::new().await;
    let sender = mailer.level("sending-only").await;
    let reader = mailer.custom(["emails:read"]).await;
    let sent = mailer.post(&sender, "/emails", email()).await.json();
    let path = format!("/emails/{}", sent["id"].as_str().unwrap());
    assert_eq!(mailer.get(&reader, &path).await.json(), sent);
}

#[tokio::test]
async fn records_have_a_bound_and_of_emails_the_oldest_is_forgotten() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let listed = async |path: &str| {
        mailer
            .get(&key, path)
            .await
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    for number in listed("/lists").await..MOST_RECORDS {
        let body = json!({"name": format!("List {number}")});
        mailer.post(&key, "/lists", body).await.assert_status(201);
    }
    let full = mailer.post(&key, "/lists", json!({"name": "More"})).await;
    full.assert_status(409);
    assert!(told(&full).1.contains("200"), "{full:?}");
    mailer
        .delete(&key, "/lists/list_old")
        .await
        .assert_status(204);
    mailer
        .post(&key, "/lists", json!({"name": "More"}))
        .await
        .assert_status(201);

    for _ in 0..MOST_RECORDS {
        mailer
            .post(&key, "/emails", email())
            .await
            .assert_status(201);
    }
    assert_eq!(listed("/emails").await, MOST_RECORDS);
    mailer
        .get(&key, "/emails/email_welcome")
        .await
        .assert_status(404);
}
