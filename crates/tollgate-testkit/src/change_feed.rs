//! What every [`ChangeFeed`] must do, on a store that has the other ports too.
//!
//! [`change_feed_contract!`](crate::change_feed_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::change::{ChangeFeed, ChangeKind, Changed};
use tollgate_core::credits::{Grant, Ledger, MAX_CREDITS, Settle};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::KeyId;
use tollgate_core::store::{KeyStore, Rotation};

use crate::records::{api_key, at, change, digest, hold_request, key_id, org, organization};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! change_feed_contract {
    ($make:expr) => {
        $crate::__contract_tests! { change_feed, $make;
            a_new_store_has_no_changes,
            each_mutation_of_a_key_is_one_change,
            each_mutation_of_an_organization_is_one_change,
            a_grant_is_one_change,
            a_failed_mutation_of_a_key_is_no_change,
            a_failed_mutation_of_an_organization_is_no_change,
            a_failed_grant_is_no_change,
            holds_are_no_changes,
            changes_are_read_in_pieces,
            what_is_newest_is_the_last_change,
        }
    };
}

async fn all<S: ChangeFeed>(store: &S) -> Vec<Changed> {
    let changes = store.since(0, 1_000).await.unwrap();
    assert!(changes.is_sorted_by(|a, b| a.seq < b.seq), "{changes:?}");
    changes
}

async fn told<S: ChangeFeed>(store: &S) -> Vec<(ChangeKind, Option<KeyId>)> {
    let changes = all(store).await;
    let acme = Some(org("acme"));
    assert!(changes.iter().all(|change| change.organization == acme));
    changes.iter().map(|it| (it.kind, it.key)).collect()
}

/// Before the first change there is none, and its number is zero.
pub async fn a_new_store_has_no_changes<S: ChangeFeed>(store: &S) {
    assert_eq!(store.newest().await.unwrap(), 0);
    assert_eq!(store.since(0, 10).await.unwrap(), []);
}

/// Making, editing, rotating and deleting a key write one row each, of the right kind.
pub async fn each_mutation_of_a_key_is_one_change<S: KeyStore + ChangeFeed>(store: &S) {
    let (key, rotation) = (api_key(1, "acme"), rotation(2));
    store
        .insert_organization(organization("acme"), change(0))
        .await
        .unwrap();
    store
        .insert_key(key.clone(), digest(1), change(1))
        .await
        .unwrap();
    let key = store.update_key(key, None, change(2)).await.unwrap();
    let key = store
        .update_key(key, Some(rotation), change(3))
        .await
        .unwrap();
    store.delete_key(&key.id, change(4)).await.unwrap();
    let id = Some(key.id);
    assert_eq!(
        told(store).await,
        [
            (ChangeKind::OrganizationChanged, None),
            (ChangeKind::KeyCreated, id),
            (ChangeKind::KeyChanged, id),
            (ChangeKind::KeyChanged, id),
            (ChangeKind::KeyChanged, id),
        ]
    );
}

/// Making and changing an organization write one row each.
pub async fn each_mutation_of_an_organization_is_one_change<S: KeyStore + ChangeFeed>(store: &S) {
    let acme = organization("acme");
    store
        .insert_organization(acme.clone(), change(0))
        .await
        .unwrap();
    store.update_organization(acme, change(1)).await.unwrap();
    let changed = (ChangeKind::OrganizationChanged, None);
    assert_eq!(told(store).await, [changed, changed]);
}

/// A grant writes one row, whether or not anybody knows the organization.
pub async fn a_grant_is_one_change<S: Ledger + ChangeFeed>(store: &S) {
    store
        .grant(Grant::new(org("acme"), 5), change(0))
        .await
        .unwrap();
    let granted = (ChangeKind::CreditsGranted, None);
    assert_eq!(told(store).await, [granted]);
}

