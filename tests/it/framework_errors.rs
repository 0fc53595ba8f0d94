//! The framework's own errors get the app's one shape too; the app's own are left alone.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate::access::{authenticated, public, scope};
use tollgate::envelope::Errors;
use tollgate::{Bill, Denial, DenialKind, Gate, Routes};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::support::{Answer, TestApp};

fn routes(gate: &Gate) -> Routes {
    async fn panics() -> &'static str {
        panic!("at the disco")
    }
    let echo = |Json(body): Json<Vec<u32>>| async move { Json(body) };
    let by_id = |Path(id): Path<u32>| async move { id.to_string() };
    gate.routes()
        .post("/numbers", echo, scope("iocs:read").credits(3))
        .get("/by/{id}", by_id, authenticated())
        .get("/panics", panics, authenticated().credits(3))
        .get("/open", panics, public())
}

struct Expected {
    status: u16,
    code: &'static str,
}

/// Every bare error, of a caller who may.
async fn all(app: &TestApp) -> Vec<(&'static str, Answer, Expected)> {
    let key = app.key("umbra", ["iocs:read"]).await;
    let post = || app.post("/numbers").key(&key);
    let text = post().header("content-type", "text/plain").send().await;
    vec![
        (
            "404",
            app.get("/nowhere").send().await,
            Expected {
                status: 404,
                code: "not_found",
            },
        ),
        (
            "405",
            app.call(Method::DELETE, "/numbers").send().await,
            Expected {
                status: 405,
                code: "method_not_allowed",
            },
        ),
        (
            "413",
            post().json("1".repeat(2000)).send().await,
            Expected {
                status: 413,
                code: "payload_too_large",
            },
        ),
        (
            "415",
            text,
            Expected {
                status: 415,
                code: "unsupported_media_type",
            },
        ),
        (
            "422",
            post().json("[-1]").send().await,
            Expected {
                status: 422,
                code: "unprocessable_content",
            },
        ),
        (
            "400, a body",
            post().json("[1,").send().await,
            Expected {
                status: 400,
                code: "bad_request",
            },
        ),
        (
            "400, a path",
            app.get("/by/x").key(&key).send().await,
            Expected {
                status: 400,
                code: "bad_request",
            },
        ),
        (
            "500",
            app.get("/panics").key(&key).send().await,
            Expected {
                status: 500,
                code: "internal_error",
            },
        ),
        (
            "500, open",
            app.get("/open").send().await,
            Expected {
                status: 500,
                code: "internal_error",
            },
        ),
    ]
}

async fn app(errors: Errors) -> TestApp {
    TestApp::with(
        |builder| builder.errors(errors),
        |gate| routes(gate).layer(DefaultBodyLimit::max(1000)),
    )
    .await
}

#[tokio::test]
async fn bare_errors_get_the_default_shape() {
    let app = app(Errors::json()).await;
    for (fault, answer, expected) in all(&app).await {
        assert_eq!(answer.status, expected.status, "{fault}: {answer:?}");
        assert_eq!(answer.code(), expected.code, "{fault}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{fault}"
        );
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length), "{fault}");
    }
    let balance = app.balance("umbra");
    assert_eq!(
        (balance.granted, balance.settled),
        (100, 0),
        "they cost nothing"
    );
}

#[tokio::test]
async fn bare_errors_get_the_flat_shape() {
    for (fault, answer, expected) in all(&app(Errors::flat()).await).await {
        assert_eq!(answer.status, expected.status, "{fault}");
        let body = answer.json();
        let message = body["error"].as_str().unwrap();
        assert_eq!(body, json!({ "error": message }), "{fault}");
    }
}

#[tokio::test]
async fn bare_errors_become_problems() {
    for (fault, answer, expected) in all(&app(Errors::problem()).await).await {
        let body = answer.json();
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{fault}"
        );
        assert_eq!(body["status"], expected.status, "{fault}");
        assert_eq!(body["code"], expected.code, "{fault}");
    }
}

#[tokio::test]
async fn bare_errors_get_the_names_that_the_app_gives() {
    let errors = Errors::json()
        .status(DenialKind::Status(422), StatusCode::BAD_REQUEST)
        .code(DenialKind::Status(422), "VALIDATION_FAILED")
        .message(DenialKind::Status(404), "No such endpoint");
    let app = app(errors).await;
    let key = app.key("acme", ["iocs:read"]).await;
    app.grant("acme", 3).await;
    let answer = app.post("/numbers").key(&key).json("[-1]").send().await;
    assert_eq!((answer.status, &*answer.code()), (400, "VALIDATION_FAILED"));
    let answer = app.get("/nowhere").send().await;
    assert_eq!(answer.json()["error"]["message"], "No such endpoint");
}

