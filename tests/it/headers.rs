//! What callers are told of their limits, and caches of the answer.

use std::time::Duration;

use tollgate::access::{authenticated, optional, public, scope};
use tollgate::core::plan::Limits;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::{Limiter, LocalLimiter, RateLimit, Take, Tally};
use tollgate::core::reply::Reply;
use tollgate::rate_limit::RateHeaders;
use tollgate::{Gate, GateBuilder, Routes};
use tollgate_testkit::clock::START;

use crate::support::{Answer, DAY, MINUTE, TestApp, TestKey};

async fn done() -> &'static str {
    "done"
}

fn routes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/", done, authenticated())
        .get("/dear", done, authenticated().rate_cost(3))
        .get("/look", done, authenticated().rate_cost(0))
        .get("/exports", done, authenticated().rate_class("exports"))
        .get("/daily", done, authenticated().rate_class("daily"))
}

async fn app(headers: RateHeaders) -> (TestApp, TestKey) {
    let app = TestApp::with(|builder| builder.rate_headers(headers), routes).await;
    let key = app.key("acme", []).await;
    (app, key)
}

/// Limit, remaining, and reset in seconds from the start of the test's time.
fn told(answer: &Answer) -> (u64, u64, u64) {
    let reset = answer.number("x-ratelimit-reset");
    (
        answer.number("x-ratelimit-limit"),
        answer.remaining(),
        reset - START.as_unix_secs_ceil(),
    )
}

#[tokio::test]
async fn remaining_counts_down_and_reset_is_when_all_is_free_again() {
    let (app, key) = app(RateHeaders::new()).await;
    for expected in [(5, 4, 12), (5, 3, 24), (5, 2, 36), (5, 1, 48), (5, 0, 60)] {
        let answer = app.get("/").key(&key).send().await;
        assert_eq!((answer.status, told(&answer)), (200, expected));
    }
    let refused = app.get("/").key(&key).send().await;
    assert_eq!((refused.status, told(&refused)), (429, (5, 0, 60)));
    app.clock.advance(MINUTE);
    let answer = app.get("/look").key(&key).send().await;
    assert_eq!(told(&answer), (5, 5, 60), "all is free, so it is reset now");
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_admitted_and_no_sooner() {
    for path in ["/", "/dear", "/exports", "/daily"] {
        let (app, key) = app(RateHeaders::new()).await;
        let refused = loop {
            let answer = app.get(path).key(&key).send().await;
            if answer.status == 429 {
                break answer;
            }
        };
        let wait = Duration::from_secs(refused.number("retry-after"));
        let early = Duration::from_millis(1001);
        app.clock.advance(wait.checked_sub(early).unwrap());
        assert_eq!(app.get(path).key(&key).status().await, 429, "{path}");
        app.clock.advance(early);
        assert_eq!(app.get(path).key(&key).status().await, 200, "{path}");
    }
}

#[tokio::test]
async fn the_shortest_window_is_the_one_that_is_told() {
    let (app, key) = app(RateHeaders::new()).await;
    assert_eq!(
        app.get("/")
            .key(&key)
            .send()
            .await
            .number("x-ratelimit-limit"),
        5
    );
    let answer = app.get("/exports").key(&key).send().await;
    assert_eq!(
        (answer.number("x-ratelimit-limit"), answer.remaining()),
        (2, 1)
    );
}

#[tokio::test]
async fn a_quota_is_told_where_there_is_no_window() {
    let (app, key) = app(RateHeaders::new()).await;
    for left in [2, 1, 0] {
        let answer = app.get("/daily").key(&key).send().await;
        assert_eq!(told(&answer), (3, left, DAY.as_secs()));
    }
    app.clock.advance(DAY / 2);
    let refused = app.get("/daily").key(&key).send().await;
    assert_eq!(
        (refused.status, refused.number("retry-after")),
        (429, DAY.as_secs() / 2)
    );
}

#[tokio::test]
async fn a_route_may_cost_several_units_or_none() {
    let (app, key) = app(RateHeaders::new()).await;
    assert_eq!(app.get("/dear").key(&key).send().await.remaining(), 2);
    let refused = app.get("/dear").key(&key).send().await;
    assert_eq!((refused.status, refused.remaining()), (429, 2));
    assert_eq!(app.get("/look").key(&key).send().await.remaining(), 2);
}

// An exact window of an hour frees a unit with its slot, a minute, that began a second ago.
#[tokio::test]
async fn every_window_is_told_as_the_ietf_says() {
    let (app, key) = app(RateHeaders::new().with_ietf()).await;
    let answer = app.get("/").key(&key).send().await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""minute";q=5;w=60, "hour";q=50;w=3600"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""minute";r=4;t=12, "hour";r=49;t=3659"#)
    );
    assert_eq!(answer.remaining(), 4, "both kinds are on");

    let answer = app.get("/daily").key(&key).send().await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""day";q=3;w=86400"#)
    );
    assert_eq!(answer.header("ratelimit"), Some(r#""day";r=2;t=86400"#));
}

#[tokio::test]
async fn a_window_that_refuses_leaves_the_others_as_they_were() {
    let (app, key) = app(RateHeaders::new().with_ietf()).await;
    for _ in 0..8 {
        app.get("/").key(&key).send().await;
    }
    let answer = app.get("/look").key(&key).send().await;
    let left = answer.header("ratelimit").unwrap();
    assert!(
        left.contains(r#""hour";r=45"#),
        "five were admitted: {left}"
    );
}

#[tokio::test]
async fn headers_can_be_switched_off_but_for_retry_after() {
    for headers in [
        RateHeaders::none(),
        RateHeaders::new().with_ietf().without_legacy(),
    ] {
        let (app, key) = app(headers).await;
        for _ in 0..5 {
            let answer = app.get("/").key(&key).send().await;
            assert_eq!(
                (answer.status, answer.header("x-ratelimit-limit")),
                (200, None)
            );
        }
        let answer = app.get("/").key(&key).send().await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, Some("12"))
        );
        let ietf = headers != RateHeaders::none();
        assert_eq!(answer.header("ratelimit").is_some(), ietf);
    }
}

