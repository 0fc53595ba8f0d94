//! T12, T13, T17 and T22: that no route is open by the way it was put together.

use axum::Router;
use axum::routing::get as open_get;
use http::Method;
use http_body_util::Empty;
use tollgate::access::{authenticated, scope};
use tollgate::{Gate, Routes};

use super::{Ran, code, get, get_over_http2, raw};
use crate::bypass::http2::Http2;
use crate::support::TestApp;

/// What the docs of `into_router` say: it covers what was declared, and nothing added later.
#[tokio::test]
async fn t12_a_late_route_is_not_guarded_on_the_escape_hatch_and_impossible_on_the_service() {
    let (guarded, late) = (Ran::default(), Ran::default());
    let routes = |gate: &Gate| -> Routes {
        gate.routes()
            .get("/declared", guarded.clone(), authenticated().rate_cost(0))
    };
    let app = TestApp::inside(
        |builder| builder,
        |gate| {
            let app = routes(gate).into_router().unwrap();
            app.route("/late", open_get(late.clone()))
                .fallback(late.clone())
        },
    )
    .await;
    let answer = get(&app, "/declared", &[]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "missing_api_key"));
    for target in ["/late", "/nowhere"] {
        let answer = get(&app, target, &[]).await;
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (200, None),
            "{target}"
        );
    }
    assert_eq!((guarded.times(), late.times()), (0, 2));

    // The finished service is no router; nested, it answers for everything below it.
    let app = TestApp::inside(
        |builder| builder,
        |gate| Router::new().nest_service("/api", routes(gate).into_service().unwrap()),
    )
    .await;
    let answer = get(&app, "/api/declared", &[]).await;
    assert_eq!((answer.status, &*code(&answer)), (401, "missing_api_key"));
    let answer = get(&app, "/api/nowhere", &[]).await;
    assert_eq!((answer.status, &*code(&answer)), (404, "not_found"));
    assert_eq!(guarded.times(), 0);
}

#[tokio::test]
async fn t13_head_is_judged_and_charged_as_get_and_no_other_method_is() {
    let ran = Ran::default();
    let app = TestApp::new(|gate| {
        let access = || scope("iocs:read").rate_cost(0).credits(2);
        gate.routes()
            .get("/get", ran.clone(), access())
            .get("/with/{id}", ran.clone(), access())
            .get("/rest/{*rest}", ran.clone(), access())
    })
    .await;
    let good = app.key("umbra", ["iocs:read"]).await.secret;
    let narrow = app.key("umbra", []).await.secret;
    let mut times = 0;
    for path in ["/get", "/with/1", "/rest/a/b"] {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "head",
            "get", "QUERY",
        ] {
            let ask = async |lines: String| {
                raw(&app, format!("{method} {path} HTTP/1.1\r\n{lines}\r\n"))
                    .await
                    .status
            };
            let read = matches!(method, "GET" | "HEAD");
            let or = |status| if read { status } else { 405 };
            assert_eq!(ask(String::new()).await, or(401), "{method} {path}");
            assert_eq!(ask(format!("X-API-Key: {narrow}\r\n")).await, or(403));
            assert_eq!(ran.times(), times, "{method} {path}");
            assert_eq!(ask(format!("X-API-Key: {good}\r\n")).await, or(200));
            times += u64::from(read);
            app.settled().await;
            assert_eq!((ran.times(), app.charged("umbra")), (times, 2 * times));
        }
    }
    assert_eq!(times, 6);
}

/// HTTP/2 has nobody further out who would take the body of a HEAD's answer away.
#[tokio::test]
async fn t13_a_refused_head_has_the_length_of_a_body_and_no_body() {
    let app = TestApp::new(|gate| gate.routes().get("/", Ran::default(), authenticated())).await;
    let whole = get(&app, "/", &[]).await;
    let length = whole.body.len().to_string();
    let head = raw(&app, "HEAD / HTTP/1.1\r\n\r\n").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (401, Some(&*length))
    );
    let connection = Http2::connect(&app).await;
    for (path, status) in [("/", 401), ("/nowhere", 404), ("//", 400)] {
        let uri = format!("http://api.example{path}");
        let request = http::Request::builder().method(Method::HEAD).uri(&uri);
        let head = connection.send(request.body(Empty::new()).unwrap()).await;
        let whole = get_over_http2(&app, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        assert!(!whole.body.is_empty());
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length")
        );
    }
}

