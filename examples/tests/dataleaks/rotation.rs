//! Keys that should be rotated: told, and still good.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tollgate::core::accounts::Role;
use tollgate_testkit::app::TestKey;

use super::Bench;
use super::app::{api, rotation};

const DAY: Duration = Duration::from_secs(86_400);

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a start at this moment warns of.
async fn warned(bench: &Bench) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    rotation::warn(bench.gate()).await.unwrap();
    drop(guard);
    let lines = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(lines.lines().all(|line| line.contains("WARN")), "{lines}");
    lines
}

/// The keys that the management routes say are due, by their ids.
async fn due(bench: &Bench) -> Vec<String> {
    let owner = bench.kit.session("owner@acme.example");
    let owner = owner.member("acme", Role::Owner).begin().await;
    let keys = bench.app.get("/admin/organizations/acme/keys");
    let answer = keys.session(&owner).send().await;
    let listed = answer.assert_status(200).json()["data"].clone();
    let due = listed.as_array().unwrap().iter();
    let due = due.filter(|key| key["rotation_due"] == true);
    due.map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn assert_good(bench: &Bench, key: &TestKey) {
    let list = bench.app.get("/api/v1/watchlists").key(key).send();
    list.await.assert_status(200);
}

#[test]
fn the_age_of_rotation_is_within_60_to_90_days() {
    let age = api::catalog().unwrap().keys().rotation_age.unwrap();
    assert!((DAY * 60..=DAY * 90).contains(&age), "{age:?}");
}

#[tokio::test]
async fn an_old_secret_is_warned_of_and_stays_good() {
    let bench = Bench::new().await;
    let old = bench.key("acme").await;
    bench.kit.advance(DAY * 59).await;
    let young = bench.key("acme").await;
    assert_eq!(due(&bench).await, [""; 0]);
    assert_eq!(warned(&bench).await, "");

    bench.kit.advance(DAY + Duration::from_secs(1)).await;
    let id = old.id().to_string();
    assert_eq!(due(&bench).await, [&*id]);
    let told = warned(&bench).await;
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(&id) && told.contains("60 days"), "{told}");

    // Both ends of the schedule are a matter of its owner's discipline.
    bench.kit.advance(DAY * 31).await;
    assert_good(&bench, &old).await;
    assert_good(&bench, &young).await;
}

#[tokio::test]
async fn a_rotated_key_is_not_warned_of_and_a_revoked_one_is_not_either() {
    let bench = Bench::new().await;
    let (rotated, revoked) = (bench.key("acme").await, bench.key("acme").await);
    bench.kit.advance(DAY * 61).await;
    assert_eq!(warned(&bench).await.lines().count(), 2);
    let next = rotated.rotate(&bench.kit, Duration::ZERO).await;
    revoked.revoke(&bench.kit).await;
    assert_eq!(warned(&bench).await, "");
    assert_eq!(due(&bench).await, [""; 0]);
    assert_good(&bench, &next).await;
}
