//! How guarded routes are put together, and into bigger apps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, OriginalUri, Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use http::Method;
use tollgate::Principal;
use tollgate::access::{authenticated, public};
use tollgate::client_address::{ClientAddress, TrustedProxies};
use tollgate::credential::Credentials;

use crate::support::TestApp;

#[tokio::test]
async fn a_preflight_runs_no_handler_and_costs_nothing() {
    let ran = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&ran);
    let app = TestApp::new(|gate| {
        let count = move || async move { counter.fetch_add(1, Ordering::SeqCst) + 1 };
        let run = async |count: u64| count.to_string();
        gate.routes().options(
            "/",
            async move || run(count().await).await,
            authenticated().credits(1),
        )
    })
    .await;
    app.grant("acme", 1).await;
    let key = app.key("acme", []).await;
    let options = || app.call(Method::OPTIONS, "/").key(&key);
    let preflight = options()
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST");
    let answer = preflight.send().await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!((ran.load(Ordering::SeqCst), app.charged("acme")), (0, 0));
    let no_preflight = options().header("origin", "https://a.example");
    assert_eq!(no_preflight.send().await.text(), "1");
    assert_eq!(app.charged("acme"), 1);
}

#[tokio::test]
async fn routes_nest_merge_fall_back_and_carry_state() {
    async fn state(State(word): State<&'static str>, Path(id): Path<u32>) -> String {
        format!("{word} {id}")
    }
    async fn who(caller: Principal) -> String {
        caller.organization().to_string()
    }
    let app = TestApp::new(|gate| {
        let service = tower::service_fn(async |request: axum::extract::Request| {
            Ok::<_, std::convert::Infallible>(request.uri().path().to_owned().into_response())
        });
        let v2 = gate.routes().get("/who/{id}", state, authenticated());
        let v2 = v2.get("/", who, authenticated()).with_state("two");
        let own_head = || async { [("x-head", "own")] };
        let more = gate.routes().any("/any", who, authenticated()).service(
            "/files/{*rest}",
            service,
            authenticated(),
        );
        gate.routes()
            .get("/who/{id}", state, authenticated())
            .with_state("one")
            .nest("/v2", v2)
            .merge(more)
            .head("/any-head", own_head, public())
            .put("/who/{id}", async || "put", public())
            .fallback(async || "fallback", authenticated())
    })
    .await;
    let key = app.key("umbra", []).await;
    for (method, path, told) in [
        ("GET", "/who/1", "one 1"),
        ("GET", "/v2/who/2", "two 2"),
        ("GET", "/v2", "umbra"),
        ("PATCH", "/any", "umbra"),
        ("POST", "/files/a/b", "/files/a/b"),
        ("GET", "/nowhere", "fallback"),
        ("PUT", "/who/1", "put"),
    ] {
        let call = || app.call(method.parse().unwrap(), path);
        let answer = call().key(&key).send().await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, told),
            "{method} {path}"
        );
        let guarded = if method == "PUT" { 200 } else { 401 };
        assert_eq!(call().status().await, guarded, "{method} {path}");
    }
    let answer = app.call(Method::HEAD, "/any-head").send().await;
    assert_eq!(answer.header("x-head"), Some("own"));
}

#[tokio::test]
async fn a_router_guards_what_it_declares_inside_a_bigger_app() {
    let app = TestApp::inside(
        |builder| builder.trusted_proxies(TrustedProxies::none()),
        |gate| {
            let address = |ClientAddress(seen): ClientAddress| async move { format!("{seen:?}") };
            let api = gate.routes().get("/address", address, authenticated());
            Router::new()
                .route("/open", get(async || "open"))
                .nest("/api", api.into_router().unwrap())
        },
    )
    .await;
    let key = app.key("umbra", []).await;
    assert_eq!(app.get("/api/address").bare_status().await, 401);
    let answer = app.get("/api/address").key(&key).send().await;
    assert_eq!(answer.text(), "Some(127.0.0.1)");
    assert_eq!(app.get("/open").bare_status().await, 200);
    assert_eq!(
        app.get("/nowhere").bare_status().await,
        404,
        "its 404s are its own"
    );
}

#[tokio::test]
async fn a_mocked_peer_is_believed_where_there_is_no_connection() {
    let app = TestApp::inside(
        |builder| builder.trusted_proxies(TrustedProxies::none()),
        |gate| {
            let address = |ClientAddress(seen): ClientAddress| async move { format!("{seen:?}") };
            let api = gate
                .routes()
                .get("/", address, public())
                .into_router()
                .unwrap();
            let peer = SocketAddr::from(([203, 0, 113, 5], 9));
            // Like a test without a server: the connection's own address is gone.
            let forget =
                axum::middleware::map_request(async |mut request: axum::extract::Request| {
                    request.extensions_mut().remove::<ConnectInfo<SocketAddr>>();
                    request
                });
            api.layer(MockConnectInfo(peer)).layer(forget)
        },
    )
    .await;
    assert_eq!(app.get("/").send().await.text(), "Some(203.0.113.5)");
}

#[tokio::test]
async fn a_query_key_is_hidden_from_handlers_inside_a_bigger_app_too() {
    let app = TestApp::inside(
        |builder| {
            let credentials = Credentials::new().with_query_parameter("api_key");
            builder.credentials(credentials.unwrap())
        },
        |gate| {
            let echo = async |uri: http::Uri, OriginalUri(original): OriginalUri| {
                format!("{uri} {original}")
            };
            let api = gate.routes().get("/echo", echo, authenticated());
            Router::new().nest("/api", api.into_router().unwrap())
        },
    )
    .await;
    let key = app.key("umbra", []).await;
    let call = app.get(&format!("/api/echo?a=1&api_key={}", key.secret));
    assert_eq!(call.send().await.text(), "/echo?a=1 /api/echo?a=1");
}
