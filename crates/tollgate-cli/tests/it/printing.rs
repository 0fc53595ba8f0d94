//! What is printed, and whoever stops reading it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use tollgate_core::catalog::Catalog;
use tollgate_core::change::Actor;
use tollgate_core::clock::SystemClock;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::{Keyring, NewKey};
use tollgate_core::secret::Digester;
use tollgate_sqlx::SqliteOptions;

use crate::place::Place;

/// More keys than fit into a pipe and onto a page.
const MANY: usize = 1100;

async fn with_many_keys() -> Place {
    let place = Place::new().await;
    let options = SqliteOptions::new(place.path("keys.db").to_str().unwrap());
    let store = options.synchronous_normal().open().await.unwrap();
    let keyring = Keyring::new(
        Arc::new(store.clone()),
        Catalog::builder().build().unwrap(),
        Digester::sha256(),
        Arc::new(SystemClock::default()),
    );
    let acme = OrgId::new("acme").unwrap();
    for n in 0..MANY {
        let new = NewKey::new(acme.clone(), format!("key {n}"));
        keyring.issue(new, &Actor::system()).await.unwrap();
    }
    store.close().await;
    place
}

#[tokio::test]
async fn lists_are_whole_over_many_pages_and_whoever_stops_reading_is_no_failure() {
    let place = with_many_keys().await;
    let table = place.good(["key", "list"]);
    assert_eq!(table.lines().count(), MANY + 1);
    assert!(table.lines().last().unwrap().contains("  key 0  "));
    assert_eq!(place.json(["key", "list"]).as_array().unwrap().len(), MANY);
    let exported = place.good(["audit", "export"]);
    assert_eq!(exported.lines().count(), MANY + 1);
    assert_eq!(
        place.good(["audit", "verify"]),
        format!("whole (chains: 1, records: {})\n", MANY + 1)
    );
    let done = place.run(["audit", "list", "--limit", "7"]);
    assert_eq!(done.stdout.lines().count(), 8);
    assert!(done.stderr.starts_with("note: there are more than 7"));
    for args in [
        &["key", "list"][..],
        &["key", "list", "--json"],
        &["audit", "export"],
        &["audit", "list", "--json", "--limit", "1000"],
    ] {
        let mut command = place.command();
        command.args(args).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{args:?}");
        assert!(!first.is_empty());
    }
}

/// What a command prints at a terminal of 80 columns.
#[cfg(target_os = "linux")]
fn at_a_terminal(place: &Place, args: &[&str]) -> String {
    use std::io::Read as _;

    let size = nix::pty::Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let terminal = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = place.command();
    let command = command.args(args).stdout(terminal()).stderr(terminal());
    let mut child = command.spawn().unwrap();
    drop(pty.slave);
    // The command has it open too, so whoever holds the other end waits for what it prints.
    *command = place.command();
    let (mut printed, mut end) = (Vec::new(), std::fs::File::from(pty.master));
    // Linux ends a terminal that nobody has open with EIO.
    let _ = end.read_to_end(&mut printed);
    assert!(child.wait().unwrap().success());
    String::from_utf8(printed).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_table_fits_its_terminal_and_is_whole_in_a_pipe() {
    let place = Place::new().await;
    let (id, _) = place.key(&["--scope", "iocs:read,iocs:write", "--expires-in", "90d"]);
    place.good(["key", "edit", &id, "--name", "a name of some length"]);
    place.good(["key", "disable", &id, "--reason", "a reason of some length"]);
    for list in [&["key", "list"][..], &["audit", "list"], &["org", "list"]] {
        let printed = at_a_terminal(&place, list);
        let table: Vec<_> = printed
            .lines()
            .filter(|line| !line.starts_with("note: "))
            .collect();
        for line in &table {
            assert!(line.chars().count() <= 80, "{printed}");
        }
        let piped = place.good(list.iter().copied());
        assert_eq!(table.len(), piped.lines().count(), "{printed}");
        assert!(!piped.contains('…'), "{piped}");
    }
    let printed = at_a_terminal(&place, &["key", "list"]);
    assert!(
        printed.contains(&id) && printed.contains("disabled"),
        "{printed}"
    );
    assert!(printed.contains("a name of s…"), "{printed}");
    let note = "note: there is no room for EXPIRES, KEY; pipe it (`| cat`), or write `--json`";
    assert!(printed.contains(note), "{printed}");
    let whole = place.good(["key", "list"]);
    assert!(whole.contains("a name of some length"), "{whole}");
    assert!(
        whole
            .lines()
            .next()
            .unwrap()
            .ends_with("EXPIRES                      KEY           PLAN"),
        "{whole}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_under_standard_output_is_a_failure() {
    let place = Place::new().await;
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for args in [
        &["org", "list"][..],
        &["org", "list", "--json"],
        &["completions", "bash"],
    ] {
        let mut command = place.command();
        let output = command.args(args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("error: cannot write to standard output: "),
            "{said}"
        );
    }
    // With nowhere to complain to, the exit code is left.
    let mut command = place.command();
    let command = command.args(["org", "suspend", "nobody"]).stderr(full());
    assert_eq!(command.status().unwrap().code(), Some(1));
}

#[test]
fn pages_and_completions_need_no_database() {
    let place = Place::bare();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.good(["completions", shell]);
        assert!(script.contains("billing-restrict"), "{shell}");
    }
    place.good(["man", "share/man1"]);
    let page = std::fs::read_to_string(place.path("share/man1/tollgate-key-create.1"));
    assert!(page.unwrap().contains("expires"));
    std::fs::write(place.path("file"), "").unwrap();
    let said = place.refused(1, ["man", "file"]);
    assert!(
        said.starts_with("cannot write man pages to `file`: "),
        "{said}"
    );
    assert!(place.good(["--help"]).contains("Exit codes:"));
    assert!(place.good(["--version"]).starts_with("tollgate 0."));
}

#[tokio::test]
async fn programs_of_a_database_url_do_not_show_it_in_help() {
    let place = Place::bare();
    let mut command = place.command();
    command.env("TOLLGATE_DATABASE", "postgres://root:hunter2@db/keys");
    let output = command.arg("--help").output().unwrap();
    assert!(
        !String::from_utf8(output.stdout)
            .unwrap()
            .contains("hunter2")
    );
}