/// Every depth has the same path inside, and demands another scope.
#[tokio::test]
async fn t17_a_guard_judges_its_route_and_not_the_path_that_is_left_of_it() {
    let names = ["iocs:read", "iocs:write", "ai:chat"];
    let ran = [Ran::default(), Ran::default(), Ran::default()];
    let app = TestApp::new(|gate| {
        let [outer, middle, inner] = [0, 1, 2].map(|depth: usize| -> Routes {
            let access = scope(names[depth]).rate_cost(0);
            gate.routes().get("/users", ran[depth].clone(), access)
        });
        outer.nest("/admin", middle.nest("/admin", inner))
    })
    .await;
    let paths = ["/users", "/admin/users", "/admin/admin/users"];
    for (held, name) in names.iter().enumerate() {
        let key = app.key("umbra", [*name]).await.secret;
        for (depth, path) in paths.into_iter().enumerate() {
            // Writing implies reading, and nothing else implies anything.
            let opens = held == depth || (held, depth) == (1, 0);
            let before = ran.each_ref().map(Ran::times);
            let answer = get(&app, path, &[("X-API-Key", key.as_bytes())]).await;
            assert_eq!(
                answer.status,
                if opens { 200 } else { 403 },
                "{name} {path}"
            );
            let mut after = before;
            after[depth] += u64::from(opens);
            assert_eq!(ran.each_ref().map(Ran::times), after, "{name} {path}");
        }
    }
}

/// That a route without an access does not compile is in `crates/tollgate/tests/ui`.
#[tokio::test]
async fn t22_every_route_of_the_inventory_demands_what_the_inventory_says() {
    let ran = Ran::default();
    let routes = |gate: &Gate| -> Routes {
        let handler = || ran.clone();
        let access = || scope("iocs:read").rate_cost(0);
        let below = gate.routes().get("/{id}", handler(), access()).delete(
            "/{id}",
            handler(),
            scope("iocs:write").rate_cost(0),
        );
        gate.routes()
            .get("/iocs", handler(), access())
            .post("/iocs", handler(), scope("iocs:write").rate_cost(0))
            .put("/put", handler(), access())
            .patch("/patch", handler(), access())
            .head("/head", handler(), access())
            .options("/options", handler(), access())
            .any("/any", handler(), access())
            .nest("/nested", below)
            .merge(gate.routes().get("/merged", handler(), access()))
            .fallback(handler(), access())
    };
    let app = TestApp::new(routes).await;
    let map = routes(&app.gate).permissions();
    let inventory: Vec<_> = map
        .rows()
        .iter()
        .map(|row| format!("{} {} {}", row.method, row.path, row.permission))
        .collect();
    assert_eq!(
        inventory,
        [
            "GET /iocs iocs:read",
            "POST /iocs iocs:write",
            "PUT /put iocs:read",
            "PATCH /patch iocs:read",
            "HEAD /head iocs:read",
            "OPTIONS /options iocs:read",
            "* /any iocs:read",
            "GET /nested/{id} iocs:read",
            "DELETE /nested/{id} iocs:write",
            "GET /merged iocs:read",
            "* * iocs:read",
        ]
    );
    let narrow = app.key("umbra", ["ai:chat"]).await.secret;
    for (number, row) in map.rows().iter().enumerate() {
        let good = app.key("umbra", [&*row.permission]).await.secret;
        let method = row.method.replace('*', "BREW");
        let path = row.path.replace("{id}", "7").replace('*', "/nowhere");
        for (key, status) in [(&narrow, 403), (&good, 200)] {
            let request = format!("{method} {path} HTTP/1.1\r\nX-API-Key: {key}\r\n\r\n");
            assert_eq!(raw(&app, request).await.status, status, "{method} {path}");
        }
        assert_eq!(ran.times(), number as u64 + 1, "{method} {path}");
    }
}
