//! What every [`KeyImport`] must do, on a store that has the other ports too.
//!
//! [`key_import_contract!`](crate::key_import_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::audit::{AuditKey, AuditStore, AuditVerifier};
use tollgate_core::change::{ChangeFeed, ChangeKind, Changed};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::OrgId;
use tollgate_core::record::ApiKey;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{
    Activation, ImportId, KeyImport, KeyPage, KeyQuery, PendingImport, Rotation,
};
use tollgate_core::usage::{KeyUsage, UsageOf, UsageQuery, UsageStore, UsageTotals};

use crate::records::{api_key, at, change, digest, full_key, key_id, org, organization};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! key_import_contract {
    ($make:expr) => {
        $crate::__contract_tests! { key_import, $make;
            staged_keys_are_not_there_for_anybody,
            an_activated_key_is_a_key_like_others,
            what_exists_is_told_and_not_staged,
            a_digest_that_is_staged_is_taken,
            an_import_that_was_left_behind_is_removed_in_steps,
            imports_do_not_touch_each_other,
            an_import_is_over_once,
            each_organization_has_a_record_of_what_came,
        }
    };
}

async fn organizations<S: KeyImport>(store: &S) {
    for name in ["acme", "bolt"] {
        let made = store.insert_organization(organization(name), change(0));
        made.await.unwrap();
    }
}

/// Begins an import with keys of `acme`, each with the secret of its number.
async fn staged<S: KeyImport>(store: &S, numbers: &[u8]) -> ImportId {
    let import = store.begin_import(at(1)).await.unwrap();
    let keys = numbers
        .iter()
        .map(|n| (api_key((*n).into(), "acme"), digest(*n)));
    let known = store.stage_keys(import, keys.collect(), at(2)).await;
    assert_eq!(known.unwrap(), []);
    import
}

/// Activates an import, and says how many calls that took, and how many keys.
async fn activate<S: KeyImport>(store: &S, import: ImportId, organizations: u32) -> (u32, u64) {
    let mut calls = 0_u32;
    loop {
        calls = calls.saturating_add(1);
        let activated = store.activate_import(import, organizations, change(5));
        if let Activation::Done(keys) = activated.await.unwrap() {
            return (calls, keys);
        }
    }
}

async fn found<S: KeyImport>(store: &S, n: u8) -> Option<ApiKey> {
    let record = store.find(&digest(n)).await.unwrap();
    record.map(|record| record.key)
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: StoreErrorKind) {
    assert_eq!(result.unwrap_err().kind(), kind);
}

/// No port finds, lists, changes or counts them.
pub async fn staged_keys_are_not_there_for_anybody<S: KeyImport + UsageStore>(store: &S) {
    organizations(store).await;
    staged(store, &[1, 2]).await;
    assert_eq!(found(store, 1).await, None);
    assert_eq!(store.key(&key_id(1)).await.unwrap(), None);
    for query in [KeyQuery::new(), KeyQuery::new().organization(org("acme"))] {
        let page = store.list_keys(query.limit(1).with_total()).await.unwrap();
        let none = KeyPage {
            keys: vec![],
            total: Some(0),
        };
        assert_eq!(page, none);
    }
    let key = api_key(1, "acme");
    let edited = store.update_key(key.clone(), None, change(3)).await;
    refused(edited, StoreErrorKind::NotFound);
    let deleted = store.delete_key(&key.id, change(3)).await;
    refused(deleted, StoreErrorKind::NotFound);
    let usage = KeyUsage {
        key: key.id,
        last_used_at: at(3),
        last_address: None,
        with_old_secret: 1,
        counts: vec![],
    };
    store.record_usage(vec![usage]).await.unwrap();
    let totals = store.usage(&key.id).await.unwrap();
    assert_eq!(totals, UsageTotals::default());
    let of = UsageOf::Organization(org("acme"));
    let counts = store.usage_counts(UsageQuery::new(of, at(0), at(9_999)));
    assert_eq!(counts.await.unwrap(), []);
}

