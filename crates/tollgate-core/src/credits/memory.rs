//! The reference ledger: in memory, for tests and for apps that sell nothing durable.

use std::cmp::Reverse;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use self::holds::{Ended, EndedHold, EndedHolds, Hold, Repeats};
use super::{
    Account, Advanced, Allowance, Balance, Entry, EntryKind, Extension, Grant, HoldAnswer,
    HoldRequest, Ledger, Refund, Settle, Settlement,
};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::id::{HoldId, OrgId};
use crate::reply::Reply;

mod holds;

/// How many ended holds, and how many entries, are remembered.
const REMEMBERED: usize = 512;

/// Keeps credits in memory; they are gone with the process. So are all but the newest 512 ended
/// holds and entries.
#[derive(Default)]
pub struct MemoryLedger(Mutex<Books>);

#[derive(Default)]
struct Books {
    accounts: HashMap<OrgId, Account, RandomState>,
    /// Those that are open.
    holds: HashMap<HoldId, Box<Hold>, RandomState>,
    ended: EndedHolds,
    repeats: Repeats,
    /// What grants were for, and of which hold refunds are.
    references: HashMap<(OrgId, String), Option<HoldId>, RandomState>,
    /// All but the charges of holds that are remembered, which lie with these; the oldest first.
    lines: VecDeque<Entry>,
    seq: u64,
}

