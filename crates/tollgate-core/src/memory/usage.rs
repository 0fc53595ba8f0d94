//! Usage counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{MemoryStore, count};
use crate::id::KeyId;
use crate::reply::Reply;
use crate::usage::{KeyUsage, UsageOf, UsageQuery, UsageRow, UsageStore, UsageTotals};

impl UsageStore for MemoryStore {
    fn record_usage(&self, batch: Vec<KeyUsage>) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        for usage in batch {
            if !tables.keys.contains_key(&usage.key) {
                continue;
            }
            for count in &usage.counts {
                let (route, outcome) = (Arc::clone(&count.route), Arc::clone(&count.outcome));
                let counted = tables
                    .usage_counts
                    .entry((usage.key, count.hour, route, outcome))
                    .or_default();
                *counted = counted.saturating_add(count.requests);
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

    fn usage_counts(&self, query: UsageQuery) -> Reply<Vec<UsageRow>> {
        let tables = self.tables.lock();
        let owns = |key: &KeyId| match &query.of {
            UsageOf::Key(id) => id == key,
            UsageOf::Organization(id) => tables
                .keys
                .get(key)
                .is_some_and(|key| key.organization == *id),
        };
        let asked = tables
            .usage_counts
            .iter()
            .filter(|((key, hour, ..), _)| (query.from..query.until).contains(hour) && owns(key));
        let mut sums: BTreeMap<_, u64> = BTreeMap::new();
        for ((key, hour, route, outcome), requests) in asked {
            let group = (
                query.start(*hour),
                query.key.then_some(*key),
                query.route.then(|| Arc::clone(route)),
                query.outcome.then(|| Arc::clone(outcome)),
            );
            let sum = sums.entry(group).or_default();
            *sum = sum.saturating_add(*requests);
        }
        let rows = sums
            .into_iter()
            .take(count(query.limit.min(UsageQuery::MOST)));
        let rows = rows.map(|((start, key, route, outcome), requests)| UsageRow {
            start,
            key,
            route,
            outcome,
            requests,
        });
        Reply::ready(rows.collect())
    }
}
