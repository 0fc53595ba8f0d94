//! `tollgate key import`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tollgate_core::secret::Digester;
use tollgate_core::store::KeyImport as _;

use crate::place::{CATALOG, Done, Place, text};
use crate::running::{App, eventually};

mod bad_lines;
pub(crate) mod killed;

const HEADER: &str = "organization,name,digest,scopes,preset,expires_at,environment,display_prefix";

/// What another system keeps of one of its secrets.
fn digest(secret: &str) -> String {
    let digest = Digester::sha256().digest(secret);
    let bytes = digest.as_bytes().iter();
    bytes.fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn catalog() -> String {
    format!("{CATALOG}\n[keys]\nforeign = [\"oldco_\"]\n")
}

async fn place() -> Place {
    let place = Place::bare();
    place.record(&catalog()).await;
    place.good(["org", "create", "acme", "--plan", "free"]);
    place
}

fn import(place: &Place, name: &str, file: impl AsRef<[u8]>, more: &[&str]) -> Done {
    std::fs::write(place.path(name), file).unwrap();
    place.run([&["key", "import", name][..], more].concat())
}

/// The lines that were told to be refused, and the sentence at the end.
fn told(done: &Done) -> (Vec<&str>, &str) {
    let mut lines: Vec<&str> = done.stderr.lines().collect();
    let last = lines.pop().unwrap_or_default();
    (lines, last)
}

fn keys(place: &Place) -> Vec<Value> {
    let listed = place.json(["key", "list"]);
    listed.as_array().unwrap().clone()
}

/// Nothing is good, and nothing is left of it.
async fn is_untouched(place: &Place) {
    assert_eq!(keys(place), [] as [Value; 0]);
    let store = place.store().await;
    assert_eq!(store.pending_imports().await.unwrap(), []);
    store.close().await;
}

#[tokio::test]
pub(crate) async fn csv_says_all_of_a_key() {
    let place = place().await;
    let (first, second) = (digest("oldco_1"), digest("oldco_2"));
    // With a byte order mark, both line ends, a blank line and quotes.
    let file = format!(
        "\u{feff}{HEADER}\r\nacme,\"ci, \"\"main\"\"\",{first},iocs:read iocs:write,,\
         2099-01-01T00:00:00+01:00,test,oldco_ab\r\n\r\nacme,reader,{},,read-only,,,",
        second.to_uppercase()
    );
    let done = import(&place, "keys.csv", file, &["--reason", "ticket 7"]);
    assert_eq!((done.code, &*done.stderr), (0, ""));
    let mut keys = keys(&place);
    keys.sort_by_key(|key| text(&key["name"]));
    let [main, reader] = &*keys else {
        panic!("{keys:?}")
    };
    assert_eq!(main["name"], "ci, \"main\"");
    assert_eq!(main["scopes"], json!(["iocs:read", "iocs:write"]));
    assert_eq!(main["expires_at"], "2098-12-31T23:00:00Z");
    assert_eq!(main["environment"], "test");
    assert_eq!(main["key_prefix"], "oldco_ab");
    assert_eq!(reader["preset"], "read-only");
    assert_eq!(reader["environment"], "live");
    assert_eq!(reader["key_prefix"], "oldco_");
    assert!(text(&reader["creator"]).starts_with("cli:"), "{reader}");
    let audit = place.json(["audit", "list", "--org", "acme", "--limit", "1"]);
    assert_eq!(audit[0]["reason"], "ticket 7");
    place.good(["audit", "verify"]);
}

#[tokio::test]
async fn lines_of_json_say_the_same() {
    let place = place().await;
    let mut file = String::from("\u{feff}");
    for (n, scopes) in [
        json!(["iocs:read"]),
        json!("iocs:read iocs:write"),
        json!(null),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("key {n}");
        let record = json!({"name": name, "digest": digest(&name), "scopes": scopes});
        writeln!(file, "{record}\r\n").unwrap();
    }
    // From a pipe, whose name tells nothing.
    let mut command = place.command();
    command.args([
        "key", "import", "-", "--format", "jsonl", "--org", "acme", "--json",
    ]);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(file.as_bytes())
        .unwrap();
    let done = Done::of(&child.wait_with_output().unwrap());
    assert_eq!((done.code, &*done.stderr), (0, ""));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["records"], 3);
    assert_eq!(report["imported"], 3);
    assert_eq!(report["refused"], 0);
    assert_eq!(report["refusals"], json!([]));
    assert!(report["keys_per_second"].as_u64().is_some(), "{report}");
    let mut scopes: Vec<Value> = keys(&place)
        .iter()
        .map(|key| key["scopes"].clone())
        .collect();
    scopes.sort_by_key(|scopes| scopes.as_array().unwrap().len());
    let both = json!(["iocs:read", "iocs:write"]);
    assert_eq!(scopes, [json!([]), json!(["iocs:read"]), both]);
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_whole() {
    let place = place().await;
    let refused = |name: &str, file: &[u8], more: &[&str], why: &str| {
        let done = import(&place, name, file, more);
        assert_eq!((done.code, &*done.stdout), (1, ""), "{}", done.stderr);
        let start = format!("error: cannot import `{name}`: ");
        assert!(done.stderr.starts_with(&start), "{}", done.stderr);
        assert!(done.stderr.contains(why), "{} {why}", done.stderr);
    };
    let org = ["--org", "acme"];
    refused(
        "keys.csv",
        b"",
        &[],
        "it is empty; its first line has to name columns",
    );
    refused("keys.csv", b"\xef\xbb\xbf\r\n", &[], "it is empty");
    refused(
        "keys.csv",
        b"nmae,digest",
        &org,
        "line 1: `nmae` is not a column; write organization, name",
    );
    refused(
        "keys.csv",
        b"name,name,digest",
        &org,
        "the column `name` is there twice",
    );
    refused(
        "keys.csv",
        b"\n\nname",
        &org,
        "line 3: there is no column `digest`",
    );
    refused(
        "keys.csv",
        b"name,digest",
        &[],
        "no column `organization`, and no `--org`",
    );
    refused(
        "keys.csv",
        b"organization,name,digest",
        &org,
        "leave out one of the two",
    );
    refused(
        "keys.csv",
        b"n\xff,digest",
        &org,
        "line 1: it is not UTF-8 text",
    );
    refused(
        "keys.csv",
        &b"x".repeat(99_999),
        &org,
        "it is longer than 16384 bytes",
    );
    std::fs::create_dir(place.path("a.csv")).unwrap();
    for (code, file, why) in [
        (
            1,
            "missing.csv",
            "cannot import `missing.csv`: No such file",
        ),
        (1, "a.csv", "cannot import `a.csv`: Is a directory"),
        (
            2,
            "keys.txt",
            "`keys.txt` does not end in `.csv` or `.jsonl`; write",
        ),
        (2, "-", "`-` does not end in"),
    ] {
        let told = place.refused(code, ["key", "import", file]);
        assert!(told.starts_with(why), "{told}");
    }
    is_untouched(&place).await;
}

#[tokio::test]
async fn a_file_without_records_imports_nothing() {
    let place = place().await;
    for (name, file) in [
        ("keys.csv", HEADER),
        ("keys.jsonl", "\n\n"),
        ("empty.jsonl", ""),
    ] {
        let done = import(&place, name, file, &["--json"]);
        assert_eq!((done.code, &*done.stderr), (0, ""));
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(
            (&report["records"], &report["imported"]),
            (&json!(0), &json!(0))
        );
    }
    let actions = place.json(["audit", "list"]);
    assert_eq!(
        actions.as_array().unwrap().len(),
        1,
        "the organization's creation"
    );
}

#[tokio::test]
async fn a_dry_run_tells_all_and_writes_nothing() {
    let place = place().await;
    let row = |n: u32| format!("{n},{}\n", digest(&n.to_string()));
    let file = format!("name,digest\n{}{}{}", row(1), row(2), row(1));
    let bytes = || std::fs::read(place.path("keys.db")).unwrap();
    let before = bytes();
    let done = import(&place, "keys.csv", file, &["--org", "acme", "--dry-run"]);
    let (lines, last) = told(&done);
    assert_eq!(done.code, 1);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("line 4: a key of this digest"),
        "{lines:?}"
    );
    assert_eq!(last, "error: 1 of 3 records were refused");
    assert!(
        done.stdout.contains("imported       0 (dry run)"),
        "{}",
        done.stdout
    );
    assert!(bytes() == before, "nothing is written, and no log is left");
    is_untouched(&place).await;
}

