//! The reference store: in memory, and the measure of what every other store must do.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use parking_lot::Mutex;

use crate::audit::{AuditEvent, AuditHead, AuditKey, AuditRecord, AuditStore};
use crate::change::{Change, ChangeFeed, ChangeKind, Changed};
use crate::clock::Timestamp;
use crate::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, MemoryLedger,
    Refund, Settle, Settlement,
};
use crate::error::StoreError;
use crate::id::{HoldId, KeyId, OrgId};
use crate::quota::{DebitRequest, Debited, MemoryQuotas, QuotaPeriod, QuotaStore};
use crate::rate::Subject;
use crate::record::{ApiKey, KeyRecord, Organization};
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::{CatalogStore, Declaration, KeyStore, Rotation};
use crate::usage::{KeyUsage, UsageStore, UsageTotals};

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
    changes: Vec<Changed>,
    trail: BTreeMap<Option<OrgId>, Vec<AuditRecord>>,
    declaration: Option<Declaration>,
    users: accounts::Users,
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
        let seq = self.changes.last().map_or(0, |newest| newest.seq);
        self.changes.push(Changed {
            seq: seq.saturating_add(1),
            kind,
            key,
            organization: Some(organization.clone()),
        });
        self.record(Some(organization.clone()), event, change);
    }

    /// Notes an event in the trail of an organization, or of none.
    fn record(&mut self, of: Option<OrgId>, event: AuditEvent, change: &Change) {
        let trail = self.trail.entry(of.clone()).or_default();
        let last = trail.last().map(AuditRecord::head);
        let key = AuditKey::default();
        let record = AuditRecord::new(of, event, change, &key, last.as_ref());
        trail.push(record);
    }

    /// Notes a change of credits, unless it had been made before.
    fn log_credits(
        &mut self,
        ledger: &MemoryLedger,
        kind: ChangeKind,
        organization: &OrgId,
        (before, change): (Option<Entry>, &Change),
    ) {
        let newest = newest_entry(ledger, organization);
        let Some(entry) = newest.filter(|entry| before.is_none_or(|last| last.seq < entry.seq))
        else {
            return;
        };
        let Reply::Now(Ok(balance)) = ledger.balance(organization, change.at, None) else {
            return;
        };
        let event = AuditEvent::credits(&entry, balance);
        self.log(kind, None, organization, (event, change));
    }
}

fn newest_entry(ledger: &MemoryLedger, organization: &OrgId) -> Option<Entry> {
    match ledger.entries(organization, None, 1) {
        Reply::Now(Ok(entries)) => entries.into_iter().next(),
        _ => None,
    }
}