/// What was refused did not happen, to those who read the feed either.
pub async fn a_failed_mutation_of_a_key_is_no_change<S: KeyStore + ChangeFeed>(store: &S) {
    let key = api_key(1, "acme");
    let orphan = api_key(2, "nobody");
    let mut stale = key.clone();
    stale.version = 99;
    store
        .insert_organization(organization("acme"), change(0))
        .await
        .unwrap();
    store
        .insert_key(key.clone(), digest(1), change(0))
        .await
        .unwrap();
    let before = all(store).await;
    let refused = [
        store.insert_key(orphan, digest(2), change(1)).await.err(),
        store
            .insert_key(key.clone(), digest(3), change(1))
            .await
            .err(),
        store
            .insert_key(api_key(3, "acme"), digest(1), change(1))
            .await
            .err(),
        store.update_key(stale, None, change(1)).await.err(),
        store
            .update_key(key, Some(rotation(1)), change(1))
            .await
            .err(),
        store
            .update_key(api_key(9, "acme"), None, change(1))
            .await
            .err(),
        store.delete_key(&key_id(9), change(1)).await.err(),
    ];
    for (n, error) in refused.iter().enumerate() {
        assert!(error.is_some(), "mutation {n} was not refused");
    }
    assert_eq!(all(store).await, before);
}

/// What was refused did not happen, to those who read the feed either.
pub async fn a_failed_mutation_of_an_organization_is_no_change<S: KeyStore + ChangeFeed>(
    store: &S,
) {
    let acme = organization("acme");
    let mut stale = acme.clone();
    stale.version = 99;
    store
        .insert_organization(acme.clone(), change(0))
        .await
        .unwrap();
    let before = all(store).await;
    assert!(store.insert_organization(acme, change(1)).await.is_err());
    assert!(store.update_organization(stale, change(1)).await.is_err());
    let unknown = organization("nobody");
    assert!(store.update_organization(unknown, change(1)).await.is_err());
    assert_eq!(all(store).await, before);
}

/// A grant that overflows writes nothing.
pub async fn a_failed_grant_is_no_change<S: Ledger + ChangeFeed>(store: &S) {
    store
        .grant(Grant::new(org("acme"), 1), change(0))
        .await
        .unwrap();
    let before = all(store).await;
    let grant = Grant::new(org("acme"), MAX_CREDITS);
    let error = store.grant(grant, change(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(all(store).await, before);
}

/// The feed tells what copies go stale by; a charge makes none stale.
pub async fn holds_are_no_changes<S: Ledger + ChangeFeed>(store: &S) {
    store
        .grant(Grant::new(org("acme"), 5), change(0))
        .await
        .unwrap();
    let request = hold_request(1, "acme", 2, 2);
    let id = request.id;
    store.hold(&request).await.unwrap();
    let settle = Settle {
        id,
        credits: 1,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    store.settle(settle).await.unwrap();
    assert_eq!(all(store).await.len(), 1);
}

/// `since` gives up to `limit` rows after a point, the oldest first.
pub async fn changes_are_read_in_pieces<S: Ledger + ChangeFeed>(store: &S) {
    for n in 0..5 {
        store
            .grant(Grant::new(org("acme"), 1), change(n))
            .await
            .unwrap();
    }
    let whole = all(store).await;
    let mut read = Vec::new();
    loop {
        let after = read.last().map_or(0, |last: &Changed| last.seq);
        let piece = store.since(after, 2).await.unwrap();
        assert!(piece.len() <= 2);
        if piece.is_empty() {
            break;
        }
        read.extend(piece);
    }
    assert_eq!(read.len(), 5);
    assert_eq!(read, whole);
    assert_eq!(store.since(0, 0).await.unwrap(), []);
    assert_eq!(store.since(u64::MAX, 10).await.unwrap(), []);
}

/// `newest` is the number of the last row, so that whoever starts there misses nothing.
pub async fn what_is_newest_is_the_last_change<S: Ledger + ChangeFeed>(store: &S) {
    store
        .grant(Grant::new(org("acme"), 1), change(0))
        .await
        .unwrap();
    let newest = store.newest().await.unwrap();
    assert_eq!(all(store).await.last().unwrap().seq, newest);
    store
        .grant(Grant::new(org("acme"), 1), change(0))
        .await
        .unwrap();
    let later = store.since(newest, 10).await.unwrap();
    assert_eq!(later.len(), 1);
    assert_eq!(later.first().unwrap().seq, store.newest().await.unwrap());
}

fn rotation(n: u8) -> Rotation {
    Rotation {
        digest: digest(n),
        old_valid_until: at(3_600),
    }
}
