//! What the whole stack adds to a request, beside what request-id and `tower_governor` add.
//!
//! `cargo bench --bench stack`. The variants take turns in one process, round after round, so
//! that whatever else the machine does hits all of them; what is told is the median round, and
//! ratios. Allocations are exact.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

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
use tower::{ServiceBuilder, ServiceExt};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_service::Service;

/// For a profiler, `ROUNDS=11 ONLY=tollgate` does.
const ROUNDS: usize = 1_001;
const REQUESTS: u32 = 256;

/// Of the design's §14: at most so many times what the two peers add, at most so many allocations.
const BUDGET: f64 = 1.25;
const ALLOCATIONS: u64 = 8;

async fn handler() -> &'static str {
    "hello"
}

struct Variant<S> {
    name: &'static str,
    service: S,
    key: Option<HeaderValue>,
    times: Vec<f64>,
    allocations: u64,
}

trait Run {
    fn name(&self) -> &'static str;
    fn round(&mut self, runtime: &tokio::runtime::Runtime);
    fn median(&mut self) -> f64;
    fn allocations(&self) -> u64;
}

impl<S> Variant<S> {
    fn boxed(name: &'static str, service: S, key: Option<HeaderValue>) -> Box<dyn Run>
    where
        Self: Run + 'static,
    {
        let (times, allocations) = (Vec::new(), 0);
        Box::new(Self {
            name,
            service,
            key,
            times,
            allocations,
        })
    }

    fn request(&self) -> Request<Body> {
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

impl<S> Run for Variant<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: std::fmt::Debug,
{
    fn name(&self) -> &'static str {
        self.name
    }

    /// The service is timed, and dropping its response, as a server would; not making requests.
    fn round(&mut self, runtime: &tokio::runtime::Runtime) {
        runtime.block_on(async {
            let requests: Vec<_> = (0..REQUESTS).map(|_| self.request()).collect();
            let started = Instant::now();
            for request in requests {
                let response = self
                    .service
                    .ready()
                    .await
                    .unwrap()
                    .call(request)
                    .await
                    .unwrap();
                assert_eq!(response.status(), 200);
                black_box(response);
            }
            let time = started.elapsed();
            self.times
                .push(time.as_secs_f64() * 1e9 / f64::from(REQUESTS));
        });
        let request = self.request();
        let counted = allocation_counter::measure(|| {
            let response = runtime.block_on(async {
                self.service
                    .ready()
                    .await
                    .unwrap()
                    .call(request)
                    .await
                    .unwrap()
            });
            black_box(&response);
        });
        self.allocations = counted.count_total;
    }

    fn median(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[self.times.len() / 2]
    }

    fn allocations(&self) -> u64 {
        self.allocations
    }
}

/// All eight jobs: a cached key, an IP list, a scope, two windows, a price, id, headers.
async fn guarded() -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible>,
    HeaderValue,
) {
    let actor = Actor::system();
    let second = std::time::Duration::from_secs(1);
    let plan = Plan::new("pro")
        .rate(RateLimit::smooth(100_000_000, second).unwrap())
        .rate(RateLimit::smooth(1_000_000_000, 60 * second).unwrap());
    let catalog = Catalog::builder()
        .scope(Scope::new("iocs:write").implies("iocs:read"))
        .scope("iocs:read")
        .plan(plan)
        .build()
        .unwrap();
    let gate = Gate::builder(catalog)
        .store(MemoryStore::default())
        .build()
        .await
        .unwrap();
    let org = OrgId::new("acme").unwrap();
    gate.keyring()
        .create_organization(NewOrganization::new(org.clone(), "pro"), &actor)
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
    (app.into_service().unwrap(), bearer)
}

/// The two jobs of the peers: an id, and one rate with headers, by the peer's address.
fn peers(
    router: Router,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible> {
    let governor = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(1_000_000_000)
        .use_headers()
        .finish()
        .unwrap();
    let stack = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(GovernorLayer::new(governor));
    router.layer(stack.into_inner())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bare = || Router::new().route("/iocs", get(handler));
    let (tollgate, bearer) = runtime.block_on(guarded());
    let outside = {
        let governor = GovernorConfigBuilder::default()
            .per_nanosecond(1)
            .burst_size(1_000_000_000)
            .use_headers()
            .finish()
            .unwrap();
        let stack = ServiceBuilder::new()
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(GovernorLayer::new(governor));
        stack.service(bare())
    };
    let mut variants = [
        Variant::boxed("bare axum", bare(), None),
        Variant::boxed(
            "request-id + tower_governor, around the router",
            outside,
            None,
        ),
        Variant::boxed(
            "request-id + tower_governor, Router::layer",
            peers(bare()),
            None,
        ),
        Variant::boxed("tollgate, the whole stack", tollgate, Some(bearer)),
    ];
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let only = std::env::var("ONLY").unwrap_or_default();
    for _ in 0..rounds {
        for variant in variants
            .iter_mut()
            .filter(|variant| variant.name().contains(&only))
        {
            variant.round(&runtime);
        }
    }
    if !only.is_empty() {
        return;
    }
    let medians: Vec<(&str, f64, u64)> = variants
        .iter_mut()
        .map(|variant| (variant.name(), variant.median(), variant.allocations()))
        .collect();
    let (_, bare, bare_allocations) = medians[0];
    println!("| variant | ns a request | added ns | added allocations |");
    println!("| --- | ---: | ---: | ---: |");
    for (name, time, allocations) in &medians {
        let added = time - bare;
        let allocated = allocations.saturating_sub(bare_allocations);
        println!("| {name} | {time:.0} | {added:.0} | {allocated} |");
    }
    let added = |at: usize| medians[at].1 - bare;
    println!(
        "\nadded by tollgate / added by the two peers in one ServiceBuilder: {:.2} around the router, {:.2} as a Router::layer; budget {BUDGET:.2}",
        added(3) / added(1),
        added(3) / added(2)
    );
    println!(
        "added allocations: {}; budget {ALLOCATIONS}",
        medians[3].2 - bare_allocations
    );
}
