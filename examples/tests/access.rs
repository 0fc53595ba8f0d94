//! Who may do what in the quickstart, and what it costs them.

use std::time::Duration;

use tollgate_testkit::app::{Checklist, Consumed, Documented, TestApp, TestGate};

use self::api::Iocs;

#[path = "../quickstart/api.rs"]
mod api;

const DOCUMENTED: &str = "
| Endpoint                 | Permission   | Credits |
| ------------------------ | ------------ | ------- |
| GET /health              | None         | 0       |
| GET /iocs                | iocs:read    | 0       |
| POST /iocs               | iocs:write   | 0       |
| GET /iocs/{value}        | iocs:read    | 0       |
| GET /iocs/{value}/report | reports:read | 5       |
";

/// The app, over a gate in memory.
async fn app() -> TestApp {
    let kit = TestGate::new(api::catalog().unwrap()).await;
    kit.organization("acme").plan("pro").credits(7).make().await;
    kit.organization("hobby").plan("free").make().await;
    let routes = api::routes(kit.gate()).with_state(Iocs::samples());
    kit.app(routes.into_service().unwrap())
}

#[tokio::test]
async fn a_reader_reads_and_does_not_write() {
    let app = app().await;
    let reader = app.kit().key("acme").scopes(["iocs:read"]).make().await;
    let read = app.get("/iocs/evil.example").key(&reader).send().await;
    read.assert_status(200).assert_consumed(Consumed::rate(1));
    let new = r#"{"value":"bad.example","kind":"domain"}"#;
    let written = app.post("/iocs").key(&reader).json(new).send().await;
    written
        .assert_denied("insufficient_permissions")
        .assert_consumed(Consumed::NOTHING);
}

#[tokio::test]
async fn a_report_is_paid_for_if_there_is_one() {
    let app = app().await;
    let analyst = app.kit().key("acme").scopes(["reports:read"]).make().await;
    let report = async |value: &str| {
        let path = format!("/iocs/{value}/report");
        app.get(&path).key(&analyst).send().await
    };
    let missing = report("fine.example").await;
    missing
        .assert_status(404)
        .assert_consumed(Consumed::rate(1));
    let found = report("evil.example").await;
    found.assert_consumed(Consumed::rate(1).credits(5));
    let unpaid = report("evil.example").await;
    unpaid.assert_denied("insufficient_credits");
    assert_eq!(app.kit().balance("acme").available(), 2);
}

#[tokio::test]
async fn a_free_key_reads_five_times_a_minute() {
    let app = app().await;
    let key = app.kit().key("hobby").scopes(["iocs:read"]).make().await;
    let other = app.kit().key("hobby").scopes(["iocs:read"]).make().await;
    let read = async |key| app.get("/iocs").key(key).send().await;
    for left in ["4", "3", "2", "1", "0"] {
        read(&key)
            .await
            .assert_header("x-ratelimit-remaining", left);
    }
    let refused = read(&key).await;
    refused.assert_denied("rate_limit_exceeded");
    assert!(refused.header("retry-after").is_some());
    read(&other).await.assert_success();
    app.kit().advance(Duration::from_secs(61)).await;
    read(&key).await.assert_success();
}

#[tokio::test]
async fn a_key_works_from_where_it_may_be_used_until_it_is_revoked() {
    let app = app().await;
    let office = app.kit().key("acme").scopes(["iocs:read"]);
    let office = office.allow_ip("203.0.113.0/24").make().await;
    let from = async |address| app.get("/iocs").key(&office).from(address).send().await;
    from("203.0.113.9").await.assert_success();
    from("198.51.100.9").await.assert_denied("ip_not_allowed");
    office.revoke(app.kit()).await;
    from("203.0.113.9").await.assert_denied("invalid_api_key");
}

#[tokio::test]
async fn every_route_is_open_to_whom_it_is_documented_to_be() {
    let app = app().await;
    let map = api::routes(app.kit().gate()).permissions();
    let report = "/iocs/evil.example/report";
    let matrix = app.matrix(&map).sample(|call, route| match &*route.path {
        "/iocs/{value}/report" => call.path(report),
        _ => call,
    });
    let matrix = matrix.compute().await;
    let documented = Documented::table(DOCUMENTED).implies("iocs:write", ["iocs:read"]);
    matrix.assert_documented(&documented);
}

#[tokio::test]
async fn whatever_cannot_be_checked_is_refused() {
    let fresh = async || {
        let app = app().await;
        let map = api::routes(app.kit().gate()).permissions();
        (app, map)
    };
    Checklist::new(fresh).assert_fails_closed().await;
}
