//! What is asked of a ledger for one request, and what it answers.

use std::sync::Arc;

use super::{Grant, Price, RouteName};
use crate::clock::Timestamp;
use crate::id::{HoldId, KeyId, OrgId, RequestId};

/// Asks for a hold.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct HoldRequest {
    /// Names the hold; made by the asker, so that asking twice holds once.
    pub id: HoldId,
    /// Whose credits.
    pub organization: OrgId,
    /// The key that asks.
    pub key: KeyId,
    /// The route that it is for: `POST /enrichment/lookup`.
    pub route: RouteName,
    /// The request that it is for.
    pub request_id: RequestId,
    /// What the route costs.
    pub price: Price,
    /// Less than this is of no use.
    pub least: u64,
    /// More than this is not needed.
    pub most: u64,
    /// When it was asked.
    pub at: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// What the plan grants for this month, if it has not been granted yet.
    pub allowance: Option<Allowance>,
    /// Which other requests are this one again.
    pub idempotency: Option<Arc<Idempotency>>,
}

/// Credits that a plan grants once a calendar month.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Allowance {
    /// The start of the month, in UTC.
    pub month: Timestamp,
    /// How many credits.
    pub credits: u64,
    /// When what is left of them lapses; never, where they roll over.
    pub expires_at: Option<Timestamp>,
}

impl Allowance {
    /// Where they stand among the grants.
    pub const PRIORITY: u8 = Grant::PRIORITY;
}

/// What makes two requests of an organization to a route the same.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Idempotency {
    /// The key that the client chose.
    pub key: String,
    /// What it was sent with: another request with the same key is a mistake.
    pub fingerprint: [u8; 32],
    /// When the key may be used anew.
    pub expires_at: Timestamp,
}

/// Whether credits could be set aside.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a caller answers each in its way")]
pub enum HoldAnswer {
    /// They could.
    Held {
        /// How many the hold has in all.
        credits: u64,
        /// How many the wallet still has.
        available: u64,
    },
    /// They could not, and nothing changed.
    Insufficient {
        /// How many the wallet has.
        available: u64,
    },
    /// The idempotency key was used before; nothing changed.
    Repeated(Repeat),
}

/// What became of the first request with an idempotency key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a caller answers each in its way")]
pub enum Repeat {
    /// It is under way.
    Running,
    /// It was charged, and this was its outcome.
    Done(Outcome),
    /// It was charged, but its outcome was not stored.
    NotStored,
    /// It was another request.
    Different,
}

/// The outcome of a request, in a form that only who stored it reads.
pub type Outcome = Arc<[u8]>;

/// Asks for more of an open hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Extension {
    /// The hold.
    pub id: HoldId,
    /// How many credits it is to have in all; it is never lowered.
    pub credits: u64,
    /// What is charged of it should nobody end it in time; never lowered, and at most what is
    /// held.
    pub owed: u64,
    /// When it ends by itself; never earlier than before.
    pub deadline: Timestamp,
    /// When it was asked.
    pub at: Timestamp,
}

/// Ends a hold.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Settle {
    /// The hold.
    pub id: HoldId,
    /// What to charge.
    pub credits: u64,
    /// When.
    pub at: Timestamp,
    /// What to answer to who repeats the request. Stored with the charge, or not at all.
    pub outcome: Option<Outcome>,
    /// What was charged to whom, if the hold was for many requests: an entry each. Of most holds
    /// there are none.
    pub parts: Vec<Part>,
}

/// What the requests of a key to a route cost together.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Part {
    /// The key.
    pub key: KeyId,
    /// The route.
    pub route: RouteName,
    /// What the route costs.
    pub price: Price,
    /// How many credits.
    pub credits: u64,
    /// How many requests.
    pub requests: u64,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "this call ended it, or another did"
)]
pub enum Settlement {
    /// This call ended it.
    Settled {
        /// How many credits were charged.
        charged: u64,
    },
    /// It had ended before, or was never opened; nothing changed.
    AlreadyEnded {
        /// How many credits were charged then.
        charged: u64,
    },
}

impl HoldAnswer {
    /// How many credits the wallet still has, as far as the answer says.
    #[must_use]
    pub const fn available(&self) -> u64 {
        match self {
            Self::Held { available, .. } | Self::Insufficient { available } => *available,
            Self::Repeated(_) => 0,
        }
    }
}

impl Settlement {
    /// How many credits were charged, by this call or before.
    #[must_use]
    pub const fn charged(self) -> u64 {
        match self {
            Self::Settled { charged } | Self::AlreadyEnded { charged } => charged,
        }
    }
}