/// With every field as it was staged.
pub async fn an_activated_key_is_a_key_like_others<S: KeyImport + ChangeFeed>(store: &S) {
    organizations(store).await;
    let import = store.begin_import(at(1)).await.unwrap();
    let full = ApiKey {
        rotated_at: None,
        revoked_at: None,
        ..full_key(2, "bolt")
    };
    let keys = vec![(api_key(1, "acme"), digest(1)), (full.clone(), digest(2))];
    store.stage_keys(import, keys, at(2)).await.unwrap();
    // A store may make something of what all keys of a call have in common.
    let alone = ApiKey {
        id: key_id(3),
        ..full.clone()
    };
    let keys = vec![(alone.clone(), digest(4))];
    store.stage_keys(import, keys, at(2)).await.unwrap();
    let newest = store.newest().await.unwrap();
    assert_eq!(activate(store, import, 100).await.1, 3);
    assert_eq!(found(store, 4).await, Some(alone));
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
    assert_eq!(found(store, 2).await, Some(full.clone()));
    assert_eq!(store.key(&full.id).await.unwrap(), Some(full.clone()));
    let page = store.list_keys(KeyQuery::new().with_total()).await.unwrap();
    assert_eq!((page.keys.len(), page.total), (3, Some(3)));
    // Others may remember that a digest was unknown.
    let [
        Changed {
            kind: ChangeKind::KeyCreated,
            key: None,
            organization: None,
            ..
        },
    ] = *store.since(newest, 9).await.unwrap()
    else {
        unreachable!("one row, without a key")
    };
    let rotation = Rotation {
        digest: digest(3),
        old_valid_until: at(90),
    };
    let rotated = store.update_key(full, Some(rotation), change(6)).await;
    assert_eq!(found(store, 2).await, Some(rotated.unwrap()));
    store.delete_key(&key_id(1), change(7)).await.unwrap();
    assert_eq!(found(store, 1).await, None);
    assert_eq!(store.pending_imports().await.unwrap(), []);
}

/// Whoever has it: a key, or an import.
pub async fn what_exists_is_told_and_not_staged<S: KeyImport>(store: &S) {
    organizations(store).await;
    let made = store.insert_key(api_key(1, "acme"), digest(1), change(0));
    made.await.unwrap();
    let import = staged(store, &[2]).await;
    let keys = [3, 4, 5].map(|n: u8| (api_key(n.into(), "bolt"), digest(n.saturating_sub(2))));
    let known = store.stage_keys(import, keys.to_vec(), at(3));
    let sorted = |mut digests: Vec<KeyDigest>| {
        digests.sort_by_key(|digest| *digest.as_bytes());
        digests
    };
    assert_eq!(sorted(known.await.unwrap()), [digest(1), digest(2)]);
    let known = store.known_digests((1..=5).map(digest).collect()).await;
    assert_eq!(sorted(known.unwrap()), [1, 2, 3].map(digest));
    assert_eq!(activate(store, import, 100).await.1, 2);
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
    assert_eq!(found(store, 2).await, Some(api_key(2, "acme")));
    assert_eq!(found(store, 3).await, Some(api_key(5, "bolt")));
}

/// By no new key and by no rotation.
pub async fn a_digest_that_is_staged_is_taken<S: KeyImport>(store: &S) {
    organizations(store).await;
    let made = store.insert_key(api_key(1, "acme"), digest(1), change(0));
    made.await.unwrap();
    staged(store, &[2]).await;
    let twin = store.insert_key(api_key(3, "acme"), digest(2), change(3));
    refused(twin.await, StoreErrorKind::Conflict);
    let rotation = Rotation {
        digest: digest(2),
        old_valid_until: at(90),
    };
    let rotated = store.update_key(api_key(1, "acme"), Some(rotation), change(3));
    refused(rotated.await, StoreErrorKind::Conflict);
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
}

