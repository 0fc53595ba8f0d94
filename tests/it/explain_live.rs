//! What a running app explains of its limits is what happens, and takes nothing.

use http::Method;
use tollgate::access::{authenticated, public, scope};
use tollgate::core::explain::{Explained, Left, Verdict};
use tollgate::core::plan::{CountPer, Limits};
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate_testkit::faults::{Fault, Operation};

use crate::support::{DAY, Door, HOUR, MINUTE, TestApp, TestKey, actor, org};

async fn explain(app: &TestApp, key: &TestKey, path: &str) -> Explained {
    let found = app.gate.keyring().key(&key.id).await.unwrap();
    app.gate.explain(found, "GET", path, None).await.unwrap()
}

fn left<'a>(explained: &'a Explained, limit: &str) -> &'a Left {
    let left = explained.explanation.left.as_ref().unwrap();
    let found = left.iter().find(|left| left.limit == limit);
    found.unwrap_or_else(|| panic!("no {limit}: {left:?}"))
}

fn because(explained: &Explained) -> &str {
    let steps = &explained.explanation.steps;
    let step = steps.iter().find(|step| step.step == "rates").unwrap();
    &step.because
}

/// Keys that are counted alone, together, under limits of their own or their organization's.
async fn keys(app: &TestApp) -> Vec<TestKey> {
    let minutely = |units| Limits::new().with_rate(RateLimit::exact(units, MINUTE).unwrap());
    let daily = |units| QuotaLimit::new(units, QuotaPeriod::Day).unwrap();
    for (name, limits) in [
        ("tight", minutely(2).with_quota(daily(40))),
        ("each", minutely(3).with_per(CountPer::Key)),
        ("free-for-all", Limits::new()),
    ] {
        app.organization(name, "free").await;
        let (id, by, keyring) = (org(name), actor(), app.gate.keyring());
        let set = keyring.set_limits(&id, Some(&limits), &by);
        set.await.unwrap();
    }
    let mut keys = Vec::new();
    for organization in ["acme", "umbra", "tight", "each", "free-for-all"] {
        keys.push(app.key(organization, ["iocs:read"]).await);
        keys.push(app.key(organization, []).await);
        let own = minutely(4).with_quota(daily(6));
        keys.push(app.key_with(organization, |key| key.limits(own)).await);
        keys.push(app.key_with(organization, |key| key.plan("pro")).await);
    }
    keys
}

#[tokio::test]
async fn what_is_explained_of_limits_and_credits_is_what_happens() {
    let app = TestApp::new(|gate| {
        let done = async || "done";
        gate.routes()
            .get("/one", done, authenticated())
            .get("/two", done, authenticated().rate_cost(2))
            .get("/look", done, authenticated().rate_cost(0))
            .get("/exports", done, authenticated().rate_class("exports"))
            .get("/daily", done, authenticated().rate_class("daily"))
            .get("/paid", done, scope("iocs:read").credits(7))
            .get("/public", done, public())
    })
    .await;
    let keys = keys(&app).await;
    app.grant("acme", 20).await;
    let seed = 11;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut codes = std::collections::BTreeMap::new();
    for n in 0..3_000 {
        if random.u8(..10) == 0 {
            let times = [MINUTE / 60, MINUTE / 7, MINUTE, HOUR, DAY];
            app.clock
                .advance(times[random.usize(..5).min(random.usize(..5))]);
        }
        let key = &keys[random.usize(..keys.len())];
        let path = [
            "/one", "/two", "/look", "/exports", "/daily", "/paid", "/public",
        ];
        let path = path[random.usize(..path.len())];
        let told = explain(&app, key, path).await;
        for _ in 0..random.u8(..3) {
            assert_eq!(explain(&app, key, path).await, told);
        }
        let answer = app.call(Method::GET, path).key(key).send().await;
        let code = (answer.status != 200).then(|| answer.code());
        let explanation = &told.explanation;
        assert_eq!(
            explanation.refused.as_deref(),
            code.as_deref(),
            "seed {seed}, request {n}: {path} {key:?}: {told:#?}",
            key = key.id,
        );
        let steps = &explanation.steps;
        assert!(steps.iter().all(|step| step.verdict != Verdict::Unknown));
        let left = explanation.left.as_deref().unwrap();
        // The primary window of the headers is one of the rows, as it was before the request.
        if let (Some(_), Some(first)) = (answer.header("x-ratelimit-limit"), left.first()) {
            let took = if code
                .as_deref()
                .is_none_or(|code| code == "insufficient_credits")
            {
                explanation.consumes.rate_units
            } else {
                0
            };
            let limit = answer.number("x-ratelimit-limit");
            let remaining = answer.remaining() + u64::from(took);
            let header = (limit, remaining);
            assert_eq!(
                (first.units, first.remaining),
                header,
                "{path} {told:?} {answer:?}"
            );
        }
        *codes.entry(code.unwrap_or_default()).or_insert(0) += 1;
        app.settled().await;
    }
    for code in [
        "",
        "rate_limit_exceeded",
        "quota_exceeded",
        "insufficient_credits",
    ] {
        assert!(
            codes.get(code).is_some_and(|count| *count > 30),
            "{codes:?}"
        );
    }
}

