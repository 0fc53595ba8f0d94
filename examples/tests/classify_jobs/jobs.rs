//! What jobs do, how they stand, and what comes of them.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::app::Consumed;

use super::api::queue::MOST_KEPT;
use super::{Bench, PERMISSIONS, id};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_status_has_timing_data_and_no_results() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let Bench {
        kit,
        app,
        mut worker,
        ..
    } = bench;
    let get = async |path: &str| app.get(path).key(&key).send().await;
    let created = app.post("/v1/scan").json(r#"{"sample":"mail"}"#).key(&key);
    let created = created.send().await.json();
    assert_eq!(
        created,
        json!({
            "id": created["id"],
            "kind": "scan",
            "status": "queued",
            "queued_at": "2026-01-01T00:00:00Z",
            "started_at": null,
            "finished_at": null,
            "waited_ms": null,
            "took_ms": null,
        })
    );
    let status = format!("/v1/jobs/{}", created["id"].as_str().unwrap());
    let results = format!("{status}/results");
    assert_eq!(get(&status).await.assert_status(200).json(), created);
    get(&results).await.assert_status(409);

    kit.advance(Duration::from_millis(1_500)).await;
    let running = worker.start().unwrap();
    let started = get(&status).await.json();
    assert_eq!(started["status"], "running");
    assert_eq!(started["started_at"], "2026-01-01T00:00:01.5Z");
    assert_eq!(
        (&started["waited_ms"], &started["took_ms"]),
        (&json!(1_500), &Value::Null)
    );
    get(&results).await.assert_status(409);

    kit.advance(Duration::from_millis(250)).await;
    running.finish().await;
    assert_eq!(
        get(&status).await.json(),
        json!({
            "id": created["id"],
            "kind": "scan",
            "status": "completed",
            "queued_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01.5Z",
            "finished_at": "2026-01-01T00:00:01.75Z",
            "waited_ms": 1_500,
            "took_ms": 250,
        })
    );
    get(&results).await.assert_status(200);
}

