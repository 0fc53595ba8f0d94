//! Who is counted with whom, and what becomes of a flood.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tollgate::access::{authenticated, public};
use tollgate::core::error::{StoreError, StoreErrorKind};
use tollgate::core::plan::{CountPer, Limits};
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::{Limiter, LocalLimiter, RateLimit, Take, Tally};
use tollgate::core::reply::Reply;
use tollgate::{Gate, Routes};
use tollgate_testkit::faults::Operation;

use crate::support::{MINUTE, TestApp, TestKey, actor, org, unknown_secret};

const SECOND: Duration = Duration::from_secs(1);

async fn done() -> &'static str {
    "done"
}

fn routes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/", done, authenticated())
        .get("/look", done, authenticated().rate_cost(0))
        .get("/exports", done, authenticated().rate_class("exports"))
        .get("/public", done, public())
}

async fn remaining(app: &TestApp, path: &str, key: &TestKey) -> u64 {
    app.get(path).key(key).send().await.remaining()
}

#[tokio::test]
async fn keys_of_one_organization_share_and_others_do_not() {
    let app = TestApp::new(routes).await;
    app.organization("other", "free").await;
    let (one, two) = (app.key("acme", []).await, app.key("acme", []).await);
    let other = app.key("other", []).await;
    assert_eq!(remaining(&app, "/", &one).await, 4);
    assert_eq!(remaining(&app, "/", &two).await, 3);
    assert_eq!(remaining(&app, "/", &other).await, 4);
}

#[tokio::test]
async fn keys_may_be_counted_each_for_itself() {
    let app = TestApp::new(routes).await;
    let limits = Limits::new()
        .with_rate(RateLimit::smooth(3, MINUTE).unwrap())
        .with_per(CountPer::Key);
    let keyring = app.gate.keyring();
    keyring
        .set_limits(&org("acme"), Some(&limits), &actor())
        .await
        .unwrap();
    let (one, two) = (app.key("acme", []).await, app.key("acme", []).await);
    assert_eq!(remaining(&app, "/", &one).await, 2);
    assert_eq!(remaining(&app, "/", &one).await, 1);
    assert_eq!(remaining(&app, "/", &two).await, 2);
}

#[tokio::test]
async fn a_key_may_have_limits_and_a_plan_of_its_own() {
    let app = TestApp::new(routes).await;
    let one = RateLimit::smooth(1, MINUTE).unwrap();
    let own = app
        .key_with("acme", |key| key.limits(Limits::new().with_rate(one)))
        .await;
    assert_eq!(app.get("/").key(&own).status().await, 200);
    assert_eq!(app.get("/").key(&own).status().await, 429);
    let lifted = app.key_with("acme", |key| key.plan("pro")).await;
    let answer = app.get("/").key(&lifted).send().await;
    assert_eq!(answer.number("x-ratelimit-limit"), 60);
}

/// Were they counted together, each would change what is known of the other's windows.
#[tokio::test]
async fn keys_under_different_limits_do_not_reset_each_other() {
    let app = TestApp::new(routes).await;
    let two = Limits::new().with_rate(RateLimit::exact(2, MINUTE).unwrap());
    let strict = app.key_with("acme", |key| key.limits(two)).await;
    let lifted = app.key_with("acme", |key| key.plan("pro")).await;
    let plain = app.key("acme", []).await;
    let mut admitted = 0;
    for _ in 0..5 {
        admitted += u32::from(app.get("/").key(&strict).status().await == 200);
        assert_eq!(app.get("/").key(&lifted).status().await, 200);
        assert_eq!(app.get("/").key(&plain).status().await, 200);
    }
    assert_eq!(admitted, 2);
    assert_eq!(app.get("/").key(&plain).status().await, 429);
}

#[tokio::test]
async fn a_class_may_count_by_key_though_its_plan_does_not() {
    let app = TestApp::new(routes).await;
    let one = RateLimit::exact(1, MINUTE).unwrap();
    let limits = Limits::new().with_rate(one).with_per(CountPer::Key);
    app.gate
        .keyring()
        .set_limits(&org("acme"), Some(&limits), &actor())
        .await
        .unwrap();
    let (first, second) = (app.key("acme", []).await, app.key("acme", []).await);
    for key in [first, second] {
        assert_eq!(app.get("/").key(&key).status().await, 200);
        assert_eq!(app.get("/").key(&key).status().await, 429);
    }
}

