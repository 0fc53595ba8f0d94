//! What every [`KeyStore`] must do.
//!
//! [`key_store_contract!`](crate::key_store_contract) makes one test of each case.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::record::{ApiKey, KeyStatus, OrgStatus, Permissions};
use tollgate_core::store::{KeyPage, KeyQuery, KeyStore, Rotation};

use crate::at_once::at_once;
use crate::records::{
    api_key, at, change, digest, full_key, full_organization, key_id, org, organization,
};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! key_store_contract {
    ($make:expr) => {
        $crate::__contract_tests! { key_store, $make;
            an_empty_store_finds_nothing,
            an_organization_is_read_as_it_was_written,
            an_organization_is_inserted_once,
            an_organization_is_updated_by_version,
            organizations_are_listed_in_pieces,
            a_key_is_read_as_it_was_written,
            every_permission_is_read_as_it_was_written,
            a_key_needs_an_organization,
            a_key_is_inserted_once,
            a_secret_belongs_to_one_key,
            a_refused_key_leaves_no_secret,
            a_key_is_updated_by_version,
            an_update_can_clear_what_was_set,
            what_is_found_is_current,
            a_key_without_its_use_is_found_all_the_same,
            an_old_secret_is_good_until_its_end,
            a_third_secret_ends_the_older_ones,
            a_secret_that_ended_is_not_prolonged,
            a_refused_rotation_changes_nothing,
            a_deleted_key_is_gone_with_its_secrets,
            a_key_that_is_not_there_is_not_changed,
            of_concurrent_updates_one_wins,
        }
    };
}

async fn with_acme<S: KeyStore>(store: &S) {
    store
        .insert_organization(organization("acme"), change(0))
        .await
        .unwrap();
}

/// Makes key 1 of `acme`, whose secret is 1.
async fn with_key<S: KeyStore>(store: &S) -> ApiKey {
    with_acme(store).await;
    let key = api_key(1, "acme");
    store
        .insert_key(key.clone(), digest(1), change(0))
        .await
        .unwrap();
    key
}

async fn rotate<S: KeyStore>(store: &S, key: ApiKey, n: u8, secs: u64, until: u64) -> ApiKey {
    let rotation = Rotation {
        digest: digest(n),
        old_valid_until: at(until),
    };
    store
        .update_key(key, Some(rotation), change(secs))
        .await
        .unwrap()
}

/// Until when the `n`th secret is good, in seconds; asserts that it finds key 1.
async fn valid_until<S: KeyStore>(store: &S, n: u8) -> Option<u64> {
    let record = store.find(&digest(n)).await.unwrap().unwrap();
    assert_eq!(record.key.id, key_id(1));
    record
        .secret_valid_until
        .map(|end| end.since(at(0)).as_secs())
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: StoreErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

/// Nothing is an answer, not an error.
pub async fn an_empty_store_finds_nothing<S: KeyStore>(store: &S) {
    assert_eq!(store.find(&digest(1)).await.unwrap(), None);
    assert_eq!(store.key(&key_id(1)).await.unwrap(), None);
    assert_eq!(
        store.list_keys(KeyQuery::new()).await.unwrap(),
        KeyPage::default()
    );
    assert_eq!(store.organization(&org("acme")).await.unwrap(), None);
    assert_eq!(store.organizations(None, 10).await.unwrap(), []);
}

/// Every field comes back, in any script, set or not.
pub async fn an_organization_is_read_as_it_was_written<S: KeyStore>(store: &S) {
    for written in [organization("plain"), full_organization("full")] {
        store
            .insert_organization(written.clone(), change(0))
            .await
            .unwrap();
        let read = store.organization(&written.id).await.unwrap();
        assert_eq!(read, Some(written));
    }
}

/// The second of the same name is refused, and the first stays as it is.
pub async fn an_organization_is_inserted_once<S: KeyStore>(store: &S) {
    with_acme(store).await;
    let again = store.insert_organization(full_organization("acme"), change(1));
    refused(again.await, StoreErrorKind::Conflict);
    let read = store.organization(&org("acme")).await.unwrap();
    assert_eq!(read, Some(organization("acme")));
}

/// An update counts the version up; one that read another version is refused.
pub async fn an_organization_is_updated_by_version<S: KeyStore>(store: &S) {
    with_acme(store).await;
    let mut edited = organization("acme");
    edited.status = OrgStatus::Suspended;
    edited.limits = full_organization("acme").limits;
    let updated = store.update_organization(edited.clone(), change(1)).await;
    let updated = updated.unwrap();
    assert_eq!(updated.version, edited.version + 1);
    let again = store.update_organization(edited, change(2));
    refused(again.await, StoreErrorKind::Conflict);
    let read = store.organization(&org("acme")).await.unwrap();
    assert_eq!(read.as_ref(), Some(&updated));
    let plain = organization("acme");
    let cleared = tollgate_core::record::Organization {
        version: updated.version,
        ..plain
    };
    let cleared = store.update_organization(cleared, change(3)).await.unwrap();
    let read = store.organization(&org("acme")).await.unwrap();
    assert_eq!(read, Some(cleared));
    let unknown = store.update_organization(organization("nobody"), change(1));
    refused(unknown.await, StoreErrorKind::NotFound);
}

/// Pages follow each other by id, without gaps.
pub async fn organizations_are_listed_in_pieces<S: KeyStore>(store: &S) {
    for name in ["b", "a", "Z", "a.b", "a-b"] {
        store
            .insert_organization(organization(name), change(0))
            .await
            .unwrap();
    }
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = store.organizations(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        names.extend(page.into_iter().map(|it| it.id));
    }
    assert_eq!(names, ["Z", "a", "a-b", "a.b", "b"].map(org));
    assert_eq!(store.organizations(None, 0).await.unwrap(), []);
    assert_eq!(store.organizations(None, u32::MAX).await.unwrap().len(), 5);
}

/// Every field comes back, in any script, set or not.
pub async fn a_key_is_read_as_it_was_written<S: KeyStore>(store: &S) {
    let owner = full_organization("acme");
    store
        .insert_organization(owner.clone(), change(0))
        .await
        .unwrap();
    for (n, written) in [(1, api_key(1, "acme")), (2, full_key(2, "acme"))] {
        store
            .insert_key(written.clone(), digest(n), change(0))
            .await
            .unwrap();
        let read = store.key(&written.id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&written));
        let found = store.find(&digest(n)).await.unwrap().unwrap();
        assert_eq!(found.key, written);
        assert_eq!(found.organization, owner);
        assert_eq!(found.secret_valid_until, None);
    }
}

