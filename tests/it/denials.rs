//! Every way to be turned away, in every shape.

use std::collections::BTreeSet;

use http::{StatusCode, request};
use serde_json::Value;
use tollgate::access::{authenticated, optional, public, scope, session};
use tollgate::core::reply::Reply;
use tollgate::envelope::Errors;
use tollgate::{DenialKind, Gate, GateBuilder, Routes, Session, Sessions};

use self::table::{Table, faulty_keys};
use crate::support::{Answer, Door, TestApp, TestKey, unknown_secret};

mod table;

/// What one fault must lead to, whatever the shape.
struct Case {
    fault: &'static str,
    answer: Answer,
    kind: DenialKind,
    challenge: Option<&'static str>,
    retry_after: Option<&'static str>,
    /// Whether the caller was known by then, and so is told its limits.
    identified: bool,
}

#[derive(Debug)]
struct Cookies;

impl Sessions for Cookies {
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>> {
        let signed_in = head
            .headers
            .get("cookie")
            .is_some_and(|c| c == "session=alice");
        Reply::ready(signed_in.then(|| Session::of("alice")))
    }
}

fn routes(gate: &Gate, door: Door) -> Routes {
    async fn done() -> &'static str {
        "done"
    }
    let signed_in = |session: Session| async move { session.user().to_owned() };
    let waits = door.clone();
    let wait = move || async move { door.pass().await };
    let wait_once = move || async move { waits.pass().await };
    let large = async || "x".repeat(70_000);
    let once = || authenticated().idempotency_key_required();
    gate.routes()
        .post("/once", done, once())
        .post("/once/large", large, once())
        .post("/once/slow", wait_once, once())
        .get("/health", done, public())
        .get("/maybe", done, optional())
        .get("/any", done, authenticated())
        .post("/iocs", done, scope("iocs:write"))
        .post("/chat", done, scope("ai:chat"))
        .get("/pro", done, authenticated().plan("pro"))
        .get("/stix", done, authenticated().feature("format.stix"))
        .get("/billing", done, authenticated().allow_billing_restricted())
        .get("/exports", done, authenticated().rate_class("exports"))
        .get("/daily", done, authenticated().rate_class("daily"))
        .get("/narrow", wait, authenticated().rate_class("narrow"))
        .get("/paid", done, authenticated().credits(7))
        .get("/admin", signed_in, session())
}

async fn app(configure: impl FnOnce(GateBuilder) -> GateBuilder, door: Door) -> TestApp {
    let app = TestApp::with(
        |builder| configure(builder.sessions(Cookies)),
        |gate| routes(gate, door),
    );
    app.await
}

/// The challenge of a credential that is no good.
const INVALID: &str = r#"Bearer realm="api", error="invalid_token""#;

async fn all(errors: Errors) -> Vec<Case> {
    let door = Door::closed();
    let app = app(|builder| builder.errors(errors), door.clone()).await;
    let mut table = Table {
        app: &app,
        cases: Vec::new(),
    };
    table.credentials().await;
    table.addresses().await;
    table.permissions().await;
    table.limits(&door).await;
    table.money_and_stores().await;
    table.repeats(&door).await;
    table.sessions().await;
    table.states().await;
    table.cases
}

fn check_headers(case: &Case, errors: &Errors) {
    let Case { fault, answer, .. } = case;
    assert_eq!(
        answer.status,
        errors.status_of(case.kind),
        "{fault}: {answer:?}"
    );
    assert_eq!(answer.header("www-authenticate"), case.challenge, "{fault}");
    assert_eq!(answer.header("retry-after"), case.retry_after, "{fault}");
    assert_eq!(
        answer.header("cache-control"),
        Some("private, no-store"),
        "{fault}"
    );
    assert_eq!(
        answer.header("vary"),
        Some("authorization, x-api-key"),
        "{fault}"
    );
    for name in ["limit", "remaining", "reset"] {
        let told = answer.header(&format!("x-ratelimit-{name}"));
        assert_eq!(told.is_some(), case.identified, "{fault}: {name}");
    }
}

