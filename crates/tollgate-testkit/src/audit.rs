//! What every [`AuditStore`] must do, on a store that has the other ports too and seals its trail
//! with the key that is none.
//!
//! [`audit_contract!`](crate::audit_contract) makes one test of each case.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use std::fmt::Write as _;

use futures_util::future::join_all;
use tollgate_core::audit::{AuditHead, AuditKey, AuditRecord, AuditStore, AuditVerifier};
use tollgate_core::change::{Actor, Change};
use tollgate_core::credits::{Grant, Ledger, Refund};
use tollgate_core::id::OrgId;
use tollgate_core::record::{KeyStatus, OrgStatus};
use tollgate_core::store::{KeyStore, Rotation};

use crate::records::{
    api_key, at, change, digest, hold_id, hold_request, key_id, org, organization,
};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! audit_contract {
    ($make:expr) => {
        $crate::__contract_tests! { audit, $make;
            each_step_of_a_keys_life_is_a_record,
            each_change_of_an_organization_is_a_record,
            each_change_of_credits_is_a_record,
            a_record_says_who_did_it_in_which_session_and_from_where,
            what_failed_or_was_done_before_is_no_record,
            each_organization_has_a_chain_of_its_own,
            records_are_read_in_pages_from_both_ends,
            no_digest_is_recorded,
            mutations_at_once_make_one_chain,
        }
    };
}

async fn records<S: AuditStore>(store: &S, name: &str) -> Vec<AuditRecord> {
    store.audit_after(Some(&org(name)), 0, 1_000).await.unwrap()
}

/// The actions of an organization's records, which make a whole chain.
async fn actions<S: AuditStore>(store: &S, name: &str) -> Vec<String> {
    let records = records(store, name).await;
    let key = AuditKey::default();
    let mut chain = AuditVerifier::new(&key, Some(org(name)), None);
    for record in &records {
        chain.follow(record).unwrap();
    }
    records.into_iter().map(|record| record.action).collect()
}

async fn acme<S: KeyStore>(store: &S) {
    let made = store.insert_organization(organization("acme"), change(0));
    made.await.unwrap();
}

