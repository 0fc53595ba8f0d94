//! How often, and what callers are told of it.

use std::time::Duration;

use axum::http::Method;
use tollgate::core::clock::Clock;
use tollgate::core::quota::QuotaPeriod;
use tollgate_testkit::app::{Answer, Consumed};

use super::{SCOPES, World, api};

/// Where the kit's clock begins, in Unix time.
const START: u64 = 1_767_225_600;

/// A window of sixty seconds counts by slots of one, so a request may count a second longer.
const WINDOW: Duration = Duration::from_secs(61);

const DAY: Duration = Duration::from_secs(86_400);

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).unwrap().parse().unwrap()
}

async fn free(world: &World) -> Answer {
    world.app.get("/api/v1/stats").key(&world.free).send().await
}

#[tokio::test]
async fn the_free_plan_has_ten_requests_a_minute_counted_down_to_nought() {
    let world = World::new().await;
    for left in (0..10).rev() {
        let answer = free(&world).await;
        answer.assert_status(200).assert_consumed(Consumed::rate(1));
        answer.assert_header("x-ratelimit-limit", "10");
        answer.assert_header("x-ratelimit-remaining", &left.to_string());
        let reset = number(&answer, "x-ratelimit-reset");
        assert!((START + 60..=START + 61).contains(&reset), "{reset}");
    }
    let refused = free(&world).await;
    refused
        .assert_status(429)
        .assert_denied("rate_limit_exceeded");
    refused.assert_consumed(Consumed::NOTHING);
    refused.assert_header("x-ratelimit-limit", "10");
    refused.assert_header("x-ratelimit-remaining", "0");
    let reset = number(&refused, "x-ratelimit-reset");
    let wait = number(&refused, "retry-after");
    assert_eq!(
        START + wait,
        reset,
        "all ten came at once, and leave at once"
    );

    world.kit.advance(Duration::from_secs(wait)).await;
    let now = world.kit.clock().now().wall.as_unix_secs_ceil();
    assert_eq!(now, reset);
    let again = free(&world).await;
    again
        .assert_status(200)
        .assert_header("x-ratelimit-remaining", "9");
}

#[tokio::test]
async fn there_are_never_more_than_ten_in_any_minute() {
    let world = World::new().await;
    let mut admitted: Vec<u64> = Vec::new();
    // Five every half minute would be good for a window that begins anew each minute.
    for second in 0..180_u64 {
        if second % 15 == 0 {
            for _ in 0..6 {
                if free(&world).await.status() == 200 {
                    admitted.push(second);
                }
            }
        }
        world.kit.advance(Duration::from_secs(1)).await;
    }
    for start in &admitted {
        let within = |at: &&u64| (*start..start + 60).contains(*at);
        let count = admitted.iter().filter(within).count();
        assert!(count <= 10, "{count} in the minute from second {start}");
    }
    assert!(admitted.len() >= 20, "{admitted:?}");
}

#[tokio::test]
async fn the_free_plan_has_a_thousand_requests_a_day() {
    let world = World::new().await;
    for _ in 0..100 {
        for _ in 0..10 {
            free(&world).await.assert_status(200);
        }
        world.kit.advance(WINDOW).await;
    }
    let refused = free(&world).await;
    refused.assert_status(429).assert_denied("quota_exceeded");
    let details = &refused.json()["error"]["details"];
    assert_eq!(details["limit"], 1000);
    assert_eq!(details["resets_at"], "2026-01-02T00:00:00Z");
    refused.assert_header("x-ratelimit-limit", "10");
    world.kit.advance(DAY).await;
    free(&world).await.assert_status(200);
}

