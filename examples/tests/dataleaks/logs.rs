//! What the running app logs at the finest level: nothing of a key.

use std::collections::BTreeMap;
use std::fs::File;

use crate::running::{Running, example, send};

/// What is sent in `Authorization` by a printed request, without its scheme.
fn secret_of(line: &str) -> Option<&str> {
    let (_, secret) = line.split_once("Authorization: Bearer ")?;
    Some(secret.split_once('\'')?.0)
}

#[tokio::test]
async fn the_authorization_header_is_in_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut command = example("dataleaks", directory.path());
    let log = File::create(&path).unwrap();
    command.env("RUST_LOG", "trace").stderr(log);
    let running = Running::of(command).await;
    let mut jars = BTreeMap::new();
    let mut secrets = Vec::new();
    for (_, line) in running.promised() {
        send(&line, &mut jars).await;
        let Some(secret) = secret_of(&line) else {
            continue;
        };
        secrets.push(secret.to_owned());
        // What is no key is somebody's secret all the same: of another system, or mistyped.
        for (scheme, other) in [("Bearer", "canary-one"), ("Basic", "canary-two")] {
            let line = line.replace(&format!("Bearer {secret}"), &format!("{scheme} {other}"));
            assert_eq!(send(&line, &mut jars).await.status, 401, "{line}");
            secrets.push(other.to_owned());
        }
    }
    running.interrupt().await;

    let logged = std::fs::read_to_string(&path).unwrap();
    assert!(logged.contains("DEBUG sqlx"), "the log is heard");
    assert!(logged.len() > 10_000, "the log is long");
    assert!(secrets.len() > 30);
    for secret in secrets {
        // A key's beginning is shown.
        let hidden = secret.get(12..).filter(|_| secret.starts_with("dl_"));
        let hidden = hidden.unwrap_or(&secret);
        assert!(!logged.contains(hidden), "{hidden} is in the log");
    }
    assert!(
        !logged.to_lowercase().contains("bearer "),
        "a scheme is in the log"
    );
}
