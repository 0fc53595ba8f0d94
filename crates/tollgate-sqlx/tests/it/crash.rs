//! A process that charges is killed, again and again: what it was told stays, and the sums agree.
//!
//! The process is this test binary, run anew with one ignored test. It prints each acknowledgement
//! once it has it; what it printed outlives it.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::ops::Range;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_core::change::{Actor, Change};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Grant, Ledger};
use tollgate_sqlx::AnyStore;
use tollgate_testkit::records::org;

use crate::{number, open, say};
use audit::{Granted, Told};
use node::Node;
use worker::{LIFETIME, ORGANIZATIONS, now};

mod audit;
mod node;
mod postgres;
mod worker;

/// After so many kills the next database begins.
const KILLS_PER_DATABASE: u64 = 100;
/// How long a process may take until its first acknowledgement.
const STARTS: Duration = Duration::from_secs(20);

/// Where the databases are, and for how many microseconds a process lives that has acknowledged
/// something.
struct Place {
    fresh: fn() -> Database,
    lives: Range<u64>,
}

const ON_SQLITE: Place = Place {
    fresh: Database::file,
    lives: 10_000..60_000,
};

/// A database, and where it is.
struct Database {
    location: String,
    /// Removed with it.
    _dir: Option<TempDir>,
}

impl Database {
    fn file() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tollgate.db");
        Self {
            location: path.to_str().unwrap().to_owned(),
            _dir: Some(dir),
        }
    }
}

/// What the loop met.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    holds: u64,
    settles: u64,
    voids: u64,
    open: u64,
}

/// `TOLLGATE_KILLS` says how often.
#[tokio::test]
async fn whatever_was_acknowledged_survives_kill_9_and_the_sums_agree() {
    let kills = number("TOLLGATE_KILLS", 500);
    let began = now();
    let (tally, found) = kill_often(&ON_SQLITE, "sound", kills).await;
    say(&format!("kill -9: {tally:?} in {:.1?}", now().since(began)));
    found.unwrap();
    assert_eq!(tally.kills, kills);
    assert!(tally.holds >= kills && tally.settles > 0 && tally.open > 0);
}

/// Each of these is killed at most so often before it is found out.
const PATIENCE: u64 = 60;

#[tokio::test]
async fn a_ledger_that_reads_and_then_writes_is_found_out() {
    let found = found_out(&ON_SQLITE, "reads_then_writes").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_commits_in_two_parts_is_found_out() {
    let found = found_out(&ON_SQLITE, "two_commits").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_acknowledges_before_it_commits_is_found_out() {
    let found = found_out(&ON_SQLITE, "tells_early").await;
    assert!(found.contains("is not there"), "{found}");
}

/// What is wrong with a broken ledger.
async fn found_out(place: &Place, ledger: &str) -> String {
    let (tally, found) = kill_often(place, ledger, PATIENCE).await;
    let found = found.unwrap_err();
    say(&format!("{ledger}: kill {}: {found}", tally.kills));
    found
}

/// The process that is killed. Does nothing where no database is named.
#[test]
#[ignore = "run by the tests above, as a process of its own"]
fn worker() {
    let Ok(database) = std::env::var(node::DATABASE) else {
        return;
    };
    let ledger = std::env::var(node::LEDGER).unwrap();
    worker::work(&database, &ledger);
}

/// Kills a process on such a ledger so often, or until something is wrong.
async fn kill_often(place: &Place, ledger: &str, kills: u64) -> (Tally, Result<(), String>) {
    let mut tally = Tally::default();
    while tally.kills < kills {
        let on_this_one = KILLS_PER_DATABASE.min(kills - tally.kills);
        if let Err(wrong) = kill_on_one(place, ledger, on_this_one, &mut tally).await {
            return (tally, Err(wrong));
        }
    }
    (tally, Ok(()))
}

async fn kill_on_one(
    place: &Place,
    ledger: &str,
    kills: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let database = (place.fresh)();
    let location = &database.location;
    let mut granted = Granted::default();
    let mut all = Told::default();
    let store = open(location).await;
    grant(&store, &mut granted).await;
    store.close().await;
    for _ in 0..kills {
        let began = now();
        let told = Told::read(&one_life(place, location, ledger)?)?;
        tally.kills += 1;
        tally.holds += told.holds();
        tally.settles += told.settles();
        tally.voids += told.voids();

        let mut books = audit::Books::open(location).await;
        let store = open(location).await;
        books.sums(&granted).await?;
        books.keep(&told, began).await?;
        books.few_were_not_told(&told, began, 1).await?;
        tally.open += expire_as_owed(&store, &mut books, began).await?;
        grant(&store, &mut granted).await;
        books.sums(&granted).await?;
        all.extend(told);
        books.close().await;
        store.close().await;
    }
    let mut books = audit::Books::open(location).await;
    books.lines().await?;
    books.still_keep(&all).await
}

/// Ends every open hold, and says how many there were.
async fn expire_as_owed(
    store: &AnyStore,
    books: &mut audit::Books,
    since: Timestamp,
) -> Result<u64, String> {
    let due = books.open_holds().await?;
    let open = u64::try_from(due.len()).unwrap();
    let ended = expire_all(store).await;
    if ended != open {
        return Err(format!("{open} holds were due, {ended} ended"));
    }
    books.ended_as_owed(&due, since).await?;
    Ok(open)
}

/// Ends what is open, at a time at which nobody has a deadline any more.
async fn expire_all(store: &AnyStore) -> u64 {
    let later = now().after(LIFETIME + Duration::from_secs(5));
    let mut ended = 0;
    loop {
        match store.expire(later, 100).await.unwrap() {
            0 => return ended,
            more => ended += more,
        }
    }
}

/// Gives half of the organizations plenty, and the others so little that they run out.
async fn grant(store: &AnyStore, granted: &mut Granted) {
    for (n, name) in ORGANIZATIONS.into_iter().enumerate() {
        let credits = if n < 2 { 1_000_000 } else { 25 };
        let change = Change {
            actor: Actor::user("alice"),
            at: now(),
            reason: None,
        };
        store
            .grant(Grant::new(org(name), credits), change)
            .await
            .unwrap();
        *granted.entry(name).or_default() += i64::try_from(credits).unwrap();
    }
}

/// Starts the process, kills it soon after its first acknowledgement, and returns what it said.
fn one_life(place: &Place, location: &str, ledger: &str) -> Result<Vec<String>, String> {
    let node = Node::start(location, ledger);
    let first = node.acknowledges(STARTS);
    std::thread::sleep(Duration::from_micros(fastrand::u64(place.lives.clone())));
    let lines = node.kill()?;
    first.map(|()| lines)
}