impl Ledger for MemoryLedger {
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        let books = &mut *self.0.lock();
        books.advance(&request.organization, request.at, request.allowance);
        Reply::Now(books.open(request))
    }

    fn extend(&self, extension: Extension) -> Reply<HoldAnswer> {
        let books = &mut *self.0.lock();
        let Some(hold) = books.holds.get(&extension.id) else {
            return Reply::failed(StoreError::not_found("the hold has ended"));
        };
        // What has expired meanwhile raises no hold.
        let organization = hold.organization.clone();
        books.advance(&organization, extension.at, None);
        Reply::Now(books.extend(&organization, &extension))
    }

    fn settle(&self, settle: Settle) -> Reply<Settlement> {
        let books = &mut *self.0.lock();
        let how = match settle.parts.as_slice() {
            [] => Ended::Settled,
            _ => Ended::SettledInParts,
        };
        if let Some(charged) = books.end(settle.id, settle.at, how, settle.credits) {
            if how == Ended::SettledInParts {
                books.add_parts(&settle, charged);
            }
            books.repeats.done(settle.id, settle.outcome);
            return Reply::ready(Settlement::Settled { charged });
        }
        let ended = books.ended.get(&settle.id);
        Reply::ready(Settlement::AlreadyEnded {
            charged: ended.map_or(0, |hold| hold.paid.credits),
        })
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        let books = &mut *self.0.lock();
        if books.end(id, at, Ended::Voided, 0).is_some() {
            books.repeats.free(id);
        } else if books.ended.get(&id).is_none() {
            books.ended.push(EndedHold {
                id,
                at,
                seq: 0,
                balance: 0,
                hold: Box::new(Hold::tombstone(organization.clone())),
            });
        }
        Reply::ready(())
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        let books = &mut *self.0.lock();
        let due = books.holds.iter().filter(|(_, hold)| hold.is_due(now));
        let due: Vec<(HoldId, u64)> = due
            .map(|(id, hold)| (*id, hold.owed))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        for (id, owed) in &due {
            let how = if *owed > 0 {
                Ended::Settled
            } else {
                Ended::Expired
            };
            books.end(*id, now, how, *owed);
            if *owed > 0 {
                books.repeats.done(*id, None);
            } else {
                books.repeats.free(*id);
            }
        }
        Reply::ready(due.len().try_into().unwrap_or(u64::MAX))
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        let books = &mut *self.0.lock();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut forgotten = books.repeats.forget(now, limit);
        while forgotten < limit
            && let Some(ended) = books.ended.forget_one(ended_before)
        {
            forgotten = forgotten.saturating_add(1);
            books.keep_line(&ended);
        }
        Reply::ready(forgotten.try_into().unwrap_or(u64::MAX))
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        let books = &mut *self.0.lock();
        let organization = &grant.organization;
        books.advance(organization, change.at, None);
        let reference = grant.reference.as_ref();
        let reference = reference.map(|reference| (organization.clone(), reference.clone()));
        match books.was_used(reference.as_ref(), None) {
            Ok(false) => {}
            Ok(true) => return Reply::ready(books.account(organization).balance),
            Err(error) => return Reply::failed(error),
        }
        let account = account_of(&mut books.accounts, organization);
        let granted = account.grant(grant.credits, grant.priority, grant.expires_at);
        if granted.is_err() {
            return Reply::failed(StoreError::conflict("the grant would overflow the wallet"));
        }
        books
            .references
            .extend(reference.map(|grant| (grant, None)));
        let balance = account.balance;
        books.add(Entry {
            reference: grant.reference,
            ..Entry::by(
                &change,
                &grant.organization,
                EntryKind::Grant,
                grant.credits,
                balance.funds(),
            )
        });
        Reply::ready(balance)
    }

    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        let books = &mut *self.0.lock();
        books.advance(organization, change.at, None);
        let account = books.account(organization);
        if let Err(available) = account.withdraw(credits) {
            let few = format!("the wallet has {available} credits to take back");
            return Reply::failed(StoreError::conflict(few));
        }
        let balance = account.balance;
        let (kind, funds) = (EntryKind::Withdrawal, balance.funds());
        books.add(Entry::by(&change, organization, kind, credits, funds));
        Reply::ready(balance)
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        let books = &mut *self.0.lock();
        let organization = refund.organization;
        books.advance(&organization, change.at, None);
        let reference = (organization.clone(), refund.reference.clone());
        match books.was_used(Some(&reference), Some(refund.hold)) {
            Ok(false) => {}
            Ok(true) => return Reply::ready(books.account(&organization).balance),
            Err(error) => return Reply::failed(error),
        }
        let settled = books.ended.get(&refund.hold);
        let settled =
            settled.filter(|hold| hold.was_settled() && hold.organization == organization);
        let Some(hold) = settled else {
            return Reply::failed(StoreError::not_found("no such hold was settled"));
        };
        let left = hold.paid.credits.saturating_sub(hold.refunded);
        if refund.credits > left {
            let few = format!("{left} credits of the charge are left to give back");
            return Reply::failed(StoreError::conflict(few));
        }
        hold.refunded = hold.refunded.saturating_add(refund.credits);
        let mut paid = hold.paid;
        paid.credits = refund.credits;
        let (key, route) = (hold.key, hold.route.clone());
        let (request_id, price) = (hold.request_id.to_string(), hold.price.to_string());
        books.references.insert(reference, Some(refund.hold));
        let account = books.account(&organization);
        account.refund(paid);
        let balance = account.balance;
        books.add(Entry {
            hold: Some(refund.hold),
            key,
            route,
            request_id: Some(request_id),
            price: Some(price),
            reference: Some(refund.reference),
            ..Entry::by(
                &change,
                &organization,
                EntryKind::Refund,
                refund.credits,
                balance.funds(),
            )
        });
        Reply::ready(balance)
    }

    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        let books = self.0.lock();
        let mut account = books
            .accounts
            .get(organization)
            .cloned()
            .unwrap_or_default();
        account.advance(now, allowance);
        Reply::ready(account.balance)
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        let books = self.0.lock();
        let charges = books.ended.newest_first().filter(|ended| ended.seq > 0);
        let charges = charges.map(EndedHold::entry);
        let mut entries: Vec<Entry> = charges.chain(books.lines.iter().cloned()).collect();
        entries.retain(|entry| {
            entry.organization == *organization && before.is_none_or(|seq| entry.seq < seq)
        });
        entries.sort_unstable_by_key(|entry| Reverse(entry.seq));
        entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Reply::ready(entries)
    }
}

impl Books {
    fn account(&mut self, organization: &OrgId) -> &mut Account {
        account_of(&mut self.accounts, organization)
    }

    /// Whether this grant, or refund of a hold, was made before.
    fn was_used(
        &self,
        reference: Option<&(OrgId, String)>,
        refunds: Option<HoldId>,
    ) -> Result<bool, StoreError> {
        match reference.and_then(|reference| self.references.get(reference)) {
            None => Ok(false),
            Some(used) if *used == refunds => Ok(true),
            Some(_) => Err(StoreError::conflict(
                "the reference is that of something else",
            )),
        }
    }

    /// Lets lapse what has expired, grants the allowance, and writes down both.
    fn advance(&mut self, organization: &OrgId, now: Timestamp, allowance: Option<Allowance>) {
        let account = self.account(organization);
        let advanced = account.advance(now, allowance);
        if advanced != Advanced::default() {
            let funds = account.balance.funds();
            for entry in advanced.entries(organization, now, funds) {
                self.add(entry);
            }
        }
    }

