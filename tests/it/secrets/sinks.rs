//! Whole scenarios, and the search of every sink.

use std::time::Duration;

use metrics_util::debugging::DebuggingRecorder;
use tollgate::core::clock::Clock;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::NewKey;
use tollgate_testkit::faults::{Fault, Operation};

use super::presented::{Presented, everywhere};
use super::search::Search;
use super::stage::{PATHS, PEPPER, Stage};
use crate::support::log::{by_databases, capture, captured};
use crate::support::{DAY, actor, catalog, org, unknown_secret};

/// A key in each state that a look-up can find, by name.
async fn canaries(stage: &Stage) -> Vec<(&'static str, String)> {
    let keyring = stage.gate.keyring();
    let new = |organization: &str| NewKey::new(org(organization), "a key");
    let secret = async |key: NewKey| stage.issue(key).await.secret.expose().to_owned();
    let rotated = stage.issue(new("umbra").scopes(["iocs:read"])).await;
    let replacing = keyring
        .rotate(&rotated.key.id, DAY, &actor())
        .await
        .unwrap();
    let revoked = stage.issue(new("umbra")).await;
    keyring.revoke(&revoked.key.id, &actor()).await.unwrap();
    let disabled = stage.issue(new("umbra")).await;
    keyring.disable(&disabled.key.id, &actor()).await.unwrap();
    let soon = stage.clock.now().wall.after(Duration::from_secs(1));
    vec![
        (
            "a good key",
            secret(new("umbra").scopes(["iocs:write"])).await,
        ),
        ("a poor key without scopes", secret(new("acme")).await),
        ("a replaced secret", rotated.secret.expose().to_owned()),
        (
            "the secret that replaces it",
            replacing.secret.expose().to_owned(),
        ),
        ("a revoked key", revoked.secret.expose().to_owned()),
        ("a disabled key", disabled.secret.expose().to_owned()),
        (
            "an expired key",
            secret(new("umbra").expires_at(soon)).await,
        ),
        ("an unknown key", unknown_secret()),
    ]
}

/// What goes wrong in a store, and where that is noticed.
const FAULTS: [(Operation, &str); 7] = [
    (Operation::Find, "/scoped"),
    (Operation::Keys, "/scoped"),
    (Operation::Hold, "/paid"),
    (Operation::Settle, "/paid"),
    (Operation::Quota, "/daily"),
    (Operation::Usage, "/echo"),
    (Operation::Feed, "/echo"),
];

async fn fail_now_and_then(stage: &mut Stage, secret: &str) {
    for (operation, path) in FAULTS {
        for fault in [Fault::Fail, Fault::LoseReply] {
            stage.faults.set(operation, fault);
            // Nothing that is remembered helps.
            stage.clock.advance(Duration::from_secs(3600));
            for presented in everywhere(secret).iter().step_by(5) {
                stage.present(path, presented).await;
            }
            stage.faults.set_all(Fault::None);
        }
    }
}

fn labels(recorder: &DebuggingRecorder) -> String {
    let metrics = recorder.snapshotter().snapshot().into_vec();
    let described = metrics.iter().map(|(key, unit, description, value)| {
        format!("{key:?} {unit:?} {description:?} {value:?}\n")
    });
    described.collect()
}

#[tokio::test]
async fn no_sink_has_a_secret_wherever_it_was_presented() {
    capture();
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let mut stage = Stage::set().await;
    let granted = stage
        .gate
        .grant_credits(&org("umbra"), 100_000, &actor())
        .await;
    granted.unwrap();
    let canaries = canaries(&stage).await;
    let mut search = Search::default();
    search.text("the pepper", PEPPER);
    for (whose, secret) in &canaries {
        search.key(whose, secret);
    }
    for (_, secret) in &canaries {
        for presented in everywhere(secret) {
            for path in PATHS {
                stage.present(path, &presented).await;
            }
        }
        // The next key meets each place and path over the other protocol.
        stage.turn();
    }
    fail_now_and_then(&mut stage, &canaries[0].1).await;
    stage.gate.shutdown().await;

    // All of it did happen.
    for status in [200, 400, 401, 402, 403, 415, 500, 503] {
        assert!(
            stage.statuses.contains_key(&status),
            "{status}: {:?}",
            stage.statuses
        );
    }
    let files = stage.database();
    let names: Vec<_> = files
        .iter()
        .filter_map(|(path, _)| path.extension())
        .collect();
    for name in ["db", "db-wal", "db-shm"] {
        assert!(names.iter().any(|found| *found == name), "{names:?}");
    }
    for (path, bytes) in &files {
        search.assert_none(&path.display().to_string(), bytes);
    }
    search.assert_none("the answers", &stage.answers);
    search.assert_none("the metrics", labels(&recorder).as_bytes());
    let by_databases = by_databases();
    let statements = String::from_utf8_lossy(&by_databases);
    assert!(statements.contains("sqlx::query"), "nothing of sqlx");
    search.assert_none("what databases log", &by_databases);
    let log = captured();
    for target in [
        " tollgate::",
        " h2::",
        " hyper_util::",
        " tower_http::",
        "axum::rejection",
    ] {
        assert!(log.contains(target), "nothing of{target}");
    }
    search.assert_none("the log", log.as_bytes());
}

#[tokio::test]
async fn a_planted_secret_is_found_in_every_sink() {
    capture();
    let recorder = DebuggingRecorder::new();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let mut stage = Stage::set().await;
    let format = KeyFormat::new(&catalog().keys().format);
    let planted = format.generate("live").unwrap().secret;
    let mut search = Search::default();
    search.key("a planted key", planted.expose());
    for (path, bytes) in stage.database() {
        search.assert_none(&path.display().to_string(), &bytes);
    }

    stage
        .issue(NewKey::new(org("umbra"), planted.expose()))
        .await;
    let found = |bytes: &[u8]| !search.found(bytes).is_empty();
    assert!(
        stage.database().iter().any(|(_, bytes)| found(bytes)),
        "a name is in the WAL"
    );
    metrics::counter!("planted", "by" => planted.expose().to_owned()).increment(1);
    assert!(found(labels(&recorder).as_bytes()), "a label");
    let elsewhere = Presented {
        query: Some(format!("not_a_place_for_keys={}", planted.expose())),
        headers: Vec::new(),
    };
    stage.present("/echo", &elsewhere).await;
    assert!(found(&stage.answers), "an answer");
    let log = captured();
    for target in ["tower_http::trace", "a handler tells all it sees"] {
        let line = log
            .lines()
            .find(|line| line.contains(target) && found(line.as_bytes()));
        assert!(line.is_some(), "{target} in the log");
    }
}