/// A preset, scopes, and no scopes at all are three different things.
pub async fn every_permission_is_read_as_it_was_written<S: KeyStore>(store: &S) {
    with_acme(store).await;
    let permissions = [
        Permissions::Preset(String::new()),
        Permissions::scopes::<String>([]),
        Permissions::scopes(["iocs:read", "iocs:write", "отчёты:читать"]),
    ];
    for (n, permissions) in (1..).zip(permissions) {
        let mut key = api_key(n.into(), "acme");
        key.permissions = permissions.clone();
        let id = key.id;
        store.insert_key(key, digest(n), change(0)).await.unwrap();
        let read = store.key(&id).await.unwrap().unwrap();
        assert_eq!(read.permissions, permissions);
    }
}

/// There are no keys of nobody.
pub async fn a_key_needs_an_organization<S: KeyStore>(store: &S) {
    let orphan = store.insert_key(api_key(1, "acme"), digest(1), change(0));
    refused(orphan.await, StoreErrorKind::NotFound);
    assert_eq!(store.key(&key_id(1)).await.unwrap(), None);
    assert_eq!(store.find(&digest(1)).await.unwrap(), None);
}

/// The second of the same id is refused, and the first stays as it is.
pub async fn a_key_is_inserted_once<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let again = store.insert_key(full_key(1, "acme"), digest(2), change(1));
    refused(again.await, StoreErrorKind::Conflict);
    assert_eq!(store.key(&key.id).await.unwrap(), Some(key));
}

/// Two keys with one secret would be one key with two owners.
pub async fn a_secret_belongs_to_one_key<S: KeyStore>(store: &S) {
    with_key(store).await;
    let twin = store.insert_key(api_key(2, "acme"), digest(1), change(1));
    refused(twin.await, StoreErrorKind::Conflict);
    assert_eq!(store.key(&key_id(2)).await.unwrap(), None);
    assert_eq!(valid_until(store, 1).await, None);
}

/// A key that was not inserted has no secret by which something is found.
pub async fn a_refused_key_leaves_no_secret<S: KeyStore>(store: &S) {
    with_key(store).await;
    let again = store.insert_key(api_key(1, "acme"), digest(2), change(1));
    refused(again.await, StoreErrorKind::Conflict);
    assert_eq!(store.find(&digest(2)).await.unwrap(), None);
}

/// An update counts the version up; one that read another version is refused.
pub async fn a_key_is_updated_by_version<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let mut edited = full_key(1, "acme");
    edited.version = key.version;
    let updated = store.update_key(edited.clone(), None, change(1)).await;
    let updated = updated.unwrap();
    edited.version += 1;
    assert_eq!(updated, edited);
    let again = store.update_key(key, None, change(2));
    refused(again.await, StoreErrorKind::Conflict);
    assert_eq!(store.key(&key_id(1)).await.unwrap(), Some(updated));
}

/// What an edit sets to nothing is nothing afterwards.
pub async fn an_update_can_clear_what_was_set<S: KeyStore>(store: &S) {
    with_acme(store).await;
    let full = full_key(1, "acme");
    store
        .insert_key(full.clone(), digest(1), change(0))
        .await
        .unwrap();
    let mut plain = api_key(1, "acme");
    plain.version = full.version;
    let updated = store.update_key(plain, None, change(1)).await.unwrap();
    assert_eq!(store.key(&key_id(1)).await.unwrap(), Some(updated));
}

