//! What a store keeps: keys and the organizations that own them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, OrgId};
use crate::ip::IpRules;
use crate::plan::Limits;

/// An API key, without its secret. Its id never changes, its secret may.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a store writes and reads every field"
)]
pub struct ApiKey {
    /// Names the key for ever.
    pub id: KeyId,
    /// The organization that owns it.
    pub organization: OrgId,
    /// What its owner calls it.
    pub name: String,
    /// Who made it.
    pub creator: String,
    /// The environment its text names: `live`, `test`.
    pub environment: String,
    /// The beginning of its secret, for lists: `sk_live_zIc8`.
    pub display_prefix: String,
    /// What it may do.
    pub permissions: Permissions,
    /// From where it may be used.
    pub ip_rules: IpRules,
    /// A plan of its own, over the organization's.
    pub plan: Option<String>,
    /// Limits of its own, over its plan's.
    pub limits: Option<Limits>,
    /// Not good before this point.
    pub not_before: Option<Timestamp>,
    /// Not good from this point on.
    pub expires_at: Option<Timestamp>,
    /// Whether it is switched on.
    pub status: KeyStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Counts its changes; an update that read another version is refused.
    pub version: u64,
}

/// What a key may do.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a key follows a preset or has scopes of its own"
)]
pub enum Permissions {
    /// It follows a preset of the catalog, and the preset's changes.
    Preset(String),
    /// Scopes of its own; none is allowed.
    Scopes(BTreeSet<String>),
}

impl Permissions {
    /// Scopes of its own.
    pub fn scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self::Scopes(scopes.into_iter().map(Into::into).collect())
    }
}

/// Whether a key is switched on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyStatus {
    /// It works.
    Active,
    /// Switched off for now.
    Disabled,
    /// Switched off for ever; still listed.
    Revoked,
}

/// A tenant: owns keys, a plan, a wallet and resources.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a store writes and reads every field"
)]
pub struct Organization {
    /// Names it for ever.
    pub id: OrgId,
    /// The plan it is on.
    pub plan: String,
    /// Whether its keys work.
    pub status: OrgStatus,
    /// From where its keys may be used, on top of each key's own rules.
    pub ip_rules: IpRules,
    /// Limits of its own, over its plan's.
    pub limits: Option<Limits>,
    /// What it owns, by kind: `"domain"` → `{"acme.example"}`.
    pub resources: BTreeMap<String, BTreeSet<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes; an update that read another version is refused.
    pub version: u64,
}

/// Whether an organization's keys work.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrgStatus {
    /// They work.
    Active,
    /// None works.
    Suspended,
    /// They work only on routes that allow a billing restriction.
    BillingRestricted,
}

/// What a look-up finds: the key, its organization, and until when this secret is good.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct KeyRecord {
    /// The key.
    pub key: ApiKey,
    /// The organization that owns it.
    pub organization: Organization,
    /// Set on the old secret of a rotated key: it is good until then.
    pub secret_valid_until: Option<Timestamp>,
}

/// Why a key is no good, at a point in time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyFault {
    /// It was revoked.
    Revoked,
    /// It is disabled.
    Disabled,
    /// It has expired.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It was rotated, and the grace of this secret is over.
    Superseded,
}

/// When a key is good: what of it is asked on each request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a part of a key, to be read")]
pub struct Validity {
    /// Whether the key is switched on.
    pub status: KeyStatus,
    /// Not good before this point.
    pub not_before: Option<Timestamp>,
    /// Not good from this point on.
    pub expires_at: Option<Timestamp>,
    /// Set on the old secret of a rotated key: it is good until then.
    pub secret_valid_until: Option<Timestamp>,
}

impl Validity {
    /// Why the key, or the secret that was presented, is no good at `now`, if it is not.
    #[must_use]
    pub fn fault(&self, now: Timestamp) -> Option<KeyFault> {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| now >= end);
        match self.status {
            KeyStatus::Revoked => Some(KeyFault::Revoked),
            KeyStatus::Disabled => Some(KeyFault::Disabled),
            KeyStatus::Active if over(self.expires_at) => Some(KeyFault::Expired),
            KeyStatus::Active if self.not_before.is_some_and(|start| now < start) => {
                Some(KeyFault::NotYetValid)
            }
            KeyStatus::Active => over(self.secret_valid_until).then_some(KeyFault::Superseded),
        }
    }
}

impl ApiKey {
    /// Why the key is no good at `now`, if it is not.
    #[must_use]
    pub fn fault(&self, now: Timestamp) -> Option<KeyFault> {
        self.validity(None).fault(now)
    }

    const fn validity(&self, secret_valid_until: Option<Timestamp>) -> Validity {
        Validity {
            status: self.status,
            not_before: self.not_before,
            expires_at: self.expires_at,
            secret_valid_until,
        }
    }
}

impl KeyRecord {
    /// When the key, and the secret that was presented, is good.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.key.validity(self.secret_valid_until)
    }

    /// Why the presented secret is no good at `now`, if it is not.
    #[must_use]
    pub fn fault(&self, now: Timestamp) -> Option<KeyFault> {
        self.validity().fault(now)
    }
}
