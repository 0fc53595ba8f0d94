//! What is changed is seen by the next request, whatever reads were under way meanwhile.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use parking_lot::RwLock;
use tollgate::access::scope;
use tollgate::core::change::{Actor, Change};
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::{EditKey, Keyring, NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::record::{ApiKey, KeyRecord, Organization};
use tollgate::core::reply::Reply;
use tollgate::core::secret::{Digester, KeyDigest};
use tollgate::core::store::{KeyPage, KeyQuery, KeyStore, Rotation};
use tollgate::{Catalog, Gate, Plan};
use tollgate_servers::Lag;
use tollgate_sqlx::SqliteStore;
use tower::ServiceExt;

use super::support::eventually;

mod told;

/// Reads a record at once, and hands it over later: the window in which it becomes stale.
#[derive(Debug)]
struct Dawdling {
    inner: Arc<MemoryStore>,
    reads: AtomicU32,
}

impl KeyStore for Dawdling {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let read = self.inner.find(digest);
        let yields = self.reads.fetch_add(1, Ordering::Relaxed) % 7;
        Reply::later(async move {
            let record = read.await;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            record
        })
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        self.inner.key(id)
    }

    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage> {
        self.inner.list_keys(query)
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        self.inner.insert_key(key, digest, change)
    }

    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey> {
        self.inner.update_key(key, rotation, change)
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        self.inner.delete_key(id, change)
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        self.inner.organization(id)
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        self.inner.organizations(after, limit)
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        self.inner.insert_organization(organization, change)
    }

    fn update_organization(&self, org: Organization, change: Change) -> Reply<Organization> {
        self.inner.update_organization(org, change)
    }
}

fn catalog() -> Catalog {
    Catalog::builder()
        .scope("iocs:read")
        .plan(Plan::new("free"))
        .build()
        .unwrap()
}

fn request(secret: &str) -> Request<Body> {
    let request = Request::get("/iocs").header("authorization", format!("Bearer {secret}"));
    request.body(Body::empty()).unwrap()
}

fn acme() -> OrgId {
    OrgId::new("acme").unwrap()
}

