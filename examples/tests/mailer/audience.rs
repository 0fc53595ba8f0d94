//! Contacts, lists and segments.

use serde_json::{Value, json};
use tollgate_testkit::app::TestKey;

use super::{Mailer, told};

async fn mailer() -> (Mailer, TestKey) {
    let mailer = Mailer::new().await;
    let key = mailer.custom(["audience:read", "audience:write"]).await;
    (mailer, key)
}

async fn made(mailer: &Mailer, key: &TestKey, path: &str, body: Value) -> String {
    let made = mailer.post(key, path, body).await.assert_status(201).json();
    made["id"].as_str().unwrap().to_owned()
}

/// The addresses of the contacts of a list or a segment.
async fn contacts(mailer: &Mailer, key: &TestKey, path: &str) -> Vec<String> {
    let shown = mailer.get(key, path).await.assert_status(200).json();
    let contacts = shown["contacts"].as_array().unwrap().iter();
    let name = |contact: &Value| {
        contact["email"]
            .as_str()
            .unwrap()
            .split('@')
            .next()
            .unwrap()
            .to_owned()
    };
    contacts.map(name).collect()
}

#[tokio::test]
async fn contacts_are_created_updated_and_deleted() {
    let (mailer, key) = mailer().await;
    let body = json!({"email": "dan@customer.example", "attributes": {"city": "Oslo"}, "lists": ["list_old"]});
    let id = made(&mailer, &key, "/contacts", body.clone()).await;
    let path = format!("/contacts/{id}");
    let shown = mailer.get(&key, &path).await.json();
    for field in ["email", "attributes", "lists"] {
        assert_eq!(shown[field], body[field]);
    }
    let update = json!({"email": "dan@new.example"});
    mailer.put(&key, &path, update).await.assert_status(200);
    let shown = mailer.get(&key, &path).await.json();
    assert_eq!(shown["email"], "dan@new.example");
    assert_eq!(shown["lists"], json!([]));
    mailer.delete(&key, &path).await.assert_status(204);
    mailer.get(&key, &path).await.assert_status(404);
    assert_eq!(
        mailer
            .get(&key, "/contacts")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_list_has_the_contacts_that_say_so_and_leaves_them_when_it_is_deleted() {
    let (mailer, key) = mailer().await;
    assert_eq!(
        contacts(&mailer, &key, "/lists/list_customers").await,
        ["ann", "bob"]
    );
    let list = made(&mailer, &key, "/lists", json!({"name": "Prospects"})).await;
    let path = format!("/lists/{list}");
    assert!(contacts(&mailer, &key, &path).await.is_empty());
    let cleo = json!({"email": "cleo@customer.example", "lists": [list, "list_customers"]});
    mailer
        .put(&key, "/contacts/contact_cleo", cleo)
        .await
        .assert_status(200);
    assert_eq!(contacts(&mailer, &key, &path).await, ["cleo"]);
    mailer
        .put(&key, &path, json!({"name": "Leads"}))
        .await
        .assert_status(200);
    assert_eq!(mailer.get(&key, &path).await.json()["name"], "Leads");
    mailer.delete(&key, &path).await.assert_status(204);
    mailer.get(&key, &path).await.assert_status(404);
    let cleo = mailer.get(&key, "/contacts/contact_cleo").await.json();
    assert_eq!(cleo["lists"], json!(["list_customers"]));
}

#[tokio::test]
async fn a_segment_has_the_contacts_for_which_all_conditions_hold_now() {
    let (mailer, key) = mailer().await;
    let condition = |field: &str, operator: &str, value: &str| json!({"field": field, "operator": operator, "value": value});
    let oslo = condition("city", "is", "Oslo");
    let customer = condition("list", "is", "list_customers");
    for (conditions, expected) in [
        (json!([]), vec!["ann", "bob", "cleo"]),
        (json!([oslo]), vec!["ann", "cleo"]),
        (json!([oslo, customer]), vec!["ann"]),
        (json!([condition("city", "is_not", "Oslo")]), vec!["bob"]),
        (
            json!([condition("country", "is_not", "NO")]),
            vec!["ann", "bob", "cleo"],
        ),
        (json!([condition("country", "is", "NO")]), vec![]),
        (
            json!([condition("list", "is_not", "list_customers")]),
            vec!["cleo"],
        ),
        (
            json!([condition("email", "contains", "o")]),
            vec!["ann", "bob", "cleo"],
        ),
        (json!([condition("email", "contains", "bob@")]), vec!["bob"]),
        (json!([condition("city", "ends_with", "gen")]), vec!["bob"]),
        (json!([condition("city", "ends_with", "Os")]), vec![]),
    ] {
        let body = json!({"name": "Some", "conditions": conditions});
        let id = made(&mailer, &key, "/segments", body).await;
        let path = format!("/segments/{id}");
        assert_eq!(
            contacts(&mailer, &key, &path).await,
            expected,
            "{conditions}"
        );
    }
    let move_ann = json!({"email": "ann@customer.example", "attributes": {"city": "Bergen"}});
    mailer
        .put(&key, "/contacts/contact_ann", move_ann)
        .await
        .assert_status(200);
    assert_eq!(
        contacts(&mailer, &key, "/segments/segment_oslo").await,
        ["cleo"]
    );
    let update = json!({"name": "Bergen", "conditions": [condition("city", "is", "Bergen")]});
    mailer
        .put(&key, "/segments/segment_oslo", update)
        .await
        .assert_status(200);
    assert_eq!(
        contacts(&mailer, &key, "/segments/segment_oslo").await,
        ["ann", "bob"]
    );
    mailer
        .delete(&key, "/segments/segment_oslo")
        .await
        .assert_status(204);
    mailer
        .get(&key, "/segments/segment_oslo")
        .await
        .assert_status(404);
}

#[tokio::test]
async fn an_address_is_one_contact() {
    let (mailer, key) = mailer().await;
    let ann = json!({"email": "Ann@Customer.example"});
    let again = mailer.post(&key, "/contacts", ann.clone()).await;
    again.assert_status(409);
    assert!(told(&again).1.contains("use `contact_ann`"));
    mailer
        .put(&key, "/contacts/contact_bob", ann.clone())
        .await
        .assert_status(409);
    mailer
        .put(&key, "/contacts/contact_ann", ann)
        .await
        .assert_status(200);
}

#[tokio::test]
async fn what_makes_no_sense_is_told_with_its_field() {
    let (mailer, key) = mailer().await;
    let many: Vec<Value> = vec![json!({"field": "a", "operator": "is", "value": "b"}); 51];
    for (path, body, field) in [
        ("/contacts", json!({"email": "dan"}), "email: `dan`"),
        (
            "/contacts",
            json!({"email": "d@c.example", "lists": ["list_none"]}),
            "lists: ",
        ),
        (
            "/contacts",
            json!({"email": "d@c.example", "attributes": {"a": "x".repeat(201)}}),
            "attributes: `a`",
        ),
        (
            "/lists",
            json!({"name": "x".repeat(201)}),
            "name: it has 201 bytes",
        ),
        ("/lists", json!({"name": ""}), "name: "),
        (
            "/segments",
            json!({"name": "a", "conditions": many}),
            "conditions: it has 51 entries",
        ),
        (
            "/segments",
            json!({"name": "a", "conditions": [{"field": "a", "operator": "like", "value": "b"}]}),
            "like",
        ),
        (
            "/segments",
            json!({"name": "a", "conditions": [{"field": "", "operator": "is", "value": "b"}]}),
            "conditions.field: ",
        ),
    ] {
        let answer = mailer.post(&key, path, body).await;
        answer.assert_status(422);
        let (_, message) = told(&answer);
        assert!(message.contains(field), "`{field}` is not in `{message}`");
    }
}
