//! An app that is put together wrongly does not start, and is told why, in one sentence each.

use tollgate::access::{Access, all_of, any_of, authenticated, optional, public, scope, session};
use tollgate::core::memory::MemoryStore;
use tollgate::{Catalog, Gate, Routes, Scope};

use crate::support::catalog;

async fn done() {}

async fn gate() -> Gate {
    gate_of(catalog()).await
}

async fn gate_of(catalog: Catalog) -> Gate {
    let builder = Gate::builder(catalog).store(MemoryStore::default());
    builder.build().await.unwrap()
}

fn problems(routes: Routes) -> Vec<String> {
    routes.into_service().unwrap_err().problems().to_vec()
}

#[tokio::test]
async fn an_access_that_cannot_be_is_told() {
    let gate = gate().await;
    let cases: [(Access, &str); 14] = [
        (
            scope("iocs:raed"),
            "scopes: `iocs:raed` is not declared; did you mean `iocs:read`?",
        ),
        (any_of(["zebra"]), "scopes: `zebra` is not declared"),
        (
            all_of(["iocs:read", "iocs:wrote"]),
            "scopes: `iocs:wrote` is not declared; did you mean `iocs:write`?",
        ),
        (
            all_of::<&str>([]),
            "it demands a scope out of none; say authenticated() or name one",
        ),
        (
            authenticated().plan("gold"),
            "plan `gold` is not declared in the catalog",
        ),
        (
            authenticated().feature("format.pdf"),
            "no plan of the catalog has the feature `format.pdf`",
        ),
        (
            authenticated().rate_class("imports"),
            "no plan of the catalog has limits for the rate class `imports`",
        ),
        (
            authenticated().rate_class("daily").rate_cost(4),
            "a rate cost of 4 can never be admitted on plan `free`, whose smallest limit is 3",
        ),
        (public().credits(1), "it has a price, but no key to charge"),
        (session().credits(1), "it has a price, but no key to charge"),
        (
            authenticated().credits_between(5, 2),
            "a price between 5 and 2 credits is none; put the smaller first",
        ),
        (
            authenticated().credits_between(0, 0),
            "a price between 0 and 0 credits is none; put the smaller first",
        ),
        (
            authenticated().credits(u64::MAX),
            "a price of 18446744073709551615 credits is above 9223372036854775807",
        ),
        (
            optional().rate_cost(6),
            "a rate cost of 6 can never be admitted on plan `free`, whose smallest limit is 5",
        ),
    ];
    for (access, problem) in cases {
        let told = problems(gate.routes().get("/a", done, access));
        assert_eq!(told[0], format!("GET /a: {problem}"));
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_is_told() {
    let gate = gate().await;
    let routes = || gate.routes();
    let get = |path: &str| routes().get(path, done, public());
    let taken = "this method is mounted on this path already";
    for (routes, problem) in [
        (get("iocs"), "GET iocs: a path starts with `/`".to_owned()),
        (
            get("/:id"),
            "GET /:id: write a parameter as `{name}` and a rest as `{*name}`".to_owned(),
        ),
        (
            get("/a").get("/a", done, public()),
            format!("GET /a: {taken}"),
        ),
        (
            get("/a").any("/a", done, public()),
            format!("* /a: {taken}"),
        ),
        (
            routes().any("/a", done, public()).put("/a", done, public()),
            format!("PUT /a: {taken}"),
        ),
        (get("/a").merge(get("/a")), format!("GET /a: {taken}")),
        (
            get("/v2/a").nest("/v2", get("/a")),
            format!("GET /v2/a: {taken}"),
        ),
        (
            routes().nest("v2", get("/a")),
            "nest `v2`: a prefix starts with `/`, has something after it and no `*`".to_owned(),
        ),
        (
            routes().fallback(done, public()).fallback(done, public()),
            "there are two fallbacks".to_owned(),
        ),
    ] {
        assert_eq!(problems(routes), [problem]);
    }
}

#[tokio::test]
async fn paths_that_collide_are_told_in_one_sentence() {
    let gate = gate().await;
    for (one, two) in [
        ("/{a}", "/{b}"),
        ("/x/{a}/y", "/x/{b}/y"),
        ("/f/{*a}", "/f/{*b}"),
    ] {
        let routes = gate.routes().get(one, done, public());
        let told = problems(routes.post(two, done, public()));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("POST {two}: ")), "{told:?}");
        assert!(told[0].contains(one), "it names the other: {told:?}");
    }
}

#[tokio::test]
async fn a_scope_that_no_route_needs_is_told_unless_it_has_a_reason() {
    let catalog = Catalog::builder()
        .scope("iocs:read")
        .scope("iocs:write")
        .scope(Scope::new("soon").reserved())
        .scope(Scope::new("once").legacy())
        .scope(
            Scope::new("both")
                .implies("iocs:read")
                .implies("iocs:write"),
        )
        .build()
        .unwrap();
    let gate = gate_of(catalog).await;
    let routes = gate.routes().get("/a", done, scope("iocs:read"));
    assert_eq!(
        problems(routes),
        ["scope `iocs:write`: no route needs it; mount one, or declare it as reserved"]
    );
}

#[tokio::test]
async fn a_session_route_without_a_provider_is_told() {
    let routes = gate().await.routes().get("/a", done, session());
    assert_eq!(
        problems(routes),
        ["a route demands a session; name a provider with `.sessions(…)`"]
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let routes = gate().await.routes().get("/a", done, scope("a").plan("b"));
    let error = routes.post("c", done, public()).into_router().unwrap_err();
    assert_eq!(error.problems().len(), 3);
    assert_eq!(error.to_string(), error.problems().join("\n"));
}

#[tokio::test]
async fn a_gate_without_a_store_is_told() {
    let error = Gate::builder(catalog()).build().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gate has no store; name one with `.store(…)`"
    );
}

#[test]
fn a_gate_outside_of_a_runtime_is_told() {
    let building = Gate::builder(catalog())
        .store(MemoryStore::default())
        .build();
    let error = futures_util::FutureExt::now_or_never(building);
    assert_eq!(
        error.unwrap().unwrap_err().to_string(),
        "a gate needs a tokio runtime; build it inside one"
    );
}

#[tokio::test]
async fn the_permission_map_says_what_every_route_demands() {
    let gate = gate().await;
    let v2 = gate
        .routes()
        .get("/iocs/{id}", done, scope("iocs:read").credits(2));
    let routes: Routes = gate
        .routes()
        .get("/health", done, public().describe("Is it up"))
        .post(
            "/chat",
            done,
            any_of(["ai:chat", "iocs:write"]).credits_between(1, 9),
        )
        .nest("/v2", v2);
    let rows: Vec<_> = routes
        .permissions()
        .rows()
        .iter()
        .map(|row| format!("{} {} {}", row.method, row.path, row.permission))
        .collect();
    assert_eq!(
        rows,
        [
            "GET /health None (public)",
            "POST /chat ai:chat or iocs:write",
            "GET /v2/iocs/{id} iocs:read",
        ]
    );
}
