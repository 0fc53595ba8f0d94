//! Six permissions, what each opens, and what it costs.

use tollgate::core::scope::Implies;
use tollgate_testkit::app::{Consumed, Documented};

use super::{Bench, PERMISSIONS, SAMPLES, Sample, api};

const READ_ONLY: [&str; 3] = ["jobs:read", "results:read", "credits:read"];

#[tokio::test]
async fn every_route_is_as_documented() {
    let bench = Bench::new().await;
    let map = api::routes(bench.kit.gate()).permissions();
    let matrix = bench.app.matrix(&map).sample(|call, route| {
        let mut samples = SAMPLES.iter();
        let same = |sample: &&Sample| sample.method == route.method && sample.path == route.path;
        match samples.find(same).and_then(|sample| sample.body) {
            Some(body) => call.json(body),
            None => call,
        }
    });
    let documented = Documented::table(include_str!("documented.md"));
    let documented = documented.preset("read-only", READ_ONLY);
    matrix.compute().await.assert_documented(&documented);
}

#[tokio::test]
async fn each_permission_opens_its_routes_and_no_others() {
    let bench = Bench::new().await;
    for permission in PERMISSIONS {
        let key = bench.key("acme", &[permission]).await;
        for sample in SAMPLES {
            let answer = bench.good(sample).key(&key).send().await;
            if sample.permission == permission {
                let consumed = Consumed::rate(1).credits(sample.credits);
                answer.assert_success().assert_consumed(consumed);
                continue;
            }
            answer
                .assert_status(403)
                .assert_denied("INSUFFICIENT_PERMISSIONS")
                .assert_consumed(Consumed::NOTHING);
        }
    }
}

#[tokio::test]
async fn a_key_without_the_right_permissions_is_a_403_that_names_them() {
    let bench = Bench::new().await;
    let none = bench.key("acme", &[]).await;
    for sample in SAMPLES {
        let answer = bench.good(sample).key(&none).send().await;
        answer.assert_status(403);
        let details = &answer.json()["error"]["details"];
        assert_eq!(details["missing"][0], sample.permission, "{sample:?}");
    }
}

#[tokio::test]
async fn the_six_permissions_are_all_that_there_are_and_imply_nothing() {
    let catalog = api::catalog().unwrap();
    let names: Vec<&str> = catalog.scopes().map(|scope| &*scope.name).collect();
    assert_eq!(names, PERMISSIONS);
    assert!(
        catalog
            .scopes()
            .all(|scope| scope.implies == Implies::default())
    );
    let read = catalog.scopes().find(|scope| scope.name == "jobs:read");
    assert_eq!(
        read.unwrap().description,
        "Read job status and timing data."
    );
}

#[tokio::test]
async fn the_recommended_read_only_set_reads_and_creates_nothing() {
    let bench = Bench::new().await;
    let read_only = bench.kit.key("acme").preset("read-only").make().await;
    for sample in SAMPLES {
        let answer = bench.good(sample).key(&read_only).send().await;
        if READ_ONLY.contains(&sample.permission) {
            answer.assert_success();
        } else {
            answer.assert_denied("INSUFFICIENT_PERMISSIONS");
        }
    }
}

#[tokio::test]
async fn a_classify_job_costs_a_credit_for_each_text_and_url() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &["classify:create"]).await;
    for (body, credits) in [
        (r#"{"texts":["a goal"]}"#, 1),
        (r#"{"urls":["https://news.example/sports"]}"#, 1),
        (
            r#"{"texts":["a","b","c"],"urls":["https://a.example/"]}"#,
            4,
        ),
    ] {
        let answer = bench.post("/v1/classify", body).key(&key).send().await;
        let consumed = Consumed::rate(1).credits(credits);
        answer.assert_status(202).assert_consumed(consumed);
    }
}
