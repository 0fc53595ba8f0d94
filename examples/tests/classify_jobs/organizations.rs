//! What belongs to an organization belongs to all its keys, and to nobody else.

use tollgate_testkit::app::Consumed;

use super::api::{BUSINESS_PER_MINUTE, STANDARD_PER_MINUTE};
use super::{Bench, CREDITS, MINUTE, PERMISSIONS, error, id};

const SCAN: &str = r#"{"sample":"mail"}"#;

#[tokio::test]
async fn jobs_are_the_organizations_whichever_key_created_them() {
    let mut bench = Bench::new().await;
    let creator = bench.key("acme", &["scan:create"]).await;
    let reader = bench.key("acme", &["jobs:read", "results:read"]).await;
    let job = id(&bench.post("/v1/scan", SCAN).key(&creator).send().await);
    bench.worker.work_off().await;
    creator.revoke(&bench.kit).await;

    let status = bench.get(&reader, &format!("/v1/jobs/{job}")).await;
    assert_eq!(id(status.assert_status(200)), job);
    let results = bench.get(&reader, &format!("/v1/jobs/{job}/results")).await;
    results.assert_status(200);
    let listed = bench.get(&reader, "/v1/jobs").await.json();
    assert_eq!(listed[0]["id"], *job);
}

#[tokio::test]
async fn a_job_of_another_organization_looks_like_none() {
    let bench = Bench::new().await;
    bench
        .kit
        .organization("umbra")
        .credits(CREDITS)
        .make()
        .await;
    let stranger = bench.key("umbra", &PERMISSIONS).await;
    let mine = bench.key("acme", &PERMISSIONS).await;
    let none = "job_00000000000000000000000000000000";
    for end in ["", "/results"] {
        let real = format!("/v1/jobs/{}{end}", bench.job);
        bench.get(&mine, &real).await.assert_status(200);
        let foreign = bench.get(&stranger, &real).await;
        let absent = bench.get(&stranger, &format!("/v1/jobs/{none}{end}")).await;
        foreign.assert_status(404);
        assert_eq!(error(&foreign), error(&absent));
        let names = |headers: &axum::http::HeaderMap| headers.len();
        assert_eq!(names(foreign.headers()), names(absent.headers()));
        assert_eq!(foreign.consumed(), absent.consumed());
    }
    let listed = bench.get(&stranger, "/v1/jobs").await;
    assert_eq!(listed.text(), "[]");
}

#[tokio::test]
async fn a_webhook_of_another_organization_looks_like_none() {
    let bench = Bench::new().await;
    bench.kit.organization("umbra").make().await;
    let stranger = bench.key("umbra", &["webhooks:write"]).await;
    let test = async |webhook: &str| {
        let path = format!("/v1/webhooks/{webhook}/test");
        error(
            bench
                .app
                .post(&path)
                .key(&stranger)
                .send()
                .await
                .assert_status(404),
        )
    };
    assert_eq!(test(&bench.webhook).await, test("wh_none").await);
}

#[tokio::test]
async fn credits_are_the_organizations() {
    let bench = Bench::new().await;
    let kit = &bench.kit;
    kit.organization("poor").credits(12).make().await;
    kit.organization("rich").credits(CREDITS).make().await;
    let keys = [
        bench.key("poor", &["scan:create", "credits:read"]).await,
        bench.key("poor", &["scan:create", "credits:read"]).await,
    ];
    for (key, left) in [(&keys[0], 7), (&keys[1], 2)] {
        let scanned = bench.post("/v1/scan", SCAN).key(key).send().await;
        scanned.assert_consumed(Consumed::rate(1).credits(5));
        for key in &keys {
            let balance = bench.get(key, "/v1/credits").await.json();
            assert_eq!(
                (&balance["available"], &balance["held"]),
                (&left.into(), &0.into())
            );
            assert_eq!(balance["used"], 12 - left);
        }
    }
    for key in &keys {
        let refused = bench.post("/v1/scan", SCAN).key(key).send().await;
        refused
            .assert_status(402)
            .assert_denied("INSUFFICIENT_CREDITS");
    }
    let other = bench.key("rich", &["scan:create"]).await;
    let scanned = bench.post("/v1/scan", SCAN).key(&other).send().await;
    scanned.assert_status(202);
    assert_eq!(kit.balance("rich").available(), CREDITS - 5);
}

#[tokio::test]
async fn rates_are_counted_for_the_organization_with_all_its_keys() {
    let bench = Bench::new().await;
    let kit = &bench.kit;
    kit.organization("small").plan("standard").make().await;
    kit.organization("other").plan("standard").make().await;
    let keys = [
        bench.key("small", &["jobs:read"]).await,
        bench.key("small", &["jobs:read"]).await,
    ];
    for (left, key) in (0..STANDARD_PER_MINUTE).rev().zip(keys.iter().cycle()) {
        let answer = bench.get(key, "/v1/jobs").await;
        answer
            .assert_status(200)
            .assert_header("x-ratelimit-limit", "60")
            .assert_header("x-ratelimit-remaining", &left.to_string());
    }
    for key in &keys {
        let refused = bench.get(key, "/v1/jobs").await;
        refused
            .assert_status(429)
            .assert_denied("RATE_LIMIT_EXCEEDED");
    }
    let other = bench.key("other", &["jobs:read"]).await;
    bench.get(&other, "/v1/jobs").await.assert_status(200);
    // Not refilled bit by bit: never more than the limit in any minute.
    kit.advance(MINUTE / 2).await;
    bench.get(&keys[0], "/v1/jobs").await.assert_status(429);
    kit.advance(MINUTE).await;
    bench.get(&keys[1], "/v1/jobs").await.assert_status(200);
}

#[tokio::test]
async fn a_larger_plan_has_a_larger_rate() {
    let bench = Bench::new().await;
    bench
        .kit
        .organization("large")
        .plan("business")
        .make()
        .await;
    let key = bench.key("large", &["jobs:read"]).await;
    for left in (0..BUSINESS_PER_MINUTE).rev() {
        let answer = bench.get(&key, "/v1/jobs").await;
        answer.assert_header("x-ratelimit-remaining", &left.to_string());
    }
    let refused = bench.get(&key, "/v1/jobs").await;
    refused.assert_denied("RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn jobs_that_are_not_done_are_bounded_for_the_organization() {
    let mut bench = Bench::new().await;
    bench
        .kit
        .organization("other")
        .credits(CREDITS)
        .make()
        .await;
    let keys = [
        bench.key("acme", &PERMISSIONS).await,
        bench.key("acme", &PERMISSIONS).await,
    ];
    for (_, key) in (0..super::api::queue::MOST_UNFINISHED).zip(keys.iter().cycle()) {
        let created = bench.post("/v1/scan", SCAN).key(key).send().await;
        created.assert_status(202);
    }
    for key in &keys {
        let refused = bench.post("/v1/scan", SCAN).key(key).send().await;
        refused
            .assert_status(429)
            .assert_consumed(Consumed::rate(1));
    }
    let other = bench.key("other", &PERMISSIONS).await;
    let created = bench.post("/v1/scan", SCAN).key(&other).send().await;
    created.assert_status(202);
    bench.worker.work_off().await;
    let created = bench.post("/v1/scan", SCAN).key(&keys[0]).send().await;
    created.assert_status(202);
}
