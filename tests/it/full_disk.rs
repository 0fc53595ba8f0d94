//! An app on a disk that is really full: what has a price is answered 503 and costs nothing, the
//! rest goes on, and once there is room again everything works without a restart.
//!
//! The test runs the ignored one anew, as a process of its own, in the two ways in which
//! tollgate-sqlx does it for the store: on a disk of 16 MB, in a mount namespace that ends with the
//! process, or forbidden to write beyond a size. Where the machine forbids one of them, that test
//! says that it was skipped and checks nothing.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tollgate::core::clock::Timestamp;
use tollgate_servers::Lag;
use tollgate_sqlx::SqliteStore;

use crate::crash::app;
use crate::crash::books::Books;
use crate::crash::charged::agrees;
use crate::crash::client::{Kind, Sent};
use crate::crash::say;
use crate::support::eventually;
use room::{Room, works};
use site::{Site, body, refused, status};

mod room;
mod site;

const DIR: &str = "TOLLGATE_HTTP_FULL_DISK_DIR";
const HOW: &str = "TOLLGATE_HTTP_FULL_DISK_HOW";
/// An answer that takes longer hangs.
const HANGS: Duration = Duration::from_secs(6);
/// How soon what has a price is answered again.
const SOON: Duration = Duration::from_secs(1);
const CREDITS: u64 = 1_000_000;
/// How many of each long work are under way when the disk fills up.
const UNDER_WAY: u64 = 6;

/// Skipped, visibly, where no file system may be mounted.
#[test]
fn on_a_full_disk_prices_are_503_and_once_there_is_room_everything_is_charged_once() {
    // SQLite lets its log grow to 4 MB before it uses it anew; that much has to fit.
    const MOUNT: &str = "mount -t tmpfs -o size=16m none";
    let as_root: &[&str] = &["unshare", "--mount", "sh"];
    let as_user: &[&str] = &["unshare", "--map-root-user", "--mount", "sh"];
    let tried = format!("{MOUNT} /tmp");
    let shell = [as_root, as_user].into_iter().find(|shell| {
        let more = ["-c", &tried];
        works(shell[0], &[&shell[1..], &more].concat())
    });
    let Some(shell) = shell else {
        say(
            "SKIPPED: an app on a full disk was not checked, for this machine lets nobody mount one",
        );
        return;
    };
    let first = format!("{MOUNT} \"${DIR}\"");
    check("a disk of 16 MB", &run(shell, &first, "ballast"));
}

/// Skipped, visibly, where there is no `prlimit` to lift the limit with.
#[test]
fn where_files_may_not_grow_prices_are_503_and_once_they_may_everything_is_charged_once() {
    if !works("prlimit", &["--version"]) {
        say("SKIPPED: an app whose files may not grow was not checked, for there is no `prlimit`");
        return;
    }
    check("files of 64 kB", &run(&["sh"], "trap '' XFSZ", "limit"));
}