/// A look-up shows the last change of the key and of its organization.
pub async fn what_is_found_is_current<S: KeyStore>(store: &S) {
    let mut key = with_key(store).await;
    "renamed".clone_into(&mut key.name);
    let key = store.update_key(key, None, change(1)).await.unwrap();
    let mut owner = organization("acme");
    owner.status = OrgStatus::Suspended;
    let owner = store.update_organization(owner, change(2)).await.unwrap();
    let found = store.find(&digest(1)).await.unwrap().unwrap();
    assert_eq!(found.key, key);
    assert_eq!(found.organization, owner);
}

/// The gate decides what a key is good for, not the store.
pub async fn a_key_without_its_use_is_found_all_the_same<S: KeyStore>(store: &S) {
    let mut key = with_key(store).await;
    for status in [KeyStatus::Disabled, KeyStatus::Revoked] {
        key.status = status;
        key.expires_at = Some(at(0));
        key = store.update_key(key, None, change(1)).await.unwrap();
        let found = store.find(&digest(1)).await.unwrap().unwrap();
        assert_eq!(found.key, key);
    }
}

/// After a rotation both secrets find the key; the old one says until when.
pub async fn an_old_secret_is_good_until_its_end<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let rotated = rotate(store, key.clone(), 2, 10, 100).await;
    assert_eq!(rotated.version, key.version + 1);
    assert_eq!(valid_until(store, 1).await, Some(100));
    assert_eq!(valid_until(store, 2).await, None);
}

/// At most two secrets are good at a time.
pub async fn a_third_secret_ends_the_older_ones<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let key = rotate(store, key, 2, 10, 100).await;
    rotate(store, key, 3, 20, 200).await;
    assert_eq!(valid_until(store, 1).await, Some(20));
    assert_eq!(valid_until(store, 2).await, Some(200));
    assert_eq!(valid_until(store, 3).await, None);
}

/// An end that has passed stays where it is.
pub async fn a_secret_that_ended_is_not_prolonged<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let key = rotate(store, key, 2, 10, 15).await;
    rotate(store, key, 3, 20, 200).await;
    assert_eq!(valid_until(store, 1).await, Some(15));
}

/// Neither the version nor a secret nor the key changes.
pub async fn a_refused_rotation_changes_nothing<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    store
        .insert_key(api_key(2, "acme"), digest(2), change(0))
        .await
        .unwrap();
    let rotation = |n| {
        let old_valid_until = at(100);
        Some(Rotation {
            digest: digest(n),
            old_valid_until,
        })
    };
    let mut edited = key.clone();
    "renamed".clone_into(&mut edited.name);
    for taken in [1, 2] {
        let twin = store.update_key(edited.clone(), rotation(taken), change(1));
        refused(twin.await, StoreErrorKind::Conflict);
    }
    edited.version += 1;
    let stale = store.update_key(edited, rotation(3), change(1));
    refused(stale.await, StoreErrorKind::Conflict);
    assert_eq!(store.key(&key.id).await.unwrap(), Some(key));
    assert_eq!(valid_until(store, 1).await, None);
    assert_eq!(store.find(&digest(3)).await.unwrap(), None);
}

/// Nothing is left of it, and its secrets are free.
pub async fn a_deleted_key_is_gone_with_its_secrets<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    rotate(store, key, 2, 10, 100).await;
    store.delete_key(&key_id(1), change(20)).await.unwrap();
    assert_eq!(store.key(&key_id(1)).await.unwrap(), None);
    assert_eq!(
        store.list_keys(KeyQuery::new()).await.unwrap(),
        KeyPage::default()
    );
    for n in [1, 2] {
        assert_eq!(store.find(&digest(n)).await.unwrap(), None);
    }
    let again = store.insert_key(api_key(3, "acme"), digest(1), change(30));
    again.await.unwrap();
}

/// There is nothing to change.
pub async fn a_key_that_is_not_there_is_not_changed<S: KeyStore>(store: &S) {
    with_acme(store).await;
    let update = store.update_key(api_key(1, "acme"), None, change(1));
    refused(update.await, StoreErrorKind::NotFound);
    let delete = store.delete_key(&key_id(1), change(1));
    refused(delete.await, StoreErrorKind::NotFound);
}

/// Of many who read one version, one writes.
pub async fn of_concurrent_updates_one_wins<S: KeyStore>(store: &S) {
    let key = with_key(store).await;
    let updates = at_once(32, |task| {
        let mut edited = key.clone();
        edited.name = format!("by {task}");
        store.update_key(edited, None, change(1))
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = updates.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for update in lost {
        refused(update, StoreErrorKind::Conflict);
    }
    let stored = store.key(&key.id).await.unwrap().unwrap();
    assert_eq!(stored.version, key.version + 1);
}