#[tokio::test]
async fn answers_to_callers_are_not_cached_unless_the_app_says_how() {
    let app = TestApp::new(|gate| {
        let own = || async {
            let mut headers = http::HeaderMap::new();
            headers.append("vary", http::HeaderValue::from_static("accept"));
            headers.append(
                "cache-control",
                http::HeaderValue::from_static("max-age=60"),
            );
            headers
        };
        gate.routes()
            .get("/", done, authenticated())
            .get("/maybe", done, optional())
            .get("/own", own, authenticated())
            .get("/open", own, public())
    })
    .await;
    let key = app.key("umbra", []).await;
    let credentials = "authorization, x-api-key";
    for (path, with_key, cache, vary) in [
        ("/", true, Some("private, no-store"), vec![credentials]),
        ("/maybe", true, Some("private, no-store"), vec![credentials]),
        ("/maybe", false, None, vec![credentials]),
        (
            "/own",
            true,
            Some("max-age=60"),
            vec!["accept", credentials],
        ),
        ("/open", true, Some("max-age=60"), vec!["accept"]),
    ] {
        let call = app.get(path);
        let call = if with_key { call.key(&key) } else { call };
        let answer = call.send().await;
        assert_eq!(answer.header("cache-control"), cache, "{path} {with_key}");
        let told: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert_eq!(told, vary, "{path} {with_key}");
    }
}

/// A limiter that has to ask somebody each time, as one on a server does.
#[derive(Debug)]
struct Elsewhere(LocalLimiter);

impl Elsewhere {
    fn later(tally: Reply<Tally>) -> Reply<Tally> {
        Reply::later(async move {
            tokio::task::yield_now().await;
            tally.await
        })
    }
}

impl Limiter for Elsewhere {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        Self::later(self.0.take(take))
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        Self::later(self.0.peek(take))
    }
}

#[tokio::test]
async fn who_took_nothing_is_told_by_a_limiter_elsewhere_too() {
    let routes = |gate: &Gate| {
        routes(gate).get("/secret", done, scope("iocs:read")).get(
            "/priced",
            done,
            authenticated().credits(1),
        )
    };
    for elsewhere in [false, true] {
        let limiter = |gate: GateBuilder| {
            if elsewhere {
                gate.limiter(Elsewhere(LocalLimiter::new()))
            } else {
                gate
            }
        };
        let app = TestApp::with(limiter, routes).await;
        let limits = Limits::new()
            .with_rate(RateLimit::smooth(5, MINUTE).unwrap())
            .with_quota(QuotaLimit::new(2, QuotaPeriod::Day).unwrap());
        let key = app.key_with("acme", |key| key.limits(limits)).await;
        let mut all = Vec::new();
        // Refused by a scope, free of units, admitted, unpaid, and over the quota.
        for path in ["/secret", "/look", "/", "/priced", "/"] {
            let answer = app.get(path).key(&key).send().await;
            all.push((path, answer.status, told(&answer)));
        }
        let expected = [
            ("/secret", 403, (5, 5, 0)),
            ("/look", 200, (5, 5, 0)),
            ("/", 200, (5, 4, 12)),
            ("/priced", 402, (5, 3, 24)),
            ("/", 429, (5, 3, 24)),
        ];
        assert_eq!(all, expected, "elsewhere: {elsewhere}");
    }
}
