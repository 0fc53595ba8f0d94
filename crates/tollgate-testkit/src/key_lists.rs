//! What every [`KeyStore`] must do that lists keys, on a store that has usage too.
//!
//! [`key_lists_contract!`](crate::key_lists_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::clock::Timestamp;
use tollgate_core::record::{ApiKey, KeyStatus};
use tollgate_core::store::{KeyPage, KeyQuery, KeyStore, ListedKey, Rotation};
use tollgate_core::usage::{KeyUsage, UsageCount, UsageStore, UsageTotals};

use crate::records::{api_key, at, change, digest, full_key, key_id, org, organization};

const DAY: u64 = 86_400;

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! key_lists_contract {
    ($make:expr) => {
        $crate::__contract_tests! { key_lists, $make;
            keys_are_listed_in_pieces_the_newest_first,
            the_keys_of_all_organizations_are_listed,
            a_page_has_an_end,
            each_filter_finds_its_keys,
            filters_are_joined,
            a_search_takes_its_text_as_it_is,
            unused_keys_are_found_to_the_microsecond,
            a_use_that_is_told_late_makes_no_key_stale,
            the_total_counts_what_matches_on_any_page,
            a_listed_key_has_its_usage_and_the_end_of_its_old_secret,
        }
    };
}

async fn insert<S: KeyStore>(store: &S, n: u8, key: ApiKey) {
    store.insert_key(key, digest(n), change(0)).await.unwrap();
}

async fn organizations<S: KeyStore>(store: &S) {
    for name in ["acme", "other"] {
        let made = store.insert_organization(organization(name), change(0));
        made.await.unwrap();
    }
}

/// Keys 1 to 5, of which the third is another's.
async fn five<S: KeyStore>(store: &S) {
    organizations(store).await;
    for n in [5, 3, 1, 4, 2] {
        let owner = if n == 3 { "other" } else { "acme" };
        insert(store, n, api_key(n.into(), owner)).await;
    }
}

fn acme() -> KeyQuery {
    KeyQuery::new().organization(org("acme"))
}

async fn list<S: KeyStore>(store: &S, query: &KeyQuery) -> KeyPage {
    store.list_keys(query.clone()).await.unwrap()
}

/// Asserts which keys of five or fewer match, on one page and on pages of one.
async fn finds<S: KeyStore>(store: &S, query: KeyQuery, expected: &[u32]) {
    let number = |listed: &ListedKey| (1..6).find(|n| key_id(*n) == listed.key.id).unwrap();
    let whole = list(store, &query.clone().with_total()).await;
    let found: Vec<u32> = whole.keys.iter().map(number).collect();
    assert_eq!(found, expected, "{query:?}");
    assert_eq!(whole.total, expected.len().try_into().ok(), "{query:?}");
    let (mut found, mut query) = (Vec::new(), query.limit(1));
    while let Some(last) = list(store, &query).await.keys.first() {
        found.push(number(last));
        query = query.before(last.key.id);
    }
    assert_eq!(found, expected, "{query:?}, one by one");
}

/// Pages follow each other by id, without gaps.
pub async fn keys_are_listed_in_pieces_the_newest_first<S: KeyStore>(store: &S) {
    five(store).await;
    let mut query = acme().limit(3);
    let first = list(store, &query).await;
    assert_eq!(first.total, None);
    let ids = |page: KeyPage| -> Vec<_> { page.keys.iter().map(|it| it.key.id).collect() };
    assert_eq!(ids(first), [5, 4, 2].map(key_id));
    query = query.before(key_id(2));
    assert_eq!(ids(list(store, &query).await), [key_id(1)]);
    query = query.before(key_id(1));
    assert_eq!(list(store, &query).await, KeyPage::default());
    assert_eq!(list(store, &acme().limit(0)).await, KeyPage::default());
}

/// By whom ever they are owned.
pub async fn the_keys_of_all_organizations_are_listed<S: KeyStore>(store: &S) {
    five(store).await;
    finds(store, KeyQuery::new(), &[5, 4, 3, 2, 1]).await;
    finds(store, KeyQuery::new().organization(org("other")), &[3]).await;
    finds(store, KeyQuery::new().organization(org("nobody")), &[]).await;
}

