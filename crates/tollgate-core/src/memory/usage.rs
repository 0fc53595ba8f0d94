//! Usage counters.

use super::MemoryStore;
use crate::id::KeyId;
use crate::reply::Reply;
use crate::usage::{KeyUsage, UsageStore, UsageTotals};

impl UsageStore for MemoryStore {
    fn record_usage(&self, batch: Vec<KeyUsage>) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        for usage in batch {
            if !tables.keys.contains_key(&usage.key) {
                continue;
            }
            let totals = tables.usage.entry(usage.key).or_default();
            let requests = usage.counts.iter().map(|count| count.requests);
            totals.total_requests = requests.fold(totals.total_requests, u64::saturating_add);
            totals.with_old_secret = totals.with_old_secret.saturating_add(usage.with_old_secret);
            if totals
                .last_used_at
                .is_none_or(|last| last <= usage.last_used_at)
            {
                totals.last_used_at = Some(usage.last_used_at);
                totals.last_address = usage.last_address.or(totals.last_address);
            }
        }
        Reply::ready(())
    }

    fn usage(&self, key: &KeyId) -> Reply<UsageTotals> {
        Reply::ready(
            self.tables
                .lock()
                .usage
                .get(key)
                .cloned()
                .unwrap_or_default(),
        )
    }
}
