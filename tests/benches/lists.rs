//! How long a list of keys takes, of an organization that has a hundred thousand.
//!
//! `cargo bench -p tollgate-tests --bench lists`. On SQLite, beside forty thousand keys of others;
//! each query is asked `ROUNDS` times in turn. `KEYS=1000000` makes more. Ends in failure if a
//! query with a budget takes longer.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tollgate::core::clock::Timestamp;
use tollgate::core::id::OrgId;
use tollgate::core::record::KeyStatus;
use tollgate::core::store::{KeyQuery, KeyStore};
use tollgate_sqlx::SqliteStore;

const KEYS: u32 = 100_000;
const OTHERS: u32 = 20_000;
const ROUNDS: usize = 15;
const BUDGET: Duration = Duration::from_millis(20);
/// The creations, uses, rotations and expiries of the keys lie within so many days.
const DAYS: i64 = 400;
const NOW: i64 = 1_800_000_000;

/// A number below another from a number and a name, always the same.
fn some(n: u32, of: &str, below: i64) -> i64 {
    let hash = crc32fast::hash(format!("{n} {of}").as_bytes());
    i64::from(hash) % below
}

async fn fill(path: &str, keys: u32) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    let mut n = 0;
    for (organization, keys) in [("acme", keys), ("bolt", OTHERS), ("core", OTHERS)] {
        let made = "INSERT INTO tollgate_organizations VALUES ($1, 'free', 'active', \
                    '{}', NULL, '{}', 0, 1)";
        let made = sqlx::query(made).bind(organization);
        made.execute(&mut *transaction).await.unwrap();
        for _ in 0..keys {
            n += 1;
            insert(&mut transaction, n, organization).await;
        }
    }
    transaction.commit().await.unwrap();
    database.close().await.unwrap();
}

async fn insert(database: &mut SqliteConnection, n: u32, organization: &str) {
    let second = 1_000_000;
    let past = |of: &str| (NOW - some(n, of, DAYS * 86_400)) * second;
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let status = ["active", "active", "active", "disabled", "revoked"];
    let expires = n
        .is_multiple_of(2)
        .then(|| past("expires") + 200 * 86_400 * second);
    let used = (!n.is_multiple_of(5)).then(|| past("used"));
    let key = "INSERT INTO tollgate_keys (id, organization, name, creator, environment, \
               display_prefix, permissions, ip_rules, expires_at, status, created_at, rotated_at, \
               version, last_used_day) VALUES ($1, $2, $3, $4, $5, 'sk_live_zIc8', \
               '{\"scopes\":[\"iocs:read\",\"iocs:write\"]}', '{}', \
               $6, $7, $8, $9, 1, $10)";
    let key = sqlx::query(key)
        .bind(id.as_slice())
        .bind(organization)
        .bind(format!("service key number {n}"))
        .bind(format!("user:u{}", some(n, "creator", 50)))
        .bind(if n.is_multiple_of(3) { "test" } else { "live" })
        .bind(expires)
        .bind(status[some(n, "status", 5) as usize])
        .bind(past("created"))
        .bind(n.is_multiple_of(3).then(|| past("rotated")))
        .bind(used.map(|at| at / (86_400 * second)));
    key.execute(&mut *database).await.unwrap();
    let mut digest = [0; 32];
    for (at, part) in (0_u8..).zip(digest.chunks_mut(4)) {
        let hash = crc32fast::hash(&[&[at][..], &n.to_be_bytes()].concat());
        part.copy_from_slice(&hash.to_be_bytes());
    }
    let secret = sqlx::query("INSERT INTO tollgate_secrets (digest, key_id) VALUES ($1, $2)");
    let secret = secret.bind(digest.as_slice()).bind(id.as_slice());
    secret.execute(&mut *database).await.unwrap();
    if let Some(used) = used {
        let usage = "INSERT INTO tollgate_usage VALUES ($1, 100, 0, $2, '192.0.2.1')";
        let usage = sqlx::query(usage).bind(id.as_slice()).bind(used);
        usage.execute(&mut *database).await.unwrap();
    }
}

/// The queries that have a budget, and others.
fn queries() -> Vec<(&'static str, bool, KeyQuery)> {
    let acme = || KeyQuery::new().organization(OrgId::new("acme").unwrap());
    let day = |days: i64| Timestamp::from_secs(NOW + days * 86_400);
    let mut middle = [7; 16];
    middle[..4].copy_from_slice(&(KEYS / 2).to_be_bytes());
    let later = acme().before(tollgate::core::id::KeyId::from_bytes(middle));
    vec![
        ("all", true, acme().with_total()),
        ("a later page", true, later.clone()),
        ("a later page of 1,000", true, later.limit(1_000)),
        (
            "active",
            true,
            acme().status(KeyStatus::Active).with_total(),
        ),
        (
            "revoked",
            true,
            acme().status(KeyStatus::Revoked).with_total(),
        ),
        (
            "of an environment",
            true,
            acme().environment("live").with_total(),
        ),
        ("of a creator", true, acme().creator("user:u7").with_total()),
        (
            "of nobody",
            true,
            acme().creator("user:nobody").with_total(),
        ),
        (
            "named, a thousand of them",
            false,
            acme().search("KEY NUMBER 99").with_total(),
        ),
        ("named, none", false, acme().search("nothing").with_total()),
        (
            "expiring in a month",
            true,
            acme().expiring(day(0), day(30)).with_total(),
        ),
        (
            "unused for a month",
            true,
            acme().unused_since(day(-30)).with_total(),
        ),
        (
            "with a secret of a year",
            true,
            acme().secret_before(day(-365)).with_total(),
        ),
        (
            "active, unused and expiring",
            true,
            acme()
                .status(KeyStatus::Active)
                .unused_since(day(-30))
                .expiring(day(0), day(30))
                .with_total(),
        ),
        (
            "1,000 and the total",
            false,
            acme().limit(1_000).with_total(),
        ),
        ("of all organizations", false, KeyQuery::new().with_total()),
        (
            "unused, of all organizations",
            false,
            KeyQuery::new().unused_since(day(-30)).with_total(),
        ),
    ]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let keys = std::env::var("KEYS").map_or(KEYS, |keys| keys.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.db").display().to_string();
    let store = SqliteStore::open(&path).await.unwrap();
    fill(&path, keys).await;
    let queries = queries();
    let mut times = vec![Vec::new(); queries.len()];
    let mut totals = vec![None; queries.len()];
    for _ in 0..ROUNDS {
        for (at, (.., query)) in queries.iter().enumerate() {
            let started = Instant::now();
            let page = store.list_keys(query.clone()).await.unwrap();
            times[at].push(started.elapsed());
            totals[at] = page.total;
        }
    }
    println!("### Lists of {keys} keys\n");
    println!("| keys | match | median ms | slowest ms |\n| --- | ---: | ---: | ---: |");
    let mut broken = Vec::new();
    for (((name, bound, _), mut times), total) in queries.into_iter().zip(times).zip(totals) {
        times.sort_unstable();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let total = total.map_or("–".to_owned(), |total| total.to_string());
        println!(
            "| {name} | {total} | {:.1} | {:.1} |",
            ms(median),
            ms(slowest)
        );
        if bound && median > BUDGET {
            broken.push(name);
        }
    }
    let met = if broken.is_empty() {
        "met".to_owned()
    } else {
        format!("NOT met: {}", broken.join(", "))
    };
    println!(
        "\nPages of 100, with the total where it is told. Budget of each but the names and the last three, 20 ms: {met}.\n"
    );
    ExitCode::from(u8::from(!broken.is_empty()))
}
