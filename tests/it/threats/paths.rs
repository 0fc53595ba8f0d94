//! T14 to T16 and T18: what a method, a path and a host may be.

use std::fmt::Write as _;

use axum::Router;
use http::Method;
use http_body_util::Empty;
use tollgate::GateBuilder;
use tollgate::access::{authenticated, public};
use tollgate::core::rate::RateLimit;

use super::{Ran, code, get, raw};
use crate::bypass::http2::Http2;
use crate::support::{MINUTE, TestApp};

#[tokio::test]
async fn t14_only_a_genuine_preflight_passes_without_a_key_and_runs_nothing() {
    let ran = Ran::default();
    let app = TestApp::new(|gate| {
        gate.routes()
            .options("/own", ran.clone(), authenticated().rate_cost(0))
            .any("/any", ran.clone(), authenticated().rate_cost(0))
            .get("/get", ran.clone(), authenticated().rate_cost(0))
    })
    .await;
    let key = app.key("umbra", []).await.secret;
    let mut opened = 0;
    for path in ["/own", "/any", "/get"] {
        for origin in [false, true] {
            for asked in [false, true] {
                for with_key in [false, true] {
                    let mut request = format!("OPTIONS {path} HTTP/1.1\r\n");
                    if origin {
                        request.push_str("Origin: https://a.example\r\n");
                    }
                    if asked {
                        request.push_str("Access-Control-Request-Method: GET\r\n");
                    }
                    if with_key {
                        write!(request, "X-API-Key: {key}\r\n").unwrap();
                    }
                    let answer = raw(&app, format!("{request}\r\n")).await;
                    let expected = match (origin && asked, path, with_key) {
                        (true, ..) => 204,
                        (_, "/get", _) => 405,
                        (.., true) => 200,
                        (.., false) => 401,
                    };
                    assert_eq!(answer.status, expected, "{request}");
                    opened += u64::from(expected == 200);
                    assert_eq!(ran.times(), opened, "{request}");
                }
            }
        }
    }
    assert_eq!(opened, 6);
}

/// What is answered before a route is looked for costs its sender as much as what a route answers.
#[tokio::test]
async fn t14_what_is_answered_before_any_route_counts_against_its_address() {
    let preflight = "OPTIONS /any HTTP/1.1\r\nOrigin: https://a.example\r\n\
                     Access-Control-Request-Method: GET\r\n";
    let ambiguous = "GET //any HTTP/1.1\r\n";
    let trace = "TRACE /any HTTP/1.1\r\n";
    for (request, status) in [(preflight, 204), (ambiguous, 400), (trace, 405)] {
        let ran = Ran::default();
        let configure =
            |builder: GateBuilder| builder.address_rate(RateLimit::smooth(2, MINUTE).unwrap());
        let app = TestApp::with(configure, |gate| {
            gate.routes()
                .any("/any", ran.clone(), authenticated().rate_cost(0))
        })
        .await;
        let key = app.key("umbra", []).await.secret;
        let ask =
            async |from: &str| raw(&app, format!("{request}X-Forwarded-For: {from}\r\n\r\n")).await;
        for left in ["1", "0"] {
            let answer = ask("203.0.113.1").await;
            assert_eq!(answer.status, status, "{request}");
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left));
        }
        let answer = ask("203.0.113.1").await;
        assert_eq!(
            (answer.status, &*code(&answer)),
            (429, "rate_limit_exceeded"),
            "{request}"
        );
        assert_eq!(answer.header("retry-after"), Some("30"));
        assert_eq!(ask("203.0.113.2").await.status, status, "a neighbour");
        let known = [
            ("X-API-Key", key.as_bytes()),
            ("X-Forwarded-For", b"203.0.113.1"),
        ];
        assert_eq!(get(&app, "/any", &known).await.status, 200, "a caller");
        assert_eq!(ran.times(), 1);
    }
}

