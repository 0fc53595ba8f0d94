//! A process that serves an app over HTTP is killed, again and again: clients were charged what
//! they were told, and once; what was acknowledged stays, and the sums agree.
//!
//! The process is this test binary, run anew with one ignored test. The clients are here, and
//! outlive it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use tollgate::core::credits::{Grant, Ledger};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate_sqlx::SqliteStore;

use crate::support::{actor, org};
use app::{MONTHLY, ORGANIZATIONS};
use audit::{Audit, Tally};
use books::Books;
use client::{Load, Sent};
use told::{Act, Doing, Told};
use worker::{Orders, later, now};

pub(crate) mod app;
mod audit;
pub(crate) mod books;
pub(crate) mod charged;
pub(crate) mod client;
mod doubles;
mod told;
mod worker;

const DATABASE: &str = "TOLLGATE_HTTP_CRASH_DATABASE";
const LEDGER: &str = "TOLLGATE_HTTP_CRASH_LEDGER";
const LIFE: &str = "TOLLGATE_HTTP_CRASH_LIFE";
const UNSURE: &str = "TOLLGATE_HTTP_CRASH_UNSURE";
/// After so many kills the next file begins.
const KILLS_PER_FILE: u64 = 100;
const SIGKILL: i32 = 9;
/// Whatever takes longer hangs.
const HANGS: Duration = Duration::from_secs(20);

type Secrets = HashMap<&'static str, String>;

/// `TOLLGATE_HTTP_KILLS` says how often.
#[tokio::test]
async fn whatever_was_answered_was_charged_once_after_kill_9_and_the_sums_agree() {
    let kills = std::env::var("TOLLGATE_HTTP_KILLS");
    let kills = kills.map_or(100, |text| text.parse().unwrap());
    let began = now();
    let (mut dead, mut all) = (0, Tally::default());
    while dead < kills {
        let mut audit = Audit::default();
        let on_this_file = KILLS_PER_FILE.min(kills - dead);
        let found = kill_on_one_file("sound", on_this_file, &mut audit).await;
        say(&format!("kill -9 over HTTP: {:?}", audit.tally));
        found.unwrap();
        dead += on_this_file;
        all.add(&audit.tally);
    }
    say(&format!("kill -9 over HTTP: {:.1?}", now().since(began)));
    assert!(
        all.answered >= 10 * kills && all.lost >= kills && all.open > 0,
        "{all:?}"
    );
    assert!(all.replayed > 0 && all.cut > 0 && all.acts > 0, "{all:?}");
}

/// Each of these is killed at most so often before it is found out.
const PATIENCE: u64 = 60;

#[tokio::test]
async fn a_charge_that_is_acknowledged_early_is_found_out() {
    let found = found_out("settles_early").await;
    assert!(found.contains("answered, and not charged"), "{found}");
}

#[tokio::test]
async fn a_hold_that_is_acknowledged_early_is_found_out() {
    let found = found_out("holds_early").await;
    // Or the settle finds no hold, and the answer is the 503 of a ledger that is down.
    let nothing_held = [
        "nothing is held",
        "answered, and not charged",
        "an answer that it may not have",
    ];
    assert!(nothing_held.iter().any(|it| found.contains(it)), "{found}");
}

#[tokio::test]
async fn a_second_charge_under_another_name_is_found_out() {
    let found = found_out("settles_twice").await;
    assert!(found.contains("two holds"), "{found}");
}

#[tokio::test]
async fn an_outcome_that_is_lost_is_found_out() {
    let found = found_out("drops_outcomes").await;
    assert!(found.contains("outcome_not_stored"), "{found}");
}

#[tokio::test]
async fn a_stream_of_which_nothing_is_owed_is_found_out() {
    let found = found_out("owes_nothing").await;
    assert!(found.contains("items for 0"), "{found}");
}

#[tokio::test]
async fn a_grant_that_is_acknowledged_early_is_found_out() {
    let found = found_out("grants_early").await;
    assert!(found.contains("was Done, and there is []"), "{found}");
}

/// What is wrong with a broken ledger.
async fn found_out(ledger: &str) -> String {
    let mut audit = Audit::default();
    let found = kill_on_one_file(ledger, PATIENCE, &mut audit).await;
    let found = found.unwrap_err();
    say(&format!("{ledger}: kill {}: {found}", audit.tally.kills));
    found
}

/// The process that is killed. Does nothing where no database is named.
#[test]
#[ignore = "run by the tests above, as a process of its own"]
fn worker() {
    let Ok(database) = std::env::var(DATABASE) else {
        return;
    };
    worker::work(&Orders {
        database,
        ledger: std::env::var(LEDGER).unwrap(),
        life: std::env::var(LIFE).unwrap(),
        unsure: std::env::var(UNSURE).unwrap(),
    });
}

