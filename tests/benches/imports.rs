//! How fast keys of another system are imported on SQLite, and what becomes of charges meanwhile.
//!
//! `cargo bench -p tollgate-tests --bench imports`. A million keys of a hundred organizations, each
//! by its digest, into a file whose every commit waits for the disk; two clients charge all the
//! while, one through the importing store, one through another on the same file, as another process
//! has it. `KEYS=100000` imports fewer. Ends in failure if a charge took longer than a second, or
//! fewer than 50,000 keys a second came.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tollgate::Catalog;
use tollgate::core::catalog::KeyFormatSpec;
use tollgate::core::change::{Actor, Change};
use tollgate::core::clock::{Clock, SystemClock};
use tollgate::core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Settle};
use tollgate::core::id::{HoldId, OrgId};
use tollgate::core::keyring::{ForeignKey, Keyring, NewKey, NewOrganization};
use tollgate::core::plan::Plan;
use tollgate::core::scope::Scope;
use tollgate::core::secret::{Digester, KeyDigest};
use tollgate::core::store::KeyStore;
use tollgate_sqlx::SqliteStore;
use tollgate_testkit::records::hold_request;

const KEYS: u64 = 1_000_000;
const BATCH: u64 = 100_000;
const ORGANIZATIONS: u64 = 100;
const PER_SECOND: f64 = 50_000.0;
const DEADLINE: Duration = Duration::from_secs(1);
const LOOKUPS: u64 = 20_000;

/// Charges one credit after another, and says how many and how long the slowest took.
fn charge(store: SqliteStore, stop: Arc<AtomicBool>) -> JoinHandle<(u64, Duration)> {
    let clock = SystemClock::default();
    tokio::spawn(async move {
        let (mut charges, mut slowest) = (0, Duration::ZERO);
        while !stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            let now = clock.now().wall;
            let request = HoldRequest {
                id: HoldId::new(now).unwrap(),
                at: now,
                deadline: now.after(Duration::from_secs(60)),
                ..hold_request(0, "org0", 1, 1)
            };
            let held = store.hold(&request).await.unwrap();
            assert!(matches!(held, HoldAnswer::Held { .. }), "{held:?}");
            let settle = Settle {
                id: request.id,
                credits: 1,
                at: now,
                outcome: None,
                parts: Vec::new(),
            };
            store.settle(settle).await.unwrap();
            slowest = slowest.max(started.elapsed());
            charges += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (charges, slowest)
    })
}

fn digest(n: u64) -> KeyDigest {
    Digester::sha256().digest(&format!("oldco_{n:020}"))
}

fn record(n: u64) -> ForeignKey {
    let organization = OrgId::new(&format!("org{}", n / 100 % ORGANIZATIONS)).unwrap();
    let key = NewKey::new(organization, format!("service key number {n}"));
    ForeignKey::new(key.scopes(["iocs:read", "iocs:write"]), digest(n))
}

async fn keyring(store: &Arc<SqliteStore>) -> Keyring {
    let catalog = Catalog::builder()
        .scope(Scope::new("iocs:read"))
        .scope(Scope::new("iocs:write"))
        .plan(Plan::new("free"))
        .key_format(KeyFormatSpec::default().foreign("oldco_"))
        .build()
        .unwrap();
    let clock = Arc::new(SystemClock::default());
    let keyring = Keyring::new(Arc::clone(store) as _, catalog, Digester::sha256(), clock);
    for n in 0..ORGANIZATIONS {
        let organization = OrgId::new(&format!("org{n}")).unwrap();
        let new = NewOrganization::new(organization, "free");
        keyring.create_organization(new, &actor()).await.unwrap();
    }
    keyring
}

fn actor() -> Actor {
    Actor::named("bench")
}

/// Microseconds that a look-up in the store takes, the median.
async fn lookup(store: &SqliteStore, keys: u64) -> f64 {
    let mut times = Vec::new();
    for n in 0..LOOKUPS {
        let digest = digest(n * 7_919 % keys);
        let started = Instant::now();
        store.find(&digest).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).unwrap().as_secs_f64() * 1e6
}

/// The most megabytes that this process ever had.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() / 1024
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let keys = std::env::var("KEYS").map_or(KEYS, |keys| keys.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.db").display().to_string();
    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let keyring = keyring(&store).await;
    let clock = SystemClock::default();
    let change = Change {
        actor: actor(),
        at: clock.now().wall,
        reason: None,
    };
    let grant = Grant::new(OrgId::new("org0").unwrap(), 1_000_000_000);
    store.grant(grant, change).await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let other = SqliteStore::open(&path).await.unwrap();
    let clients = [
        (
            "the importing store",
            charge((*store).clone(), Arc::clone(&stop)),
        ),
        (
            "another store on the file",
            charge(other, Arc::clone(&stop)),
        ),
    ];
    let mut adding = Duration::ZERO;
    let importer = keyring.importer(Arc::clone(&store) as _);
    let mut import = importer.begin(&actor()).await.unwrap();
    let mut first = 0;
    while first < keys {
        let records: Vec<_> = (first..keys.min(first + BATCH)).map(record).collect();
        first += BATCH;
        let started = Instant::now();
        let refused = import.add(records).await.unwrap();
        adding += started.elapsed();
        assert!(refused.is_empty(), "{refused:?}");
    }
    let started = Instant::now();
    assert_eq!(import.activate().await.unwrap(), keys);
    let activation = started.elapsed();
    stop.store(true, Ordering::Relaxed);

    let rate = keys as f64 / (adding + activation).as_secs_f64();
    println!("### An import of {keys} keys\n");
    println!("| keys/s | activation ms | peak MiB | look-up µs, median |");
    println!("| ---: | ---: | ---: | ---: |");
    let (ms, peak) = (activation.as_secs_f64() * 1e3, peak());
    let lookup = lookup(&store, keys).await;
    println!("| {rate:.0} | {ms:.0} | {peak} | {lookup:.1} |");
    println!("\n| charges meanwhile through | charges | slowest ms |\n| --- | ---: | ---: |");
    let mut met = rate >= PER_SECOND;
    for (name, client) in clients {
        let (charges, slowest) = client.await.unwrap();
        println!(
            "| {name} | {charges} | {:.0} |",
            slowest.as_secs_f64() * 1e3
        );
        met &= slowest < DEADLINE;
    }
    let told = if met { "met" } else { "NOT met" };
    println!("\nBudget of {PER_SECOND} keys a second, and of a second for each charge: {told}.\n");
    ExitCode::from(u8::from(!met))
}