#[tokio::test]
pub(crate) async fn a_file_is_imported_once() {
    let place = place().await;
    let file = format!("name,digest\na,{}\n", digest("a"));
    let org = ["--org", "acme"];
    assert_eq!(import(&place, "keys.csv", &file, &org).code, 0);
    let again = import(&place, "keys.csv", &file, &org);
    assert_eq!(again.code, 1);
    assert!(
        again
            .stderr
            .starts_with("line 2: a key of this digest exists")
    );
    assert_eq!(keys(&place).len(), 1);
}

#[tokio::test]
async fn another_audit_key_does_not_import() {
    let place = place().await;
    place.keep("other", "another key");
    std::fs::write(place.path("keys.csv"), "name,digest\n").unwrap();
    let told = place.refused(
        1,
        [
            "key",
            "import",
            "keys.csv",
            "--org",
            "acme",
            "--audit-key-file",
            "other",
        ],
    );
    assert!(told.contains("was sealed with another key"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn imported_keys_open_the_routes_of_a_running_app() {
    let place = Place::bare();
    let app = App::with(&catalog(), &place).await;
    place.good(["org", "create", "acme", "--plan", "free"]);
    let secret = |n: u32| format!("oldco_{n:020}");
    // That it is unknown is remembered.
    app.answers(&secret(7), 401).await;
    let mut file = String::from("name,digest,scopes\n");
    for n in 0..20_000 {
        writeln!(file, "key {n},{},iocs:read", digest(&secret(n))).unwrap();
    }
    let done = import(&place, "keys.csv", file, &["--org", "acme", "--json"]);
    assert_eq!((done.code, &*done.stderr), (0, ""));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["imported"], 20_000);
    app.answers(&secret(7), 200).await;
    app.answers(&secret(19_999), 200).await;
    app.answers(&secret(20_000), 401).await;
    app.gate.shutdown().await;
}

#[cfg(unix)]
#[tokio::test]
pub(crate) async fn ctrl_c_leaves_nothing_behind() {
    let place = place().await;
    let mut command = place.command();
    command.args(["key", "import", "-", "--format", "csv", "--org", "acme"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than one batch, of which the first is staged while the second is waited for.
    let mut file = String::from("name,digest\n");
    for n in 0..110_000 {
        writeln!(file, "key {n},{n:064x}").unwrap();
    }
    stdin.write_all(file.as_bytes()).unwrap();
    let store = place.store().await;
    eventually("the import begins", async || {
        !store.pending_imports().await.unwrap().is_empty()
    })
    .await;
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.unwrap().success());
    let done = Done::of(&child.wait_with_output().unwrap());
    assert_eq!((done.code, &*done.stdout), (1, ""), "{}", done.stderr);
    assert_eq!(
        done.stderr,
        "note: stopped; removing what was staged\nerror: it was stopped, and nothing was imported\n"
    );
    drop(stdin);
    store.close().await;
    is_untouched(&place).await;
}
