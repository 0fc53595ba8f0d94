//! Who used what, and how often: counted in memory, written in batches.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::KeyId;
use crate::reply::Reply;

pub use query::{UsageOf, UsagePeriod, UsageQuery, UsageRow};

mod query;

/// Keeps usage counters. They are statistics: credits and quotas do not depend on them.
pub trait UsageStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a batch, whole or not at all. Keys that are unknown are ignored.
    fn record_usage(&self, batch: Vec<KeyUsage>) -> Reply<()>;

    /// Reads a key's totals; zeros if it was never used.
    fn usage(&self, key: &KeyId) -> Reply<UsageTotals>;

    /// Adds up hourly counters, ordered by period, key, route and outcome. Where nothing was
    /// counted, there is no row.
    fn usage_counts(&self, query: UsageQuery) -> Reply<Vec<UsageRow>>;
}

/// What one key did since the last batch.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store writes every field")]
pub struct KeyUsage {
    /// The key.
    pub key: KeyId,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// From where it was last used.
    pub last_address: Option<IpAddr>,
    /// How many of the requests came with a secret that was replaced and is in its grace.
    pub with_old_secret: u64,
    /// How many requests, by route, outcome and hour.
    pub counts: Vec<UsageCount>,
}

impl KeyUsage {
    /// Adds what the same key did after that, as far as its clock says.
    pub fn merge(&mut self, later: Self) {
        self.with_old_secret = self.with_old_secret.saturating_add(later.with_old_secret);
        if self.last_used_at <= later.last_used_at {
            self.last_used_at = later.last_used_at;
            self.last_address = later.last_address.or(self.last_address);
        } else {
            self.last_address = self.last_address.or(later.last_address);
        }
        for more in later.counts {
            let same = |count: &&mut UsageCount| {
                (count.hour, &count.route, &count.outcome)
                    == (more.hour, &more.route, &more.outcome)
            };
            // The newest hour is at the end, most of the time.
            match self.counts.iter_mut().rev().find(same) {
                Some(count) => count.requests = count.requests.saturating_add(more.requests),
                None => self.counts.push(more),
            }
        }
    }
}

/// How many requests of one route ended in one way within one hour.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a store writes every field")]
pub struct UsageCount {
    /// The route, as `GET /iocs/{id}`.
    pub route: Arc<str>,
    /// How they ended: `2xx`, `5xx`, or the code of a denial.
    pub outcome: Arc<str>,
    /// The start of the hour.
    pub hour: Timestamp,
    /// How many.
    pub requests: u64,
}

/// What one key did since it was made.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct UsageTotals {
    /// All requests.
    pub total_requests: u64,
    /// Requests with a secret that had been replaced.
    pub with_old_secret: u64,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// From where it was last used.
    pub last_address: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(secs: i64, address: Option<[u8; 4]>, counts: &[(i64, &str, u64)]) -> KeyUsage {
        let count = |(hour, route, requests): &(i64, &str, u64)| UsageCount {
            route: Arc::from(*route),
            outcome: "2xx".into(),
            hour: Timestamp::from_secs(hour * 3_600),
            requests: *requests,
        };
        KeyUsage {
            key: KeyId::from_bytes([7; 16]),
            last_used_at: Timestamp::from_secs(secs),
            last_address: address.map(IpAddr::from),
            with_old_secret: 2,
            counts: counts.iter().map(count).collect(),
        }
    }

    #[test]
    fn what_is_merged_has_each_route_outcome_and_hour_once() {
        let mut usage = used(
            5,
            Some([192, 0, 2, 5]),
            &[(0, "GET /a", 1), (1, "GET /a", 2)],
        );
        usage.merge(used(6, None, &[(1, "GET /a", 4), (1, "GET /b", 8)]));
        // What was used before comes last.
        usage.merge(used(4, Some([192, 0, 2, 4]), &[(0, "GET /a", u64::MAX)]));
        let counts = [(0, "GET /a", u64::MAX), (1, "GET /a", 6), (1, "GET /b", 8)];
        let merged = used(6, Some([192, 0, 2, 5]), &counts);
        let with_old_secret = 6;
        assert_eq!(
            usage,
            KeyUsage {
                with_old_secret,
                ..merged
            }
        );
    }
}
