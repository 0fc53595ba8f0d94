//! What an app reads of the usage of its keys.

use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::id::KeyId;
use tollgate_core::reply::Reply;
use tollgate_core::usage::{UsageQuery, UsageRow, UsageTotals};

use crate::background::DEADLINE;
use crate::gate::Gate;

/// What keys were used for, as of a second ago: usage is written once a second. From
/// [`Gate::usage`].
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a>(pub(super) &'a Gate);

impl Usage<'_> {
    /// A key's totals; zeros if it was never used.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn of_key(self, key: &KeyId) -> Result<UsageTotals, StoreError> {
        self.ask(self.0.usage_store().usage(key)).await
    }

    /// Adds up hourly counters, ordered by period, key, route and outcome.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn counts(self, query: UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.ask(self.0.usage_store().usage_counts(query)).await
    }

    async fn ask<T: Send + 'static>(self, reply: Reply<T>) -> Result<T, StoreError> {
        within(self.0.clock(), DEADLINE, "the usage store", reply).await
    }
}