#[tokio::test]
async fn limits_that_do_not_go_together_are_refused_before_they_are_stored() {
    let app = TestApp::new(routes).await;
    let none = Limits::new().with_in_flight(0);
    let keyring = app.gate.keyring();
    let set = keyring
        .set_limits(&org("acme"), Some(&none), &actor())
        .await;
    let expected = "in_flight: 0 lets no request pass; leave it out for no cap";
    assert_eq!(set.unwrap_err().to_string(), expected);
    let new = tollgate::core::keyring::NewKey::new(org("acme"), "k").limits(none);
    assert_eq!(
        keyring.issue(new, &actor()).await.unwrap_err().to_string(),
        expected
    );
}

#[tokio::test]
async fn a_class_of_routes_is_counted_apart() {
    let app = TestApp::new(routes).await;
    let key = app.key("acme", []).await;
    assert_eq!(remaining(&app, "/exports", &key).await, 1);
    assert_eq!(remaining(&app, "/", &key).await, 4);
    assert_eq!(remaining(&app, "/exports", &key).await, 0);
    assert_eq!(app.get("/exports").key(&key).status().await, 429);
    assert_eq!(remaining(&app, "/", &key).await, 3);
}

#[tokio::test]
async fn a_change_of_plan_keeps_the_units_used() {
    let app = TestApp::new(routes).await;
    let key = app.key("acme", []).await;
    for left in [4, 3, 2] {
        assert_eq!(remaining(&app, "/", &key).await, left);
    }
    let set_plan = async |plan| {
        let (keyring, acme) = (app.gate.keyring(), org("acme"));
        keyring.set_plan(&acme, plan, &actor()).await.unwrap();
    };
    set_plan("pro").await;
    assert_eq!(remaining(&app, "/look", &key).await, 57);
    set_plan("free").await;
    assert_eq!(remaining(&app, "/look", &key).await, 2);
}

#[tokio::test]
async fn a_flood_of_bad_keys_slows_only_what_is_not_cached() {
    let app = TestApp::with(|builder| builder.failures_per_minute(3), routes).await;
    let flooder = "203.0.113.9";
    let cached = app.key("umbra", []).await;
    let uncached = app.key("umbra", []).await;
    let call = |secret: &str| {
        app.get("/")
            .from(flooder)
            .header("x-api-key", secret.to_owned())
    };
    assert_eq!(call(&cached.secret).status().await, 200);
    for _ in 0..3 {
        assert_eq!(call(&unknown_secret()).status().await, 401);
    }
    assert_eq!(
        call(&unknown_secret()).status().await,
        401,
        "one a second is looked up"
    );
    let looked_up = app.faults.calls(Operation::Find);
    for secret in [unknown_secret(), unknown_secret(), uncached.secret.clone()] {
        let answer = call(&secret).send().await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (429, "too_many_failed_attempts")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    assert_eq!(
        app.faults.calls(Operation::Find),
        looked_up,
        "the store is spared"
    );

    assert_eq!(
        call(&cached.secret).status().await,
        200,
        "a cached key always passes"
    );
    assert_eq!(
        call("junk").status().await,
        401,
        "it is known to be bad without a look-up"
    );
    assert_eq!(
        app.get("/").from(flooder).status().await,
        401,
        "no key is no attempt"
    );
    let elsewhere = app.get("/").from("203.0.113.10").key(&uncached);
    assert_eq!(elsewhere.status().await, 200);
    app.clock.advance(SECOND);
    let late = app.key("umbra", []).await;
    assert_eq!(
        call(&late.secret).status().await,
        200,
        "a second later one more is looked up"
    );
}

#[tokio::test]
async fn keys_that_look_wrong_count_as_failures_and_missing_ones_do_not() {
    let app = TestApp::with(|builder| builder.failures_per_minute(2), routes).await;
    for _ in 0..10 {
        assert_eq!(app.get("/").status().await, 401);
    }
    let status = async || {
        app.get("/")
            .header("x-api-key", unknown_secret())
            .status()
            .await
    };
    assert_eq!(status().await, 401);
    for _ in 0..2 {
        assert_eq!(app.get("/").header("x-api-key", "junk").status().await, 401);
    }
    assert_eq!(status().await, 401);
    assert_eq!(status().await, 429);
}

#[tokio::test]
async fn a_repeated_bad_key_is_looked_up_once() {
    let app = TestApp::new(routes).await;
    let secret = unknown_secret();
    for _ in 0..5 {
        let call = app.get("/").header("x-api-key", &*secret);
        assert_eq!(call.status().await, 401);
    }
    assert_eq!(app.faults.calls(Operation::Find), 1);
}

#[tokio::test]
async fn strangers_are_limited_by_address() {
    let rate = RateLimit::smooth(2, MINUTE).unwrap();
    let app = TestApp::with(|builder| builder.address_rate(rate), routes).await;
    let key = app.key("umbra", []).await;
    let public = |from| app.get("/public").from(from).send();
    for left in [1, 0] {
        let answer = public("2001:db8::1").await;
        assert_eq!((answer.status, answer.remaining()), (200, left));
    }
    let refused = public("2001:db8::ffff:1").await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (429, "rate_limit_exceeded")
    );
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(
        public("2001:db8:0:1::1").await.status,
        200,
        "a neighbour's /64"
    );

    let call = app.get("/").from("2001:db8::1").key(&key);
    assert_eq!(
        call.status().await,
        200,
        "a caller who is known is not a stranger"
    );
}

