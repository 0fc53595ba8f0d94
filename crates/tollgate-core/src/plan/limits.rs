use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::text::{Quota, Rate};
use crate::invalid::Invalid;
use crate::quota::QuotaLimit;
use crate::rate::RateLimit;
use crate::shorthand::is_default;

/// The most rates that may be counted at once: each costs time on every request.
pub const MAX_RATES: usize = 4;

/// How often, how much and how many at once.
///
/// A plan has limits; an organization or a key may have its own instead, kept as JSON.
///
/// ```
/// use tollgate_core::plan::Limits;
///
/// let limits: Limits = serde_json::from_str(
///     r#"{"rates": ["10/minute", {"limit": "1000/hour", "kind": "exact"}], "in_flight": 4}"#,
/// )?;
/// assert_eq!(limits.rates().len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "LimitsBody", into = "LimitsBody")]
pub struct Limits {
    rates: Vec<RateLimit>,
    quotas: Vec<QuotaLimit>,
    in_flight: Option<u32>,
    per: CountPer,
}

/// Who shares what is counted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CountPer {
    /// All keys of the organization.
    #[default]
    Organization,
    /// Nobody: each key is counted alone.
    Key,
}

impl Limits {
    /// Limits that limit nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rate.
    #[must_use]
    pub fn with_rate(mut self, rate: RateLimit) -> Self {
        self.rates.push(rate);
        self
    }

    /// Adds a quota.
    #[must_use]
    pub fn with_quota(mut self, quota: QuotaLimit) -> Self {
        self.quotas.push(quota);
        self
    }

    /// Caps the requests in flight. Zero is refused by [`check`](Self::check).
    #[must_use]
    pub const fn with_in_flight(mut self, cap: u32) -> Self {
        self.in_flight = Some(cap);
        self
    }

    /// Says who shares what is counted, in place of [`CountPer::Organization`].
    #[must_use]
    pub const fn with_per(mut self, per: CountPer) -> Self {
        self.per = per;
        self
    }

    /// The rates, in declared order.
    #[must_use]
    pub fn rates(&self) -> &[RateLimit] {
        &self.rates
    }

    /// The quotas, in declared order.
    #[must_use]
    pub fn quotas(&self) -> &[QuotaLimit] {
        &self.quotas
    }

    /// The most requests in flight, if there is a cap.
    #[must_use]
    pub fn in_flight(&self) -> Option<NonZeroU32> {
        // An unchecked zero must not read as "no cap".
        self.in_flight
            .map(|cap| NonZeroU32::new(cap).unwrap_or(NonZeroU32::MIN))
    }

    /// Who shares what is counted.
    #[must_use]
    pub const fn per(&self) -> CountPer {
        self.per
    }

    /// Tells whether the limits go together. A catalog asks this of its plans, and so does reading
    /// limits from a file or from JSON; limits made in code are to be asked before they are stored.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if there are more than [`MAX_RATES`] rates, if two of the rates and quotas have
    /// one name, or if nothing may be in flight.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.rates.len() > MAX_RATES {
            return Err(Invalid::new(
                "rates",
                format!(
                    "there are {}, and at most {MAX_RATES} are counted; remove some",
                    self.rates.len()
                ),
            ));
        }
        let rates = self.rates.iter().map(RateLimit::name);
        let quotas = self.quotas.iter().map(QuotaLimit::name);
        let mut seen = BTreeSet::new();
        if let Some(name) = rates.chain(quotas).find(|name| !seen.insert(*name)) {
            return Err(Invalid::new(
                format!("limit `{}`", name.escape_default()),
                "there are two of this name; name one of them differently or remove it",
            ));
        }
        if self.in_flight == Some(0) {
            return Err(Invalid::new(
                "in_flight",
                "0 lets no request pass; leave it out for no cap",
            ));
        }
        Ok(())
    }
}

/// Limits as a file writes them, not yet checked.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rates: Vec<Rate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) quotas: Vec<Quota>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) per: CountPer,
}

impl LimitsBody {
    pub(crate) fn unchecked(self) -> Limits {
        Limits {
            rates: self.rates.into_iter().map(|rate| rate.0).collect(),
            quotas: self.quotas.into_iter().map(|quota| quota.0).collect(),
            in_flight: self.in_flight,
            per: self.per,
        }
    }
}

impl TryFrom<LimitsBody> for Limits {
    type Error = Invalid;

    fn try_from(body: LimitsBody) -> Result<Self, Invalid> {
        let limits = body.unchecked();
        limits.check()?;
        Ok(limits)
    }
}

impl From<Limits> for LimitsBody {
    fn from(limits: Limits) -> Self {
        Self {
            rates: limits.rates.into_iter().map(Rate).collect(),
            quotas: limits.quotas.into_iter().map(Quota).collect(),
            in_flight: limits.in_flight,
            per: limits.per,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_read_as_it_was_written() {
        let text = r#"{"rates":["10/minute"],"quotas":["1000/day"],"in_flight":4,"per":"key"}"#;
        let limits: Limits = serde_json::from_str(text).unwrap();
        assert_eq!(limits.in_flight(), NonZeroU32::new(4));
        assert_eq!(limits.per(), CountPer::Key);
        assert_eq!(serde_json::to_string(&limits).unwrap(), text);
    }

    #[test]
    fn an_override_that_cannot_hold_is_refused() {
        let cases = [
            (r#"{"in_flight":0}"#, "in_flight: 0 lets no request pass"),
            (
                r#"{"rates":["1/second","2/second"]}"#,
                "there are two of this name",
            ),
            (
                r#"{"quotas":["1/day","2/day"]}"#,
                "there are two of this name",
            ),
            (
                r#"{"rates":["1/1s","1/2s","1/3s","1/4s","1/5s"]}"#,
                "rates: there are 5, and at most 4 are counted",
            ),
            (r#"{"rate":["1/second"]}"#, "unknown field `rate`"),
            (r#"{"per":"moon"}"#, "unknown variant `moon`"),
        ];
        for (text, expected) in cases {
            let error = serde_json::from_str::<Limits>(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_unchecked_cap_of_zero_is_not_no_cap() {
        let limits = Limits::new().with_in_flight(0);
        assert_eq!(limits.in_flight(), Some(NonZeroU32::MIN));
        assert!(limits.check().is_err());
    }
}
