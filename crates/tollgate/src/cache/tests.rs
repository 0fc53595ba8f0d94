use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tollgate_core::change::Change;
use tollgate_core::clock::{Moment, Timestamp};
use tollgate_core::ip::IpRules;
use tollgate_core::plan::Plan;
use tollgate_core::record::{ApiKey, KeyStatus, OrgStatus, Organization, Permissions};
use tollgate_core::reply::BoxFuture;
use tollgate_core::store::{KeyPage, KeyQuery, Rotation};

use super::*;

/// Not the default, which would hide a setting that is lost.
const MAX_AGE: u64 = 7_000_000_000;

/// Stands where it was set; nothing here waits for it.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment {
            wall: Timestamp::from_secs(1_000),
            steady: Steady::from_nanos(self.0.load(Ordering::Relaxed)),
        }
    }

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// Has one key, or none, and answers at once or after a while.
#[derive(Debug, Default)]
struct One {
    record: Mutex<Option<KeyRecord>>,
    yields: AtomicU32,
    reads: AtomicU32,
}

impl KeyStore for One {
    fn find(&self, _: &KeyDigest) -> Reply<Option<KeyRecord>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let record = self.record.lock().clone();
        match self.yields.load(Ordering::Relaxed) {
            0 => Reply::ready(record),
            yields => Reply::later(async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                Ok(record)
            }),
        }
    }

    fn key(&self, _: &KeyId) -> Reply<Option<ApiKey>> {
        unreachable!()
    }

    fn list_keys(&self, _: KeyQuery) -> Reply<KeyPage> {
        unreachable!()
    }

    fn insert_key(&self, _: ApiKey, _: KeyDigest, _: Change) -> Reply<()> {
        unreachable!()
    }

    fn update_key(&self, _: ApiKey, _: Option<Rotation>, _: Change) -> Reply<ApiKey> {
        unreachable!()
    }

    fn delete_key(&self, _: &KeyId, _: Change) -> Reply<()> {
        unreachable!()
    }

    fn organization(&self, _: &OrgId) -> Reply<Option<Organization>> {
        unreachable!()
    }

    fn organizations(&self, _: Option<OrgId>, _: u32) -> Reply<Vec<Organization>> {
        unreachable!()
    }

    fn insert_organization(&self, _: Organization, _: Change) -> Reply<()> {
        unreachable!()
    }

    fn update_organization(&self, _: Organization, _: Change) -> Reply<Organization> {
        unreachable!()
    }
}

const KEY: KeyId = KeyId::from_bytes([7; 16]);
const DIGEST: KeyDigest = KeyDigest::from_bytes([9; 32]);

fn record() -> KeyRecord {
    let acme = OrgId::new("acme").unwrap();
    let at = Timestamp::from_secs(1);
    KeyRecord {
        key: ApiKey {
            id: KEY,
            organization: acme.clone(),
            name: "ci".to_owned(),
            creator: "ann".to_owned(),
            environment: "live".to_owned(),
            display_prefix: "sk_live_zIc8".to_owned(),
            permissions: Permissions::scopes::<String>([]),
            ip_rules: IpRules::default(),
            plan: None,
            limits: None,
            not_before: None,
            expires_at: None,
            status: KeyStatus::Active,
            created_at: at,
            rotated_at: None,
            revoked_at: None,
            version: 1,
        },
        organization: Organization {
            id: acme,
            plan: "free".to_owned(),
            status: OrgStatus::Active,
            ip_rules: IpRules::default(),
            limits: None,
            resources: BTreeMap::new(),
            created_at: at,
            version: 1,
        },
        secret_valid_until: None,
    }
}

struct Bench {
    cache: KeyCache,
    store: Arc<One>,
}

impl Bench {
    fn new(record: Option<KeyRecord>) -> Self {
        let store = Arc::new(One::default());
        *store.record.lock() = record;
        let catalog = Catalog::builder().plan(Plan::new("free")).build().unwrap();
        let settings = CacheSettings::new().with_max_age(Duration::from_nanos(MAX_AGE));
        let clock = Arc::new(Still::default());
        let telemetry = Telemetry::new();
        let cache = KeyCache::new(Arc::clone(&store) as _, catalog, clock, settings, telemetry);
        Self { cache, store }
    }

    /// Reads at the clock's start, and says whether there is such a key.
    fn read(&self) -> bool {
        match self.cache.read(DIGEST) {
            Reply::Now(found) => found.unwrap().is_some(),
            Reply::Later(_) => panic!("the store answered at once"),
        }
    }

    /// Whether it is remembered at `nanos` that there is such a key, or that there is none.
    fn recall(&self, nanos: u64) -> Option<bool> {
        let known = self.cache.recall(&DIGEST, Steady::from_nanos(nanos));
        known.map(|known| known.is_some())
    }
}

#[test]
fn what_was_read_is_believed_until_it_is_as_old_as_it_may_be() {
    for record in [Some(record()), None] {
        let there = record.is_some();
        let bench = Bench::new(record);
        assert_eq!(bench.recall(0), None);
        assert_eq!(bench.read(), there);
        assert_eq!(bench.recall(0), Some(there));
        assert_eq!(bench.recall(MAX_AGE - 1), Some(there));
        assert_eq!(bench.recall(MAX_AGE), None);
        // What is too old tells at least that it is no guess.
        assert_eq!(bench.cache.has_copy(&DIGEST), there);
    }
}

#[test]
fn what_was_read_is_not_believed_after_a_change_however_young_it_is() {
    use ChangeKind::{CreditsGranted, KeyChanged, KeyCreated, OrganizationChanged, Other};
    let acme = OrgId::new("acme").unwrap();
    let (key, organization) = (Some(&KEY), Some(&acme));
    for (kind, key, organization, known, unknown) in [
        (KeyCreated, key, organization, true, false),
        (KeyChanged, key, organization, false, false),
        (OrganizationChanged, None, organization, false, true),
        (CreditsGranted, None, organization, true, true),
        (Other, None, None, false, false),
        (KeyChanged, None, None, false, false),
    ] {
        for (record, believed) in [(Some(record()), known), (None, unknown)] {
            let there = record.is_some();
            let bench = Bench::new(record);
            bench.read();
            bench.cache.changed(kind, key, organization);
            let recalled = bench.recall(0);
            assert_eq!(recalled, believed.then_some(there), "{kind:?} {there}");
        }
    }
}

#[tokio::test]
async fn a_read_that_a_change_overtook_is_done_again() {
    let bench = Bench::new(Some(record()));
    bench.store.yields.store(3, Ordering::Relaxed);
    let (cache, store) = (&bench.cache, &bench.store);
    let changed = async {
        while store.reads.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        *store.record.lock() = None;
        cache.changed(ChangeKind::KeyChanged, Some(&KEY), None);
    };
    let (found, ()) = tokio::join!(cache.read(DIGEST), changed);
    assert!(found.unwrap().is_none());
    assert_eq!(store.reads.load(Ordering::Relaxed), 2);
    // Nothing changes now, so one read is enough.
    assert!(cache.read(DIGEST).await.unwrap().is_none());
    assert_eq!(store.reads.load(Ordering::Relaxed), 3);
}
