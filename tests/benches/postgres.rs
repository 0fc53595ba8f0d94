//! What one node does on PostgreSQL, beside what the database itself does.
//!
//! `cargo bench -p tollgate-tests --bench postgres`. Starts a throw-away server that waits for its
//! disk. A charge is a hold and a settle, both durable, at the port of the ledger; beside it stands
//! one transaction for each. A look-up finds a key by its digest, as a request does whose key is
//! not in the cache, each time another one; beside it stands a `SELECT` of one row. All take turns;
//! `SECONDS=0.2` measures each for a shorter time, `ROUNDS=1` once,
//! `ONLY=cold` those whose name has it, as in `ONLY="hot organization, 64"`. Ends in failure if the
//! charges of one organization are fewer than the budget.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use tollgate::Catalog;
use tollgate::Plan;
use tollgate::core::catalog::KeyFormatSpec;
use tollgate::core::change::Actor;
use tollgate::core::clock::SystemClock;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{ForeignKey, Keyring, NewKey, NewOrganization};
use tollgate::core::secret::{Digester, KeyDigest};
use tollgate::core::store::KeyStore;
use tollgate_servers::Postgres;
use tollgate_sqlx::PostgresStore;

#[path = "shared/at_once.rs"]
mod at_once;
#[path = "shared/charging.rs"]
#[expect(
    dead_code,
    reason = "SQLite's and HTTP's are measured by another bench"
)]
mod charging;

use at_once::{Measured, Work, measure, median, work};
use charging::Port;

/// The project's budget for one hot organization, 64 at once, at the port.
const BUDGET: f64 = 10_000.0;
const SECONDS: f64 = 2.0;
const ROUNDS: usize = 5;
const KEYS: u64 = 100_000;

struct Row {
    name: &'static str,
    at_once: usize,
    once: Work,
    rounds: Vec<Measured>,
}

const RAW_CHARGE: &str = "durable charges, one transaction each";
const CHARGES: &str = "durable charges, one hot organization";
const OF_MANY: &str = "durable charges, 1,000 organizations";
const RAW_LOOKUP: &str = "one row by its key";
const LOOKUPS: &str = "look-ups on a cold cache";
/// What is measured, by how many at once.
const ROWS: [(&str, &[usize]); 5] = [
    (RAW_CHARGE, &[64]),
    (CHARGES, &[1, 8, 64, 512]),
    (OF_MANY, &[1, 8, 64, 512]),
    (RAW_LOOKUP, &[1, 64]),
    (LOOKUPS, &[1, 8, 64]),
];

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let seconds = std::env::var("SECONDS").map_or(SECONDS, |it| it.parse().unwrap());
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let server = Postgres::durable();
    let mut rows = rows(&server).await;
    for _ in 0..rounds {
        for row in &mut rows {
            let time = Duration::from_secs_f64(seconds);
            row.rounds
                .push(measure(row.at_once, time, Arc::clone(&row.once)).await);
        }
    }
    println!("### One node on PostgreSQL {}\n", server.major());
    println!("| | at once | a second | p50 µs | p99 µs |\n| --- | ---: | ---: | ---: | ---: |");
    for row in &rows {
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} |",
            row.name,
            row.at_once,
            median(&row.rounds, |it| it.per_second),
            median(&row.rounds, |it| it.p50),
            median(&row.rounds, |it| it.p99),
        );
    }
    if std::env::var("ONLY").is_ok() {
        return ExitCode::SUCCESS;
    }
    let of = |name: &str| {
        let mut found = rows
            .iter()
            .filter(|row| row.at_once == 64 && row.name == name);
        median(&found.next().unwrap().rounds, |it| it.per_second)
    };
    let (charges, raw) = (of(CHARGES), of(RAW_CHARGE));
    let met = charges >= BUDGET;
    println!(
        "\nMedians of {rounds} rounds in turn, server and node on the same machine. One hot organization, 64 at once: {charges:.0} charges a second, {:.1} times one transaction each. Budget {BUDGET:.0}: {}. A look-up on a cold cache takes {:.2} times as long as one row, 64 at once.\n",
        charges / raw,
        if met { "met" } else { "NOT met" },
        of(RAW_LOOKUP) / of(LOOKUPS),
    );
    ExitCode::from(u8::from(!met))
}

async fn rows(server: &Postgres) -> Vec<Row> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let is_asked =
        |name: &str, at_once: usize| format!("{name}, {at_once} at once").contains(&only);
    let mut rows = Vec::new();
    for (name, counts) in ROWS {
        let counts = counts.iter().filter(|count| is_asked(name, **count));
        let counts: Vec<usize> = counts.copied().collect();
        if counts.is_empty() {
            continue;
        }
        let once = prepare(name, server).await;
        rows.extend(counts.into_iter().map(|at_once| Row {
            name,
            at_once,
            once: Arc::clone(&once),
            rounds: Vec::new(),
        }));
    }
    rows
}