/// Changes, each followed by a request that must see it, while other tasks keep reads of the same
/// key under way; `TOLLGATE_TRIALS` says how many. Without the epoch check it fails within the first
/// hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_request_sees_every_change_while_reads_are_under_way() {
    const CHANGES: usize = 20_000;
    let changes = std::env::var("TOLLGATE_TRIALS").map_or(CHANGES, |it| it.parse().unwrap());
    let inner = Arc::new(MemoryStore::default());
    let dawdling = Dawdling {
        inner: Arc::clone(&inner),
        reads: AtomicU32::new(0),
    };
    let gate = Gate::builder(catalog())
        .shared_store(inner)
        .key_store(dawdling);
    let gate = gate.build().await.unwrap();
    let (keys, system) = (gate.keyring().clone(), Actor::system());
    keys.create_organization(NewOrganization::new(acme(), "free"), &system)
        .await
        .unwrap();
    let issued = keys
        .issue(NewKey::new(acme(), "k").scopes(["iocs:read"]), &system)
        .await
        .unwrap();
    let routes = gate
        .routes()
        .get("/iocs", async || "[]", scope("iocs:read"));
    let app = routes.into_service().unwrap();

    let secret = Arc::new(RwLock::new(issued.secret.expose().to_owned()));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..1)
        .map(|_| {
            let (app, secret, stop) = (app.clone(), Arc::clone(&secret), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request = request(&secret.read().clone());
                    app.clone().oneshot(request).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();

    let status = async |secret: &str| app.clone().oneshot(request(secret)).await.unwrap().status();
    let id = issued.key.id;
    let deny = || IpRules::default().with_deny("0.0.0.0/0, ::/0".parse().unwrap());
    let allow = || IpRules::allowing("192.0.2.1".parse().unwrap());
    for change in 0..changes / 2 {
        let current = secret.read().clone();
        let (kind, refused) = match change % 6 {
            0 => (keys.disable(&id, &system).await.map(drop), 401),
            1 => (
                keys.edit(&id, EditKey::new().scopes::<&str>([]), &system)
                    .await
                    .map(drop),
                403,
            ),
            2 => (
                keys.edit(&id, EditKey::new().ip_rules(allow()), &system)
                    .await
                    .map(drop),
                403,
            ),
            3 => (keys.suspend(&acme(), &system).await.map(drop), 403),
            4 => (
                keys.set_ip_rules(&acme(), &deny(), &system).await.map(drop),
                403,
            ),
            _ => {
                let rotated = keys.rotate(&id, Duration::ZERO, &system).await.unwrap();
                *secret.write() = rotated.secret.expose().to_owned();
                (Ok(()), 401)
            }
        };
        kind.unwrap();
        assert_eq!(status(&current).await, refused, "change {change}");
        let none = IpRules::default();
        match change % 6 {
            0 => keys.enable(&id, &system).await.map(drop),
            1 => keys
                .edit(&id, EditKey::new().scopes(["iocs:read"]), &system)
                .await
                .map(drop),
            2 => keys
                .edit(&id, EditKey::new().ip_rules(none), &system)
                .await
                .map(drop),
            3 => keys.activate(&acme(), &system).await.map(drop),
            4 => keys.set_ip_rules(&acme(), &none, &system).await.map(drop),
            _ => Ok(()),
        }
        .unwrap();
        let current = secret.read().clone();
        assert_eq!(status(&current).await, 200, "undone change {change}");
    }
    keys.revoke(&id, &system).await.unwrap();
    let last = secret.read().clone();
    assert_eq!(status(&last).await, 401);
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    gate.shutdown().await;
}

/// A key that was asked for before it existed works as soon as it does.
#[tokio::test]
async fn a_digest_that_was_unknown_is_looked_up_again_after_a_creation() {
    let gate = Gate::builder(catalog())
        .store(MemoryStore::default())
        .build()
        .await
        .unwrap();
    let (keys, system) = (gate.keyring(), Actor::system());
    keys.create_organization(NewOrganization::new(acme(), "free"), &system)
        .await
        .unwrap();
    let app = gate
        .routes()
        .get("/iocs", async || "[]", scope("iocs:read"))
        .into_service()
        .unwrap();
    let issued = keys
        .issue(NewKey::new(acme(), "k").scopes(["iocs:read"]), &system)
        .await
        .unwrap();
    let text = issued.secret.expose();
    keys.delete(&issued.key.id, &system).await.unwrap();
    assert_eq!(
        app.clone().oneshot(request(text)).await.unwrap().status(),
        401
    );
    let again = keys
        .issue(NewKey::new(acme(), "l").scopes(["iocs:read"]), &system)
        .await
        .unwrap();
    let status = app
        .oneshot(request(again.secret.expose()))
        .await
        .unwrap()
        .status();
    assert_eq!(status, 200);
}

const CHILD: &str = "TOLLGATE_TEST_REVOKE_IN";

/// The same test is the second process: it revokes the key that its environment names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_on_the_same_file_sees_a_revocation_within_a_second() {
    let clock = Arc::new(tollgate::core::clock::SystemClock::default());
    if let Ok(database) = std::env::var(CHILD) {
        let store = Arc::new(SqliteStore::open(&database).await.unwrap());
        let keys = Keyring::new(store, catalog(), Digester::sha256(), clock);
        let key = keys
            .list_keys(KeyQuery::new().limit(1))
            .await
            .unwrap()
            .keys
            .remove(0)
            .key;
        keys.revoke(&key.id, &Actor::system()).await.unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tollgate.db").display().to_string();
    let store = SqliteStore::open(&database).await.unwrap();
    let gate = Gate::builder(catalog()).store(store).build().await.unwrap();
    let (keys, system) = (gate.keyring(), Actor::system());
    keys.create_organization(NewOrganization::new(acme(), "free"), &system)
        .await
        .unwrap();
    let issued = keys
        .issue(NewKey::new(acme(), "k").scopes(["iocs:read"]), &system)
        .await
        .unwrap();
    let app = gate
        .routes()
        .get("/iocs", async || "[]", scope("iocs:read"))
        .into_service()
        .unwrap();
    let status = async || {
        app.clone()
            .oneshot(request(issued.secret.expose()))
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status().await, 200);

    let name = "freshness::another_process_on_the_same_file_sees_a_revocation_within_a_second";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name]).env(CHILD, &database);
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    let lag = Lag::watch();
    #[expect(clippy::disallowed_methods, reason = "the claim is about real time")]
    let revoked = Instant::now();
    assert!(output.status.success(), "{output:?}");
    eventually("the key is refused", async || status().await == 401).await;
    let (took, late) = (revoked.elapsed(), lag.end());
    let most = Duration::from_secs(1) + 4 * late;
    assert!(took < most, "{took:?}, with {late:?}");
    gate.shutdown().await;
}