/// And its digests are free again.
pub async fn an_import_that_was_left_behind_is_removed_in_steps<S>(store: &S)
where
    S: KeyImport + AuditStore,
{
    organizations(store).await;
    let made = store.insert_key(api_key(9, "acme"), digest(9), change(0));
    made.await.unwrap();
    let import = staged(store, &[1, 2, 3]).await;
    let more = vec![(api_key(4, "bolt"), digest(4))];
    store.stage_keys(import, more, at(4)).await.unwrap();
    let beat_at = at(4);
    let pending = PendingImport {
        id: import,
        beat_at,
    };
    assert_eq!(store.pending_imports().await.unwrap(), [pending]);
    let (mut removed, mut steps) = (0_u64, 0_u32);
    loop {
        let step = store.remove_import(import, 2, change(6)).await.unwrap();
        assert!(step <= 2);
        if step == 0 {
            break;
        }
        removed = removed.saturating_add(step);
        steps = steps.saturating_add(1);
    }
    assert!(removed == 4 && steps >= 2, "{removed} in {steps}");
    assert_eq!(store.pending_imports().await.unwrap(), []);
    let known = store.known_digests((1..=9).map(digest).collect()).await;
    assert_eq!(known.unwrap(), [digest(9)]);
    let records = store.audit_after(None, 0, 9).await.unwrap();
    let actions: Vec<_> = records.iter().map(|it| it.action.as_str()).collect();
    assert_eq!(actions, ["import.remove"]);
    let again = staged(store, &[1, 2]).await;
    assert_ne!(again, import);
    assert_eq!(activate(store, again, 100).await.1, 2);
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
}

/// Neither its keys nor its end.
pub async fn imports_do_not_touch_each_other<S: KeyImport>(store: &S) {
    organizations(store).await;
    let first = staged(store, &[1]).await;
    let second = staged(store, &[2]).await;
    assert_eq!(activate(store, first, 100).await.1, 1);
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
    assert_eq!(found(store, 2).await, None);
    while store.remove_import(second, 9, change(6)).await.unwrap() > 0 {}
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
    let third = staged(store, &[2]).await;
    assert_eq!(activate(store, third, 100).await.1, 1);
}

/// Whichever end it had.
pub async fn an_import_is_over_once<S: KeyImport>(store: &S) {
    organizations(store).await;
    let activated = staged(store, &[1]).await;
    activate(store, activated, 100).await;
    let removed = staged(store, &[2]).await;
    while store.remove_import(removed, 9, change(6)).await.unwrap() > 0 {}
    for import in [activated, removed, ImportId::new(99)] {
        let keys = vec![(api_key(3, "acme"), digest(3))];
        let late = store.stage_keys(import, keys, at(7)).await;
        refused(late, StoreErrorKind::NotFound);
        let late = store.activate_import(import, 9, change(7)).await;
        refused(late, StoreErrorKind::NotFound);
        let removed = store.remove_import(import, 9, change(7)).await;
        assert_eq!(removed.unwrap(), 0);
    }
    assert_eq!(found(store, 1).await, Some(api_key(1, "acme")));
    assert_eq!(found(store, 3).await, None);
}

/// However many organizations a call may write of; and one record says that all is done.
pub async fn each_organization_has_a_record_of_what_came<S: KeyImport + AuditStore>(store: &S) {
    organizations(store).await;
    let import = staged(store, &[1, 2]).await;
    let more = vec![(api_key(3, "bolt"), digest(3))];
    store.stage_keys(import, more, at(4)).await.unwrap();
    assert_eq!(activate(store, import, 1).await, (3, 3));
    for (of, action, keys) in [
        (Some("acme"), "key.import", "2"),
        (Some("bolt"), "key.import", "1"),
        (None, "import.activate", "3"),
    ] {
        let of: Option<OrgId> = of.map(org);
        let records = store.audit_after(of.as_ref(), 0, 9).await.unwrap();
        let key = AuditKey::default();
        let mut chain = AuditVerifier::new(&key, of, None);
        for record in &records {
            chain.follow(record).unwrap();
        }
        let last = records.last().unwrap();
        assert_eq!(
            (&*last.action, &*last.target),
            (action, &*format!("import:{import}"))
        );
        let after = last.after.clone().unwrap();
        assert!(after.contains(&format!(r#""keys":{keys}"#)), "{after}");
    }
}
