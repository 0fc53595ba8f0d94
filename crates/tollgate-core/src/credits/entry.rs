//! What happened to a wallet, in order.

use serde::{Deserialize, Serialize};

use super::RouteName;
use crate::clock::Timestamp;
use crate::id::{HoldId, KeyId, OrgId};

/// A line of an organization's books. Lines are only ever added.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a ledger fills every field")]
pub struct Entry {
    /// Its place: later lines have larger numbers.
    pub seq: u64,
    /// Whose credits.
    pub organization: OrgId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: EntryKind,
    /// By how many credits the balance grew; negative where it fell.
    pub credits: i64,
    /// The balance then: what was granted and neither charged nor withdrawn.
    pub balance: u64,
    /// The hold that was settled or refunded.
    pub hold: Option<HoldId>,
    /// The key that was charged.
    pub key: Option<KeyId>,
    /// The route that it was charged for.
    pub route: Option<RouteName>,
    /// The request that it was charged for.
    pub request_id: Option<String>,
    /// What the route costs: `3/item`.
    pub price: Option<String>,
    /// Who granted, withdrew or refunded.
    pub actor: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What the grant or refund was for.
    pub reference: Option<String>,
}

/// What a line of the books says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// Credits were given.
    Grant,
    /// The plan's credits of a month were given.
    Allowance,
    /// A hold was settled.
    Charge,
    /// A charge was given back.
    Refund,
    /// Credits expired before they were spent.
    Lapse,
    /// Somebody took credits back.
    Withdrawal,
}

impl EntryKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Grant,
        Self::Allowance,
        Self::Charge,
        Self::Refund,
        Self::Lapse,
        Self::Withdrawal,
    ];

    /// The kind as stores write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Allowance => "allowance",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Lapse => "lapse",
            Self::Withdrawal => "withdrawal",
        }
    }

    /// The kind that a store wrote so.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
