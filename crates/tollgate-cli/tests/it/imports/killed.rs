//! An import that is killed half-way leaves no key that is good, and is in nobody's way.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tollgate_core::clock::Timestamp;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{KeyImport as _, KeyStore as _};

use super::{import, keys, place};
use crate::running::eventually;

/// Lines whose digests are the numbers from 0.
fn lines(keys: u32) -> String {
    let mut file = String::from("name,digest\n");
    for n in 0..keys {
        writeln!(file, "key {n},{n:064x}").unwrap();
    }
    file
}

#[tokio::test]
pub(crate) async fn a_killed_import_leaves_nothing_good_and_the_next_imports_all() {
    let place = place().await;
    let mut command = place.command();
    command.args(["key", "import", "-", "--format", "csv", "--org", "acme"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    // More than a batch, and no end: it is killed while it stages, or while it waits for more.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines(110_000).as_bytes()).unwrap();
    let store = place.store().await;
    let first = KeyDigest::from_bytes([0; 32]);
    let known = async || store.known_digests(vec![first]).await.unwrap();
    eventually("keys are staged", async || !known().await.is_empty()).await;
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());

    assert_eq!(keys(&place), [] as [Value; 0]);
    assert!(store.find(&first).await.unwrap().is_none());
    let pending = store.pending_imports().await.unwrap();
    let [left] = *pending else {
        panic!("{pending:?}")
    };
    let file = lines(20_000);
    let early = import(&place, "keys.csv", &file, &["--org", "acme"]);
    assert_eq!(early.code, 1);
    let told = format!("import {} was at work at", left.id);
    assert!(early.stderr.contains(&told), "{}", early.stderr);
    // As if its last sign of life were long ago.
    let long_ago = store.stage_keys(left.id, Vec::new(), Timestamp::default());
    assert_eq!(long_ago.await.unwrap(), []);
    let done = import(&place, "keys.csv", &file, &["--org", "acme", "--json"]);
    assert_eq!((done.code, &*done.stderr), (0, ""));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["imported"], json!(20_000));
    assert!(store.find(&first).await.unwrap().is_some());
    assert_eq!(store.pending_imports().await.unwrap(), []);
    // Of the others of the killed one, nothing is left either.
    let rest = (20_000_u32..100_000).map(|n| {
        let mut digest = [0; 32];
        digest[28..].copy_from_slice(&n.to_be_bytes());
        KeyDigest::from_bytes(digest)
    });
    assert_eq!(store.known_digests(rest.collect()).await.unwrap(), []);
    store.close().await;
    place.good(["audit", "verify"]);
}
