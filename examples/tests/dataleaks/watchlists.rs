//! Watchlists: kept, changed and deleted by their own workspace, and nowhere to be seen by others.

use axum::http::Method;
use serde_json::{Value, json};
use tollgate_testkit::app::{Answer, TestKey};

use super::app::api::{MOST_TARGETS, MOST_WATCHLISTS};
use super::{Bench, OF_ACME, OF_GLOBEX, assert_flat};

async fn names(bench: &Bench, key: &TestKey) -> Vec<String> {
    let listed = bench.watchlist(Method::GET, "").key(key).send().await;
    let listed = listed.assert_status(200).json();
    let lists = listed["watchlists"].as_array().unwrap().iter();
    let mut names: Vec<_> = lists
        .map(|list| list["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

async fn create(bench: &Bench, key: &TestKey, body: &Value) -> Answer {
    let create = bench.watchlist(Method::POST, "").key(key);
    create.json(body).send().await
}

#[tokio::test]
async fn a_watchlist_is_created_listed_shown_changed_and_deleted() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let made = json!({
        "name": "Board",
        "domains": ["ACME.example."],
        "emails": ["Ann@acme.example"],
        "bins": ["42424242"],
    });
    let created = create(&bench, &key, &made).await;
    let shown = created.assert_status(201).json();
    let id = shown["id"].as_str().unwrap();
    let mut kept = json!({
        "id": id,
        "name": "Board",
        "domains": ["acme.example"],
        "emails": ["ann@acme.example"],
        "bins": ["42424242"],
    });
    assert_eq!(shown, kept);
    assert_eq!(names(&bench, &key).await, ["Board", "Our domain"]);

    let show = || bench.watchlist(Method::GET, id).key(&key).send();
    assert_eq!(show().await.assert_status(200).json(), kept);
    let edit = bench.watchlist(Method::PATCH, id).key(&key);
    let edit = edit.json(r#"{"name":"Directors","bins":[]}"#).send().await;
    kept["name"] = json!("Directors");
    kept["bins"] = json!([]);
    assert_eq!(edit.assert_status(200).json(), kept);
    assert_eq!(show().await.json(), kept);
    let all = r#"{"domains":["mail.acme.example"],"emails":[],"bins":["424242"]}"#;
    let edit = bench.watchlist(Method::PATCH, id).key(&key);
    edit.json(all).send().await.assert_status(200);
    kept["domains"] = json!(["mail.acme.example"]);
    kept["emails"] = json!([]);
    kept["bins"] = json!(["424242"]);
    assert_eq!(show().await.json(), kept);

    let delete = || bench.watchlist(Method::DELETE, id).key(&key).send();
    assert_eq!(delete().await.assert_status(204).text(), "");
    assert_flat(&show().await, 403);
    assert_flat(&delete().await, 403);
    assert_eq!(names(&bench, &key).await, ["Our domain"]);
}

#[tokio::test]
async fn a_foreign_watchlist_looks_like_one_that_never_was() {
    let bench = Bench::new().await;
    let (acme, globex) = (bench.key("acme").await, bench.key("globex").await);
    let absent = OF_GLOBEX.replace('b', "c");
    for method in [Method::GET, Method::PATCH, Method::DELETE, Method::HEAD] {
        let mut told = Vec::new();
        for id in [OF_GLOBEX, &absent, "x", "..%20", "*", "null", "b3c5a0d2"] {
            let call = bench.watchlist(method.clone(), id).key(&acme);
            let answer = match method {
                Method::PATCH => call.json(r#"{"name":"Mine"}"#).send().await,
                _ => call.send().await,
            };
            answer
                .assert_denied("resource_not_owned")
                .assert_status(403);
            told.push(answer.text().to_owned());
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
    }
    // Nothing happened to it.
    assert_eq!(names(&bench, &acme).await, ["Our domain"]);
    let shown = bench.watchlist(Method::GET, OF_GLOBEX).key(&globex);
    assert_eq!(shown.send().await.json()["name"], "Our domain");
}

#[tokio::test]
async fn every_key_of_a_workspace_sees_its_watchlists() {
    let bench = Bench::new().await;
    let (one, two) = (bench.key("acme").await, bench.key("acme").await);
    let made = json!({ "name": "Cards", "bins": ["424242"] });
    create(&bench, &one, &made).await.assert_status(201);
    assert_eq!(names(&bench, &two).await, ["Cards", "Our domain"]);
    let globex = bench.key("globex").await;
    assert_eq!(names(&bench, &globex).await, ["Our domain"]);
}

#[tokio::test]
async fn nobody_watches_what_is_out_of_scope() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for targets in [
        json!({ "domains": ["globex.example"] }),
        json!({ "domains": ["acme.example", "notacme.example"] }),
        json!({ "domains": ["acme.example"], "emails": ["gus@globex.example"] }),
        json!({ "domains": ["acme.example"], "bins": ["424242", "51005100"] }),
    ] {
        let edit = bench.watchlist(Method::PATCH, OF_ACME).key(&key);
        let edited = edit.json(&targets).send().await;
        edited.assert_denied("resource_not_owned");
        assert_flat(&edited, 403);
        let mut new = targets;
        new["name"] = json!("Rivals");
        let created = create(&bench, &key, &new).await;
        created.assert_denied("resource_not_owned");
        assert_flat(&created, 403);
    }
    let shown = bench.watchlist(Method::GET, OF_ACME).key(&key).send().await;
    assert_eq!(shown.json()["domains"], json!(["acme.example"]));
    assert_eq!(names(&bench, &key).await, ["Our domain"]);
}

#[tokio::test]
async fn a_watchlist_that_makes_no_sense_is_a_400() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let ours = json!(["acme.example"]);
    let targets = |count: usize| -> Value {
        let domain = |n| format!("a{n}.acme.example");
        (0..count).map(domain).collect()
    };
    for body in [
        json!({}),
        json!({ "name": "x" }),
        json!({ "name": "x", "domains": [] }),
        json!({ "domains": ours }),
        json!({ "name": "", "domains": ours }),
        json!({ "name": " ", "domains": ours }),
        json!({ "name": "a\nb", "domains": ours }),
        json!({ "name": "a".repeat(101), "domains": ours }),
        json!({ "name": null, "domains": ours }),
        json!({ "name": "x", "domains": "acme.example" }),
        json!({ "name": "x", "domains": ours, "bins": null }),
        json!({ "name": "x", "domains": ours, "bins": ["4242"] }),
        json!({ "name": "x", "domains": ours, "emails": ["ann"] }),
        json!({ "name": "x", "domains": ours, "id": OF_GLOBEX }),
        json!({ "name": "x", "domains": targets(MOST_TARGETS + 1) }),
        json!({ "name": "x", "domains": targets(MOST_TARGETS), "bins": ["424242"] }),
        json!("x"),
    ] {
        assert_flat(&create(&bench, &key, &body).await, 400);
    }
    for body in [
        r#"{"domains":[]}"#,
        r#"{"name":""}"#,
        r#"{"name":"a","name":"b"}"#,
        r#"{"nam":"a"}"#,
        "",
    ] {
        let edit = bench.watchlist(Method::PATCH, OF_ACME).key(&key);
        assert_flat(&edit.json(body).send().await, 400);
    }
    let most = json!({ "name": "ä".repeat(100), "domains": targets(MOST_TARGETS) });
    create(&bench, &key, &most).await.assert_status(201);
}

#[tokio::test]
async fn a_workspace_has_so_many_watchlists_and_no_more() {
    let bench = Bench::new().await;
    let (acme, globex) = (bench.key("acme").await, bench.key("globex").await);
    let new = json!({ "name": "x", "bins": ["42424242"] });
    for _ in 1..MOST_WATCHLISTS {
        create(&bench, &acme, &new).await.assert_status(201);
    }
    let told = assert_flat(&create(&bench, &acme, &new).await, 409);
    assert!(told.contains("100 watchlists"), "{told}");
    let delete = bench.watchlist(Method::DELETE, OF_ACME).key(&acme);
    delete.send().await.assert_status(204);
    create(&bench, &acme, &new).await.assert_status(201);
    // One workspace takes nothing from another.
    let theirs = json!({ "name": "x", "bins": ["51005100"] });
    create(&bench, &globex, &theirs).await.assert_status(201);
}
