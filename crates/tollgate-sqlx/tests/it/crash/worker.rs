//! What the process does until it is killed.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};
use tollgate_core::clock::{Clock, SystemClock, Timestamp};
use tollgate_core::credits::{Extension, HoldAnswer, HoldRequest, Ledger, Settle};
use tollgate_core::error::StoreError;
use tollgate_core::id::HoldId;
use tollgate_sqlx::AnyStore;
use tollgate_testkit::records::{hold_request, org};

use crate::open;

pub(super) const ORGANIZATIONS: [&str; 4] = ["acme", "bolt", "core", "dune"];
/// How long a hold stays open by itself.
pub(super) const LIFETIME: Duration = Duration::from_secs(2);
pub(super) const TASKS: usize = 8;
/// What a line begins with that is no chatter of the harness.
pub(super) const TOLD: &str = "told: ";

pub(super) fn now() -> Timestamp {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);
    CLOCK.now().wall
}

/// Charges, on such a ledger, until killed; after half a minute it is tired of waiting.
pub(super) fn work(database: &str, ledger: &str) {
    // The harness may have begun a line.
    std::io::stdout().write_all(b"\n").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match ledger {
            "sound" | "tells_early" => {
                let store = open(database).await;
                for _ in 0..TASKS {
                    tokio::spawn(charge(store.clone(), ledger == "tells_early"));
                }
            }
            "two_commits" => {
                tokio::spawn(charge_in_parts(pool(database)));
            }
            "reads_then_writes" => {
                let pool = pool(database);
                for _ in 0..TASKS {
                    tokio::spawn(charge_in_parts(pool.clone()));
                }
            }
            _ => panic!("`{ledger}` is no ledger"),
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
}

/// Writes one line at once: it is told whole or not at all.
fn tell(line: &str) {
    let line = format!("{TOLD}{line}\n");
    let mut stdout = std::io::stdout().lock();
    // Nobody listens any more once the parent is gone.
    if stdout.write_all(line.as_bytes()).is_err() || stdout.flush().is_err() {
        std::process::exit(2);
    }
}

async fn charge(store: AnyStore, early: bool) {
    loop {
        if let Err(error) = charge_once(&store, early).await {
            tell(&format!("failed {error}"));
        }
    }
}

async fn charge_once(store: &AnyStore, early: bool) -> Result<(), StoreError> {
    let (id, mut name, most) = choice();
    if early {
        // One that is never refused.
        name = ORGANIZATIONS[0];
        tell(&format!("hold {id} {name} {most}"));
    }
    let answer = store.hold(&request(id, name, most)).await?;
    let Some(mut credits) = held(&answer) else {
        return Ok(());
    };
    if !early {
        tell(&format!("hold {id} {name} {credits}"));
    }
    if fastrand::bool() {
        let extension = Extension {
            id,
            credits: credits + fastrand::u64(0..=2),
            owed: fastrand::u64(0..=credits),
            deadline: now().after(LIFETIME),
            at: now(),
        };
        if let Some(more) = held(&store.extend(extension).await?) {
            credits = more;
            tell(&format!("owed {id} {}", extension.owed));
        }
    }
    match fastrand::u8(0..10) {
        0..6 => {
            let settle = Settle {
                id,
                credits: fastrand::u64(0..=credits),
                at: now(),
                outcome: None,
                parts: Vec::new(),
            };
            let charged = store.settle(settle).await?.charged();
            tell(&format!("settled {id} {charged}"));
        }
        6..9 => {
            store.void(id, &org(name), now()).await?;
            tell(&format!("voided {id}"));
        }
        _ => {} // Nobody ends it.
    }
    Ok(())
}

pub(super) fn choice() -> (HoldId, &'static str, u64) {
    let name = *fastrand::choice(&ORGANIZATIONS).unwrap();
    (HoldId::new(now()).unwrap(), name, fastrand::u64(1..=5))
}

pub(super) fn request(id: HoldId, name: &str, most: u64) -> HoldRequest {
    let at = now();
    HoldRequest {
        id,
        at,
        deadline: at.after(LIFETIME),
        ..hold_request(0, name, 1, most)
    }
}

const fn held(answer: &HoldAnswer) -> Option<u64> {
    match answer {
        HoldAnswer::Held { credits, .. } => Some(*credits),
        HoldAnswer::Insufficient { .. } | HoldAnswer::Repeated(_) => None,
    }
}

/// The connections of a broken ledger.
#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

fn pool(database: &str) -> Pool {
    if database.starts_with("postgres://") {
        return Pool::Postgres(PgPool::connect_lazy(database).unwrap());
    }
    let options = SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(Duration::from_secs(5))
        .synchronous(SqliteSynchronous::Full);
    Pool::Sqlite(SqlitePool::connect_lazy_with(options))
}

/// Holds in three statements, each a transaction; says whether all of them were made.
macro_rules! hold_in_parts {
    ($pool:ident, $id:ident, $name:ident, $credits:ident) => {{
        let credits = i64::try_from($credits).unwrap();
        let read = sqlx::query_scalar::<_, i64>(READ).bind($name);
        let held = read.fetch_one($pool).await;
        let write = sqlx::query(WRITE).bind(held.as_ref().map_or(0, |held| held + credits));
        held.is_ok()
            && write.bind($name).execute($pool).await.is_ok()
            && sqlx::query(INSERT)
                .bind($id.as_bytes().as_slice())
                .bind($name)
                .bind(credits)
                .bind(now().as_micros())
                .bind(now().after(LIFETIME).as_micros())
                .execute($pool)
                .await
                .is_ok()
    }};
}

/// A broken ledger: it reads the wallet, decides, and writes, each by itself.
async fn charge_in_parts(pool: Pool) {
    loop {
        let (id, name, credits) = choice();
        // One that cannot write tries again with another.
        let held = match &pool {
            Pool::Sqlite(pool) => hold_in_parts!(pool, id, name, credits),
            Pool::Postgres(pool) => hold_in_parts!(pool, id, name, credits),
        };
        if held {
            tell(&format!("hold {id} {name} {credits}"));
        }
    }
}

const READ: &str = "SELECT held FROM tollgate_wallets WHERE organization = $1";
const WRITE: &str = "UPDATE tollgate_wallets SET held = $1 WHERE organization = $2";
const INSERT: &str = "
    INSERT INTO tollgate_holds (id, organization, credits, state, created_at, deadline)
    VALUES ($1, $2, $3, 'open', $4, $5)";
