//! A key in the query is gone before anything inside the gate sees the URI, wherever it is mounted.

use axum::Router;
use axum::extract::{MatchedPath, OriginalUri, RawQuery, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::access::{authenticated, public};
use tollgate::credential::Credentials;
use tollgate::{Gate, GateBuilder, Routes};
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;

use super::search::Search;
use crate::support::log::{capture, captured};
use crate::support::{TestApp, TestKey};

async fn tell(
    uri: Uri,
    OriginalUri(original): OriginalUri,
    matched: Option<MatchedPath>,
    RawQuery(query): RawQuery,
) -> String {
    let matched = matched.as_ref().map(MatchedPath::as_str);
    format!(
        "{uri} {original} {} {}",
        matched.unwrap_or("-"),
        query.unwrap_or_default()
    )
}

/// A layer of the app's own, inside the gate: adds what it saw to the answer.
async fn seen_on_the_way(request: Request, next: Next) -> Response {
    let original = request.extensions().get::<OriginalUri>();
    let original = original.map_or(String::new(), |original| original.0.to_string());
    let seen = format!("{} {original}", request.uri());
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert("x-seen", seen.parse().unwrap());
    response
}

fn routes(gate: &Gate) -> Routes {
    gate.routes()
        .get("/key", tell, authenticated())
        .fallback(tell, public())
        .layer(from_fn(seen_on_the_way))
}

fn everywhere(builder: GateBuilder) -> GateBuilder {
    builder.credentials(Credentials::new().with_query_parameter("api_key").unwrap())
}

type Mount = fn(&Gate) -> Router;

const MOUNTS: [(&str, Mount); 5] = [
    ("", |gate| {
        Router::new().fallback_service(routes(gate).into_service().unwrap())
    }),
    ("/outer", |gate| {
        Router::new().nest_service("/outer", routes(gate).into_service().unwrap())
    }),
    ("/outer", |gate| {
        Router::new().nest("/outer", routes(gate).into_router().unwrap())
    }),
    ("/far/out", |gate| {
        let inner = Router::new().nest_service("/out", routes(gate).into_service().unwrap());
        Router::new().nest("/far", inner)
    }),
    ("", |gate| {
        Router::new().merge(routes(gate).into_router().unwrap())
    }),
];

#[tokio::test]
async fn a_key_in_the_query_is_gone_for_handlers_and_layers_wherever_the_gate_is_mounted() {
    for (prefix, mount) in MOUNTS {
        let app = TestApp::inside(everywhere, mount).await;
        let TestKey { secret, .. } = app.key("umbra", []).await;
        for path in ["/key", "/nowhere"] {
            for name in ["api_key", "api%5Fkey", "%61pi_key", "%61%70%69%5f%6b%65%79"] {
                for (sent, left) in [
                    (format!("?a=%31&{name}={secret}&b=2"), "?a=%31&b=2"),
                    (format!("?{name}={secret}"), ""),
                    (format!("?&{name}={secret}&"), "?&"),
                ] {
                    let answer = app.get(&format!("{prefix}{path}{sent}")).send().await;
                    assert_eq!(answer.status, 200, "{prefix}{path}: {answer:?}");
                    let told: Vec<&str> = answer.text().split(' ').collect();
                    assert_eq!(told[0], format!("{path}{left}"));
                    assert_eq!(told[1], format!("{prefix}{path}{left}"));
                    assert!(!told[2].contains('?'), "{answer:?}");
                    assert_eq!(told[3], left.trim_start_matches('?'));
                    let seen = answer.header("x-seen").unwrap();
                    let expected = format!("{path}{left} {prefix}{path}{left}");
                    assert_eq!(seen, expected);
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_further_out_than_the_gate_sees_the_key_and_what_is_inside_does_not() {
    let traced = |outside: bool| {
        move |gate: &Gate| {
            let trace = || {
                let show = |request: &Request| tracing::info_span!("traced", uri = %request.uri());
                TraceLayer::new_for_http().make_span_with(show)
            };
            if outside {
                let around = ServiceBuilder::new().layer(trace());
                Router::new()
                    .merge(routes(gate).into_router().unwrap())
                    .layer(around)
            } else {
                routes(gate).layer(trace()).into_router().unwrap()
            }
        }
    };
    for outside in [true, false] {
        capture();
        let app = TestApp::inside(everywhere, traced(outside)).await;
        let TestKey { secret, .. } = app.key("umbra", []).await;
        app.get(&format!("/key?api_key={secret}")).send().await;
        let mut search = Search::default();
        search.key("a key", &secret);
        let log = captured();
        assert!(log.contains("traced{uri=/key"), "the layer did trace");
        assert_eq!(!search.found(log.as_bytes()).is_empty(), outside);
    }
}

#[tokio::test]
async fn a_gate_of_its_own_keeps_no_original_with_the_key() {
    let app = TestApp::with(everywhere, routes).await;
    let TestKey { secret, .. } = app.key("umbra", []).await;
    let query = format!("/key?api%5Fkey={secret}&a");
    let answer = app.get(&query).send().await;
    assert_eq!(answer.text(), "/key?a /key?a /key a");
}

/// A GET over HTTP/2, written byte by byte: no client sends a path that is no URI.
fn http2(path: &str) -> Vec<u8> {
    let literal = |index: u8, value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [&[index, length], value.as_bytes()].concat()
    };
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let (get, plain) = (0x82, 0x86);
    let fields = [vec![get, plain], literal(4, path), literal(1, "acme")].concat();
    let (settings, headers, end_of_all) = (4, 1, 0x5);
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(settings, 0, 0, &[]),
        frame(headers, end_of_all, 1, &fields),
    ]
    .concat()
}

/// What hyper and h2 refuse never gets to the gate. h2 logs such a path, at DEBUG; were this to
/// fail because it does no more, the docs of `with_query_parameter` have a sentence too many.
#[tokio::test]
async fn of_a_path_that_is_no_uri_only_h2_itself_tells() {
    let app = TestApp::with(everywhere, routes).await;
    let TestKey { secret, .. } = app.key("umbra", []).await;
    let path = format!("/key?api_key={secret}\u{7f}");
    let mut search = Search::default();
    search.key("a key", &secret);
    let http1 = format!("GET {path} HTTP/1.1\r\nhost: acme\r\n\r\n");
    for (sent, h2_tells) in [(http1.into_bytes(), false), (http2(&path), true)] {
        capture();
        let mut connection = app.connect().await;
        connection.write_all(&sent).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.is_empty(), "it is answered");
        search.assert_none("the answer", &answer);
        let log = captured();
        let (by_h2, others): (Vec<_>, Vec<_>) = log
            .lines()
            .partition(|line| line.contains(" DEBUG ") && line.contains(" h2::"));
        search.assert_none("what others log", others.join("\n").as_bytes());
        let told = !search.found(by_h2.join("\n").as_bytes()).is_empty();
        assert_eq!(told, h2_tells, "{by_h2:#?}");
    }
}
