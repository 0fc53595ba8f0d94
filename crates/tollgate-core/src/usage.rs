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
