//! The apps that are compared: bare, with the two peers, and with the whole stack.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{HeaderValue, Request, Response};
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, Plan, Scope};
use tower::util::BoxService;
use tower::{ServiceBuilder, ServiceExt};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

/// The design's §14: at most so many times what the two peers add, at most so many allocations.
pub(crate) const TIMES: f64 = 1.25;
pub(crate) const ALLOCATIONS: u64 = 8;

/// One app and a request for it. Each is boxed once, at the same price for all.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) service: BoxService<Request<Body>, Response<Body>, Infallible>,
    key: Option<HeaderValue>,
}

impl Variant {
    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/iocs");
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(key) = &self.key {
            request.headers_mut().insert("authorization", key.clone());
        }
        request
    }
}

/// Bare axum first, the whole stack last; the two peers in between, laid in two ways.
pub(crate) async fn all() -> [Variant; 4] {
    let (tollgate, key) = tollgate().await;
    let variant = |name, service, key| Variant { name, service, key };
    [
        variant("bare axum", bare().boxed(), None),
        variant(
            "request-id + tower_governor, around the router",
            around(),
            None,
        ),
        variant(
            "request-id + tower_governor, by Router::layer",
            within(),
            None,
        ),
        variant("tollgate, the whole stack", tollgate, Some(key)),
    ]
}

async fn handler() -> &'static str {
    "hello"
}

fn bare() -> Router {
    Router::new().route("/iocs", get(handler))
}

/// The two jobs of the peers: an id, and one rate with headers, by the peer's address.
macro_rules! peers {
    () => {{
        let governor = GovernorConfigBuilder::default()
            .per_nanosecond(1)
            .burst_size(1_000_000_000)
            .use_headers()
            .finish()
            .unwrap();
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(GovernorLayer::new(governor))
    }};
}

fn around() -> BoxService<Request<Body>, Response<Body>, Infallible> {
    peers!().service(bare()).boxed()
}

fn within() -> BoxService<Request<Body>, Response<Body>, Infallible> {
    bare().layer(peers!()).boxed()
}

/// All eight jobs: a cached key, an IP list, a scope, two windows, a price, id, headers.
async fn tollgate() -> (
    BoxService<Request<Body>, Response<Body>, Infallible>,
    HeaderValue,
) {
    let (actor, second) = (Actor::system(), Duration::from_secs(1));
    let plan = Plan::new("pro")
        .rate(RateLimit::smooth(100_000_000, second).unwrap())
        .rate(RateLimit::smooth(1_000_000_000, 60 * second).unwrap());
    let catalog = Catalog::builder()
        .scope(Scope::new("iocs:write").implies("iocs:read"))
        .scope("iocs:read")
        .plan(plan)
        .build()
        .unwrap();
    let gate = Gate::builder(catalog).store(MemoryStore::default());
    let gate = gate.build().await.unwrap();
    let org = OrgId::new("acme").unwrap();
    let new = NewOrganization::new(org.clone(), "pro");
    gate.keyring()
        .create_organization(new, &actor)
        .await
        .unwrap();
    gate.grant_credits(&org, 1 << 60, &actor).await.unwrap();
    let rules = IpRules::allowing("192.0.2.0/24, 198.51.100.7".parse().unwrap());
    let key = NewKey::new(org, "bench")
        .scopes(["iocs:write"])
        .ip_rules(rules);
    let issued = gate.keyring().issue(key, &actor).await.unwrap();
    let bearer = format!("Bearer {}", issued.secret.expose())
        .parse()
        .unwrap();
    let app = gate
        .routes()
        .get("/iocs", handler, scope("iocs:read").credits(1));
    (app.into_service().unwrap().boxed(), bearer)
}
