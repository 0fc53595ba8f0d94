//! Credits: held before the work, charged or given back after it.
//!
//! The port is [`Ledger`]; the rules that every ledger keeps are those of an [`Account`]. Whatever
//! happens, at every point and after every crash: **settled + open holds ≤ granted**.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::clock::Timestamp;
use crate::id::{HoldId, OrgId};
use crate::reply::Reply;

pub use account::{Account, Advanced, Allowed, Paid, Pool, TooMany};
pub use entry::{Entry, EntryKind};
pub use hold::{
    Allowance, Extension, HoldAnswer, HoldRequest, Idempotency, Outcome, Part, Repeat, Settle,
    Settlement,
};
pub use memory::MemoryLedger;

mod account;
mod entry;
mod hold;
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
/// operation that is repeated with the same id does what it did the first time: that is what
/// makes it safe to ask again when an answer was lost.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Sets credits aside, durably: as much of `least..=most` as the wallet has.
    ///
    /// A [`Conflict`](crate::error::StoreErrorKind::Conflict) if the hold has ended.
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer>;

    /// Raises an open hold, notes what is owed of it, and puts its deadline off. Where the wallet
    /// has too few credits, none of that happens.
    ///
    /// [`NotFound`](crate::error::StoreErrorKind::NotFound) if the hold has ended.
    fn extend(&self, extension: Extension) -> Reply<HoldAnswer>;

    /// Ends a hold by charging some of it, at most what is held; the rest is free again.
    fn settle(&self, settle: Settle) -> Reply<Settlement>;

    /// Ends a hold without a charge. One that was never seen leaves a tombstone, so that it
    /// cannot be opened later.
    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()>;

    /// Ends up to `limit` open holds whose deadline is not after `now`, charging what is owed of
    /// them, and says how many there were.
    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64>;

    /// Forgets up to `limit` holds that ended before this point, and as many outcomes whose time
    /// is over at `now`; says how many rows those were. Entries are never forgotten.
    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64>;

    /// Gives credits, once for each reference.
    ///
    /// A [`Conflict`](crate::error::StoreErrorKind::Conflict) if they cannot be counted, or the
    /// reference is that of a refund.
    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance>;

    /// Takes granted credits back that are neither spent nor held.
    ///
    /// A [`Conflict`](crate::error::StoreErrorKind::Conflict) if there are not so many.
    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance>;

    /// Gives back what a settled hold was charged, in part or whole, once for each reference.
    ///
    /// [`NotFound`](crate::error::StoreErrorKind::NotFound) if no such hold was settled, a
    /// [`Conflict`](crate::error::StoreErrorKind::Conflict) if that is more than is left of it, or
    /// the reference is that of a grant, or of the refund of another hold.
    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance>;

    /// Reads a wallet as a hold at this point would find it. An organization that was never
    /// granted anything has an empty one.
    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance>;

    /// Up to `limit` entries of an organization's books, the newest first, older than `before`.
    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>>;
}

/// Credits to be given.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
#[must_use = "a grant does nothing until a ledger gets it"]
pub struct Grant {
    /// Whose they are.
    pub organization: OrgId,
    /// How many.
    pub credits: u64,
    /// Lower ones are spent first.
    pub priority: u8,
    /// When what is left of them lapses.
    pub expires_at: Option<Timestamp>,
    /// What they were given for, such as a payment's id: of one reference, an organization is
    /// given credits once.
    pub reference: Option<String>,
}

impl Grant {
    /// The priority of a grant that has none of its own, and of allowances.
    pub const PRIORITY: u8 = 50;

    /// So many credits, which do not expire.
    pub const fn new(organization: OrgId, credits: u64) -> Self {
        Self {
            organization,
            credits,
            priority: Self::PRIORITY,
            expires_at: None,
            reference: None,
        }
    }

    /// What is left of them lapses then.
    pub const fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Credits of a lower priority are spent first.
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Names what they are given for, so that asking twice gives once.
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}

/// A charge to be given back.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger reads every field")]
pub struct Refund {
    /// Whose charge it was.
    pub organization: OrgId,
    /// The hold that was settled.
    pub hold: HoldId,
    /// How many credits of it.
    pub credits: u64,
    /// Names the refund, so that asking twice refunds once.
    pub reference: String,
}

/// The sums of a wallet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a ledger fills every field")]
pub struct Balance {
    /// All that was ever granted.
    pub granted: u64,
    /// What lapsed of it, or was taken back.
    pub withdrawn: u64,
    /// All that was charged and not refunded.
    pub settled: u64,
    /// All that is set aside now.
    pub held: u64,
}

impl Balance {
    /// What can still be held.
    #[must_use]
    pub const fn available(self) -> u64 {
        self.funds().saturating_sub(self.held)
    }

    /// What is there, held or not: the balance that entries show.
    #[must_use]
    pub const fn funds(self) -> u64 {
        self.granted
            .saturating_sub(self.withdrawn)
            .saturating_sub(self.settled)
    }
}

/// A route's name, shared by all that happens on it.
pub type RouteName = Arc<str>;
