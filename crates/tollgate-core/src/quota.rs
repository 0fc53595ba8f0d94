//! How much: limits per calendar day or month, in UTC.
//!
//! A quota survives a restart and is never exceeded, without a round trip to the store for each
//! request: [`QuotaBlocks`] debits a block ahead and spends it in memory.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::invalid::Invalid;
use crate::rate::Subject;
use crate::reply::Reply;

pub use blocks::{QuotaBlocks, Spawn};
pub use memory::MemoryQuotas;

mod blocks;
mod memory;

/// The most units that a quota may have.
pub const MAX_QUOTA: u64 = i64::MAX.unsigned_abs() / 2;

/// A calendar period, in UTC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QuotaPeriod {
    /// A day.
    Day,
    /// A month.
    Month,
}

impl QuotaPeriod {
    /// The period's name, as stores write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// When the period that this point is in began.
    #[must_use]
    pub fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => at.start_of_day(),
            Self::Month => at.start_of_month(),
        }
    }

    /// When the period that this point is in ends.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => at.start_of_next_day(),
            Self::Month => at.start_of_next_month(),
        }
    }
}

/// N units per calendar period.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct QuotaLimit {
    name: Arc<str>,
    units: NonZeroU64,
    period: QuotaPeriod,
}

impl QuotaLimit {
    /// So many units per period.
    ///
    /// # Errors
    ///
    /// [`Invalid`] unless there are 1 to [`MAX_QUOTA`].
    pub fn new(units: u64, period: QuotaPeriod) -> Result<Self, Invalid> {
        let Some(units) = NonZeroU64::new(units).filter(|units| units.get() <= MAX_QUOTA) else {
            return Err(Invalid::new(
                "quota",
                format!("{units} units are not 1 to {MAX_QUOTA}"),
            ));
        };
        Ok(Self {
            name: period.as_str().into(),
            units,
            period,
        })
    }

    /// Its name: `day` or `month`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// N.
    #[must_use]
    pub const fn units(&self) -> NonZeroU64 {
        self.units
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> QuotaPeriod {
        self.period
    }
}

/// Keeps how much of each period is used, durably.
///
/// What is used in a period never exceeds the largest limit it was debited with. A clock that is
/// set back reopens nothing: a debit for an earlier period than the newest one seen is counted on
/// the newest.
pub trait QuotaStore: fmt::Debug + Send + Sync + 'static {
    /// Debits up to `want` units; if not even `at_least` are left, none. Who wants none is told how
    /// many are used.
    fn debit(&self, request: DebitRequest) -> Reply<Debited>;

    /// Gives back units of a period that were debited and not spent.
    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()>;
}

/// Asks for units of a period.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store reads every field")]
pub struct DebitRequest {
    /// Whose quota.
    pub subject: Subject,
    /// Of which kind of period.
    pub period: QuotaPeriod,
    /// When the period began.
    pub start: Timestamp,
    /// How many units it has in all.
    pub limit: u64,
    /// How many are asked for.
    pub want: u64,
    /// Fewer than this are of no use.
    pub at_least: u64,
}

/// What a debit gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills both fields")]
pub struct Debited {
    /// How many units were debited.
    pub granted: u64,
    /// How many of the period are used now, these included.
    pub used: u64,
}

/// What [`QuotaBlocks`] says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plain answer")]
pub struct QuotaTally {
    /// Whether every quota agreed; only then was anything consumed.
    pub admitted: bool,
    /// Each quota, in the order of the limits.
    pub quotas: SmallVec<[QuotaState; 1]>,
}

impl Default for QuotaTally {
    fn default() -> Self {
        Self {
            admitted: true,
            quotas: SmallVec::new(),
        }
    }
}

/// One quota, after the decision, as far as this process knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plain answer")]
pub struct QuotaState {
    /// How many units it has.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// When the period ends.
    pub reset_at: Timestamp,
    /// Whether this quota refused.
    pub refused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_has_the_name_that_stores_write_of_its_period() {
        for (period, name) in [(QuotaPeriod::Day, "day"), (QuotaPeriod::Month, "month")] {
            assert_eq!(period.as_str(), name);
            assert_eq!(QuotaLimit::new(1, period).unwrap().name(), name);
        }
    }

    #[test]
    fn a_quota_has_one_unit_at_least_and_no_more_than_a_store_can_count() {
        assert_eq!(MAX_QUOTA, 4_611_686_018_427_387_903);
        for (units, good) in [
            (0, false),
            (1, true),
            (MAX_QUOTA, true),
            (MAX_QUOTA + 1, false),
        ] {
            let made = QuotaLimit::new(units, QuotaPeriod::Day);
            assert_eq!(made.is_ok(), good, "{units}");
        }
    }
}
