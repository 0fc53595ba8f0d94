//! Which hourly counters are asked for, and how they are added up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, OrgId};

const MICROS_OF_A_DAY: i64 = 86_400_000_000;

/// Which counters are added up: those of whom, of which hours, and what is told apart.
///
/// ```
/// use tollgate_core::clock::Timestamp;
/// use tollgate_core::id::OrgId;
/// use tollgate_core::usage::{UsageOf, UsagePeriod, UsageQuery};
///
/// let of = UsageOf::Organization(OrgId::new("acme")?);
/// let day = Timestamp::from_secs(1_767_225_600);
/// let query = UsageQuery::new(of, day, Timestamp::from_secs(1_767_312_000))
///     .per(UsagePeriod::Hour)
///     .by_outcome();
/// assert!(query.outcome && !query.route);
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store reads every field")]
#[must_use = "a query is answered by UsageStore::usage_counts"]
pub struct UsageQuery {
    /// Whose.
    pub of: UsageOf,
    /// Hours that begin at this point or later.
    pub from: Timestamp,
    /// Hours that begin before this point.
    pub until: Timestamp,
    /// What a row is about, in time.
    pub per: UsagePeriod,
    /// Whether keys are told apart.
    pub key: bool,
    /// Whether routes are told apart.
    pub route: bool,
    /// Whether outcomes are told apart.
    pub outcome: bool,
    /// How many rows at most; a store gives no more than [`UsageQuery::MOST`].
    pub limit: u32,
}

/// Whose usage is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a store reads every kind")]
pub enum UsageOf {
    /// That of a key.
    Key(KeyId),
    /// That of all keys of an organization, but for those that were deleted.
    Organization(OrgId),
}

/// What a row is about, in time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a store reads every kind")]
pub enum UsagePeriod {
    /// All the time that is asked for.
    #[default]
    Whole,
    /// A day, in UTC.
    Day,
    /// An hour.
    Hour,
}

impl UsageQuery {
    /// The most rows of an answer.
    pub const MOST: u32 = 10_000;

    /// All requests of hours that begin from `from` on and before `until`, as one number.
    pub const fn new(of: UsageOf, from: Timestamp, until: Timestamp) -> Self {
        Self {
            of,
            from,
            until,
            per: UsagePeriod::Whole,
            key: false,
            route: false,
            outcome: false,
            limit: 1_000,
        }
    }

    /// A number for each day or hour.
    pub const fn per(mut self, period: UsagePeriod) -> Self {
        self.per = period;
        self
    }

    /// A number for each key.
    pub const fn by_key(mut self) -> Self {
        self.key = true;
        self
    }

    /// A number for each route.
    pub const fn by_route(mut self) -> Self {
        self.route = true;
        self
    }

    /// A number for each outcome.
    pub const fn by_outcome(mut self) -> Self {
        self.outcome = true;
        self
    }

    /// So many rows at most, in place of a thousand. The earliest come first.
    pub const fn limit(mut self, rows: u32) -> Self {
        self.limit = rows;
        self
    }

    /// The start of the period that an hour belongs to.
    #[must_use]
    pub const fn start(&self, hour: Timestamp) -> Timestamp {
        match self.per {
            UsagePeriod::Whole => self.from,
            UsagePeriod::Hour => hour,
            UsagePeriod::Day => {
                let into_day = hour.as_micros().rem_euclid(MICROS_OF_A_DAY);
                Timestamp::from_micros(hour.as_micros().saturating_sub(into_day))
            }
        }
    }
}

/// How many requests there were in a period, of what is told apart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct UsageRow {
    /// The start of the period; where all is one, the start of what was asked for.
    pub start: Timestamp,
    /// The key, if keys are told apart.
    pub key: Option<KeyId>,
    /// The route, if routes are told apart.
    pub route: Option<Arc<str>>,
    /// How they ended, if outcomes are told apart.
    pub outcome: Option<Arc<str>>,
    /// How many.
    pub requests: u64,
}
