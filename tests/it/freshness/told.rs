//! A feed that tells of changes is read when it does, one that cannot as often as is due, and none
//! keeps a gate from its end.

use std::sync::Arc;
use std::time::Duration;

use tollgate::access::scope;
use tollgate::core::change::Told;
use tollgate::core::keyring::Keyring;
use tollgate::core::memory::MemoryStore;
use tollgate::core::secret::Digester;
use tollgate_testkit::faults::{Fault, FaultyStore, Operation};

use crate::support::{TestApp, TestKey, actor, catalog, log};

/// How often a feed is read that tells of nothing.
const EVERY: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(20);

async fn app() -> (TestApp, TestKey) {
    let app = TestApp::new(|gate| gate.routes().get("/", async || "", scope("iocs:read"))).await;
    let key = app.key("umbra", ["iocs:read"]).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    (app, key)
}

/// The keyring of another process, of which this one is told by nobody.
fn elsewhere(app: &TestApp) -> Keyring {
    let store: Arc<FaultyStore<MemoryStore>> = Arc::clone(&app.store);
    let clock = Arc::new(app.clock.clone());
    Keyring::new(store, catalog(), Digester::sha256(), clock)
}

/// Lets everything happen that can without time.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn pass(app: &TestApp, time: Duration) {
    app.clock.advance(time);
    settle().await;
}

/// From now on the feed cannot tell.
async fn mute(app: &TestApp) {
    app.faults.set(Operation::Told, Fault::Fail);
    let before = app.faults.calls(Operation::Told);
    app.faults.tell(Told::Changed);
    settle().await;
    assert_eq!(app.faults.calls(Operation::Told), before + 1);
}

#[tokio::test]
async fn a_change_that_the_feed_tells_of_is_seen_at_once() {
    let (app, key) = app().await;
    elsewhere(&app).disable(&key.id, &actor()).await.unwrap();
    settle().await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    app.faults.tell(Told::Changed);
    settle().await;
    assert_eq!(app.get("/").key(&key).status().await, 401);
}

#[tokio::test]
async fn a_feed_that_cannot_tell_is_read_as_often_as_one_that_has_nothing_to_tell() {
    let (app, key) = app().await;
    mute(&app).await;
    let calls = || {
        let faults = &app.faults;
        (faults.calls(Operation::Told), faults.calls(Operation::Feed))
    };
    let (told, read) = calls();
    // It is asked what is new, and where there is nothing, whether it has lost something.
    for n in 1..=8 {
        pass(&app, EVERY.saturating_sub(Duration::from_nanos(1))).await;
        assert_eq!(calls(), (told + n - 1, read + 2 * (n - 1)));
        pass(&app, Duration::from_nanos(1)).await;
        assert_eq!(calls(), (told + n, read + 2 * n));
    }
    elsewhere(&app).disable(&key.id, &actor()).await.unwrap();
    pass(&app, EVERY).await;
    assert_eq!(app.get("/").key(&key).status().await, 401);
}

/// Nobody moves the clock, by which the shutdown would be given up.
#[tokio::test]
async fn a_feed_that_cannot_tell_does_not_hold_up_the_shutdown() {
    let (app, _) = app().await;
    mute(&app).await;
    let ended = tokio::time::timeout(PATIENCE, app.gate.shutdown()).await;
    assert!(ended.is_ok(), "the shutdown waits for the feed");
}

#[tokio::test]
async fn after_a_gap_no_copy_is_believed() {
    let (app, key) = app().await;
    let other = app.key("umbra", ["iocs:read"]).await;
    let finds = || app.faults.calls(Operation::Find);
    let both = async || {
        for key in [&key, &other] {
            assert_eq!(app.get("/").key(key).status().await, 200);
        }
    };
    // What this process has changed itself is in the feed too.
    pass(&app, EVERY).await;
    both().await;
    let read = finds();
    pass(&app, EVERY).await;
    both().await;
    assert_eq!(finds(), read, "there are copies");
    app.faults.tell(Told::Again);
    settle().await;
    both().await;
    assert_eq!(finds(), read + 2);
    both().await;
    assert_eq!(finds(), read + 2);
}

/// The numbers of the changes may have begun anew: who goes on from an old one hears of nothing.
#[tokio::test]
async fn a_gap_of_which_the_end_cannot_be_read_is_one_still() {
    let (app, key) = app().await;
    let finds = || app.faults.calls(Operation::Find);
    // What this process has changed itself is in the feed too.
    pass(&app, EVERY).await;
    app.faults.set(Operation::Feed, Fault::Fail);
    app.faults.tell(Told::Again);
    settle().await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    let read = finds();
    app.faults.set(Operation::Feed, Fault::None);
    pass(&app, EVERY).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    assert_eq!(finds(), read + 1, "it was read before the gap had an end");
    pass(&app, EVERY).await;
    assert_eq!(app.get("/").key(&key).status().await, 200);
    assert_eq!(finds(), read + 1);
}

#[tokio::test]
async fn an_outage_is_told_of_once_with_its_cause_and_so_is_its_end() {
    log::capture();
    let (app, _) = app().await;
    app.faults.set(Operation::Feed, Fault::Fail);
    for _ in 0..5 {
        pass(&app, EVERY).await;
    }
    app.faults.set(Operation::Feed, Fault::None);
    for _ in 0..5 {
        pass(&app, EVERY).await;
    }
    let log = log::captured();
    let times = |level: &str, what: &str| {
        let lines = log.lines().filter(|line| line.contains(what));
        lines.filter(|line| line.contains(level)).count()
    };
    assert_eq!(times("ERROR", "could not read the change feed"), 1, "{log}");
    assert_eq!(times("ERROR", "the store is unavailable: "), 1, "{log}");
    assert_eq!(times("WARN", "could read the change feed at last"), 1);
}
