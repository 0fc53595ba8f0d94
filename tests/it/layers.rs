//! Each layer alone, as an app would use it that wants one piece.

use std::convert::Infallible;
use std::num::NonZeroU32;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::MockConnectInfo;
use axum::routing::get;
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tollgate::access::{authenticated, scope};
use tollgate::authenticate::AuthenticateLayer;
use tollgate::client_address::{ClientAddress, ClientAddressLayer, TrustedProxies};
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::rate::RateLimit;
use tollgate::envelope::{EnvelopeLayer, Errors};
use tollgate::ip_filter::IpFilterLayer;
use tollgate::meter::CreditMeterLayer;
use tollgate::rate_limit::RateLimitLayer;
use tollgate::request_id::RequestIdLayer;
use tollgate::scope_guard::ScopeGuardLayer;
use tollgate::{Bill, Catalog, Gate, Plan, Principal};
use tower::{Layer, Service, ServiceExt};

struct Bench {
    gate: Gate,
    org: OrgId,
    secret: String,
}

impl Bench {
    async fn new() -> Self {
        let minute = std::time::Duration::from_secs(60);
        let plan = Plan::new("free").rate(RateLimit::exact(2, minute).unwrap());
        let catalog = Catalog::builder()
            .scopes(["a:read", "b:read"])
            .plan(plan)
            .build()
            .unwrap();
        let gate = Gate::builder(catalog)
            .store(MemoryStore::default())
            .build()
            .await
            .unwrap();
        let (org, actor) = (OrgId::new("acme").unwrap(), Actor::system());
        let new = NewOrganization::new(org.clone(), "free");
        gate.keyring()
            .create_organization(new, &actor)
            .await
            .unwrap();
        let rules = IpRules::allowing("192.0.2.0/24".parse().unwrap());
        let key = NewKey::new(org.clone(), "probe")
            .scopes(["a:read"])
            .ip_rules(rules);
        let issued = gate.keyring().issue(key, &actor).await.unwrap();
        let secret = issued.secret.expose().to_owned();
        Self { gate, org, secret }
    }

    fn request(&self) -> Request<Body> {
        let request = Request::get("/").header("x-api-key", &self.secret);
        request.body(Body::empty()).unwrap()
    }
}

fn nobody() -> Request<Body> {
    Request::get("/").body(Body::empty()).unwrap()
}

async fn call<S>(app: S, request: Request<Body>) -> (StatusCode, http::HeaderMap, String)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        head.status,
        head.headers,
        String::from_utf8(body.into()).unwrap(),
    )
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test]
async fn request_id_alone() {
    let (status, headers, _) = call(RequestIdLayer::new().layer(hello()), nobody()).await;
    assert_eq!((status.as_u16(), headers["x-request-id"].len()), (200, 36));
}

