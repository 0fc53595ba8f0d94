//! Sending domains, verified against the bundled DNS records.

use serde_json::{Value, json};
use tollgate_testkit::app::TestKey;

use super::{Mailer, email, told};

async fn created(mailer: &Mailer, key: &TestKey, name: &str) -> String {
    let made = mailer.post(key, "/domains", json!({"name": name})).await;
    let made = made.assert_status(201).json();
    assert_eq!(made["status"], "pending");
    made["id"].as_str().unwrap().to_owned()
}

async fn verified(mailer: &Mailer, key: &TestKey, id: &str) -> Value {
    let path = format!("/domains/{id}/verify");
    let answer = mailer.app.post(&path).key(key).send().await;
    answer.assert_status(200).json()
}

fn found(domain: &Value) -> Vec<bool> {
    let records = domain["dns_records"].as_array().unwrap();
    let found = records.iter().map(|record| record["found"].as_bool());
    found.map(Option::unwrap).collect()
}

#[tokio::test]
async fn a_domain_is_verified_if_its_records_are_in_the_sample_dns_and_that_is_said() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let id = created(&mailer, &key, "News.Acme.Example").await;
    let from = |domain: &str| {
        let mut email = email();
        email["from"] = json!(format!("hello@{domain}"));
        email
    };
    let early = mailer.post(&key, "/emails", from("news.acme.example"));
    early.await.assert_status(422);
    let domain = verified(&mailer, &key, &id).await;
    assert_eq!(domain["status"], "verified");
    assert_eq!(found(&domain), [true, true]);
    let source = domain["checked_against"].as_str().unwrap();
    assert!(source.contains("bundled with this example"), "{source}");
    let sent = mailer.post(&key, "/emails", from("NEWS.acme.example"));
    sent.await.assert_status(201);
    let shown = mailer.get(&key, &format!("/domains/{id}")).await.json();
    assert_eq!(shown, domain);
}

#[tokio::test]
async fn a_domain_stays_pending_without_all_of_its_records() {
    let mailer = Mailer::new().await;
    let key = mailer.custom(["domains:write"]).await;
    let half = verified(&mailer, &key, "domain_shop").await;
    assert_eq!(
        (half["status"].as_str(), found(&half)),
        (Some("pending"), vec![true, false])
    );
    let id = created(&mailer, &key, "nowhere.example").await;
    assert_eq!(found(&verified(&mailer, &key, &id).await), [false, false]);
}

/// The record names who may send from it.
#[tokio::test]
async fn nobody_verifies_a_domain_of_another_organization() {
    let mailer = Mailer::new().await;
    let globex = mailer.kit.key("globex").preset("full-access").make().await;
    let id = created(&mailer, &globex, "acme.example").await;
    let domain = verified(&mailer, &globex, &id).await;
    assert_eq!(domain["status"], "pending");
    assert_eq!(
        domain["dns_records"][1]["value"],
        "mailer-verification=globex"
    );
}

#[tokio::test]
async fn domains_are_deleted_and_are_there_once() {
    let mailer = Mailer::new().await;
    let key = mailer.level("full-access").await;
    let again = mailer
        .post(&key, "/domains", json!({"name": "ACME.example"}))
        .await;
    again.assert_status(409);
    assert!(told(&again).1.contains("use `domain_acme`"));
    for name in ["acme", "-a.example", "a b.example", "", "a..example"] {
        let answer = mailer.post(&key, "/domains", json!({"name": name})).await;
        answer.assert_status(422);
    }
    mailer
        .delete(&key, "/domains/domain_acme")
        .await
        .assert_status(204);
    mailer
        .get(&key, "/domains/domain_acme")
        .await
        .assert_status(404);
    mailer
        .post(&key, "/emails", email())
        .await
        .assert_status(422);
    let path = "/domains/domain_acme/verify";
    mailer
        .app
        .post(path)
        .key(&key)
        .send()
        .await
        .assert_status(404);
}
