//! Credits: held before the work, charged or given back after it.
//!
//! The port is [`Ledger`]. Whatever happens, at every point and after every crash:
//! **settled + open holds ≤ granted**.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{HoldId, KeyId, OrgId};
use crate::reply::Reply;

pub use memory::MemoryLedger;

mod memory;

/// The largest number of credits that may be granted, held or charged.
pub const MAX_CREDITS: u64 = i64::MAX.unsigned_abs();

/// What a route costs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Price {
    /// Nothing.
    #[default]
    Free,
    /// As many credits for each request.
    Fixed(u64),
    /// As many credits for each item that the handler counts.
    PerItem(u64),
    /// What the handler says, between two bounds.
    Between {
        /// The least that a successful request costs.
        least: u64,
        /// The most that it may cost.
        most: u64,
    },
}

impl Price {
    /// What is held before the handler runs: at least, and at most.
    #[must_use]
    pub const fn held_first(self) -> (u64, u64) {
        match self {
            Self::Free => (0, 0),
            Self::Fixed(credits) | Self::PerItem(credits) => (credits, credits),
            Self::Between { least, most } => (least, most),
        }
    }

    /// Whether nothing is ever charged.
    #[must_use]
    pub const fn is_free(self) -> bool {
        matches!(self.held_first(), (_, 0))
    }
}

/// The price as a permission map shows it: `0`, `3`, `3/item`, `1–50`.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("0"),
            Self::Fixed(credits) => credits.fmt(f),
            Self::PerItem(credits) => write!(f, "{credits}/item"),
            Self::Between { least, most } => write!(f, "{least}–{most}"),
        }
    }
}

/// Keeps the credits of organizations.
///
/// Each hold ends once, as settled, voided or expired; ending it again changes nothing. An
/// operation that is repeated with the same id does what it did the first time.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Sets credits aside, durably: as much of `least..=most` as the wallet has.
    fn hold(&self, request: HoldRequest) -> Reply<HoldAnswer>;

    /// Raises an open hold to `to` in all. Never lowers it.
    ///
    /// [`StoreErrorKind::NotFound`](crate::error::StoreErrorKind::NotFound) if it has ended.
    fn extend(&self, id: HoldId, to: u64) -> Reply<HoldAnswer>;

    /// Ends a hold by charging `credits` of it, at most what is held; the rest is free again.
    fn settle(&self, id: HoldId, credits: u64, at: Timestamp) -> Reply<Settlement>;

    /// Ends a hold without a charge. One that was never seen leaves a tombstone, so that it
    /// cannot be opened later.
    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()>;

    /// Ends up to `limit` open holds whose deadline is not after `now`, without a charge, and
    /// says how many there were.
    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64>;

    /// Gives credits.
    fn grant(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance>;

    /// Reads a wallet. An organization that was never granted anything has an empty one.
    fn balance(&self, organization: &OrgId) -> Reply<Balance>;
}

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
    pub route: Arc<str>,
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
}

/// Credits that a plan grants once a calendar month.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads both fields")]
pub struct Allowance {
    /// The start of the month, in UTC.
    pub month: Timestamp,
    /// How many credits.
    pub credits: u64,
}

/// Whether credits could be set aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "they could, or they could not")]
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
    AlreadyEnded,
}

/// A wallet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a ledger fills every field")]
pub struct Balance {
    /// All that was ever granted.
    pub granted: u64,
    /// All that was ever charged.
    pub settled: u64,
    /// All that is set aside now.
    pub held: u64,
}

impl Balance {
    /// What can still be held.
    #[must_use]
    pub const fn available(self) -> u64 {
        self.granted
            .saturating_sub(self.settled)
            .saturating_sub(self.held)
    }
}
