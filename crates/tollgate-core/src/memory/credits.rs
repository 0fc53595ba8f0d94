//! Credits: the ledger in memory, with a record of each change.

use super::{MemoryStore, Tables};
use crate::audit::AuditEvent;
use crate::change::{Change, ChangeKind};
use crate::clock::Timestamp;
use crate::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, MemoryLedger,
    Refund, Settle, Settlement,
};
use crate::id::{HoldId, OrgId};
use crate::reply::Reply;

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

impl Tables {
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