#[tokio::test]
async fn t15_an_unusual_method_is_guarded_like_any_other_and_trace_is_refused() {
    let ran = Ran::default();
    let app = TestApp::new(|gate| {
        gate.routes()
            .any("/any", ran.clone(), authenticated().rate_cost(0))
            .get("/get", ran.clone(), authenticated().rate_cost(0))
            .post("/post", ran.clone(), authenticated().rate_cost(0))
    })
    .await;
    let key = app.key("umbra", []).await.secret;
    for (method, open, shut) in [
        ("TRACE", 405, 405),
        ("CONNECT", 200, 401),
        ("BREW", 200, 401),
        ("QUERY", 200, 401),
        ("get", 200, 401),
        ("Options", 200, 401),
    ] {
        let before = ran.times();
        let with_key = format!("{method} /any HTTP/1.1\r\nX-API-Key: {key}\r\n\r\n");
        assert_eq!(raw(&app, with_key).await.status, open, "{method}");
        assert_eq!(ran.times() - before, u64::from(open == 200), "{method}");
        let without = raw(&app, format!("{method} /any HTTP/1.1\r\n\r\n")).await;
        assert_eq!(without.status, shut, "{method}");
        assert!(without.header("x-request-id").is_some());
        assert_eq!(ran.times() - before, u64::from(open == 200), "{method}");
        let elsewhere = format!("{method} /get HTTP/1.1\r\nX-API-Key: {key}\r\n\r\n");
        assert_eq!(
            raw(&app, elsewhere).await.status,
            405,
            "methods have capitals"
        );
    }
    let trace = format!("TRACE /any HTTP/1.1\r\nX-API-Key: {key}\r\nX-Internal: canary\r\n\r\n");
    let trace = raw(&app, trace).await;
    assert_eq!(code(&trace), "method_not_allowed");
    assert!(trace.header("allow").unwrap().starts_with("GET, "));
    assert!(!String::from_utf8(trace.body).unwrap().contains("canary"));

    let before = ran.times();
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "_method",
    ] {
        let lines = [("X-API-Key", key.as_bytes()), (name, b"GET")];
        assert_eq!(get(&app, "/post", &lines).await.status, 405, "{name}");
        let post = format!("POST /get HTTP/1.1\r\nX-API-Key: {key}\r\n{name}: GET\r\n\r\n");
        assert_eq!(raw(&app, post).await.status, 405, "{name}");
    }
    assert_eq!(ran.times(), before);
}

/// Targets that are refused where paths are strict, and those that are not.
const UNUSUAL: [&str; 30] = [
    "//admin",
    "/admin//",
    "/v1//admin",
    "///",
    "/./admin",
    "/v1/./admin",
    "/../admin",
    "/v1/../admin",
    "/admin/.",
    "/admin/..",
    "/..",
    "/.",
    "/%2e%2e/admin",
    "/.%2E/admin",
    "/%2e/admin",
    "/a%2edmin",
    "/v1%2fadmin",
    "/v1%2Fadmin",
    "/..%2fadmin",
    "/v1%5cadmin",
    "/v1%5Cadmin",
    "/v1\\admin",
    "/admin%00",
    "/admin%00.html",
    "/admin;x=y",
    "/;/admin",
    "/x/..;/admin",
    "http://a.example//admin",
    "http://a.example/x/../admin",
    "/admin;?x=1",
];
const USUAL: [&str; 12] = [
    "/admin",
    "/admin/",
    "/Admin",
    "/%61dmin",
    "/admin.",
    "/admin/...",
    "/.well-known/x",
    "/admin%20",
    "/v1%252fadmin",
    "/admin?a;b=//../%2f%00",
    "http://a.example/admin",
    "/a%3bb",
];

