//! What operators see: counters and traces, and never a secret.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tollgate::access::{Check, authenticated, scope};
use tollgate::credential::Credentials;
use tollgate::{Gate, GateBuilder, Routes};

use crate::support::log::{capture, captured};
use crate::support::{TestApp, TestKey, actor, unknown_secret};

fn routes(gate: &Gate) -> Routes {
    async fn done() {}
    async fn panics() {
        panic!("at the disco")
    }
    gate.routes()
        .get("/by/{id}", done, authenticated().credits(1))
        .get("/scoped", done, scope("iocs:read"))
        .get("/observed", done, scope("iocs:read").observe(Check::Scope))
        .get("/panics", panics, authenticated())
}

/// All counters as `name{label=value,…}`.
fn counters(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let recorded = snapshotter.snapshot().into_vec();
    let counted = recorded.into_iter().filter_map(|(key, _, _, value)| {
        let DebugValue::Counter(count) = value else {
            return None;
        };
        let labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        Some((
            format!("{}{{{}}}", key.key().name(), labels.join(",")),
            count,
        ))
    });
    counted.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn decisions_are_counted_by_template_and_outcome_and_look_ups_by_result() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let app = TestApp::new(routes).await;
    app.grant("umbra", 10).await;
    let key = app.key("umbra", []).await;
    for path in [
        "/by/1",
        "/by/2",
        "/by/3",
        "/scoped",
        "/observed",
        "/panics",
        "/nowhere",
    ] {
        app.get(path).key(&key).send().await;
    }
    app.get("/by/4").send().await;
    let unknown = unknown_secret();
    for _ in 0..3 {
        app.get("/by/5").header("x-api-key", &*unknown).send().await;
    }
    let decided = |route: &str, outcome: &str| {
        format!("tollgate_decisions_total{{route={route},outcome={outcome}}}")
    };
    let expected = [
        (decided("GET /by/{id}", "2xx"), 3),
        (decided("GET /by/{id}", "missing_api_key"), 1),
        (decided("GET /by/{id}", "invalid_api_key"), 3),
        (decided("GET /scoped", "insufficient_permissions"), 1),
        (decided("GET /observed", "2xx"), 1),
        (decided("GET /panics", "internal_error"), 1),
        (decided("(none)", "not_found"), 1),
        (
            "tollgate_would_refuse_total{route=GET /observed,outcome=insufficient_permissions}"
                .to_owned(),
            1,
        ),
        ("tollgate_holds_total{ending=charged}".to_owned(), 3),
        ("tollgate_credits_charged_total{}".to_owned(), 3),
        ("tollgate_lookups_total{result=hit}".to_owned(), 5),
        ("tollgate_lookups_total{result=miss}".to_owned(), 2),
        ("tollgate_lookups_total{result=unknown}".to_owned(), 2),
    ];
    assert_eq!(counters(&snapshotter), expected.into());
}

fn everywhere(builder: GateBuilder) -> GateBuilder {
    let credentials = Credentials::new().with_query_parameter("api_key");
    builder.credentials(credentials.unwrap())
}

/// What nobody may read: the whole, and the random part without its checksum.
fn assert_hidden(text: &str, secret: &str) {
    let random = secret.rsplit('_').next().unwrap();
    for canary in [secret, random, &random[4..24]] {
        assert!(!text.contains(canary), "somebody told {canary}");
    }
}

/// Every way in, and some that lead nowhere.
async fn present_everywhere(app: &TestApp, secret: &str) {
    let key = |path: &str| app.get(path).header("x-api-key", secret.to_owned());
    for path in ["/by/1", "/scoped", "/observed", "/panics", "/nowhere"] {
        key(path).send().await;
        let bearer = format!("Bearer {secret}");
        app.get(path).header("authorization", bearer).send().await;
        app.get(&format!("{path}?api_key={secret}")).send().await;
        key(path)
            .header("authorization", secret.to_owned())
            .send()
            .await;
    }
}

#[tokio::test]
async fn logs_name_keys_and_never_their_secrets() {
    capture();
    let app = TestApp::with(everywhere, routes).await;
    let good = app.key("umbra", []).await;
    let poor = app.key("acme", []).await;
    let revoked = app.key("umbra", []).await;
    app.gate
        .keyring()
        .revoke(&revoked.id, &actor())
        .await
        .unwrap();
    let mut typo = good.secret.clone();
    typo.push('x');
    let secrets = [
        &good.secret,
        &poor.secret,
        &revoked.secret,
        &unknown_secret(),
        &typo,
    ];
    for secret in secrets {
        present_everywhere(&app, secret).await;
    }
    app.gate.shutdown().await;
    let text = captured();
    for TestKey { id, .. } in [&good, &poor, &revoked] {
        assert!(text.contains(&id.to_string()), "{id} is not named");
    }
    for secret in secrets {
        assert_hidden(&text, secret);
    }
}

#[tokio::test]
async fn a_requests_span_tells_its_route_caller_and_outcome() {
    capture();
    let app = TestApp::new(routes).await;
    let key = app.key("umbra", []).await;
    let answer = app.get("/by/1").key(&key).send().await;
    let id = answer.header("x-request-id").unwrap();
    let text = captured();
    let closed = text
        .lines()
        .find(|line| line.contains("close") && line.contains(id))
        .unwrap_or_else(|| panic!("no span of {id}: {text}"));
    for part in [
        "route=\"GET /by/{id}\"",
        "outcome=\"2xx\"",
        "status=200",
        "organization=\"umbra\"",
        &format!("key.id={}", key.id),
    ] {
        assert!(closed.contains(part), "{part} is not in {closed}");
    }
}

#[tokio::test]
async fn debug_output_tells_no_secret() {
    let app = TestApp::new(routes).await;
    let key = app.key("umbra", []).await;
    app.get("/by/1").key(&key).send().await;
    let keyring = app.gate.keyring();
    let issued = keyring
        .rotate(&key.id, std::time::Duration::ZERO, &actor())
        .await
        .unwrap();
    let told = format!("{issued:?} {:?} {keyring:?}", app.gate);
    assert_hidden(&told, issued.secret.expose());
    assert_hidden(&told, &key.secret);
}