#[tokio::test]
async fn however_often_it_is_asked_as_many_requests_pass() {
    let app = TestApp::new(|gate| {
        let class = |class| authenticated().rate_class(class);
        gate.routes()
            .get("/one", async || "one", authenticated())
            .get("/daily", async || "daily", class("daily"))
    })
    .await;
    let key = app.key("acme", []).await;
    for (path, limit, units) in [("/one", "minute", 5), ("/daily", "day", 3)] {
        for taken in 0..units {
            for _ in 0..20 {
                let told = explain(&app, &key, path).await;
                let left = left(&told, limit);
                assert_eq!((left.units, left.remaining), (units, units - taken));
            }
            assert_eq!(app.get(path).key(&key).status().await, 200);
        }
        assert_eq!(app.get(path).key(&key).status().await, 429);
    }
    let told = explain(&app, &key, "/one").await;
    let short = "it takes 1, and `minute` has 0 of 5 left; there is enough in 12 s";
    assert_eq!(because(&told), short);
    assert_eq!(left(&told, "minute").resets_in, Some(60));
    assert_eq!(left(&told, "hour").remaining, 45);
    let told = explain(&app, &key, "/daily").await;
    let short = "it takes 1, and `day` has 0 of 3 left until ";
    assert!(because(&told).starts_with(short), "{told:?}");
}

#[tokio::test]
async fn requests_that_are_under_way_are_told() {
    let door = Door::closed();
    let app = TestApp::new(|gate| {
        let waiting = door.clone();
        let wait = async move || waiting.pass().await;
        let narrow = || authenticated().rate_class("narrow");
        gate.routes().get("/wait", wait, narrow()).get(
            "/look",
            async || "done",
            narrow().rate_cost(0),
        )
    })
    .await;
    let key = app.key("acme", []).await;
    let meanwhile = async {
        door.knocked().await;
        for path in ["/wait", "/look"] {
            let told = explain(&app, &key, path).await;
            let code = app.get(path).key(&key).send().await.code();
            assert_eq!(told.explanation.refused.as_deref(), Some(&*code));
            assert_eq!(because(&told), "1 of 1 requests are under way");
            assert_eq!(left(&told, "in_flight").remaining, 0);
        }
        door.open();
    };
    let (status, ()) = tokio::join!(app.get("/wait").key(&key).status(), meanwhile);
    assert_eq!(status, 200);
    let told = explain(&app, &key, "/look").await;
    assert_eq!(because(&told), "more requests may be under way");
    assert_eq!(left(&told, "in_flight").remaining, 1);
}

#[tokio::test]
async fn a_store_that_is_down_cannot_be_asked() {
    let class = || authenticated().rate_class("daily");
    let app = TestApp::new(|gate| gate.routes().get("/daily", async || "daily", class())).await;
    let key = app.key("acme", []).await;
    app.faults.set(Operation::Quota, Fault::Fail);
    let found = app.gate.keyring().key(&key.id).await.unwrap();
    let asked = app.gate.explain(found, "GET", "/daily", None).await;
    assert!(asked.is_err(), "{asked:?}");
}