/// However much is asked for.
pub async fn a_page_has_an_end<S: KeyStore>(store: &S) {
    organizations(store).await;
    let most = KeyQuery::MOST;
    for n in 1..=most.saturating_add(1) {
        let [.., a, b] = n.to_be_bytes();
        let mut bytes = [0; 32];
        (bytes[0], bytes[1]) = (a, b);
        let digest = tollgate_core::secret::KeyDigest::from_bytes(bytes);
        let made = store.insert_key(api_key(n, "acme"), digest, change(0));
        made.await.unwrap();
    }
    let page = list(store, &acme().limit(u32::MAX).with_total()).await;
    assert_eq!(page.keys.len(), usize::try_from(most).unwrap());
    assert_eq!(page.total, Some(u64::from(most).saturating_add(1)));
}

/// One that is plain, one that is full, and three that are something between.
async fn various<S: KeyStore>(store: &S) {
    organizations(store).await;
    insert(store, 1, api_key(1, "acme")).await;
    let revoked = ApiKey {
        expires_at: Some(at(150)),
        ..full_key(2, "acme")
    };
    insert(store, 2, revoked).await;
    let key = ApiKey {
        name: "CI Mailer".to_owned(),
        status: KeyStatus::Disabled,
        expires_at: Some(at(150)),
        created_at: at(10),
        ..api_key(3, "acme")
    };
    insert(store, 3, key).await;
    let key = ApiKey {
        creator: "user:bob".to_owned(),
        display_prefix: "sk_live_MaiL".to_owned(),
        expires_at: Some(at(200)),
        created_at: at(20),
        rotated_at: Some(at(30)),
        ..api_key(4, "acme")
    };
    insert(store, 4, key).await;
    let key = ApiKey {
        environment: "live".to_owned(),
        expires_at: Some(at(100)),
        created_at: at(10),
        ..api_key(5, "other")
    };
    insert(store, 5, key).await;
}

/// And no others.
pub async fn each_filter_finds_its_keys<S: KeyStore>(store: &S) {
    various(store).await;
    let all = KeyQuery::new;
    finds(store, all().status(KeyStatus::Active), &[5, 4, 1]).await;
    finds(store, all().status(KeyStatus::Disabled), &[3]).await;
    finds(store, all().status(KeyStatus::Revoked), &[2]).await;
    finds(store, all().environment("live"), &[5, 2]).await;
    finds(store, all().environment("Live"), &[]).await;
    finds(store, all().creator("user:bob"), &[4]).await;
    finds(store, all().search("mail"), &[4, 3]).await;
    finds(store, all().search("KEY"), &[5, 4, 1]).await;
    finds(store, all().search("東京"), &[2]).await;
    finds(store, all().search(""), &[5, 4, 3, 2, 1]).await;
    // One that expires at that very point is expired.
    finds(store, all().expiring(at(100), at(200)), &[3]).await;
    finds(store, all().expiring(at(99), at(201)), &[5, 4, 3]).await;
    finds(store, all().secret_before(at(11)), &[5, 3, 2, 1]).await;
    finds(store, all().secret_before(at(10)), &[2, 1]).await;
    finds(store, all().secret_before(at(30)), &[5, 3, 2, 1]).await;
}

/// A key has to match all of them.
pub async fn filters_are_joined<S: KeyStore>(store: &S) {
    various(store).await;
    let expiring = KeyQuery::new().expiring(at(99), at(201));
    finds(store, expiring.clone().status(KeyStatus::Active), &[5, 4]).await;
    finds(store, expiring.clone().organization(org("acme")), &[4, 3]).await;
    let narrow = expiring
        .organization(org("acme"))
        .environment("test")
        .creator("user:alice")
        .secret_before(at(100))
        .unused_since(at(100))
        .search("mail");
    finds(store, narrow.clone(), &[3]).await;
    finds(store, narrow.status(KeyStatus::Active), &[]).await;
}