#[tokio::test]
async fn refused_credentials_count_against_their_address() {
    let rate = RateLimit::smooth(2, MINUTE).unwrap();
    let app = TestApp::with(|builder| builder.address_rate(rate), routes).await;
    let call = |key| app.get("/").header("x-api-key", key).send();
    for left in [1, 0] {
        let answer = call("junk").await;
        assert_eq!((answer.status, answer.remaining()), (401, left));
    }
    let refused = call("junk").await;
    assert_eq!(
        (refused.status, &*refused.code()),
        (429, "rate_limit_exceeded")
    );
    app.clock.advance(MINUTE);
    assert_eq!(call("junk").await.status, 401);
}

/// A limiter that is down at first, and says so at once or later.
#[derive(Debug)]
struct Shaky {
    inner: LocalLimiter,
    down: Arc<AtomicBool>,
    late: bool,
    peeks: Arc<AtomicU64>,
}

impl Limiter for Shaky {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        let down = self.down.load(Ordering::Relaxed);
        let tally = if down {
            Reply::failed(StoreError::new(StoreErrorKind::Unavailable, "it is down"))
        } else {
            self.inner.take(take)
        };
        if self.late {
            return Reply::later(async move {
                tokio::task::yield_now().await;
                tally.await
            });
        }
        tally
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        self.peeks.fetch_add(1, Ordering::Relaxed);
        self.inner.peek(take)
    }
}

/// Who was refused for it is not told of a quota in place of the rate, and waits no second time.
#[tokio::test]
async fn a_limiter_that_is_down_is_a_503_and_uses_up_no_quota() {
    for late in [false, true] {
        let (down, peeks) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let limiter = Shaky {
            inner: LocalLimiter::new(),
            down: Arc::clone(&down),
            late,
            peeks: Arc::clone(&peeks),
        };
        let app = TestApp::with(|gate| gate.limiter(limiter), routes).await;
        let limits = Limits::new()
            .with_rate(RateLimit::smooth(100, MINUTE).unwrap())
            .with_quota(QuotaLimit::new(2, QuotaPeriod::Day).unwrap());
        let key = app.key_with("acme", |key| key.limits(limits)).await;
        for n in 1..=3 {
            let answer = app.get("/").key(&key).send().await;
            assert_eq!(answer.status, 503);
            assert!(!answer.headers.contains_key("x-ratelimit-limit"));
            // Whether it will refuse, before the quota is taken.
            assert_eq!(peeks.load(Ordering::Relaxed), n);
        }
        down.store(false, Ordering::Relaxed);
        for expected in [200, 200, 429] {
            assert_eq!(app.get("/").key(&key).status().await, expected, "{late}");
        }
    }
}
