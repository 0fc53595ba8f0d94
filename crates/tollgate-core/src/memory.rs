//! The reference store: in memory, and the measure of what every other store must do.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::audit::{AuditEvent, AuditKey, AuditRecord};
use crate::change::{Change, ChangeFeed, ChangeKind, Changed};
use crate::clock::Timestamp;
use crate::credits::MemoryLedger;
use crate::id::{KeyId, OrgId};
use crate::quota::{DebitRequest, Debited, MemoryQuotas, QuotaPeriod, QuotaStore};
use crate::rate::Subject;
use crate::record::{ApiKey, Organization};
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::{CatalogStore, Declaration, ImportId};
use crate::usage::UsageTotals;

mod audit;
mod credits;
mod import;
mod keys;
mod usage;

mod accounts;

/// Keeps everything in memory; it is gone with the process.
///
/// For tests, and for trying things out.
#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    ledger: MemoryLedger,
    quotas: MemoryQuotas,
}

#[derive(Default)]
struct Tables {
    organizations: BTreeMap<OrgId, Organization>,
    keys: BTreeMap<KeyId, ApiKey>,
    /// The key of each secret; an old secret with the point until which it is good.
    secrets: HashMap<KeyDigest, (KeyId, Option<Timestamp>)>,
    usage: HashMap<KeyId, UsageTotals>,
    usage_counts: BTreeMap<(KeyId, Timestamp, Arc<str>, Arc<str>), u64>,
    imports: BTreeMap<ImportId, import::Import>,
    newest_import: u64,
    changes: Vec<Changed>,
    trail: BTreeMap<Option<OrgId>, Vec<AuditRecord>>,
    declaration: Option<Declaration>,
    users: accounts::Users,
    key_requests: keys::Requests,
}

impl Tables {
    /// Notes a change in the feed and in the audit trail.
    fn log(
        &mut self,
        kind: ChangeKind,
        key: Option<KeyId>,
        organization: &OrgId,
        (event, change): (AuditEvent, &Change),
    ) {
        self.feed(kind, key, Some(organization.clone()));
        self.record(Some(organization.clone()), event, change);
    }

    /// Notes a change in the feed.
    fn feed(&mut self, kind: ChangeKind, key: Option<KeyId>, organization: Option<OrgId>) {
        let seq = self.changes.last().map_or(0, |newest| newest.seq);
        self.changes.push(Changed {
            seq: seq.saturating_add(1),
            kind,
            key,
            organization,
        });
    }

    /// Notes a change in the audit trail.
    fn record(&mut self, of: Option<OrgId>, event: AuditEvent, change: &Change) {
        let trail = self.trail.entry(of.clone()).or_default();
        let last = trail.last().map(AuditRecord::head);
        let key = AuditKey::default();
        let record = AuditRecord::new(of, event, change, &key, last.as_ref());
        trail.push(record);
    }
}

impl ChangeFeed for MemoryStore {
    fn newest(&self) -> Reply<u64> {
        Reply::ready(self.tables.lock().changes.last().map_or(0, |last| last.seq))
    }

    fn since(&self, after: u64, limit: u32) -> Reply<Vec<Changed>> {
        let tables = self.tables.lock();
        let start = tables.changes.partition_point(|change| change.seq <= after);
        Reply::ready(
            tables
                .changes
                .iter()
                .skip(start)
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .cloned()
                .collect(),
        )
    }
}

impl CatalogStore for MemoryStore {
    fn record_declaration(&self, declaration: Declaration) -> Reply<()> {
        self.tables.lock().declaration = Some(declaration);
        Reply::ready(())
    }

    fn declaration(&self) -> Reply<Option<Declaration>> {
        Reply::ready(self.tables.lock().declaration.clone())
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl QuotaStore for MemoryStore {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        self.quotas.debit(request)
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        self.quotas.give_back(subject, period, start, units)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