/// No character of it stands for others.
pub async fn a_search_takes_its_text_as_it_is<S: KeyStore>(store: &S) {
    organizations(store).await;
    for (n, name) in (1..).zip([r"100% \o/", "a_b", "axb"]) {
        let name = name.to_owned();
        let key = api_key(u32::from(n), "acme");
        insert(store, n, ApiKey { name, ..key }).await;
    }
    finds(store, acme().search("%"), &[1]).await;
    finds(store, acme().search(r"\"), &[1]).await;
    finds(store, acme().search("A_B"), &[2]).await;
    finds(store, acme().search("'"), &[]).await;
    finds(store, acme().search("\0b"), &[]).await;
    finds(store, acme().creator("\0b"), &[]).await;
}

async fn used<S: UsageStore>(store: &S, n: u32, at: Timestamp) {
    let count = UsageCount {
        route: "GET /iocs".into(),
        outcome: "2xx".into(),
        hour: crate::clock::START,
        requests: 3,
    };
    let usage = KeyUsage {
        key: key_id(n),
        last_used_at: at,
        last_address: "192.0.2.1".parse().ok(),
        with_old_secret: 1,
        counts: vec![count],
    };
    store.record_usage(vec![usage]).await.unwrap();
}

/// However coarse what a store keeps for it may be.
pub async fn unused_keys_are_found_to_the_microsecond<S>(store: &S)
where
    S: KeyStore + UsageStore,
{
    organizations(store).await;
    for n in 1..=4 {
        let key = ApiKey {
            created_at: at(u64::from(n).saturating_mul(10)),
            ..api_key(n.into(), "acme")
        };
        insert(store, n, key).await;
    }
    used(store, 1, at(10 * DAY)).await;
    used(store, 2, at(10 * DAY + 1)).await;
    used(store, 3, at(2 * DAY)).await;
    used(store, 3, at(12 * DAY)).await;
    finds(store, acme().unused_since(at(10 * DAY)), &[4]).await;
    finds(store, acme().unused_since(at(10 * DAY + 1)), &[4, 1]).await;
    finds(store, acme().unused_since(at(11 * DAY)), &[4, 2, 1]).await;
    finds(store, acme().unused_since(at(12 * DAY + 1)), &[4, 3, 2, 1]).await;
    // What was never used counts from its creation.
    finds(store, acme().unused_since(at(40)), &[]).await;
    finds(store, acme().unused_since(at(41)), &[4]).await;
}

/// Batches of several processes arrive in any order.
pub async fn a_use_that_is_told_late_makes_no_key_stale<S>(store: &S)
where
    S: KeyStore + UsageStore,
{
    organizations(store).await;
    insert(store, 1, api_key(1, "acme")).await;
    used(store, 1, at(10 * DAY)).await;
    used(store, 1, at(DAY)).await;
    let edited = ApiKey {
        name: "renamed".to_owned(),
        ..api_key(1, "acme")
    };
    store.update_key(edited, None, change(1)).await.unwrap();
    finds(store, acme().unused_since(at(9 * DAY)), &[]).await;
    finds(store, acme().unused_since(at(11 * DAY)), &[1]).await;
}

/// Not only what is on the page.
pub async fn the_total_counts_what_matches_on_any_page<S: KeyStore>(store: &S) {
    five(store).await;
    for (limit, before, on_page) in [(2, None, 2), (4, None, 4), (9, None, 4), (2, Some(2), 1)] {
        let mut query = acme().limit(limit).with_total();
        query.before = before.map(key_id);
        let page = list(store, &query).await;
        assert_eq!(
            (page.keys.len(), page.total),
            (on_page, Some(4)),
            "{query:?}"
        );
    }
    let none = acme().search("nothing").with_total();
    assert_eq!(list(store, &none).await.total, Some(0));
}

/// One query shows all that a list needs.
pub async fn a_listed_key_has_its_usage_and_the_end_of_its_old_secret<S>(store: &S)
where
    S: KeyStore + UsageStore,
{
    organizations(store).await;
    insert(store, 1, full_key(1, "acme")).await;
    insert(store, 2, api_key(2, "acme")).await;
    let mut key = api_key(2, "acme");
    for (n, until) in [(3, 100), (4, 90)] {
        let rotation = Rotation {
            digest: digest(n),
            old_valid_until: at(until),
        };
        let rotated = store.update_key(key, Some(rotation), change(50));
        key = rotated.await.unwrap();
    }
    used(store, 2, at(7)).await;
    let [second, first] = list(store, &acme()).await.keys.try_into().unwrap();
    assert_eq!(first.key, full_key(1, "acme"));
    assert_eq!(first.usage, UsageTotals::default());
    assert_eq!(first.old_secret_valid_until, None);
    assert_eq!(second.key, key);
    assert_eq!(second.usage, store.usage(&key.id).await.unwrap());
    assert_eq!(second.usage.total_requests, 3);
    assert_eq!(second.old_secret_valid_until, Some(at(90)));
}
