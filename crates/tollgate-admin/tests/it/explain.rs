//! What is explained of a key, over HTTP.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;
use tollgate::core::credits::Grant;
use tollgate::core::plan::Limits;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;

use crate::support::{App, on_every_store, org, system};

on_every_store!(
    what_is_left_is_told_and_not_taken,
    every_step_is_told_to_a_viewer,
);

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

fn step<'a>(told: &'a Value, name: &str) -> &'a Value {
    let steps = told["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {told}"))
}

async fn limit(app: &App) {
    let limits = Limits::new()
        .with_rate(RateLimit::exact(5, MINUTE).unwrap())
        .with_quota(QuotaLimit::new(8, QuotaPeriod::Day).unwrap());
    let (keyring, acme, by) = (app.gate.keyring(), org("acme"), system());
    let set = keyring.set_limits(&acme, Some(&limits), &by);
    set.await.unwrap();
}

async fn what_is_left_is_told_and_not_taken(app: App) {
    limit(&app).await;
    let viewer = app.signed_in(Role::Viewer).await;
    let (id, secret) = app.key("acme", &["iocs:read"]).await;
    let path = format!("/admin/organizations/acme/keys/{id}/explain");
    let ask = async || {
        let call = app.post(&path).cookie(&viewer);
        call.json(json!({"path": "/iocs"})).ok().await["data"].take()
    };
    for (round, admitted) in [(0, 5), (1, 3)] {
        for taken in 0..admitted {
            let told = ask().await;
            for _ in 0..20 {
                assert_eq!(ask().await, told);
            }
            assert_eq!(told["refused"], Value::Null, "{told}");
            assert_eq!(step(&told, "rates")["verdict"], "passes");
            let minute = json!({
                "limit": "minute", "units": 5, "remaining": 5 - taken,
                "resets_in": told["left"][0]["resets_in"],
            });
            assert_eq!(told["left"][0], minute);
            let day = &told["left"][1];
            assert_eq!((&day["limit"], &day["units"]), (&json!("day"), &json!(8)));
            assert_eq!(day["remaining"], 8 - 5 * round - taken, "{told}");
            assert_eq!(app.get("/iocs").secret(&secret).status().await, 200);
        }
        let told = ask().await;
        let answer = app.get("/iocs").secret(&secret).send().await;
        assert_eq!(answer.status, 429);
        let code = answer.json()["error"]["code"].take();
        assert_eq!(told["refused"], code, "{told}");
        assert_eq!(code, ["rate_limit_exceeded", "quota_exceeded"][round]);
        assert_eq!(step(&told, "rates")["verdict"], json!({"refuses": code}));
        app.clock.advance(MINUTE * 2);
    }
}

async fn every_step_is_told_to_a_viewer(app: App) {
    let viewer = app.signed_in(Role::Viewer).await;
    let (id, _) = app.key("acme", &["iocs:write"]).await;
    let (other, _) = app.key("acme", &[]).await;
    let ask = async |id, body: Value| {
        let path = format!("/admin/organizations/acme/keys/{id}/explain");
        app.post(&path).cookie(&viewer).json(body).send().await
    };
    let told = ask(id, json!({"method": "HEAD", "path": "/iocs"})).await;
    let told = told.json()["data"].take();
    assert_eq!(
        (&told["route"], &told["refused"]),
        (&json!("GET /iocs"), &Value::Null)
    );
    let because = &step(&told, "scopes")["because"];
    assert_eq!(because, "it has `iocs:write` → `iocs:read`");
    assert_eq!(told["left"], json!([]));
    assert_eq!(told["consumes"]["credits_at_most"], 0);
    let refused = async |id, body| ask(id, body).await.json()["data"]["refused"].take();
    assert_eq!(
        refused(other, json!({"path": "/iocs", "ip": "192.0.2.1"})).await,
        "insufficient_permissions"
    );
    let own = json!({"method": "POST", "path": "/admin/organizations"});
    assert_eq!(refused(id, own).await, "session_required");
    let paid = json!({"path": "/reports/7"});
    assert_eq!(refused(id, paid.clone()).await, "insufficient_credits");
    let grant = Grant::new(org("acme"), 3);
    app.gate.credits().grant(grant, &system()).await.unwrap();
    assert_eq!(refused(id, paid).await, Value::Null);
    for (body, status, why) in [
        (json!({}), 422, "missing field `path`"),
        (
            json!({"path": "/none"}),
            422,
            "path: no route of the app matches `/none`",
        ),
        (
            json!({"path": "none"}),
            422,
            "path: `none` does not start with `/`",
        ),
        (
            json!({"path": "/iocs", "method": "POST"}),
            422,
            "method: `/iocs` does not answer to `POST`, but to GET",
        ),
        (
            json!({"path": "/iocs", "ip": "nowhere"}),
            422,
            "invalid IP address",
        ),
        (
            json!({"path": "/iocs", "key": id.to_string()}),
            422,
            "unknown field `key`",
        ),
    ] {
        let answer = ask(id, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.message().contains(why), "{answer:?}");
    }
}
