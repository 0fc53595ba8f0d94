//! Who changed what: a trail that shows when somebody has tampered with it.
//!
//! Each mutation of a store writes a record in its own transaction. The records of an organization
//! are a chain: each has a MAC of itself and of the one before, so that one that was changed, taken
//! out or put elsewhere breaks it. What was cut off its end can be told by a [head](AuditHead) that
//! was kept outside.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::OrgId;
use crate::invalid::Invalid;
use crate::reply::Reply;

pub use event::AuditEvent;
pub use verify::{AuditFault, AuditVerifier};

mod event;
#[cfg(test)]
mod tests;
mod verify;

/// Keeps the trail. Mutations write to it by themselves.
pub trait AuditStore: fmt::Debug + Send + Sync + 'static {
    /// Up to `limit` records of an organization with a `seq` above `after`, the oldest first; with
    /// none, those of what belongs to no organization.
    fn audit_after(
        &self,
        organization: Option<&OrgId>,
        after: u64,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>>;

    /// Up to `limit` records with a `seq` below `before`, the newest first.
    fn audit_before(
        &self,
        organization: Option<&OrgId>,
        before: Option<u64>,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>>;

    /// Up to `limit` heads of chains, by organization, from after this one; that of no organization
    /// is the first.
    fn audit_heads(&self, after: Option<AuditHead>, limit: u32) -> Reply<Vec<AuditHead>>;
}

/// A record of the trail.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a store writes every field")]
pub struct AuditRecord {
    /// Whose; none of what belongs to no organization.
    pub organization: Option<OrgId>,
    /// Its place in the organization's chain, from 1 on without a gap.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What was done: `key.rotate`.
    pub action: String,
    /// To what: `key:9f2c…`.
    pub target: String,
    /// Who did it.
    pub actor: String,
    /// In which session.
    pub session: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What was different before, as JSON. Never a secret.
    pub before: Option<String>,
    /// What is different since.
    pub after: Option<String>,
    /// Of all this, and of the MAC before it.
    #[serde(with = "hex")]
    pub mac: [u8; 32],
}

impl AuditRecord {
    /// The record of an event, which follows this head in its chain.
    #[must_use]
    pub fn new(
        organization: Option<OrgId>,
        event: AuditEvent,
        change: &Change,
        key: &AuditKey,
        last: Option<&AuditHead>,
    ) -> Self {
        let mut record = Self {
            organization,
            seq: last.map_or(0, |last| last.seq).saturating_add(1),
            at: change.at,
            action: event.action,
            target: event.target,
            actor: change.actor.as_str().to_owned(),
            session: change.actor.session().map(ToOwned::to_owned),
            address: change.actor.address(),
            reason: change.reason.clone(),
            before: event.before,
            after: event.after,
            mac: [0; 32],
        };
        record.mac = key.mac(last.map_or(&[0; 32], |last| &last.mac), &record);
        record
    }

    /// Where its chain ends, if it is the last.
    #[must_use]
    pub fn head(&self) -> AuditHead {
        AuditHead {
            organization: self.organization.clone(),
            seq: self.seq,
            mac: self.mac,
        }
    }
}

/// Where a chain ends. Kept outside the database, it shows whether the end was cut off later.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct AuditHead {
    /// Whose chain.
    pub organization: Option<OrgId>,
    /// The `seq` of its last record.
    pub seq: u64,
    /// The MAC of its last record.
    #[serde(with = "hex")]
    pub mac: [u8; 32],
}

/// As a line of a file: `acme 42 9f2c…`; an organization of `-` is none.
impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let organization = self.organization.as_ref().map_or("-", OrgId::as_str);
        write!(f, "{organization} {} {}", self.seq, hex::text(&self.mac))
    }
}

impl FromStr for AuditHead {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            let shown: String = text
                .chars()
                .take(100)
                .flat_map(char::escape_debug)
                .collect();
            let reason = format!("`{shown}` is not `<organization> <seq> <64 hex digits>`");
            Invalid::new("audit head", reason)
        };
        let mut parts = text.split_whitespace();
        let (Some(organization), Some(seq), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let organization = match organization {
            "-" => None,
            name => Some(OrgId::new(name)?),
        };
        Ok(Self {
            organization,
            seq: seq.parse().map_err(|_| bad())?,
            mac: hex::bytes(mac).ok_or_else(bad)?,
        })
    }
}

/// What MACs are made with. Kept outside the database, so that who can write there cannot make a
/// chain anew.
#[derive(Clone)]
pub struct AuditKey(Option<Hmac<Sha256>>);

impl AuditKey {
    /// A key of any length; 32 random bytes are a good one. Every process that shares a store needs
    /// the same.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).ok())
    }

    /// The MAC of a record that follows another.
    ///
    /// HMAC-SHA-256 of the MAC before it and of every field, each with its length in front.
    #[must_use]
    pub fn mac(&self, before: &[u8; 32], record: &AuditRecord) -> [u8; 32] {
        let Some(keyed) = &self.0 else {
            return [0; 32];
        };
        let mut mac = keyed.clone();
        mac.update(before);
        let address = record.address.map(|address| address.to_string());
        for field in [
            record.organization.as_ref().map(OrgId::as_str),
            Some(&record.seq.to_string()),
            Some(&record.at.as_micros().to_string()),
            Some(&record.action),
            Some(&record.target),
            Some(&record.actor),
            record.session.as_deref(),
            address.as_deref(),
            record.reason.as_deref(),
            record.before.as_deref(),
            record.after.as_deref(),
        ] {
            // None is no length that a text has.
            let length = field.map_or(u64::MAX, |field| field.len().try_into().unwrap_or(0));
            mac.update(&length.to_le_bytes());
            mac.update(field.unwrap_or_default().as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// Without a key of its own, a chain still shows what was changed by who does not know of it.
impl Default for AuditKey {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

/// 32 bytes as 64 hex digits.
pub(crate) mod hex {
    use std::fmt::Write as _;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn text(bytes: &[u8; 32]) -> String {
        bytes
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    pub(super) fn bytes(text: &str) -> Option<[u8; 32]> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let from = at.checked_mul(2)?;
            *byte = u8::from_str_radix(text.get(from..from.checked_add(2)?)?, 16).ok()?;
        }
        Some(bytes)
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        bytes(&text).ok_or_else(|| D::Error::custom("a MAC is 64 hex digits"))
    }
}
