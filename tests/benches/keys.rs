//! What a million cached keys cost, in time and in memory, beside ten thousand and one.
//!
//! `cargo bench -p tollgate-counts --bench keys`. Fails if a key takes more than the project's
//! budget of 700 bytes. `KEYS=100000` makes the largest number smaller, and a key dearer: tables
//! double when they are full, so what a key takes depends on how full they are.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

#[path = "shared/any_key.rs"]
mod any_key;
#[path = "shared/resident.rs"]
mod resident;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use any_key::AnyKey;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderValue, Request};
use resident::resident;
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate::core::ip::IpRules;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::rate::RateLimit;
use tollgate::{CacheSettings, Catalog, Gate, GateService, Plan, Scope};
use tower::{Service, ServiceExt};

const KEYS: usize = 1_000_000;
/// Asks this program, in a process of its own, for one row.
const ROW: &str = "TOLLGATE_BENCH_ROW";
const FEW: usize = 10_000;
const BATCH: usize = 256;
const ROUNDS: usize = 2_000;
const MOST_BYTES: f64 = 700.0;
const MOST_TIMES: f64 = 2.0;

struct Measured {
    nanos: f64,
    bytes: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Ok(row) = std::env::var(ROW) {
        let (keys, addresses) = row.split_once(' ').unwrap();
        let Measured { nanos, bytes } = measure(keys.parse().unwrap(), addresses).await;
        println!("{nanos} {bytes}");
        return;
    }
    let most = std::env::var("KEYS").map_or(KEYS, |keys| keys.parse().unwrap());
    println!("### Many cached keys\n");
    println!("| keys | ns a request | resident bytes a key |");
    println!("| --- | ---: | ---: |");
    row("1", 1, "");
    let few = row(&format!("{FEW}"), FEW, "");
    let many = row(&format!("{most}"), most, "");
    let addresses = "192.0.2.0/24, 198.51.100.7";
    row(
        &format!("{most}, with a list of addresses each"),
        most,
        addresses,
    );
    let times = many.nanos / few.nanos;
    let met = if times <= MOST_TIMES {
        "met"
    } else {
        "NOT met"
    };
    println!(
        "\n{most} keys against {FEW}: {times:.2} times the time. Budget {MOST_TIMES:.1}: {met}."
    );
    println!("Budget of memory: {MOST_BYTES:.0} bytes a key, its record included.\n");
    assert!(many.bytes <= MOST_BYTES, "{:.0} bytes a key", many.bytes);
}

/// Measured in a process of its own: what another left free, it would fill unseen.
fn row(name: &str, keys: usize, addresses: &str) -> Measured {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let output = program.env(ROW, format!("{keys} {addresses}")).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let (nanos, bytes) = output.trim().split_once(' ').unwrap();
    let (nanos, bytes) = (nanos.parse().unwrap(), bytes.parse().unwrap());
    let shown = if keys < FEW {
        "–".to_owned()
    } else {
        format!("{bytes:.0}")
    };
    println!("| {name} | {nanos:.0} | {shown} |");
    Measured { nanos, bytes }
}

async fn measure(keys: usize, addresses: &str) -> Measured {
    let mut service = service(keys, addresses).await;
    let format = KeyFormat::new(&Catalog::builder().build().unwrap().keys().format);
    let bearer = |secret: &str| HeaderValue::try_from(format!("Bearer {secret}")).unwrap();
    let keys: Vec<HeaderValue> = (0..keys)
        .map(|_| bearer(format.generate("live").unwrap().secret.expose()))
        .collect();
    let before = resident();
    for batch in keys.chunks(BATCH) {
        for key in batch {
            call(&mut service, request(key)).await;
        }
        // What goes on between requests, such as writing usage, is to go on.
        tokio::task::yield_now().await;
    }
    let grown = resident().saturating_sub(before);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // Any key may come next; a stride that shares no factor with their number visits all.
        let requests: Vec<Request<Body>> = (0..BATCH)
            .map(|at| request(&keys[(round * BATCH + at) * 7_919 % keys.len()]))
            .collect();
        let started = Instant::now();
        for request in requests {
            call(&mut service, request).await;
        }
        rounds.push(started.elapsed().as_secs_f64() * 1e9 / BATCH as f64);
        tokio::task::yield_now().await;
    }
    Measured {
        nanos: median(rounds),
        bytes: grown as f64 / keys.len() as f64,
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

async fn call(service: &mut GateService<Router>, request: Request<Body>) {
    let ready = ServiceExt::<Request<Body>>::ready(service).await.unwrap();
    let response = ready.call(request).await.unwrap();
    assert_eq!(response.status(), 200);
}

fn request(key: &HeaderValue) -> Request<Body> {
    let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
    Request::get("/iocs")
        .extension(ConnectInfo(peer))
        .header("authorization", key.clone())
        .body(Body::empty())
        .unwrap()
}

/// The whole stack over a store that knows every key.
async fn service(keys: usize, addresses: &str) -> GateService<Router> {
    let second = Duration::from_secs(1);
    let plan = Plan::new("pro")
        .rate(RateLimit::smooth(100_000_000, second).unwrap())
        .rate(RateLimit::smooth(1_000_000_000, 60 * second).unwrap());
    let catalog = Catalog::builder()
        .scope(Scope::new("iocs:write").implies("iocs:read").reserved())
        .scope("iocs:read")
        .plan(plan)
        .build()
        .unwrap();
    let cache = CacheSettings::new()
        .with_capacity(keys as u64)
        .with_max_age(3600 * second);
    let gate = Gate::builder(catalog.clone())
        .store(MemoryStore::default())
        .key_store(AnyKey(record(catalog, addresses).await))
        .cache(cache)
        .build()
        .await
        .unwrap();
    let routes = gate.routes().get("/iocs", handler, scope("iocs:read"));
    routes.into_service().unwrap()
}

async fn handler() -> &'static str {
    "hello"
}

/// A usual record.
async fn record(catalog: Catalog, addresses: &str) -> tollgate::core::record::KeyRecord {
    let gate = Gate::builder(catalog).store(MemoryStore::default());
    let gate = gate.build().await.unwrap();
    let (actor, org) = (Actor::system(), OrgId::new("acme").unwrap());
    let new = NewOrganization::new(org.clone(), "pro").resource("domain", "acme.example");
    let made = gate.keyring().create_organization(new, &actor).await;
    made.unwrap();
    let rules = IpRules::allowing(addresses.parse().unwrap());
    let new = NewKey::new(org, "bench")
        .scopes(["iocs:write"])
        .ip_rules(rules);
    let issued = gate.keyring().issue(new, &actor).await.unwrap();
    tollgate::core::record::KeyRecord {
        key: issued.key.clone(),
        organization: gate
            .keyring()
            .organization(&issued.key.organization)
            .await
            .unwrap(),
        secret_valid_until: None,
    }
}