fn members(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

async fn check(errors: Errors, content_type: &str, shape: impl Fn(&Case, &Value)) {
    for case in all(errors.clone()).await {
        check_headers(&case, &errors);
        assert_eq!(
            case.answer.header("content-type"),
            Some(content_type),
            "{}",
            case.fault
        );
        shape(&case, &case.answer.json());
    }
}

#[tokio::test]
async fn every_denial_has_the_default_shape() {
    check(Errors::json(), "application/json", |case, body| {
        assert_eq!(members(body), ["error"].into());
        let error = &body["error"];
        let mut names = members(error);
        let details = names.take("details").map(|_| error["details"].is_object());
        assert_ne!(details, Some(false), "{}", case.fault);
        assert_eq!(
            names,
            ["code", "message", "request_id"].into(),
            "{}",
            case.fault
        );
        assert_eq!(error["code"], case.kind.code(), "{}", case.fault);
        assert!(!error["message"].as_str().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn every_denial_has_the_flat_shape() {
    check(Errors::flat(), "application/json", |case, body| {
        assert_eq!(members(body), ["error"].into(), "{}", case.fault);
        assert!(!body["error"].as_str().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn every_denial_is_a_problem() {
    check(
        Errors::problem(),
        "application/problem+json",
        |case, body| {
            let status = StatusCode::from_u16(case.answer.status).unwrap();
            assert_eq!(body["type"], "about:blank");
            assert_eq!(body["title"], status.canonical_reason().unwrap());
            assert_eq!(body["status"], case.answer.status);
            assert_eq!(body["code"], case.kind.code(), "{}", case.fault);
            assert!(body["detail"].is_string() && body["request_id"].is_string());
        },
    )
    .await;
}

#[tokio::test]
async fn every_denial_has_the_names_that_the_app_gives() {
    let named = DenialKind::ALL.iter().fold(Errors::json(), |errors, kind| {
        let code = kind.code().to_uppercase();
        errors
            .message(*kind, format!("No: {code}"))
            .code(*kind, code)
    });
    let teapot = StatusCode::IM_A_TEAPOT;
    let named = named
        .status(DenialKind::InvalidCredential, StatusCode::FORBIDDEN)
        .status(DenialKind::PlanRequired, StatusCode::PAYMENT_REQUIRED)
        .status(DenialKind::QuotaExceeded, teapot);
    check(named, "application/json", |case, body| {
        let code = case.kind.code().to_uppercase();
        assert_eq!(body["error"]["code"], code, "{}", case.fault);
        assert_eq!(body["error"]["message"], format!("No: {code}"));
    })
    .await;
}

#[tokio::test]
async fn a_keys_state_is_told_only_where_the_app_says_so() {
    let app = app(GateBuilder::tell_key_state, Door::closed()).await;
    for (fault, key, kind) in faulty_keys(&app).await {
        let answer = app.get("/any").key(&key).send().await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (401, kind.code()),
            "{fault}"
        );
        assert_eq!(answer.header("www-authenticate"), Some(INVALID), "{fault}");
    }
}

#[tokio::test]
async fn details_name_what_is_required_and_what_is_missing() {
    let app = app(|builder| builder, Door::closed()).await;
    let key = app.key("acme", ["iocs:read"]).await;
    let chatter = app.key("acme", ["ai:chat"]).await;
    let details = async |method: http::Method, path: &str, key: &TestKey| {
        let answer = app.call(method, path).key(key).send().await;
        answer.json()["error"]["details"].to_string()
    };
    for (method, path, key, expected) in [
        (
            "POST",
            "/iocs",
            &key,
            r#"{"missing":["iocs:write"],"required":["iocs:write"]}"#,
        ),
        (
            "POST",
            "/chat",
            &chatter,
            r#"{"current":"free","required":"pro"}"#,
        ),
        (
            "GET",
            "/stix",
            &key,
            r#"{"entitlement":"format.stix","plan":"free"}"#,
        ),
        (
            "GET",
            "/paid",
            &key,
            r#"{"available":0,"price":"7","required":7}"#,
        ),
    ] {
        assert_eq!(
            details(method.parse().unwrap(), path, key).await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_revoked_and_expired_keys_look_alike_outside() {
    let app = app(|builder| builder, Door::closed()).await;
    let mut keys = faulty_keys(&app).await;
    let unknown = TestKey {
        secret: unknown_secret(),
        ..keys[0].1.clone()
    };
    keys.push(("unknown", unknown, DenialKind::InvalidCredential));
    let mut seen = BTreeSet::new();
    for (_, key, _) in keys {
        let mut answer = app.get("/any").key(&key).send().await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        for own in ["x-request-id", "date"] {
            answer.headers.remove(own);
        }
        seen.insert(format!("{answer:?}").replace(&id, "id"));
    }
    assert_eq!(seen.len(), 1, "{seen:#?}");
}
