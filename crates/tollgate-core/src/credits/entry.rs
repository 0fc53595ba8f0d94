//! What happened to a wallet, in order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Advanced, RouteName, Settle};
use crate::change::Change;
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

impl Entry {
    /// A line that says no more than what happened. Its place is the ledger's to fill in.
    #[must_use]
    pub fn new(
        organization: &OrgId,
        at: Timestamp,
        kind: EntryKind,
        credits: u64,
        balance: u64,
    ) -> Self {
        Self {
            seq: 0,
            organization: organization.clone(),
            at,
            kind,
            credits: kind.signed(credits),
            balance,
            hold: None,
            key: None,
            route: None,
            request_id: None,
            price: None,
            actor: None,
            reason: None,
            reference: None,
        }
    }

    /// A line about what somebody did.
    #[must_use]
    pub fn by(
        change: &Change,
        organization: &OrgId,
        kind: EntryKind,
        credits: u64,
        balance: u64,
    ) -> Self {
        Self {
            actor: Some(change.actor.as_str().to_owned()),
            reason: change.reason.clone(),
            ..Self::new(organization, change.at, kind, credits, balance)
        }
    }
}

impl Settle {
    /// The lines of its parts, of which `charged` credits were charged and left this balance; none
    /// if it has no parts.
    #[must_use]
    pub fn entries(&self, organization: &OrgId, charged: u64, balance: u64) -> Vec<Entry> {
        let (mut rest, mut funds) = (charged, balance.saturating_add(charged));
        let parts = self.parts.iter().map(|part| {
            let credits = part.credits.min(rest);
            rest = rest.saturating_sub(credits);
            funds = funds.saturating_sub(credits);
            Entry {
                hold: Some(self.id),
                key: Some(part.key),
                route: Some(Arc::clone(&part.route)),
                price: Some(part.price.to_string()),
                reason: Some(match part.requests {
                    1 => "1 request".to_owned(),
                    requests => format!("{requests} requests"),
                }),
                ..Entry::new(organization, self.at, EntryKind::Charge, credits, funds)
            }
        });
        parts.filter(|entry| entry.credits != 0).collect()
    }
}

impl Advanced {
    /// The lines of what lapsed and of the allowance, which left this balance.
    pub fn entries(
        self,
        organization: &OrgId,
        at: Timestamp,
        balance: u64,
    ) -> impl Iterator<Item = Entry> {
        let before = balance.saturating_sub(self.allowed);
        let lapse = (EntryKind::Lapse, self.lapsed, before);
        let allowance = (EntryKind::Allowance, self.allowed, balance);
        [lapse, allowance]
            .into_iter()
            .filter(|(_, credits, _)| *credits > 0)
            .map(move |(kind, credits, balance)| {
                Entry::new(organization, at, kind, credits, balance)
            })
    }
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

    /// By how much a balance grows. No wallet has more credits than fit.
    #[must_use]
    pub fn signed(self, credits: u64) -> i64 {
        let credits = i64::try_from(credits).unwrap_or(i64::MAX);
        match self {
            Self::Grant | Self::Allowance | Self::Refund => credits,
            Self::Charge | Self::Lapse | Self::Withdrawal => credits.saturating_neg(),
        }
    }

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