    fn extend(
        &mut self,
        organization: &OrgId,
        extension: &Extension,
    ) -> Result<HoldAnswer, StoreError> {
        let account = account_of(&mut self.accounts, organization);
        let open = self.holds.get_mut(&extension.id);
        let hold = open.ok_or_else(|| StoreError::not_found("the hold has ended"))?;
        let more = extension.credits.saturating_sub(hold.credits);
        if let Err(available) = account.hold(more, more) {
            return Ok(HoldAnswer::Insufficient { available });
        }
        hold.credits = hold.credits.saturating_add(more);
        hold.owed = hold.owed.max(extension.owed).min(hold.credits);
        hold.deadline = hold.deadline.max(extension.deadline);
        Ok(HoldAnswer::Held {
            credits: hold.credits,
            available: account.balance.available(),
        })
    }

    fn open(&mut self, request: &HoldRequest) -> Result<HoldAnswer, StoreError> {
        let Self {
            accounts,
            holds,
            ended,
            repeats,
            ..
        } = self;
        let account = account_of(accounts, &request.organization);
        let slot = match holds.entry(request.id) {
            Slot::Occupied(seen) => {
                return Ok(HoldAnswer::Held {
                    credits: seen.get().credits,
                    available: account.balance.available(),
                });
            }
            Slot::Vacant(slot) => slot,
        };
        if ended.get(&request.id).is_some() {
            return Err(StoreError::conflict("the hold has ended"));
        }
        if let Some(repeat) = repeats.find(request) {
            return Ok(HoldAnswer::Repeated(repeat));
        }
        let credits = match account.hold(request.least, request.most) {
            Ok(credits) => credits,
            Err(available) => return Ok(HoldAnswer::Insufficient { available }),
        };
        let available = account.balance.available();
        repeats.begin(request);
        slot.insert(ended.boxed(Hold::open(request, credits)));
        Ok(HoldAnswer::Held { credits, available })
    }

    /// Ends an open hold and says what was charged.
    fn end(&mut self, id: HoldId, at: Timestamp, how: Ended, charge: u64) -> Option<u64> {
        let mut hold = self.holds.remove(&id)?;
        let account = account_of(&mut self.accounts, &hold.organization);
        hold.paid = account.end(hold.credits, charge);
        hold.ended = Some(how);
        let (charged, balance) = (hold.paid.credits, account.balance.funds());
        let has_line = charged > 0 && how != Ended::SettledInParts;
        let seq = if has_line { self.next_seq() } else { 0 };
        self.ended.push(EndedHold {
            id,
            at,
            seq,
            balance,
            hold,
        });
        Some(charged)
    }

    /// Writes down what a hold of many requests was charged for.
    fn add_parts(&mut self, settle: &Settle, charged: u64) {
        let Some(hold) = self.ended.get(&settle.id) else {
            return;
        };
        let organization = hold.organization.clone();
        let funds = self.account(&organization).balance.funds();
        for entry in settle.entries(&organization, charged, funds) {
            self.add(entry);
        }
    }

    const fn next_seq(&mut self) -> u64 {
        self.seq = self.seq.saturating_add(1);
        self.seq
    }

    fn add(&mut self, mut entry: Entry) {
        entry.seq = self.next_seq();
        self.insert(entry);
    }

    /// Entries outlive the holds that they are of.
    fn keep_line(&mut self, ended: &EndedHold) {
        if ended.seq > 0 {
            self.insert(ended.entry());
        }
    }

    fn insert(&mut self, entry: Entry) {
        if self.lines.len() >= REMEMBERED {
            self.lines.pop_front();
        }
        let at = self.lines.partition_point(|line| line.seq < entry.seq);
        self.lines.insert(at, entry);
    }
}

impl EndedHold {
    /// The entry of its charge.
    fn entry(&self) -> Entry {
        let hold = &self.hold;
        Entry {
            seq: self.seq,
            hold: Some(self.id),
            key: hold.key,
            route: hold.route.clone(),
            request_id: Some(hold.request_id.to_string()),
            price: Some(hold.price.to_string()),
            ..Entry::new(
                &hold.organization,
                self.at,
                EntryKind::Charge,
                hold.paid.credits,
                self.balance,
            )
        }
    }
}

/// The account, made if there is none.
fn account_of<'a>(
    accounts: &'a mut HashMap<OrgId, Account, RandomState>,
    organization: &OrgId,
) -> &'a mut Account {
    accounts.entry(organization.clone()).or_default()
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}