#[tokio::test]
async fn jobs_are_done_behind_the_requests() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let created = bench.post("/v1/scan", r#"{"sample":"mail"}"#).key(&key);
    let path = format!("/v1/jobs/{}", id(&created.send().await));
    let Bench { app, worker, .. } = bench;
    let working = tokio::spawn(worker.run());
    // Each look gives the worker a turn; how many it takes is the scheduler's business.
    let done =
        async { while app.get(&path).key(&key).send().await.json()["status"] != "completed" {} };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    // The queue ends with the last service that holds it, and the worker with the queue.
    drop(app);
    let ended = tokio::time::timeout(PATIENCE, working).await;
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn texts_are_classified() {
    let mut bench = Bench::new().await;
    let texts = json!({"texts": [
        "The striker scored and the team won the match.",
        "The doctor gave the patient a vaccine.",
        "Knead the dough, add salt and bake the bread.",
        "The hotel is near the beach; bring your passport for the flight.",
        "Investors sold stocks as the bank raised interest.",
        "The server runs software that a developer wrote in code.",
        "Qwx zzy.",
    ]});
    let results = bench.results_of("/v1/classify", &texts.to_string()).await;
    let items = results["items"].as_array().unwrap().iter();
    let categories: Vec<&Value> = items.map(|item| &item["verdict"]["category"]).collect();
    let expected = json!([
        "sports",
        "health",
        "food",
        "travel",
        "finance",
        "technology",
        null
    ]);
    assert_eq!(
        categories,
        expected.as_array().unwrap().iter().collect::<Vec<_>>()
    );
    let scores = results["items"][0]["verdict"]["scores"].as_array().unwrap();
    let total: f64 = scores
        .iter()
        .map(|score| score["probability"].as_f64().unwrap())
        .sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
}

#[tokio::test]
async fn urls_are_classified_by_bundled_pages_which_say_so() {
    let mut bench = Bench::new().await;
    let urls = r#"{"urls":["https://clinic.example/flu","http://127.0.0.1/secret"]}"#;
    let results = bench.results_of("/v1/classify", urls).await;
    let [known, unknown] = [&results["items"][0], &results["items"][1]];
    assert_eq!(known["verdict"]["category"], "health");
    assert!(
        known["note"]
            .as_str()
            .unwrap()
            .contains("nothing was fetched")
    );
    assert_eq!(unknown["url"], "http://127.0.0.1/secret");
    assert_eq!(unknown["verdict"], Value::Null);
    assert!(
        unknown["note"]
            .as_str()
            .unwrap()
            .contains("fetches nothing")
    );
}

#[tokio::test]
async fn a_scan_finds_what_a_text_should_not_have() {
    let mut bench = Bench::new().await;
    let results = bench.results_of("/v1/scan", r#"{"sample":"mail"}"#).await;
    assert_eq!(
        results["findings"],
        json!([
            {"kind": "email", "value": "ann@acme.example"},
            {"kind": "url", "value": "http://192.0.2.7/login"},
            {"kind": "email", "value": "help@bank.example"},
            {"kind": "card_number", "value": "…1111"},
        ])
    );
    let clean = r#"{"text":"Nothing here, not even 4111 1111 1111 1112."}"#;
    let results = bench.results_of("/v1/scan", clean).await;
    assert_eq!(results["findings"], json!([]));
}

#[tokio::test]
async fn a_deep_scan_looks_into_what_is_encoded_or_random() {
    let mut bench = Bench::new().await;
    let scan = bench.results_of("/v1/scan", r#"{"sample":"config"}"#).await;
    let deep = bench
        .results_of("/v1/deep-scan", r#"{"sample":"config"}"#)
        .await;
    let findings = json!([
        {"kind": "ip", "value": "198.51.100.9"},
        {"kind": "secret", "value": "…0000"},
    ]);
    assert_eq!(
        (&scan["findings"], &deep["findings"]),
        (&findings, &findings)
    );
    assert_eq!(
        deep["encoded"],
        json!([
            {"kind": "email", "value": "root@db.example"},
            {"kind": "ip", "value": "203.0.113.5"},
        ])
    );
    assert_eq!(deep["dense"], json!([{"kind": "random", "value": "…fJ5h"}]));
    assert_eq!(scan["encoded"], Value::Null);
}

#[tokio::test]
async fn a_job_that_makes_no_sense_is_refused_and_costs_nothing() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let many = json!({"texts": vec!["a"; 51]}).to_string();
    let long = json!({"text": "a".repeat(20_001)}).to_string();
    let url = json!({"urls": [format!("https://a.example/{}", "a".repeat(2_000))]}).to_string();
    for (path, body) in [
        ("/v1/classify", "{}"),
        ("/v1/classify", r#"{"texts":[" "]}"#),
        ("/v1/classify", r#"{"urls":["ftp://a.example/"]}"#),
        ("/v1/classify", r#"{"urls":["/relative"]}"#),
        ("/v1/classify", &*many),
        ("/v1/classify", &*url),
        ("/v1/scan", "{}"),
        ("/v1/scan", r#"{"text":"a","sample":"mail"}"#),
        ("/v1/scan", r#"{"sample":"none"}"#),
        ("/v1/deep-scan", &*long),
        ("/v1/deep-scan", r#"{"txt":"a"}"#),
    ] {
        let refused = bench.post(path, body).key(&key).send().await;
        refused
            .assert_status(422)
            .assert_denied("UNPROCESSABLE_CONTENT")
            .assert_consumed(Consumed::rate(1));
    }
}

#[tokio::test]
async fn the_oldest_job_that_is_done_makes_way() {
    let mut bench = Bench::new().await;
    let key = bench.key("acme", &PERMISSIONS).await;
    let first = format!("/v1/jobs/{}", bench.job);
    for _ in 1..MOST_KEPT {
        let created = bench.post("/v1/classify", r#"{"texts":["a"]}"#).key(&key);
        created.send().await.assert_status(202);
        bench.worker.work_off().await;
    }
    bench.get(&key, &first).await.assert_status(200);
    let created = bench.post("/v1/classify", r#"{"texts":["a"]}"#).key(&key);
    created.send().await.assert_status(202);
    bench.get(&key, &first).await.assert_status(404);
}
