//! Tiers: what an organization may do, how often, and for how many credits.

mod limits;
pub(crate) mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::limits::LimitsBody;
pub use self::limits::{CountPer, Limits, MAX_RATES};
pub use self::text::parse_duration;
use self::text::{Quota, Rate};
use crate::clock::Timestamp;
use crate::credits::Allowance;
use crate::invalid::Invalid;
use crate::quota::QuotaLimit;
use crate::rate::RateLimit;
use crate::shorthand::{Entry, Value, is_default};

/// A tier, as it is declared in a catalog.
///
/// ```
/// use std::time::Duration;
///
/// use tollgate_core::plan::Plan;
/// use tollgate_core::rate::RateLimit;
///
/// let free = Plan::new("free").number("lookback.days", 1);
/// let pro = Plan::new("pro")
///     .rank(1)
///     .rate(RateLimit::smooth(1000, Duration::from_secs(60))?)
///     .credits_per_month(1000)
///     .feature("format.stix")
///     .number("lookback.days", 365);
/// assert!(pro.at_least(&free) && !free.at_least(&pro));
/// assert!(pro.has_feature("format.stix"));
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The name that organizations, scopes and routes know it by.
    pub name: String,
    /// Its place among the plans: "Starter or above" is this rank or a higher one.
    pub rank: u32,
    /// The limits of routes without a rate class.
    pub limits: Limits,
    /// The limits of routes with one, by its name.
    pub classes: BTreeMap<String, Limits>,
    /// Credits granted each month.
    pub monthly_credits: u64,
    /// Whether what is left of them at the month's end is kept.
    pub credits_roll_over: bool,
    /// What it includes: `format.stix`.
    pub features: BTreeSet<String>,
    /// How far it goes: `lookback.days`.
    pub numbers: BTreeMap<String, u64>,
}

impl Plan {
    /// Declares a plan of the lowest rank that limits nothing and grants nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Puts it above the plans of lower rank. No two plans share one.
    #[must_use]
    pub const fn rank(mut self, rank: u32) -> Self {
        self.rank = rank;
        self
    }

    /// Adds a rate to its limits.
    #[must_use]
    pub fn rate(mut self, rate: RateLimit) -> Self {
        self.limits = self.limits.with_rate(rate);
        self
    }

    /// Adds a quota to its limits.
    #[must_use]
    pub fn quota(mut self, quota: QuotaLimit) -> Self {
        self.limits = self.limits.with_quota(quota);
        self
    }

    /// Caps the requests in flight.
    #[must_use]
    pub fn in_flight(mut self, cap: u32) -> Self {
        self.limits = self.limits.with_in_flight(cap);
        self
    }

    /// Counts per key in place of per organization.
    #[must_use]
    pub fn per(mut self, per: CountPer) -> Self {
        self.limits = self.limits.with_per(per);
        self
    }

    /// Gives the routes of a rate class limits of their own.
    #[must_use]
    pub fn class(mut self, name: impl Into<String>, limits: Limits) -> Self {
        self.classes.insert(name.into(), limits);
        self
    }

    /// Grants credits each month (UTC). What is left of them at its end lapses, unless they
    /// [roll over](Self::credits_roll_over).
    #[must_use]
    pub const fn credits_per_month(mut self, credits: u64) -> Self {
        self.monthly_credits = credits;
        self
    }

    /// Keeps what is left of a month's credits.
    #[must_use]
    pub const fn credits_roll_over(mut self) -> Self {
        self.credits_roll_over = true;
        self
    }

    /// What a wallet on this plan is granted for the month that `now` is in.
    #[must_use]
    pub fn allowance(&self, now: Timestamp) -> Option<Allowance> {
        (self.monthly_credits > 0).then(|| Allowance {
            month: now.start_of_month(),
            credits: self.monthly_credits,
            expires_at: (!self.credits_roll_over).then(|| now.start_of_next_month()),
        })
    }

    /// Includes a feature.
    #[must_use]
    pub fn feature(mut self, name: impl Into<String>) -> Self {
        self.features.insert(name.into());
        self
    }

    /// Sets a numeric entitlement.
    #[must_use]
    pub fn number(mut self, name: impl Into<String>, value: u64) -> Self {
        self.numbers.insert(name.into(), value);
        self
    }

    /// The limits of a route: those of its rate class, or the plan's own if it has no such class.
    #[must_use]
    pub fn limits_for(&self, class: Option<&str>) -> &Limits {
        class
            .and_then(|class| self.classes.get(class))
            .unwrap_or(&self.limits)
    }

    /// Whether it includes a feature.
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.contains(name)
    }

    /// A numeric entitlement, if it sets one.
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    /// Whether it is this plan or a higher one.
    #[must_use]
    pub const fn at_least(&self, required: &Self) -> bool {
        self.rank >= required.rank
    }
}

/// A plan as a file writes it, without its name.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanBody {
    // Without a default: a forgotten rank would be the lowest one.
    rank: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rates: Vec<Rate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quotas: Vec<Quota>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_flight: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    per: CountPer,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    classes: BTreeMap<String, LimitsBody>,
    #[serde(default, skip_serializing_if = "is_default")]
    credits_per_month: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    credits_roll_over: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    features: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    numbers: BTreeMap<String, u64>,
}

impl Entry for Plan {
    type Body = PlanBody;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(name: String, value: Value<PlanBody>) -> Result<Self, Invalid> {
        let Value::Table(body) = value else {
            return Err(Invalid::new(
                format!("plan `{name}`"),
                "give a table with its `rank`",
            ));
        };
        let limits = LimitsBody {
            rates: body.rates,
            quotas: body.quotas,
            in_flight: body.in_flight,
            per: body.per,
        };
        let classes = body.classes.into_iter();
        Ok(Self {
            name,
            rank: body.rank,
            limits: limits.unchecked(),
            classes: classes
                .map(|(class, limits)| (class, limits.unchecked()))
                .collect(),
            monthly_credits: body.credits_per_month,
            credits_roll_over: body.credits_roll_over,
            features: body.features,
            numbers: body.numbers,
        })
    }

    fn body(&self) -> PlanBody {
        let limits = LimitsBody::from(self.limits.clone());
        let classes = self.classes.iter();
        PlanBody {
            rank: self.rank,
            rates: limits.rates,
            quotas: limits.quotas,
            in_flight: limits.in_flight,
            per: limits.per,
            classes: classes
                .map(|(class, limits)| (class.clone(), limits.clone().into()))
                .collect(),
            credits_per_month: self.monthly_credits,
            credits_roll_over: self.credits_roll_over,
            features: self.features.clone(),
            numbers: self.numbers.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_own_limits_and_others_fall_back() {
        let exports = Limits::new().with_in_flight(1);
        let plan = Plan::new("pro").in_flight(8).class("exports", exports);
        let cap = |class| plan.limits_for(class).in_flight().unwrap().get();
        assert_eq!(cap(Some("exports")), 1);
        assert_eq!(cap(Some("lookups")), 8);
        assert_eq!(cap(None), 8);
    }

    #[test]
    fn what_a_plan_does_not_set_it_does_not_entitle_to() {
        let plan = Plan::new("free")
            .feature("format.json")
            .number("lookback.days", 1);
        assert!(plan.has_feature("format.json") && !plan.has_feature("format"));
        assert_eq!(plan.number_of("lookback.days"), Some(1));
        assert_eq!(plan.number_of("lookback"), None);
    }
}
