//! The audit trail.

use std::ops::Bound;

use super::{MemoryStore, count};
use crate::audit::{AuditHead, AuditRecord, AuditStore};
use crate::id::OrgId;
use crate::reply::Reply;

impl AuditStore for MemoryStore {
    fn audit_after(
        &self,
        organization: Option<&OrgId>,
        after: u64,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let tables = self.tables.lock();
        let trail = tables.trail.get(&organization.cloned());
        let records = trail.into_iter().flatten();
        let records = records.filter(|record| record.seq > after).cloned();
        Reply::ready(records.take(count(limit)).collect())
    }

    fn audit_before(
        &self,
        organization: Option<&OrgId>,
        before: Option<u64>,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let tables = self.tables.lock();
        let trail = tables.trail.get(&organization.cloned());
        let records = trail.into_iter().flatten().rev();
        let records = records.filter(|record| before.is_none_or(|seq| record.seq < seq));
        Reply::ready(records.take(count(limit)).cloned().collect())
    }

    fn audit_heads(&self, after: Option<AuditHead>, limit: u32) -> Reply<Vec<AuditHead>> {
        let from = after.map_or(Bound::Unbounded, |head| Bound::Excluded(head.organization));
        let tables = self.tables.lock();
        let trails = tables.trail.range((from, Bound::Unbounded));
        let heads = trails.filter_map(|(_, trail)| trail.last().map(AuditRecord::head));
        Reply::ready(heads.take(count(limit)).collect())
    }
}
