//! A disk that is really full: charges are refused, reads go on, and once there is room again
//! everything works without a restart.
//!
//! Both tests run the ignored one anew, as a process of its own. One gives it a disk of 16 MB, in a
//! mount namespace that ends with it; where the machine forbids that, the test says that it was
//! skipped and checks nothing. The other forbids it to write beyond a size; that needs `prlimit`,
//! from util-linux.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_core::clock::{Clock, Steady, SystemClock};
use tollgate_core::credits::{Grant, HoldAnswer, HoldRequest, Ledger};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_servers::Lag;
use tollgate_sqlx::SqliteStore;
use tollgate_testkit::records::{at, change, hold_request, org};

use crate::say;

const DIR: &str = "TOLLGATE_FULL_DISK_DIR";
const HOW: &str = "TOLLGATE_FULL_DISK_HOW";
/// A call that takes longer hangs.
const HANGS: Duration = Duration::from_secs(6);
/// How soon holds succeed again.
const SOON: Duration = Duration::from_secs(1);
const CREDITS: u64 = 1_000_000;

/// The worker, run by a shell that first does this. `"$0" "$@"` is the worker.
fn run(shell: &[&str], first: &str, how: &str) -> Output {
    let dir = TempDir::new().unwrap();
    let script = format!("{first} && exec \"$0\" \"$@\"");
    let [program, arguments @ ..] = shell else {
        panic!("a shell has a name");
    };
    Command::new(program)
        .args(arguments)
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
    say(&format!("{name}: {}", summary.unwrap()));
}

/// Whether the command could be started and did what it was asked.
fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet
        .args(arguments)
        .status()
        .is_ok_and(|status| status.success())
}

/// Skipped, visibly, where no file system may be mounted.
#[test]
fn on_a_full_disk_holds_are_refused_and_once_there_is_room_they_succeed_at_once() {
    // SQLite lets its log grow to 4 MB before it uses it anew; that much has to fit.
    const MOUNT: &str = "mount -t tmpfs -o size=16m none";
    let as_root: &[&str] = &["unshare", "--mount", "sh"];
    let as_user: &[&str] = &["unshare", "--map-root-user", "--mount", "sh"];
    let tried = format!("{MOUNT} /tmp");
    let shell = [as_root, as_user].into_iter().find(|shell| {
        let arguments: Vec<_> = shell
            .iter()
            .skip(1)
            .copied()
            .chain(["-c", &tried])
            .collect();
        works(shell[0], &arguments)
    });
    let Some(shell) = shell else {
        say("SKIPPED: a full disk was not checked, for this machine lets nobody mount one");
        return;
    };
    let first = format!("{MOUNT} \"${DIR}\"");
    check("a disk of 16 MB", &run(shell, &first, "ballast"));
}

/// Skipped, visibly, where there is no `prlimit` to lift the limit with.
#[test]
fn where_files_may_not_grow_holds_are_refused_and_once_they_may_they_succeed_at_once() {
    if !works("prlimit", &["--version"]) {
        say("SKIPPED: a file that may not grow was not checked, for there is no `prlimit`");
        return;
    }
    // Blocks are of 512 or 1024 bytes, as the shell likes; the log reaches either.
    let first = "trap '' XFSZ && ulimit -S -f 1024";
    check("files of at most 1 MB", &run(&["sh"], first, "limit"));
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
    fill_and_empty(&store, &room).await;
    store.close().await;
    SqliteStore::open(path.to_str().unwrap()).await.unwrap();
}

/// What takes the room away, and gives it back.
enum Room {
    /// A file that fills the disk.
    Ballast(PathBuf),
    /// A limit to the size of files, reached by the log itself.
    Limit,
}

impl Room {
    fn take(&self) {
        if let Self::Ballast(path) = self {
            let mut file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            for block in [65_536, 4_096, 512, 1] {
                while file.write(&vec![1; block]).is_ok_and(|written| written > 0) {}
            }
        }
    }

    fn give_back(&self) {
        match self {
            Self::Ballast(path) => std::fs::remove_file(path).unwrap(),
            Self::Limit => {
                let pid = std::process::id().to_string();
                assert!(works("prlimit", &["--pid", &pid, "--fsize=unlimited:"]));
            }
        }
    }
}

/// Holds one credit under a name, within a time.
async fn hold(store: &SqliteStore, n: u32) -> Result<(), StoreError> {
    let request = HoldRequest {
        deadline: at(1_000_000),
        ..hold_request(n, "acme", 1, 1)
    };
    let held = tokio::time::timeout(HANGS, store.hold(&request).into_future());
    let Ok(answer) = held.await else {
        panic!("a hold hangs");
    };
    match answer? {
        HoldAnswer::Held { credits: 1, .. } => Ok(()),
        other => panic!("one credit was asked for: {other:?}"),
    }
}

async fn held(store: &SqliteStore) -> u64 {
    let balance = store.balance(&org("acme"), at(0), None).await.unwrap();
    assert_eq!((balance.granted, balance.settled), (CREDITS, 0));
    let entries = store.entries(&org("acme"), None, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    balance.held
}

async fn fill_and_empty(store: &SqliteStore, room: &Room) {
    let clock = SystemClock::default();
    let now = || -> Steady { clock.now().steady };
    let grant = Grant::new(org("acme"), CREDITS);
    store.grant(grant, change(0)).await.unwrap();
    let mut names = 0..1_000_000;
    let mut acknowledged = 0;
    for n in names.by_ref().take(20) {
        hold(store, n).await.unwrap();
        acknowledged += 1;
    }
    assert_eq!(held(store).await, acknowledged);

    // Until it is full.
    let mut refused = Vec::new();
    room.take();
    for n in names.by_ref().take(10_000) {
        match hold(store, n).await {
            Ok(()) => acknowledged += 1,
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                refused.push(n);
                break;
            }
        }
    }
    assert_eq!(refused.len(), 1, "the disk was never full");

    // While it is full: many at once, and one after another.
    let (mut longest, mut went_through) = (Duration::ZERO, 0);
    for _ in 0..5 {
        room.take();
        let many: Vec<_> = names
            .by_ref()
            .take(32)
            .map(|n| {
                let store = store.clone();
                (n, tokio::spawn(async move { hold(&store, n).await }))
            })
            .collect();
        let began = now();
        for (n, answer) in many {
            match answer.await.unwrap() {
                Ok(()) => went_through += 1,
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                    refused.push(n);
                }
            }
        }
        longest = longest.max(now().since(began));
        assert_eq!(held(store).await, acknowledged + went_through);
    }
    assert_eq!(went_through, 0, "a full disk takes nothing");

    room.give_back();
    let (lag, began) = (Lag::watch(), now());
    let mut failures = 0;
    let first = names.next().unwrap();
    while hold(store, first).await.is_err() {
        failures += 1;
        assert!(now().since(began) < HANGS, "it does not recover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (recovered, late) = (now().since(began), lag.end());
    assert!(recovered < SOON + 4 * late, "{recovered:?}, with {late:?}");
    acknowledged += 1;
    // Those that were refused may ask again, under their names.
    let again = refused.iter().copied();
    for n in again.chain(names.by_ref().take(500)) {
        hold(store, n).await.unwrap();
        acknowledged += 1;
    }
    assert_eq!(held(store).await, acknowledged);
    say(&format!(
        "full: {} holds refused, the slowest answer took {longest:.1?}; \
         with room again after {recovered:.1?} and {failures} failures, {acknowledged} held",
        refused.len()
    ));
}