#[tokio::test]
async fn envelope_alone_shapes_what_the_framework_says() {
    let app = EnvelopeLayer::new(Errors::problem()).layer(hello());
    let request = Request::get("/nothing").body(Body::empty()).unwrap();
    let (status, headers, body) = call(app, request).await;
    assert_eq!(status, 404);
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(body.contains(r#""code":"not_found""#), "{body}");
}

#[tokio::test]
async fn client_address_alone_tells_the_handler() {
    let app = Router::new()
        .route(
            "/",
            get(async |address: ClientAddress| format!("{:?}", address.0)),
        )
        .layer(ClientAddressLayer::new(TrustedProxies::none()))
        .layer(MockConnectInfo(std::net::SocketAddr::from((
            [192, 0, 2, 7],
            1,
        ))));
    assert_eq!(call(app, nobody()).await.2, "Some(192.0.2.7)");
}

#[tokio::test]
async fn authenticate_alone_leaves_a_principal() {
    let bench = Bench::new().await;
    let app = Router::new()
        .route(
            "/",
            get(async |caller: Principal| caller.key_name().to_owned()),
        )
        .layer(AuthenticateLayer::new(&bench.gate));
    assert_eq!(call(app.clone(), bench.request()).await.2, "probe");
    let (status, headers, body) = call(app, nobody()).await;
    assert_eq!((status.as_u16(), &*body), (401, ""));
    assert_eq!(headers["www-authenticate"], "Bearer realm=\"api\"");
}

#[tokio::test]
async fn ip_filter_keeps_a_key_to_its_addresses() {
    let bench = Bench::new().await;
    let app = |address: [u8; 4]| {
        hello()
            .layer(IpFilterLayer::new())
            .layer(AuthenticateLayer::new(&bench.gate))
            .layer(ClientAddressLayer::new(TrustedProxies::none()))
            .layer(MockConnectInfo(std::net::SocketAddr::from((address, 1))))
    };
    assert_eq!(call(app([192, 0, 2, 7]), bench.request()).await.0, 200);
    assert_eq!(call(app([198, 51, 100, 7]), bench.request()).await.0, 403);
}

#[tokio::test]
async fn scope_guard_demands_a_scope_and_leaves_404_alone() {
    let bench = Bench::new().await;
    let app = |name: &str| {
        hello()
            .route_layer(ScopeGuardLayer::new(&bench.gate, scope(name)).unwrap())
            .layer(AuthenticateLayer::new(&bench.gate))
    };
    assert_eq!(call(app("a:read"), bench.request()).await.0, 200);
    let (status, headers, _) = call(app("b:read"), bench.request()).await;
    assert_eq!(status, 403);
    let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="b:read""#;
    assert_eq!(headers["www-authenticate"], challenge);
    let elsewhere = Request::get("/no").header("x-api-key", &bench.secret);
    assert_eq!(
        call(app("b:read"), elsewhere.body(Body::empty()).unwrap())
            .await
            .0,
        404
    );
    assert!(ScopeGuardLayer::new(&bench.gate, scope("c:read")).is_err());
}

#[tokio::test]
async fn rate_limit_alone_counts_and_says_so() {
    let bench = Bench::new().await;
    let app = hello()
        .layer(RateLimitLayer::new(&bench.gate, authenticated()).unwrap())
        .layer(AuthenticateLayer::new(&bench.gate));
    for (status, remaining) in [(200, "1"), (200, "0"), (429, "0")] {
        let (got, headers, _) = call(app.clone(), bench.request()).await;
        assert_eq!(
            (
                got.as_u16(),
                headers["x-ratelimit-remaining"].to_str().unwrap()
            ),
            (status, remaining)
        );
    }
}

#[tokio::test]
async fn credit_meter_alone_charges_success_only() {
    let bench = Bench::new().await;
    bench
        .gate
        .grant_credits(&bench.org, 10, &Actor::system())
        .await
        .unwrap();
    let app = |status: StatusCode| {
        Router::new()
            .route(
                "/",
                get(async move |bill: Bill| (status, bill.held().to_string())),
            )
            .layer(CreditMeterLayer::new(&bench.gate, authenticated().credits(4)).unwrap())
            .layer(AuthenticateLayer::new(&bench.gate))
    };
    for (handler, status, available) in [(200, 200, 6), (500, 500, 6), (200, 200, 2), (200, 402, 2)]
    {
        let handler = StatusCode::from_u16(handler).unwrap();
        assert_eq!(call(app(handler), bench.request()).await.0, status);
        let balance = bench.gate.balance(&bench.org).await.unwrap();
        assert_eq!((balance.available(), balance.held), (available, 0));
    }
}

/// A stream closes its own tab, also where nothing but the meter is laid.
#[tokio::test]
async fn the_meter_alone_charges_streams_by_what_was_delivered() {
    let bench = Bench::new().await;
    let actor = Actor::system();
    let granted = bench.gate.grant_credits(&bench.org, 7, &actor);
    granted.await.unwrap();
    let rows = async |bill: Bill| {
        let rows = futures_util::stream::iter(0..10);
        let rows = bill.meter(rows, NonZeroU32::new(2).unwrap());
        let parts = rows.map(|row| Ok::<_, Infallible>(row.map_or("!", |_| ".")));
        Body::from_stream(parts)
    };
    let access = authenticated().credits_per_item(1);
    let app = Router::new()
        .route("/", get(rows))
        .layer(CreditMeterLayer::new(&bench.gate, access).unwrap())
        .layer(AuthenticateLayer::new(&bench.gate));
    let (status, _, body) = call(app, bench.request()).await;
    assert_eq!((status.as_u16(), &*body), (200, ".......!"));
    let balance = bench.gate.balance(&bench.org).await.unwrap();
    assert_eq!((balance.settled, balance.held), (7, 0));
}

/// A layer whose predecessor is missing refuses everything, and the log says which it is.
#[tokio::test]
async fn a_layer_without_the_one_it_needs_fails_closed() {
    let bench = Bench::new().await;
    let gate = &bench.gate;
    for app in [
        hello().layer(IpFilterLayer::new()),
        hello().layer(ScopeGuardLayer::new(gate, scope("a:read")).unwrap()),
        hello().layer(RateLimitLayer::new(gate, authenticated()).unwrap()),
        hello().layer(CreditMeterLayer::new(gate, authenticated().credits(1)).unwrap()),
        Router::new().route("/", get(async |_: Principal| "open")),
        Router::new().route("/", get(async |_: Bill| "open")),
    ] {
        let (status, _, body) = call(app, bench.request()).await;
        assert_eq!((status.as_u16(), &*body), (500, ""));
    }
}