#[tokio::test]
async fn the_pro_plan_has_a_thousand_requests_a_minute_and_a_million_a_day() {
    let world = World::new().await;
    let pro = async || world.app.get("/api/v1/stats").key(&world.pro).send().await;
    for left in (0..1000).rev() {
        let answer = pro().await;
        answer.assert_header("x-ratelimit-limit", "1000");
        answer.assert_header("x-ratelimit-remaining", &left.to_string());
    }
    pro()
        .await
        .assert_status(429)
        .assert_denied("rate_limit_exceeded");
    world.kit.advance(WINDOW).await;
    pro().await.assert_status(200);

    let catalog = api::catalog().unwrap();
    let quotas = catalog.plan("pro").unwrap().limits.quotas();
    let quotas: Vec<_> = quotas
        .iter()
        .map(|of| (of.units().get(), of.period()))
        .collect();
    assert_eq!(quotas, [(1_000_000, QuotaPeriod::Day)]);
}

#[tokio::test]
async fn each_key_is_counted_alone() {
    let world = World::new().await;
    let sister = world.kit.key("lab").scopes(SCOPES).make().await;
    for _ in 0..10 {
        free(&world).await.assert_status(200);
    }
    free(&world).await.assert_status(429);
    let answer = world.app.get("/api/v1/stats").key(&sister).send().await;
    answer
        .assert_status(200)
        .assert_header("x-ratelimit-remaining", "9");

    let sister = world.kit.key("soc").scopes(SCOPES).make().await;
    for key in [&world.pro, &sister] {
        let answer = world.app.get("/api/v1/stats").key(key).send().await;
        answer
            .assert_status(200)
            .assert_header("x-ratelimit-remaining", "999");
    }
}

#[tokio::test]
async fn all_responses_have_the_three_headers() {
    let world = World::new().await;
    let app = &world.app;
    let session = world.session("ann@example.com", &["lab"]).await;
    let pro = |path: &str| app.get(path).key(&world.pro);
    let preflight = app
        .request(Method::OPTIONS, "/api/v1/iocs")
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "GET");
    for (call, limit) in [
        (pro("/api/v1/iocs"), "1000"),
        (pro("/api/v1/iocs?days=0"), "1000"),
        (pro("/api/v1/iocs?days=400"), "1000"),
        (pro("/api/taxii2/feed/collections/x/"), "1000"),
        (app.get("/api/v1/export/cef").key(&world.free), "10"),
        // Of nobody in particular: by address.
        (app.get("/api/v1/iocs"), "60"),
        (
            app.get("/api/v1/iocs").header("x-api-key", "sk_live_x"),
            "60",
        ),
        (app.get("/api/v1/keys"), "60"),
        (app.get("/api/v1/keys").session(&session), "60"),
        (app.get("/nothing"), "60"),
        (pro("/nothing"), "60"),
        (
            app.request(Method::POST, "/api/v1/iocs").key(&world.pro),
            "60",
        ),
        (app.get("/api//v1"), "60"),
        (app.get("/admin/nothing"), "60"),
        (preflight, "60"),
    ] {
        let answer = call.send().await;
        answer.assert_header("x-ratelimit-limit", limit);
        assert!(number(&answer, "x-ratelimit-remaining") < 1000);
        let reset = number(&answer, "x-ratelimit-reset");
        assert!((START..START + 62).contains(&reset), "{reset}");
    }
}

#[tokio::test]
async fn strangers_are_limited_by_address() {
    let world = World::new().await;
    let nobody = async |address| world.app.get("/api/v1/iocs").from(address).send().await;
    for left in (0..60).rev() {
        let answer = nobody("203.0.113.7").await;
        answer.assert_status(401);
        answer.assert_header("x-ratelimit-remaining", &left.to_string());
    }
    nobody("203.0.113.7").await.assert_status(429);
    nobody("203.0.113.8").await.assert_status(401);
    let known = world.app.get("/api/v1/iocs").key(&world.pro);
    known.from("203.0.113.7").send().await.assert_status(200);
}

#[tokio::test]
async fn what_is_refused_before_its_handler_takes_nothing() {
    let world = World::new().await;
    for path in ["/api/v1/export/misp", "/api/v1/rules/sigma"] {
        let answer = world.app.get(path).key(&world.free).send().await;
        answer.assert_status(403).assert_consumed(Consumed::NOTHING);
        answer.assert_header("x-ratelimit-remaining", "10");
    }
}
