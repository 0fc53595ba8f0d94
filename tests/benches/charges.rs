//! How many charges a second are durable, on SQLite.
//!
//! `cargo bench -p tollgate-tests --bench charges`. A charge is a hold and a settle, both durable,
//! at the port of the ledger, and once through the whole stack. Beside them stands what one
//! transaction for each gives: an update of the wallet and a row of the hold, committed, and the
//! same again for the settle. `SECONDS=0.2` measures each for a shorter time.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tempfile::TempDir;
use tollgate::access::authenticated;
use tollgate::core::change::Actor;
use tollgate::core::clock::{Clock, SystemClock, Timestamp};
use tollgate::core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Price, Settle, Settlement};
use tollgate::core::id::{HoldId, KeyId, OrgId, RequestId};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::{Catalog, Gate, Plan};
use tollgate_sqlx::{SqliteOptions, SqliteStore};
use tower::ServiceExt;

/// The project's budget for one hot organization, 64 at once, `FULL`.
const BUDGET: f64 = 20_000.0;
const SECONDS: f64 = 2.0;

/// What was measured of one way.
struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn main() {
    let seconds = std::env::var("SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    println!("### Durable charges\n");
    println!("| synchronous | organizations | at once | charges/s | p50 µs | p99 µs |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let (mut best, mut raw_best) = (0.0, 0.0);
    for full in [true, false] {
        let name = if full { "FULL" } else { "NORMAL" };
        let raw = runtime.block_on(raw(full, 64, time));
        row(&format!("{name}, one transaction each"), 1, 64, &raw);
        for organizations in [1, 1_000] {
            for at_once in [1, 8, 64, 512] {
                let measured = runtime.block_on(port(full, organizations, at_once, time));
                row(name, organizations, at_once, &measured);
                if full && organizations == 1 && at_once == 64 {
                    (best, raw_best) = (measured.per_second, raw.per_second);
                }
            }
        }
        let stack = runtime.block_on(stack(full, 64, time));
        row(&format!("{name}, through the stack"), 1, 64, &stack);
    }
    let met = if best >= BUDGET { "met" } else { "NOT met" };
    println!(
        "\nOne organization, 64 at once, FULL: {best:.0} a second, {:.1} times one transaction each. Budget {BUDGET:.0}: {met}.\n",
        best / raw_best
    );
}

fn row(name: &str, organizations: usize, at_once: usize, measured: &Measured) {
    let Measured {
        per_second,
        p50,
        p99,
    } = measured;
    println!("| {name} | {organizations} | {at_once} | {per_second:.0} | {p50:.0} | {p99:.0} |");
}

/// As many at once as told charge again and again; how long each charge took.
async fn measure<F, C>(at_once: usize, time: Duration, charge: F) -> Measured
where
    F: Fn(usize) -> C + Send + Sync + 'static,
    C: Future<Output = ()> + Send,
{
    let charge = Arc::new(charge);
    let started = Instant::now();
    let end = started + time;
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let charge = Arc::clone(&charge);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    charge(task).await;
                    times.push(began.elapsed().as_secs_f64() * 1e6);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Measured {
        per_second,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    }
}

async fn open(dir: &Path, full: bool) -> SqliteStore {
    let options = SqliteOptions::new(dir.join("charges.db").to_str().unwrap());
    let options = if full {
        options
    } else {
        options.synchronous_normal()
    };
    options.open().await.unwrap()
}

async fn port(full: bool, organizations: usize, at_once: usize, time: Duration) -> Measured {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), full).await;
    let clock = SystemClock::default();
    let change = |at| tollgate::core::change::Change {
        actor: Actor::system(),
        at,
        reason: None,
    };
    let names: Vec<OrgId> = (0..organizations)
        .map(|n| OrgId::new(&format!("org-{n}")).unwrap())
        .collect();
    for name in &names {
        let grant = Grant::new(name.clone(), 1 << 40);
        let granted = store.grant(grant, change(clock.now().wall));
        granted.await.unwrap();
    }
    let (names, next) = (Arc::new(names), Arc::new(AtomicU64::new(0)));
    let ledger = Arc::new(store.clone());
    let measured = measure(at_once, time, move |_| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let at = clock.now().wall;
        let organization = names[usize::try_from(n).unwrap() % names.len()].clone();
        let ledger = Arc::clone(&ledger);
        async move { charge(&ledger, organization, at).await }
    });
    let measured = measured.await;
    store.close().await;
    measured
}