/// From its creation to its deletion.
pub async fn each_step_of_a_keys_life_is_a_record<S: KeyStore + AuditStore>(store: &S) {
    acme(store).await;
    let key = api_key(1, "acme");
    let made = store.insert_key(key.clone(), digest(1), change(1));
    made.await.unwrap();
    let mut key = key;
    "renamed".clone_into(&mut key.name);
    let mut key = store.update_key(key, None, change(2)).await.unwrap();
    let rotation = Rotation {
        digest: digest(2),
        old_valid_until: at(60),
    };
    key.rotated_at = Some(at(3));
    let rotated = store.update_key(key, Some(rotation), change(3));
    let mut key = rotated.await.unwrap();
    for status in [KeyStatus::Disabled, KeyStatus::Active, KeyStatus::Revoked] {
        key.status = status;
        key = store.update_key(key, None, change(4)).await.unwrap();
    }
    store.delete_key(&key.id, change(5)).await.unwrap();
    let expected = [
        "organization.create",
        "key.create",
        "key.edit",
        "key.rotate",
        "key.disable",
        "key.enable",
        "key.revoke",
        "key.delete",
    ];
    assert_eq!(actions(store, "acme").await, expected);
    let records = records(store, "acme").await;
    let edit = records.get(2).unwrap();
    assert_eq!(
        (edit.at, &*edit.target),
        (at(2), &*format!("key:{}", key_id(1)))
    );
    let (before, after) = (edit.before.clone().unwrap(), edit.after.clone().unwrap());
    assert!(after.contains(r#""name":"renamed""#), "{after}");
    assert!(
        !before.contains("renamed") && before.contains("name"),
        "{before}"
    );
    // Only what is different is recorded.
    assert!(!after.contains("environment"), "{after}");
}

/// Its plan, its status.
pub async fn each_change_of_an_organization_is_a_record<S: KeyStore + AuditStore>(store: &S) {
    acme(store).await;
    let mut organization = organization("acme");
    "other".clone_into(&mut organization.plan);
    for status in [
        OrgStatus::Active,
        OrgStatus::Suspended,
        OrgStatus::BillingRestricted,
        OrgStatus::Active,
    ] {
        organization.status = status;
        let updated = store.update_organization(organization, change(1));
        organization = updated.await.unwrap();
    }
    let expected = [
        "organization.create",
        "organization.edit",
        "organization.suspend",
        "organization.restrict_billing",
        "organization.activate",
    ];
    assert_eq!(actions(store, "acme").await, expected);
}

/// Those that somebody makes; charges are in the books.
pub async fn each_change_of_credits_is_a_record<S: Ledger + AuditStore>(store: &S) {
    let grant = Grant::new(org("acme"), 10).reference("payment");
    store.grant(grant, change(0)).await.unwrap();
    store.hold(&hold_request(1, "acme", 4, 4)).await.unwrap();
    store.settle(crate::ledger::settling(1, 4)).await.unwrap();
    let refund = Refund {
        organization: org("acme"),
        hold: hold_id(1),
        credits: 3,
        reference: "ticket".to_owned(),
    };
    store.refund(refund, change(2)).await.unwrap();
    store.withdraw(&org("acme"), 5, change(3)).await.unwrap();
    let expected = ["credits.grant", "credits.refund", "credits.withdraw"];
    assert_eq!(actions(store, "acme").await, expected);
    let records = records(store, "acme").await;
    let after = records.first().and_then(|record| record.after.clone());
    let after = after.unwrap();
    for part in [
        r#""credits":10"#,
        r#""reference":"payment""#,
        r#""granted":10"#,
    ] {
        assert!(after.contains(part), "{after}");
    }
}

/// All that the change carried.
pub async fn a_record_says_who_did_it_in_which_session_and_from_where<S>(store: &S)
where
    S: KeyStore + AuditStore,
{
    let address = "2001:db8::7".parse().unwrap();
    let change = Change {
        actor: Actor::user("alice").in_session("s1").from_address(address),
        at: at(7),
        reason: Some("a customer asked".to_owned()),
    };
    let made = store.insert_organization(organization("acme"), change);
    made.await.unwrap();
    let [record] = records(store, "acme").await.try_into().unwrap();
    assert_eq!((record.seq, record.at), (1, at(7)));
    assert_eq!(record.actor, "user:alice");
    assert_eq!(record.session.as_deref(), Some("s1"));
    assert_eq!(record.address, Some(address));
    assert_eq!(record.reason.as_deref(), Some("a customer asked"));
    assert_eq!(
        (record.target.as_str(), record.before),
        ("organization:acme", None)
    );
}

/// Neither a conflict, nor a grant of a reference that is known.
pub async fn what_failed_or_was_done_before_is_no_record<S>(store: &S)
where
    S: KeyStore + Ledger + AuditStore,
{
    acme(store).await;
    for _ in 0..2 {
        let grant = Grant::new(org("acme"), 10).reference("payment");
        store.grant(grant, change(1)).await.unwrap();
    }
    let again = store.insert_organization(organization("acme"), change(2));
    assert!(again.await.is_err());
    let unknown = store.update_key(api_key(1, "acme"), None, change(2));
    assert!(unknown.await.is_err());
    assert!(store.delete_key(&key_id(1), change(2)).await.is_err());
    assert!(store.withdraw(&org("acme"), 11, change(2)).await.is_err());
    let expected = ["organization.create", "credits.grant"];
    assert_eq!(actions(store, "acme").await, expected);
}

/// And a head, which says how long it is.
pub async fn each_organization_has_a_chain_of_its_own<S: KeyStore + AuditStore>(store: &S) {
    for name in ["acme", "bolt", "core"] {
        let made = store.insert_organization(organization(name), change(0));
        made.await.unwrap();
    }
    let made = store.insert_key(api_key(1, "bolt"), digest(1), change(1));
    made.await.unwrap();
    for (name, expected) in [
        ("acme", &["organization.create"][..]),
        ("bolt", &["organization.create", "key.create"]),
        ("none", &[]),
    ] {
        assert_eq!(actions(store, name).await, expected, "{name}");
    }
    assert_eq!(store.audit_after(None, 0, 9).await.unwrap(), []);
    let heads = store.audit_heads(None, 2).await.unwrap();
    let rest = store.audit_heads(heads.last().cloned(), 9).await.unwrap();
    let all: Vec<AuditHead> = heads.into_iter().chain(rest).collect();
    let said: Vec<_> = all
        .iter()
        .map(|head| (head.organization.as_ref().map(OrgId::as_str), head.seq))
        .collect();
    assert_eq!(
        said,
        [(Some("acme"), 1), (Some("bolt"), 2), (Some("core"), 1)]
    );
    let last = records(store, "bolt").await.last().map(AuditRecord::head);
    assert_eq!(all.get(1), last.as_ref());
}

/// For a list, the newest first; to follow the chain, the oldest first.
pub async fn records_are_read_in_pages_from_both_ends<S: Ledger + AuditStore>(store: &S) {
    for _ in 0..5 {
        let granted = store.grant(Grant::new(org("acme"), 1), change(0));
        granted.await.unwrap();
    }
    let of = org("acme");
    let seqs = |records: Vec<AuditRecord>| -> Vec<u64> {
        records.into_iter().map(|record| record.seq).collect()
    };
    let after = async |seq, limit| seqs(store.audit_after(Some(&of), seq, limit).await.unwrap());
    let before = async |seq, limit| seqs(store.audit_before(Some(&of), seq, limit).await.unwrap());
    assert_eq!(after(0, 2).await, [1, 2]);
    assert_eq!(after(2, 9).await, [3, 4, 5]);
    assert!(after(5, 9).await.is_empty());
    assert_eq!(before(None, 2).await, [5, 4]);
    assert_eq!(before(Some(4), 9).await, [3, 2, 1]);
    assert!(before(Some(1), 9).await.is_empty());
}

/// Who reads the trail could try secrets against it.
pub async fn no_digest_is_recorded<S: KeyStore + AuditStore>(store: &S) {
    acme(store).await;
    let key = api_key(1, "acme");
    let made = store.insert_key(key.clone(), digest(1), change(1));
    made.await.unwrap();
    let rotation = Rotation {
        digest: digest(2),
        old_valid_until: at(60),
    };
    let rotated = store.update_key(key, Some(rotation), change(2));
    rotated.await.unwrap();
    for record in records(store, "acme").await {
        let text = serde_json::to_string(&record).unwrap().to_lowercase();
        for digest in [digest(1), digest(2)] {
            let hex = digest
                .as_bytes()
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
            let numbers = format!("{:?}", digest.as_bytes()).replace(' ', "");
            assert!(!text.contains(&hex) && !text.contains(&numbers), "{text}");
        }
    }
}

/// Without a gap, a fork or one that is lost.
pub async fn mutations_at_once_make_one_chain<S: KeyStore + Ledger + AuditStore>(store: &S) {
    acme(store).await;
    let grants = (0..20).map(|_| {
        store
            .grant(Grant::new(org("acme"), 1), change(1))
            .into_future()
    });
    for granted in join_all(grants).await {
        granted.unwrap();
    }
    assert_eq!(actions(store, "acme").await.len(), 21);
}