#[tokio::test]
async fn a_405_keeps_its_allow_header() {
    let app = app(Errors::json()).await;
    let answer = app.call(Method::DELETE, "/by/1").send().await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET,HEAD"))
    );
}

#[tokio::test]
async fn unknown_paths_answer_without_a_key_and_look_none_up() {
    let app = app(Errors::json()).await;
    let key = app.key("acme", []).await;
    for (call, status) in [
        (app.get("/nowhere").key(&key), 404),
        (app.get("/nowhere").header("x-api-key", "junk"), 404),
        (app.call(Method::PATCH, "/by/1").key(&key), 405),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn a_timeout_layer_inside_gets_the_one_shape() {
    let app = TestApp::new(|gate| {
        gate.routes()
            .get(
                "/slow",
                std::future::pending::<()>,
                authenticated().credits(3),
            )
            .layer(TimeoutLayer::with_status_code(
                StatusCode::REQUEST_TIMEOUT,
                Duration::from_millis(20),
            ))
    })
    .await;
    app.grant("acme", 3).await;
    let key = app.key("acme", []).await;
    let answer = app.get("/slow").key(&key).send().await;
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    assert_eq!(answer.remaining(), 4);
    assert_eq!(app.charged("acme"), 0);
}

#[tokio::test]
async fn a_body_limit_layer_inside_gets_the_one_shape() {
    let app = TestApp::new(|gate| routes(gate).layer(RequestBodyLimitLayer::new(100))).await;
    let key = app.key("acme", ["iocs:read"]).await;
    let body = "1".repeat(200);
    let answer = app.post("/numbers").key(&key).json(body).send().await;
    assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
}

#[tokio::test]
async fn an_apps_own_errors_are_left_alone() {
    let own = json!({ "oops": [1] });
    let app = TestApp::new(|gate| {
        let body = own.clone();
        let json = || async move { (StatusCode::CONFLICT, Json(body)) };
        let text = || async { (StatusCode::CONFLICT, "taken") };
        let html = || async { (StatusCode::NOT_FOUND, axum::response::Html("<p>gone")) };
        let streamed = || async {
            let chunks = ["str", "eam"].map(Ok::<_, Infallible>);
            let body = Body::from_stream(futures_util::stream::iter(chunks));
            (StatusCode::BAD_GATEWAY, body).into_response()
        };
        gate.routes()
            .get("/json", json, public())
            .get("/text", text, public())
            .get("/html", html, public())
            .get("/streamed", streamed, public())
    })
    .await;
    let answer = app.get("/json").send().await;
    assert_eq!((answer.status, answer.json()), (409, own));
    let answer = app.get("/html").send().await;
    assert_eq!((answer.status, answer.text()), (404, "<p>gone"));
    let answer = app.get("/streamed").send().await;
    assert_eq!((answer.status, answer.text()), (502, "stream"));
    // Bare text has no shape of its own; it becomes the message.
    let answer = app.get("/text").send().await;
    assert_eq!(answer.json()["error"]["message"], "taken");
}

#[tokio::test]
async fn a_handlers_denial_gets_the_one_shape() {
    let app = TestApp::new(|gate| {
        let refuse = |mut bill: Bill| async move {
            bill.items(1).await?;
            let denial =
                Denial::new(DenialKind::ResourceNotOwned).with_detail("domain", "x.example");
            Err::<Response, Denial>(denial.with_reason("CANARY"))
        };
        gate.routes().get("/owned", refuse, authenticated())
    })
    .await;
    let key = app.key("acme", []).await;
    let answer = app.get("/owned").key(&key).send().await;
    assert_eq!(
        (answer.status, &*answer.code()),
        (403, "resource_not_owned")
    );
    assert_eq!(
        answer.json()["error"]["details"],
        json!({ "domain": "x.example" })
    );
    assert!(
        !answer.text().contains("CANARY"),
        "the private reason is for the log"
    );
}

#[tokio::test]
async fn a_head_of_an_error_has_its_headers_and_no_body() {
    let app = app(Errors::json()).await;
    let answer = app.call(Method::HEAD, "/by/1").send().await;
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let as_get: Value = app.get("/by/1").send().await.json();
    assert_eq!(as_get["error"]["code"], "missing_api_key");
}