async fn charge(ledger: &SqliteStore, organization: OrgId, at: Timestamp) {
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let request = HoldRequest {
        id: HoldId::from_parts(at, &random),
        organization,
        key: KeyId::from_bytes([1; 16]),
        route: "POST /enrichment/lookup".into(),
        request_id: RequestId::new(b"01a1fef7-85c5-7f1d-8421-8ee6756b2040"),
        price: Price::Fixed(1),
        least: 1,
        most: 1,
        at,
        deadline: at.after(Duration::from_secs(60)),
        allowance: None,
        idempotency: None,
    };
    let held = ledger.hold(&request).await.unwrap();
    assert!(matches!(held, HoldAnswer::Held { .. }), "{held:?}");
    let settle = Settle {
        id: request.id,
        credits: 1,
        at,
        outcome: None,
    };
    let settled = ledger.settle(settle).await.unwrap();
    assert_eq!(settled, Settlement::Settled { charged: 1 });
}

/// An update and a row, committed; and again.
async fn raw(full: bool, at_once: usize, time: Duration) -> Measured {
    let dir = TempDir::new().unwrap();
    let synchronous = if full {
        SqliteSynchronous::Full
    } else {
        SqliteSynchronous::Normal
    };
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options).await.unwrap();
    let schema = "CREATE TABLE wallet (id INTEGER PRIMARY KEY, settled INTEGER, held INTEGER);
        INSERT INTO wallet VALUES (1, 0, 0);
        CREATE TABLE hold (id INTEGER PRIMARY KEY, state TEXT, credits INTEGER);";
    sqlx::raw_sql(schema).execute(&pool).await.unwrap();
    let writer = pool.clone();
    let next = Arc::new(AtomicU64::new(0));
    let measured = measure(at_once, time, move |_| {
        let id = i64::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
        let pool = writer.clone();
        async move {
            for sql in [
                [
                    "UPDATE wallet SET held = held + 1 WHERE id = 1",
                    "INSERT INTO hold VALUES ($1, 'open', 1)",
                ],
                [
                    "UPDATE wallet SET held = held - 1, settled = settled + 1 WHERE id = 1",
                    "UPDATE hold SET state = 'settled' WHERE id = $1",
                ],
            ] {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query(sql[0])
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                let row = sqlx::query(sql[1]).bind(id);
                row.execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }
    })
    .await;
    pool.close().await;
    measured
}

/// Requests that answer when their charge is durable.
async fn stack(full: bool, at_once: usize, time: Duration) -> Measured {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path(), full).await;
    let catalog = Catalog::builder().plan(Plan::new("pro")).build().unwrap();
    let gate = Gate::builder(catalog).store(store.clone()).build();
    let gate = gate.await.unwrap();
    let (org, actor) = (OrgId::new("acme").unwrap(), Actor::system());
    let new = NewOrganization::new(org.clone(), "pro");
    gate.keyring()
        .create_organization(new, &actor)
        .await
        .unwrap();
    gate.grant_credits(&org, 1 << 40, &actor).await.unwrap();
    let issued = gate.keyring().issue(NewKey::new(org, "bench"), &actor);
    let secret = issued.await.unwrap().secret.expose().to_owned();
    let access = authenticated().credits(1).settle_before_reply();
    let routes = gate.routes().get("/", async || "hello", access);
    let service = routes.into_service().unwrap();
    let measured = measure(at_once, time, move |_| {
        let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
        let request = Request::get("/").extension(ConnectInfo(peer));
        let request = request.header("x-api-key", &secret);
        let answer = service
            .clone()
            .oneshot(request.body(Body::empty()).unwrap());
        async move { assert_eq!(answer.await.unwrap().status(), 200) }
    })
    .await;
    gate.shutdown().await;
    store.close().await;
    measured
}
