//! A process that charges is killed, again and again: what it was told stays, and the sums agree.
//!
//! The process is this test binary, run anew with one ignored test. It prints each acknowledgement
//! once it has it; what it printed outlives it.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_core::change::{Actor, Change};
use tollgate_core::credits::{Grant, Ledger};
use tollgate_sqlx::SqliteStore;
use tollgate_testkit::records::org;

use crate::{number, say};
use audit::{Granted, Told};
use worker::{LIFETIME, ORGANIZATIONS, now};

mod audit;
mod worker;

const DATABASE: &str = "TOLLGATE_CRASH_DATABASE";
const LEDGER: &str = "TOLLGATE_CRASH_LEDGER";
/// After so many kills the next file begins.
const KILLS_PER_FILE: u64 = 100;
const SIGKILL: i32 = 9;

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
    let (tally, found) = kill_often("sound", kills).await;
    say(&format!("kill -9: {tally:?} in {:.1?}", now().since(began)));
    found.unwrap();
    assert_eq!(tally.kills, kills);
    assert!(tally.holds >= kills && tally.settles > 0 && tally.open > 0);
}

/// Each of these is killed at most so often before it is found out.
const PATIENCE: u64 = 60;

#[tokio::test]
async fn a_ledger_that_reads_and_then_writes_is_found_out() {
    let found = found_out("reads_then_writes").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_commits_in_two_parts_is_found_out() {
    let found = found_out("two_commits").await;
    assert!(found.contains("held"), "{found}");
}

#[tokio::test]
async fn a_ledger_that_acknowledges_before_it_commits_is_found_out() {
    let found = found_out("tells_early").await;
    assert!(found.contains("is not there"), "{found}");
}

/// What is wrong with a broken ledger.
async fn found_out(ledger: &str) -> String {
    let (tally, found) = kill_often(ledger, PATIENCE).await;
    let found = found.unwrap_err();
    say(&format!("{ledger}: kill {}: {found}", tally.kills));
    found
}

/// The process that is killed. Does nothing where no database is named.
#[test]
#[ignore = "run by the tests above, as a process of its own"]
fn worker() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    let ledger = std::env::var(LEDGER).unwrap();
    worker::work(&database, &ledger);
}

/// Kills a process on such a ledger so often, or until something is wrong.
async fn kill_often(ledger: &str, kills: u64) -> (Tally, Result<(), String>) {
    let mut tally = Tally::default();
    while tally.kills < kills {
        let on_this_file = KILLS_PER_FILE.min(kills - tally.kills);
        if let Err(wrong) = kill_on_one_file(ledger, on_this_file, &mut tally).await {
            return (tally, Err(wrong));
        }
    }
    (tally, Ok(()))
}

async fn kill_on_one_file(ledger: &str, kills: u64, tally: &mut Tally) -> Result<(), String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.db");
    let mut granted = Granted::default();
    let mut all = Told::default();
    let store = open(&path).await;
    grant(&store, &mut granted).await;
    store.close().await;
    for _ in 0..kills {
        let began = now();
        let told = Told::read(&one_life(&path, ledger)?)?;
        tally.kills += 1;
        tally.holds += told.holds();
        tally.settles += told.settles();
        tally.voids += told.voids();

        let store = open(&path).await;
        let mut books = audit::Books::open(&path).await;
        books.sums(&granted).await?;
        books.keep(&told, began).await?;
        books.few_were_not_told(&told, began).await?;
        let due = books.open_holds().await?;
        tally.open += u64::try_from(due.len()).unwrap();

        let ended = expire_all(&store).await;
        if ended != u64::try_from(due.len()).unwrap() {
            return Err(format!("{} holds were due, {ended} ended", due.len()));
        }
        books.ended_as_owed(&due, began).await?;
        grant(&store, &mut granted).await;
        books.sums(&granted).await?;
        all.extend(told);
        books.close().await;
        store.close().await;
    }
    let mut books = audit::Books::open(&path).await;
    books.lines().await?;
    books.still_keep(&all).await
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path.to_str().unwrap()).await.unwrap()
}

/// Ends what is open, at a time at which nobody has a deadline any more.
async fn expire_all(store: &SqliteStore) -> u64 {
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
async fn grant(store: &SqliteStore, granted: &mut Granted) {
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
fn one_life(path: &Path, ledger: &str) -> Result<Vec<String>, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::worker", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, path)
        .env(LEDGER, ledger)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (began, begins) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut line = String::new();
        // A line without an end was not told.
        while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            if let Some(told) = line.trim_end().strip_prefix(worker::TOLD) {
                lines.push(told.to_owned());
                let _ = began.send(());
            }
            line.clear();
        }
        lines
    });
    let first = begins.recv_timeout(Duration::from_secs(20));
    std::thread::sleep(Duration::from_micros(fastrand::u64(10_000..60_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let lines = reader.join().unwrap();
    if status.signal() != Some(SIGKILL) {
        return Err(format!("the process ended by itself: {status}"));
    }
    first.map_err(|_| "the process acknowledged nothing".to_owned())?;
    Ok(lines)
}