impl KeyStore for MemoryStore {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let tables = self.tables.lock();
        let found = tables.secrets.get(digest).and_then(|(id, valid_until)| {
            let key = tables.keys.get(id)?;
            Some(KeyRecord {
                organization: tables.organizations.get(&key.organization)?.clone(),
                key: key.clone(),
                secret_valid_until: *valid_until,
            })
        });
        Reply::ready(found)
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        Reply::ready(self.tables.lock().keys.get(id).cloned())
    }

    fn keys(&self, organization: &OrgId, after: Option<KeyId>, limit: u32) -> Reply<Vec<ApiKey>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables.lock();
        Reply::ready(
            tables
                .keys
                .range((from, Bound::Unbounded))
                .map(|(_, key)| key)
                .filter(|key| key.organization == *organization)
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .cloned()
                .collect(),
        )
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        if !tables.organizations.contains_key(&key.organization) {
            return Reply::failed(StoreError::not_found("there is no such organization"));
        }
        if tables.keys.contains_key(&key.id) || tables.secrets.contains_key(&digest) {
            return Reply::failed(StoreError::conflict("the key exists already"));
        }
        tables.secrets.insert(digest, (key.id, None));
        let event = (AuditEvent::key_created(&key), &change);
        tables.log(
            ChangeKind::KeyCreated,
            Some(key.id),
            &key.organization,
            event,
        );
        tables.keys.insert(key.id, key);
        Reply::ready(())
    }

    fn update_key(
        &self,
        mut key: ApiKey,
        rotation: Option<Rotation>,
        change: Change,
    ) -> Reply<ApiKey> {
        let tables = &mut *self.tables.lock();
        let Some(stored) = tables.keys.get_mut(&key.id) else {
            return Reply::failed(StoreError::not_found("there is no such key"));
        };
        if stored.version != key.version {
            return Reply::failed(StoreError::conflict("the key was changed meanwhile"));
        }
        let rotated = rotation.is_some();
        if let Some(rotation) = rotation {
            if tables.secrets.contains_key(&rotation.digest) {
                return Reply::failed(StoreError::conflict("the secret exists already"));
            }
            let old = tables.secrets.values_mut().filter(|(id, _)| *id == key.id);
            for (_, valid_until) in old {
                let end = match *valid_until {
                    None => rotation.old_valid_until,
                    Some(end) => end.min(change.at),
                };
                *valid_until = Some(end);
            }
            tables.secrets.insert(rotation.digest, (key.id, None));
        }
        key.version = key.version.saturating_add(1);
        let event = (AuditEvent::key_changed(stored, &key, rotated), &change);
        stored.clone_from(&key);
        tables.log(
            ChangeKind::KeyChanged,
            Some(key.id),
            &key.organization,
            event,
        );
        Reply::ready(key)
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        let Some(key) = tables.keys.remove(id) else {
            return Reply::failed(StoreError::not_found("there is no such key"));
        };
        tables.secrets.retain(|_, (owner, _)| owner != id);
        tables.usage.remove(id);
        let event = (AuditEvent::key_deleted(&key), &change);
        tables.log(ChangeKind::KeyChanged, Some(*id), &key.organization, event);
        Reply::ready(())
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        Reply::ready(self.tables.lock().organizations.get(id).cloned())
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables.lock();
        Reply::ready(
            tables
                .organizations
                .range((from, Bound::Unbounded))
                .map(|(_, organization)| organization.clone())
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .collect(),
        )
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        if tables.organizations.contains_key(&organization.id) {
            return Reply::failed(StoreError::conflict("the organization exists already"));
        }
        let event = (AuditEvent::organization_created(&organization), &change);
        tables.log(
            ChangeKind::OrganizationChanged,
            None,
            &organization.id,
            event,
        );
        tables
            .organizations
            .insert(organization.id.clone(), organization);
        Reply::ready(())
    }

    fn update_organization(
        &self,
        mut organization: Organization,
        change: Change,
    ) -> Reply<Organization> {
        let tables = &mut *self.tables.lock();
        let Some(stored) = tables.organizations.get_mut(&organization.id) else {
            return Reply::failed(StoreError::not_found("there is no such organization"));
        };
        if stored.version != organization.version {
            return Reply::failed(StoreError::conflict(
                "the organization was changed meanwhile",
            ));
        }
        organization.version = organization.version.saturating_add(1);
        let event = AuditEvent::organization_changed(stored, &organization);
        stored.clone_from(&organization);
        let (kind, event) = (ChangeKind::OrganizationChanged, (event, &change));
        tables.log(kind, None, &organization.id, event);
        Reply::ready(organization)
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

impl Ledger for MemoryStore {
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        self.ledger.hold(request)
    }

    fn extend(&self, extension: Extension) -> Reply<HoldAnswer> {
        self.ledger.extend(extension)
    }

    fn settle(&self, settle: Settle) -> Reply<Settlement> {
        self.ledger.settle(settle)
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        self.ledger.void(id, organization, at)
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        self.ledger.expire(now, limit)
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        self.ledger.forget(ended_before, now, limit)
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        let organization = grant.organization.clone();
        self.book(
            ChangeKind::CreditsGranted,
            &organization,
            &change,
            |ledger| ledger.grant(grant, change.clone()),
        )
    }

    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        self.book(
            ChangeKind::CreditsWithdrawn,
            organization,
            &change,
            |ledger| ledger.withdraw(organization, credits, change.clone()),
        )
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        let organization = refund.organization.clone();
        self.book(
            ChangeKind::CreditsRefunded,
            &organization,
            &change,
            |ledger| ledger.refund(refund, change.clone()),
        )
    }

    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        self.ledger.balance(organization, now, allowance)
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        self.ledger.entries(organization, before, limit)
    }
}

impl MemoryStore {
    /// Changes credits, and notes it.
    fn book(
        &self,
        kind: ChangeKind,
        organization: &OrgId,
        change: &Change,
        book: impl FnOnce(&MemoryLedger) -> Reply<Balance>,
    ) -> Reply<Balance> {
        let mut tables = self.tables.lock();
        let before = newest_entry(&self.ledger, organization);
        let booked = book(&self.ledger);
        if matches!(booked, Reply::Now(Ok(_))) {
            tables.log_credits(&self.ledger, kind, organization, (before, change));
        }
        booked
    }
}

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