/// Writes a line past the test harness, which shows what is printed only where a test fails.
pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Kills a process on such a ledger so often, or until something is wrong. One more answers what
/// is left to be asked.
async fn kill_on_one_file(ledger: &str, kills: u64, audit: &mut Audit) -> Result<(), String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.db");
    let secrets = prepare(&path, audit).await;
    for life in 0..=kills {
        let life = Life {
            path: &path,
            ledger,
            name: format!("life{life}"),
            is_last: life == kills,
        };
        let began = now();
        let (told, sent) = life.live(&secrets, audit).await?;
        let store = open(&path).await;
        let mut books = Books::open(&path).await;
        audit.after_death(&mut books, told, &sent, began).await?;
        // Else the next process does it.
        if life.is_last || fastrand::bool() {
            while store.expire(later(), 100).await.unwrap() > 0 {}
            audit.ended(&mut books, true).await?;
        }
        if life.is_last {
            audit.at_the_end(&mut books).await?;
        }
        books.close().await;
        store.close().await;
    }
    Ok(())
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path.to_str().unwrap()).await.unwrap()
}

/// Makes the organizations and their keys, and gives half of them plenty.
async fn prepare(path: &Path, audit: &mut Audit) -> Secrets {
    let store = open(path).await;
    let gate = app::builder(store.clone()).build().await.unwrap();
    let mut secrets = Secrets::new();
    for (n, name) in ORGANIZATIONS.into_iter().enumerate() {
        let plan = if name == MONTHLY { "monthly" } else { "paid" };
        let new = NewOrganization::new(org(name), plan);
        let keyring = gate.keyring();
        keyring.create_organization(new, &actor()).await.unwrap();
        let new = NewKey::new(org(name), "a key");
        let issued = keyring.issue(new, &actor()).await.unwrap();
        secrets.insert(name, issued.secret.expose().to_owned());
        let act = Act {
            name: format!("first-{name}"),
            organization: name.to_owned(),
            doing: Doing::Grant {
                credits: if n < 2 { 1_000_000 } else { 200 },
                lapses: false,
            },
        };
        if let Doing::Grant { credits, .. } = act.doing {
            let grant = Grant::new(org(name), credits).reference(&act.name);
            gate.credits().grant(grant, &actor()).await.unwrap();
        }
        audit.done(act);
    }
    gate.shutdown().await;
    store.close().await;
    secrets
}

/// One process.
struct Life<'a> {
    path: &'a Path,
    ledger: &'a str,
    name: String,
    /// Whether it is killed only when it has answered all that is asked again.
    is_last: bool,
}

impl Life<'_> {
    /// Starts the process, kills it at any moment, and returns what was told and sent.
    async fn live(&self, secrets: &Secrets, audit: &Audit) -> Result<(Told, Vec<Sent>), String> {
        let (repeats, name) = (audit.repeats(), self.name.clone());
        let load = Load::new(name, secrets.clone(), repeats, self.is_last);
        let (mut child, mut lines, told) = self.start(&audit.unsure());
        // Some die before they serve.
        let early = !self.is_last && fastrand::u8(0..8) == 0;
        let address = timeout(HANGS, listening(&mut lines, early)).await;
        let mut connections = match address {
            Ok(Some(address)) => load.start(address),
            _ => tokio::task::JoinSet::new(),
        };
        let mut hangs = !early && connections.is_empty();
        if self.is_last {
            let ended = async { while connections.join_next().await.is_some() {} };
            hangs |= timeout(HANGS, ended).await.is_err();
        } else if early {
            sleep(Duration::from_micros(fastrand::u64(0..25_000))).await;
        } else {
            hangs |= timeout(HANGS, load.answered.notified()).await.is_err();
            sleep(Duration::from_micros(fastrand::u64(0..100_000))).await;
        }
        load.dies();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let ended = async { while connections.join_next().await.is_some() {} };
        hangs |= timeout(HANGS, ended).await.is_err();
        let told = told.join().unwrap();
        if status.signal() != Some(SIGKILL) {
            return Err(format!("the process ended by itself: {status}"));
        }
        if hangs {
            return Err("the process did not serve".to_owned());
        }
        Ok((Told::read(&told)?, load.finish()?))
    }

    fn start(&self, unsure: &str) -> (Child, UnboundedReceiver<String>, JoinHandle<Vec<String>>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::worker", "--exact", "--ignored", "--nocapture"])
            .env(DATABASE, self.path)
            .env(LEDGER, self.ledger)
            .env(LIFE, &self.name)
            .env(UNSURE, unsure)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (hear, heard) = unbounded_channel();
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut line = String::new();
            // A line without an end was not told.
            while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                if let Some(told) = line.trim_end().strip_prefix(worker::TOLD) {
                    lines.push(told.to_owned());
                    // Once it is known where it listens, nobody hears the rest.
                    let _ = hear.send(told.to_owned());
                }
                line.clear();
            }
            lines
        });
        (child, heard, reader)
    }
}

/// Where the process listens; or nowhere, if it need only have started.
async fn listening(lines: &mut UnboundedReceiver<String>, early: bool) -> Option<SocketAddr> {
    loop {
        let line = lines.recv().await?;
        if early && line == "started" {
            return None;
        }
        if let Some(address) = line.strip_prefix("listening ") {
            return address.parse().ok();
        }
    }
}