/// The worker, run by a shell that first does this. `"$0" "$@"` is the worker.
fn run(shell: &[&str], first: &str, how: &str) -> Output {
    let dir = TempDir::new().unwrap();
    let script = format!("{first} && exec \"$0\" \"$@\"");
    Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["full_disk::worker", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir.path())
        .env(HOW, how)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(name: &str, output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let summary = told.lines().find(|line| line.starts_with("full: "));
    assert!(output.status.success(), "{told}\n{errors}");
    say(&format!("an app on {name}: {}", summary.unwrap()));
}

/// The process that runs out of room. Does nothing where no directory is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests above, as a process of its own"]
async fn worker() {
    let Ok(dir) = std::env::var(DIR) else {
        return;
    };
    let room = match std::env::var(HOW).unwrap().as_str() {
        "ballast" => Room::Ballast(Path::new(&dir).join("ballast")),
        _ => Room::Limit,
    };
    let path = Path::new(&dir).join("tollgate.db");
    let store = SqliteStore::open(path.to_str().unwrap()).await.unwrap();
    let site = Site::new(store.clone()).await;
    let sent = fill_and_empty(&site, &room).await;
    charged_as_answered(&path, &sent).await;
    site.gate.shutdown().await;
    store.close().await;
}

/// One of each price.
const PRICED: [Kind; 8] = [
    Kind::Fixed,
    Kind::Items(3),
    Kind::Between(5),
    Kind::Once,
    Kind::Sure,
    Kind::Stream(3),
    Kind::Slow(5),
    Kind::Failing,
];

async fn fill_and_empty(site: &Site, room: &Room) -> Vec<Sent> {
    let mut sent = Vec::new();
    for kind in PRICED.repeat(4) {
        sent.push(site.ask(kind).await);
    }
    assert!(!sent.iter().any(refused));

    // Until it is full, with work under way.
    let long = [Kind::Stream(1000), Kind::Slow(1000), Kind::SlowSure(1000)];
    let long = long.repeat(usize::try_from(UNDER_WAY).unwrap());
    let long = long.into_iter().map(|kind| site.ask(kind));
    let fill = async {
        eventually("everything is under way", async || {
            site.balance().await.held >= UNDER_WAY * (u64::from(app::SLICE) + 2 * app::WORK)
        })
        .await;
        room.take();
        let mut until_full = Vec::new();
        for _ in 0..10_000 {
            until_full.push(site.ask(Kind::Fixed).await);
            if until_full.last().is_some_and(refused) {
                return until_full;
            }
        }
        panic!("the disk was never full");
    };
    let (long, until_full) = tokio::join!(join_all(long), fill);
    let good = long.iter().filter(|it| match it.kind {
        Kind::SlowSure(_) => refused(it),
        Kind::Slow(_) => !refused(it),
        _ => body(it).ends_with("end: service_unavailable\n"),
    });
    let under_way = good.count();
    assert_eq!(under_way, long.len(), "{long:?}");
    sent.extend(long);
    sent.extend(until_full);

    // While it is full.
    let (mut longest, mut went_through) = (Duration::ZERO, 0);
    let before = site.balance().await;
    assert!(before.held > 0, "no charge waits for room");
    for round in 1..=5 {
        room.take();
        let began = site.now();
        let priced = join_all(PRICED.repeat(4).into_iter().map(|kind| site.ask(kind)));
        let (priced, ()) = tokio::join!(priced, site.reads_go_on(round));
        longest = longest.max(site.now().since(began));
        went_through += priced.iter().filter(|it| !refused(it)).count();
        sent.extend(priced);
        site.reads_go_on(10 + round).await;
    }
    assert_eq!(went_through, 0, "a full disk takes nothing");
    assert_eq!(site.balance().await, before);

    room.give_back();
    let (lag, began) = (Lag::watch(), site.now());
    let mut failures = 0;
    loop {
        sent.push(site.ask(Kind::Fixed).await);
        if !refused(sent.last().unwrap()) {
            break;
        }
        failures += 1;
        assert!(site.now().since(began) < HANGS, "it does not recover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (recovered, late) = (site.now().since(began), lag.end());
    assert!(recovered < SOON + 4 * late, "{recovered:?}, with {late:?}");
    let refusals = sent.iter().filter(|it| refused(it)).count();
    // Those that had an idempotency key may ask again with it.
    let once = sent
        .iter()
        .filter(|it| it.kind == Kind::Once && refused(it));
    let again = join_all(once.map(|it| site.ask_with(0, Kind::Once, Some(it)))).await;
    assert!(again.iter().all(|it| status(it) == 200), "{again:?}");
    sent.extend(again);
    for kind in PRICED.repeat(4) {
        sent.push(site.ask(kind).await);
        assert!(!refused(sent.last().unwrap()));
    }
    // What could not be ended meanwhile is tried again each second at least.
    let ended = async {
        while site.balance().await.held > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(HANGS, ended).await;
    assert!(
        ended.is_ok(),
        "holds are left open: {:?}",
        site.balance().await
    );
    say(&format!(
        "full: {refusals} requests refused and {under_way} caught under way, the slowest answers \
         took {longest:.1?}; with room again after {recovered:.1?} and {failures} failures, {} sent",
        sent.len()
    ));
    sent
}

/// What was answered 200 is charged once, what was answered 503 is not, and the sums agree.
async fn charged_as_answered(path: &Path, sent: &[Sent]) {
    let mut books = Books::open(path).await;
    books.sums().await.unwrap();
    books.lines().await.unwrap();
    let holds = books.holds(Timestamp::default()).await.unwrap();
    let mut paid: HashMap<String, Vec<u64>> = HashMap::new();
    for entry in books.entries(0).await.unwrap() {
        if let ("charge", Some(request)) = (&*entry.kind, entry.request_id) {
            let charged = u64::try_from(-entry.credits).unwrap();
            paid.entry(request).or_default().push(charged);
        }
    }
    for sent in sent {
        let hold = holds.get(&sent.id);
        let charged = paid.remove(&sent.id).unwrap_or_default();
        if refused(sent) {
            assert!(
                charged.is_empty(),
                "{sent:?}, {hold:?}, charged {charged:?}"
            );
        } else {
            let agreed = agrees(sent, hold, &charged);
            assert_eq!(agreed, Ok(()), "{sent:?}, {hold:?}, charged {charged:?}");
        }
    }
    assert!(paid.is_empty(), "charged for nothing: {paid:?}");
    books.close().await;
}
