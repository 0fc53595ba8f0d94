//! The reference quota store: in memory.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::quota::{DebitRequest, Debited, QuotaPeriod, QuotaStore};
use crate::rate::Subject;
use crate::reply::Reply;

/// Keeps quotas in memory; they are full again with the next process.
#[derive(Default)]
pub struct MemoryQuotas(Mutex<HashMap<(Subject, QuotaPeriod), Row>>);

#[derive(Clone, Copy, Default)]
struct Row {
    start: Timestamp,
    used: u64,
}

impl QuotaStore for MemoryQuotas {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        let mut rows = self.0.lock();
        let row = rows
            .entry((request.subject, request.period))
            .or_insert(Row {
                start: request.start,
                used: 0,
            });
        if request.start > row.start {
            *row = Row {
                start: request.start,
                used: 0,
            };
        }
        let left = request.limit.saturating_sub(row.used);
        let granted = if left >= request.at_least {
            left.min(request.want)
        } else {
            0
        };
        row.used = row.used.saturating_add(granted);
        Reply::ready(Debited {
            granted,
            used: row.used,
        })
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        if let Some(row) = self.0.lock().get_mut(&(subject, period))
            && row.start == start
        {
            row.used = row.used.saturating_sub(units);
        }
        Reply::ready(())
    }
}

impl fmt::Debug for MemoryQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQuotas").finish_non_exhaustive()
    }
}