/// What is measured, on a database of its own.
async fn prepare(name: &str, server: &Postgres) -> Work {
    let url = server.fresh();
    if name == RAW_CHARGE || name == RAW_LOOKUP {
        let raw = Arc::new(Raw::new(&url).await);
        return match name {
            RAW_CHARGE => work(move |_| Arc::clone(&raw).charge()),
            _ => work(move |_| Arc::clone(&raw).row()),
        };
    }
    let store = PostgresStore::open(&url).await.unwrap();
    if name == LOOKUPS {
        let keys = Arc::new(Keys::new(store).await);
        return work(move |_| Arc::clone(&keys).find());
    }
    let organizations = if name == OF_MANY { 1_000 } else { 1 };
    let port = Arc::new(Port::on(Arc::new(store), organizations).await);
    work(move |_| Arc::clone(&port).charge())
}

/// The database by itself.
struct Raw {
    pool: PgPool,
    next: AtomicUsize,
}

impl Raw {
    async fn new(url: &str) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect(url)
            .await
            .unwrap();
        let schema = "CREATE TABLE wallet (id BIGINT PRIMARY KEY, settled BIGINT, held BIGINT);
            INSERT INTO wallet VALUES (1, 0, 0);
            CREATE TABLE hold (id BIGINT PRIMARY KEY, state TEXT, credits BIGINT);
            CREATE TABLE key (id BIGINT PRIMARY KEY, name TEXT);
            INSERT INTO key SELECT n, 'key ' || n FROM generate_series(1, 100000) AS n;";
        sqlx::raw_sql(schema).execute(&pool).await.unwrap();
        Self {
            pool,
            next: AtomicUsize::new(0),
        }
    }

    async fn charge(self: Arc<Self>) {
        let id = i64::try_from(self.next.fetch_add(1, Ordering::Relaxed)).unwrap();
        for [wallet, hold] in [
            [
                "UPDATE wallet SET held = held + 1 WHERE id = 1",
                "INSERT INTO hold VALUES ($1, 'open', 1)",
            ],
            [
                "UPDATE wallet SET held = held - 1, settled = settled + 1 WHERE id = 1",
                "UPDATE hold SET state = 'settled' WHERE id = $1",
            ],
        ] {
            let mut transaction = self.pool.begin().await.unwrap();
            let wallet = sqlx::query(wallet).execute(&mut *transaction);
            wallet.await.unwrap();
            let hold = sqlx::query(hold).bind(id).execute(&mut *transaction);
            hold.await.unwrap();
            transaction.commit().await.unwrap();
        }
    }

    async fn row(self: Arc<Self>) {
        let id = i64::try_from(self.next.fetch_add(7_919, Ordering::Relaxed) % 100_000).unwrap();
        let row = sqlx::query("SELECT id, name FROM key WHERE id = $1").bind(id + 1);
        row.fetch_one(&self.pool).await.unwrap();
    }
}

/// Keys that nobody has in memory.
struct Keys {
    store: Arc<PostgresStore>,
    next: AtomicU64,
}

impl Keys {
    async fn new(store: PostgresStore) -> Self {
        let store = Arc::new(store);
        let clock = Arc::new(SystemClock::default());
        let catalog = Catalog::builder().plan(Plan::new("free"));
        let format = KeyFormatSpec::default().foreign("oldco_");
        let catalog = catalog.key_format(format).build().unwrap();
        let keyring = Keyring::new(
            Arc::clone(&store) as _,
            catalog,
            Digester::sha256(),
            Arc::clone(&clock) as _,
        );
        let organization = OrgId::new("acme").unwrap();
        let new = NewOrganization::new(organization.clone(), "free");
        let actor = Actor::system();
        keyring.create_organization(new, &actor).await.unwrap();
        let importer = keyring.importer(Arc::clone(&store) as _);
        let mut import = importer.begin(&actor).await.unwrap();
        let record = |n| {
            let key = NewKey::new(organization.clone(), format!("key {n}"));
            ForeignKey::new(key, digest(n))
        };
        let refused = import.add((0..KEYS).map(record).collect()).await.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        import.activate().await.unwrap();
        Self {
            store,
            next: AtomicU64::new(0),
        }
    }

    async fn find(self: Arc<Self>) {
        let n = self.next.fetch_add(7_919, Ordering::Relaxed) % KEYS;
        assert!(self.store.find(&digest(n)).await.unwrap().is_some());
    }
}

fn digest(n: u64) -> KeyDigest {
    Digester::sha256().digest(&format!("key {n}"))
}
