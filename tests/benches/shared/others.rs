//! What there is without Tollgate: nothing, two well-known layers, or a stack of one's own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, StatusCode};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use tollgate::core::ip::IpList;
use tower::ServiceBuilder;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::variant::{Keys, Variant};

pub(crate) async fn handler() -> &'static str {
    "hello"
}

pub(crate) fn bare() -> Variant {
    Variant::new("bare axum", router(), Keys::Unread)
}

pub(crate) fn router() -> Router {
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

/// Two jobs, by three layers in one `ServiceBuilder`, laid around the router.
pub(crate) fn peers_around() -> Variant {
    let name = "request-id + tower_governor, around the router";
    Variant::new(name, peers!().service(router()), Keys::Unread)
}

/// The same, laid as their docs show it.
pub(crate) fn peers_within() -> Variant {
    let name = "request-id + tower_governor, one Router::layer";
    Variant::new(name, peers_router(), Keys::Unread)
}

pub(crate) fn peers_router() -> Router {
    router().layer(peers!())
}

/// The same, each layer by itself.
pub(crate) fn peers_apart() -> Variant {
    let governor = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(1_000_000_000)
        .use_headers()
        .finish()
        .unwrap();
    let app = router()
        .layer(GovernorLayer::new(governor))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid));
    let name = "request-id + tower_governor, Router::layer each";
    Variant::new(name, app, Keys::Unread)
}

/// What an engineer would write for the eight jobs, one function for each.
#[derive(Clone)]
struct Own {
    keys: Cache<[u8; 32], Arc<Caller>>,
    limiter: Arc<DefaultKeyedRateLimiter<String>>,
}

struct Caller {
    organization: String,
    scopes: Vec<String>,
    addresses: IpList,
    credits: AtomicI64,
}

pub(crate) fn hand_written() -> Variant {
    let (app, key) = own_router();
    Variant::new("a stack of one's own, of from_fn", app, Keys::Same(key))
}

/// The app, and how its key is sent.
pub(crate) fn own_router() -> (Router, HeaderValue) {
    let key = "sk_live_0123456789abcdefghijABCDEFGHIJ0123456789";
    let quota = Quota::per_second(NonZeroU32::new(100_000_000).unwrap());
    let own = Own {
        keys: Cache::new(1_000_000),
        limiter: Arc::new(RateLimiter::keyed(quota)),
    };
    let caller = Caller {
        organization: "acme".to_owned(),
        scopes: vec!["iocs:read".to_owned(), "iocs:write".to_owned()],
        addresses: "127.0.0.0/8, 192.0.2.0/24".parse().unwrap(),
        credits: AtomicI64::new(1 << 60),
    };
    let digest: [u8; 32] = Sha256::digest(key).into();
    own.keys.insert(digest, Arc::new(caller));
    let app = Router::new()
        .route("/iocs", get(handler))
        .route_layer(from_fn(credits))
        .route_layer(from_fn_with_state(own.clone(), rate))
        .route_layer(from_fn(scopes))
        .route_layer(from_fn(addresses))
        .route_layer(from_fn_with_state(own, authenticate))
        .layer(
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
                .layer(PropagateRequestIdLayer::x_request_id()),
        );
    let bearer = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
    (app, bearer)
}

async fn authenticate(State(own): State<Own>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get("authorization");
    let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = token else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let digest: [u8; 32] = Sha256::digest(token).into();
    let Some(caller) = own.keys.get(&digest) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        "cache-control",
        HeaderValue::from_static("private, no-store"),
    );
    headers.insert("vary", HeaderValue::from_static("authorization"));
    response
}

fn caller(request: &Request) -> Option<&Arc<Caller>> {
    request.extensions().get::<Arc<Caller>>()
}

async fn addresses(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    match (peer, caller(&request)) {
        (Some(peer), Some(caller)) if caller.addresses.contains(peer.0.ip()) => {
            next.run(request).await
        }
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn scopes(request: Request, next: Next) -> Response {
    match caller(&request) {
        Some(caller) if caller.scopes.iter().any(|scope| scope == "iocs:read") => {
            next.run(request).await
        }
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn rate(State(own): State<Own>, request: Request, next: Next) -> Response {
    let Some(caller) = caller(&request) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if own.limiter.check_key(&caller.organization).is_err() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(100_000_000_u32));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(99_999_999_u32));
    headers.insert("x-ratelimit-reset", HeaderValue::from(1_700_000_000_u32));
    response
}

async fn credits(request: Request<Body>, next: Next) -> Response {
    let Some(caller) = caller(&request).cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if caller.credits.fetch_sub(1, Ordering::SeqCst) <= 0 {
        caller.credits.fetch_add(1, Ordering::SeqCst);
        return StatusCode::PAYMENT_REQUIRED.into_response();
    }
    let response = next.run(request).await;
    if !response.status().is_success() {
        caller.credits.fetch_add(1, Ordering::SeqCst);
    }
    response
}
