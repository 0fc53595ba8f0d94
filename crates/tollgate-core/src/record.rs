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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OrgId;

    const NOW: i64 = 1000;

    /// A key that is good from 900 until 1100, with a secret that is good until 1050.
    fn record() -> KeyRecord {
        let at = Timestamp::from_secs;
        KeyRecord {
            key: ApiKey {
                id: KeyId::from_bytes([7; 16]),
                organization: OrgId::new("acme").unwrap(),
                name: "ci".to_owned(),
                creator: "ann".to_owned(),
                environment: "live".to_owned(),
                display_prefix: "sk_live_zIc8".to_owned(),
                permissions: Permissions::scopes(["jobs:read"]),
                ip_rules: IpRules::default(),
                plan: None,
                limits: None,
                not_before: Some(at(900)),
                expires_at: Some(at(1100)),
                status: KeyStatus::Active,
                created_at: at(1),
                rotated_at: None,
                revoked_at: None,
                version: 1,
            },
            organization: Organization {
                id: OrgId::new("acme").unwrap(),
                plan: "free".to_owned(),
                status: OrgStatus::Active,
                ip_rules: IpRules::default(),
                limits: None,
                resources: BTreeMap::new(),
                created_at: at(1),
                version: 1,
            },
            secret_valid_until: Some(at(1050)),
        }
    }

    #[test]
    fn a_key_is_good_from_its_beginning_until_just_before_its_end() {
        use KeyFault::{Expired, NotYetValid, Superseded};
        let record = record();
        for (secs, of_secret, of_key) in [
            (899, Some(NotYetValid), Some(NotYetValid)),
            (900, None, None),
            (1049, None, None),
            (1050, Some(Superseded), None),
            (1099, Some(Superseded), None),
            (1100, Some(Expired), Some(Expired)),
            (1101, Some(Expired), Some(Expired)),
        ] {
            let now = Timestamp::from_secs(secs);
            assert_eq!(record.fault(now), of_secret, "{secs}");
            assert_eq!(record.key.fault(now), of_key, "{secs}");
        }
    }

    #[test]
    fn a_key_without_times_is_good_at_any() {
        let mut record = record();
        record.key.not_before = None;
        record.key.expires_at = None;
        record.secret_valid_until = None;
        for secs in [i64::MIN, 0, NOW, i64::MAX] {
            assert_eq!(record.fault(Timestamp::from_secs(secs)), None, "{secs}");
        }
    }

    #[test]
    fn what_was_switched_off_is_no_good_whatever_its_times() {
        let mut record = record();
        for (status, fault) in [
            (KeyStatus::Revoked, KeyFault::Revoked),
            (KeyStatus::Disabled, KeyFault::Disabled),
        ] {
            record.key.status = status;
            for secs in [0, NOW, 2000] {
                assert_eq!(record.fault(Timestamp::from_secs(secs)), Some(fault));
            }
        }
    }
}