/// A guarded route for every path, so that whatever gets as far as the router runs a handler.
async fn everywhere(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> (TestApp, Ran) {
    let ran = Ran::default();
    let app = TestApp::with(configure, |gate| {
        gate.routes()
            .any("/", ran.clone(), authenticated().rate_cost(0))
            .any("/{*rest}", ran.clone(), authenticated().rate_cost(0))
            .fallback(ran.clone(), public())
    });
    (app.await, ran)
}

#[tokio::test]
async fn t16_a_path_with_two_readings_is_a_400_before_any_route() {
    let (app, ran) = everywhere(|builder| builder).await;
    let key = app.key("umbra", []).await.secret;
    let key: [(&str, &[u8]); 1] = [("X-API-Key", key.as_bytes())];
    for target in UNUSUAL {
        for lines in [&key[..], &[], &[("X-API-Key", b"bad")]] {
            let answer = get(&app, target, lines).await;
            assert_eq!(answer.status, 400, "{target}: {answer:?}");
            assert_eq!(code(&answer), "ambiguous_path", "{target}");
        }
    }
    let preflight = "OPTIONS //admin HTTP/1.1\r\nOrigin: https://a.example\r\n\
                     Access-Control-Request-Method: GET\r\n\r\n";
    assert_eq!(code(&raw(&app, preflight).await), "ambiguous_path");
    let connection = Http2::connect(&app).await;
    for target in UNUSUAL.iter().filter(|target| target.starts_with('/')) {
        let uri = format!("http://api.example{target}");
        for method in [Method::GET, Method::POST, Method::HEAD] {
            let request = http::Request::builder().method(&method).uri(&uri);
            let request = request.header("x-api-key", key[0].1);
            let answer = connection.send(request.body(Empty::new()).unwrap()).await;
            assert_eq!(answer.status, 400, "{method} {target}: {answer:?}");
        }
    }
    assert_eq!(ran.times(), 0, "neither a route nor the fallback");
    for target in USUAL {
        assert_eq!(get(&app, target, &key).await.status, 200, "{target}");
    }
    assert_eq!(ran.times(), USUAL.len() as u64);
}

#[tokio::test]
async fn t16_where_the_app_allows_unusual_paths_they_go_to_the_router_as_they_are() {
    let (app, ran) = everywhere(GateBuilder::allow_unusual_paths).await;
    let key = app.key("umbra", []).await.secret;
    for (number, target) in UNUSUAL.iter().enumerate() {
        assert_eq!(get(&app, target, &[]).await.status, 401, "{target}");
        assert_eq!(ran.times(), number as u64, "{target}");
        let answer = get(&app, target, &[("X-API-Key", key.as_bytes())]).await;
        assert_eq!(answer.status, 200, "{target}");
    }
}

#[tokio::test]
async fn t16_inside_a_bigger_app_the_path_is_judged_as_it_came() {
    let ran = Ran::default();
    let app = TestApp::inside(
        |builder| builder,
        |gate| {
            let api = gate.routes().get("/admin", ran.clone(), authenticated());
            Router::new().nest("/{tenant}", api.into_router().unwrap())
        },
    )
    .await;
    let key = app.key("umbra", []).await.secret;
    let lines: [(&str, &[u8]); 1] = [("X-API-Key", key.as_bytes())];
    for tenant in ["..%2fb", "b%00", "b;x=y", "%2e%2e", "a%5cb"] {
        let answer = get(&app, &format!("/{tenant}/admin"), &lines).await;
        assert_eq!(
            (answer.status, &*code(&answer)),
            (400, "ambiguous_path"),
            "{tenant}"
        );
    }
    assert_eq!(ran.times(), 0);
    assert_eq!(get(&app, "/acme/admin", &lines).await.status, 200);
}

#[tokio::test]
async fn t18_a_host_neither_opens_nor_shuts() {
    let (app, ran) = everywhere(|builder| builder).await;
    let key = app.key("umbra", []).await.secret;
    let mut opened = 0;
    for (target, hosts) in [
        ("/admin", &["api.example"][..]),
        ("/admin", &[]),
        ("/admin", &["api.example", "evil.example"]),
        ("/admin", &["localhost"]),
        ("/admin", &["127.0.0.1:80"]),
        ("/admin", &["admin.internal"]),
        ("/admin", &[""]),
        ("/admin", &["a b"]),
        ("http://evil.example/admin", &["api.example"]),
        ("http://evil.example/admin", &[]),
        ("http://user:pw@localhost:1/admin", &["evil.example"]),
        ("https://api.example/admin", &["api.example"]),
    ] {
        let hosts = hosts.iter().map(|host| format!("Host: {host}\r\n"));
        let hosts = hosts.collect::<Vec<_>>().concat();
        let forwarded = "X-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\n";
        for more in ["", forwarded] {
            let shut = raw(&app, format!("GET {target} HTTP/1.1\r\n{hosts}{more}\r\n")).await;
            assert_eq!(
                (shut.status, &*code(&shut)),
                (401, "missing_api_key"),
                "{hosts}"
            );
            assert_eq!(ran.times(), opened, "{target} {hosts}");
            let with_key =
                format!("GET {target} HTTP/1.1\r\n{hosts}{more}X-API-Key: {key}\r\n\r\n");
            assert_eq!(raw(&app, with_key).await.status, 200, "{target} {hosts}");
            opened += 1;
            assert_eq!(ran.times(), opened);
        }
    }
    // HTTP/1.0 has no host at all.
    let old = raw(&app, "GET /admin HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, ran.times()), (401, opened));
}
