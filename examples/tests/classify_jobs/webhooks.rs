//! Webhook endpoints: created, tested, and sent to nowhere that only the server can reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::api::delivery::Delivery;
use super::{Bench, id};

/// A listener on this machine, and what it was sent.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&seen);
        let take = move |headers: HeaderMap, body: Bytes| {
            let host = headers["host"].to_str().unwrap().to_owned();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            note.lock().push((host, body));
            async { StatusCode::NO_CONTENT }
        };
        let app = Router::new()
            .route("/hook", post(take.clone()))
            .route("/moved", any(|| async { Redirect::temporary("/hook") }))
            .route(
                "/broken",
                any(|| async { StatusCode::INTERNAL_SERVER_ERROR.into_response() }),
            )
            .fallback(take);
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { address, seen }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }
}

/// Creates an endpoint and tests it. Gives the report.
async fn tested(bench: &Bench, url: &str) -> Value {
    let key = bench.key("acme", &["webhooks:write"]).await;
    let body = json!({ "url": url }).to_string();
    let created = bench.post("/v1/webhooks", &body).key(&key).send().await;
    let webhook = id(created.assert_status(201));
    let tested = bench
        .app
        .post(&format!("/v1/webhooks/{webhook}/test"))
        .key(&key);
    let report = tested.send().await.assert_status(200).json();
    assert_eq!(report["event"]["webhook"], *webhook);
    report
}

#[tokio::test]
async fn a_test_event_is_delivered_to_this_machine_if_that_is_allowed() {
    let (bench, receiver) = (
        Bench::with(Delivery::new(true)).await,
        Receiver::start().await,
    );
    let report = tested(&bench, &receiver.url("127.0.0.1", "/hook")).await;
    assert_eq!(
        (&report["delivered"], &report["status"]),
        (&json!(true), &json!(204))
    );
    assert_eq!(report["event"]["sent_at"], "2026-01-01T00:00:00Z");
    let seen = receiver.seen.lock().clone();
    assert_eq!(
        seen,
        [(receiver.address.to_string(), report["event"].clone())]
    );
    assert_eq!(seen[0].1["event"], "webhook.test");
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_as_such() {
    let (bench, receiver) = (
        Bench::with(Delivery::new(true)).await,
        Receiver::start().await,
    );
    let report = tested(&bench, &receiver.url("127.0.0.1", "/broken")).await;
    assert_eq!(
        (&report["delivered"], &report["status"]),
        (&json!(false), &json!(500))
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let report = tested(&bench, &url).await;
    assert_eq!(
        (&report["delivered"], &report["status"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (bench, receiver) = (
        Bench::with(Delivery::new(true)).await,
        Receiver::start().await,
    );
    let report = tested(&bench, &receiver.url("127.0.0.1", "/moved")).await;
    assert_eq!(
        (&report["delivered"], &report["status"]),
        (&json!(false), &json!(307))
    );
    assert_eq!(receiver.seen.lock().len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_to_this_machine_unless_that_is_allowed() {
    let (bench, receiver) = (Bench::new().await, Receiver::start().await);
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "0x7f000001",
    ] {
        let report = tested(&bench, &receiver.url(host, "/hook")).await;
        assert_eq!(report["delivered"], false, "{host}");
        assert!(
            report["note"].as_str().unwrap().contains("not public"),
            "{host}: {report}"
        );
    }
    assert_eq!(receiver.seen.lock().len(), 0);
}

#[tokio::test]
async fn the_bundled_receiver_is_sent_nothing_and_says_so() {
    let bench = Bench::new().await;
    let report = tested(&bench, "https://hooks.example/jobs").await;
    assert_eq!(report["delivered"], false);
    assert!(
        report["note"]
            .as_str()
            .unwrap()
            .contains("nothing was sent")
    );
}

#[test]
fn only_public_addresses_are_sent_to() {
    let may = |delivery: Delivery, address: &str| {
        delivery.may_send_to(address.parse::<IpAddr>().unwrap())
    };
    let private = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for address in private {
        assert!(!may(Delivery::new(false), address), "{address}");
        assert!(
            !may(Delivery::new(true), address),
            "{address} is not this machine"
        );
    }
    for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        assert!(!may(Delivery::new(false), address), "{address}");
        assert!(may(Delivery::new(true), address), "{address}");
    }
    for address in [
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "2001:4860::8888",
    ] {
        assert!(may(Delivery::new(false), address), "{address}");
    }
}

#[tokio::test]
async fn an_endpoint_is_a_url_that_could_be_sent_to() {
    let bench = Bench::new().await;
    let key = bench.key("acme", &["webhooks:write"]).await;
    let long = format!("https://a.example/{}", "a".repeat(2_000));
    for url in [
        "",
        "a.example",
        "/hook",
        "ftp://a.example/",
        "http://",
        "http://u:p@a.example/",
        &long,
    ] {
        let body = json!({ "url": url }).to_string();
        let refused = bench.post("/v1/webhooks", &body).key(&key).send().await;
        refused.assert_status(422);
    }
    for _ in 1..super::api::webhooks::MOST_ENDPOINTS {
        let created = bench.post("/v1/webhooks", r#"{"url":"http://a.example"}"#);
        created.key(&key).send().await.assert_status(201);
    }
    let refused = bench.post("/v1/webhooks", r#"{"url":"http://a.example"}"#);
    refused.key(&key).send().await.assert_status(409);
}
