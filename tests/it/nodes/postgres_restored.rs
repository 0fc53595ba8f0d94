//! A database that was put back to an earlier point, beside nodes that go on.

use tollgate::CacheSettings;

use super::*;

/// Longer than the test: nothing is read again because it is old.
const MAX_AGE: Duration = Duration::from_secs(300);

/// The changes that come next have numbers that were seen before, of changes that are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_hears_of_changes_after_the_store_was_restored() {
    let url = Postgres::shared().fresh();
    let own = node(&url, "restored", Plan::new("pro")).await;
    let gate = Gate::builder(catalog(Plan::new("pro"))).store(store(&url).await);
    let cache = CacheSettings::new().with_max_age(MAX_AGE);
    let other = Node::of(gate.cache(cache), routes).await;
    let (id, text) = customer(&own.gate, &acme()).await;
    let (keys, me) = (own.gate.keyring(), Actor::system());
    let becomes = async |status: u16| {
        let began = Instant::now();
        while other.status("/iocs", &text).await != status {
            assert!(began.elapsed() < Duration::from_secs(30), "never {status}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    for _ in 0..5 {
        keys.disable(&id, &me).await.unwrap();
        becomes(401).await;
        keys.enable(&id, &me).await.unwrap();
        becomes(200).await;
    }
    let restore = "DELETE FROM tollgate_changes WHERE seq > 1; \
         ALTER TABLE tollgate_changes ALTER COLUMN seq RESTART WITH 2";
    Postgres::shared().query(&url, restore).unwrap();
    keys.revoke(&id, &me).await.unwrap();
    becomes(401).await;
    own.gate.shutdown().await;
    other.gate.shutdown().await;
}
