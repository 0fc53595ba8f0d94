//! What is recorded of a change: what was different before, and what is different since.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::credits::{Balance, Entry, EntryKind};
use crate::record::{ApiKey, KeyStatus, OrgStatus, Organization};
use crate::store::ImportId;

/// What was done, to what. Made by a store from what it had and what it has.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store takes it apart")]
pub struct AuditEvent {
    /// What was done: `key.rotate`.
    pub action: String,
    /// To what: `key:9f2c…`.
    pub target: String,
    /// What was different before, as JSON.
    pub before: Option<String>,
    /// What is different since, as JSON.
    pub after: Option<String>,
}

impl AuditEvent {
    /// Something that happened, with what it changed.
    pub fn new<T: Serialize>(
        action: impl Into<String>,
        target: impl Into<String>,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Self {
        let (before, after) = differences(before, after);
        Self {
            action: action.into(),
            target: target.into(),
            before,
            after,
        }
    }

    /// A key was made.
    #[must_use]
    pub fn key_created(key: &ApiKey) -> Self {
        Self::new("key.create", target(key), None, Some(key))
    }

    /// A key was edited, rotated, or switched on or off.
    #[must_use]
    pub fn key_changed(before: &ApiKey, after: &ApiKey, rotated: bool) -> Self {
        let action = match (before.status, after.status) {
            _ if rotated => "key.rotate",
            (old, new) if old == new => "key.edit",
            (_, KeyStatus::Revoked) => "key.revoke",
            (_, KeyStatus::Disabled) => "key.disable",
            (_, KeyStatus::Active) => "key.enable",
        };
        Self::new(action, target(after), Some(before), Some(after))
    }

    /// A key was deleted.
    #[must_use]
    pub fn key_deleted(key: &ApiKey) -> Self {
        Self::new("key.delete", target(key), Some(key), None)
    }

    /// An organization was made.
    #[must_use]
    pub fn organization_created(organization: &Organization) -> Self {
        let target = format!("organization:{}", organization.id);
        Self::new("organization.create", target, None, Some(organization))
    }

    /// An organization was changed.
    #[must_use]
    pub fn organization_changed(before: &Organization, after: &Organization) -> Self {
        let action = match (before.status, after.status) {
            (old, new) if old == new => "organization.edit",
            (_, OrgStatus::Suspended) => "organization.suspend",
            (_, OrgStatus::Active) => "organization.activate",
            (_, OrgStatus::BillingRestricted) => "organization.restrict_billing",
        };
        let target = format!("organization:{}", after.id);
        Self::new(action, target, Some(before), Some(after))
    }

    /// Keys of an organization came with an import.
    #[must_use]
    pub fn keys_imported(import: ImportId, keys: u64) -> Self {
        Self::import("key.import", import, Some(&Imported::of(keys, None)))
    }

    /// An import was activated: all its keys are good.
    #[must_use]
    pub fn import_activated(import: ImportId, keys: u64, organizations: u64) -> Self {
        let after = Imported::of(keys, Some(organizations));
        Self::import("import.activate", import, Some(&after))
    }

    /// An import was given up: none of its keys was ever good.
    #[must_use]
    pub fn import_removed(import: ImportId) -> Self {
        Self::import("import.remove", import, None)
    }

    fn import(action: &str, import: ImportId, after: Option<&Imported>) -> Self {
        Self::new(action, format!("import:{import}"), None, after)
    }

    /// Credits were given, taken back or given back.
    #[must_use]
    pub fn credits(entry: &Entry, balance: Balance) -> Self {
        /// What is recorded of it.
        #[derive(Serialize)]
        struct Booked<'a> {
            credits: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            hold: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reference: Option<&'a str>,
            balance: Balance,
        }
        let action = match entry.kind {
            EntryKind::Refund => "credits.refund",
            EntryKind::Withdrawal => "credits.withdraw",
            _ => "credits.grant",
        };
        let booked = Booked {
            credits: entry.credits,
            hold: entry.hold.map(|hold| hold.to_string()),
            reference: entry.reference.as_deref(),
            balance,
        };
        let target = format!("organization:{}", entry.organization);
        Self::new(action, target, None, Some(&booked))
    }
}

/// What is recorded of an import.
#[derive(Serialize)]
struct Imported {
    keys: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    organizations: Option<u64>,
}

impl Imported {
    const fn of(keys: u64, organizations: Option<u64>) -> Self {
        Self {
            keys,
            organizations,
        }
    }
}

fn target(key: &ApiKey) -> String {
    format!("key:{}", key.id)
}

/// The members of two records that differ.
fn differences<T: Serialize>(
    before: Option<&T>,
    after: Option<&T>,
) -> (Option<String>, Option<String>) {
    let members = |record: Option<&T>| match record.map(serde_json::to_value) {
        Some(Ok(Value::Object(members))) => members,
        _ => Map::new(),
    };
    let (old, new) = (members(before), members(after));
    let only = |these: &Map<String, Value>, others: &Map<String, Value>| {
        let differs = these
            .iter()
            .filter(|(name, value)| others.get(*name) != Some(value));
        let differs: Map<_, _> = differs
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        (!differs.is_empty()).then(|| Value::Object(differs).to_string())
    };
    (only(&old, &new), only(&new, &old))
}
