//! A ledger that is simple rather than fast: what an account is follows from its books.
//!
//! A wallet is a list of grants and a list of entries; every sum is added up anew. It shares no
//! rule with [`Account`](tollgate_core::credits::Account), so that a mistake in one is seen.
//!
//! Where the port leaves a choice, an operation has several outcomes:
//!
//! - What has expired, and an allowance that is due, count whenever an operation looks at a wallet;
//!   one that changes nothing else may write that down or leave it to the next.
//! - Of the holds that are due, any are ended when not all may be, and in any order.
//! - `forget` forgets as many rows as it says, and any of those that it may.
//!
//! The time comes with each operation. It may go back: then less has expired, and nothing else is
//! different.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Balance, Entry, EntryKind, HoldRequest, MAX_CREDITS, Outcome,
};
use tollgate_core::id::{HoldId, OrgId};

use super::operation::{Answer, Operation};

mod apply;
mod ends;

/// What an operation may be answered with, and what is there then.
pub(super) type Outcomes = Vec<(Answer, Model)>;

/// All that a ledger keeps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Model {
    wallets: BTreeMap<OrgId, Wallet>,
    holds: BTreeMap<HoldId, Hold>,
    /// What grants were for, and of which hold refunds are.
    references: BTreeMap<(OrgId, String), Option<HoldId>>,
    repeats: BTreeMap<RepeatName, Record>,
    /// When the latest end of a hold was, and whether one before it was later: the oldest is what
    /// a ledger may look for first.
    latest_end: Option<Timestamp>,
    ends_went_back: bool,
}

type RepeatName = (OrgId, String, String);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Wallet {
    grants: Vec<Granted>,
    /// The month of the last allowance, and how much that brought or would have.
    allowance: Option<(Timestamp, u64)>,
    /// The oldest first.
    entries: Vec<Arc<Entry>>,
}

/// A grant, and what is left of it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Granted {
    priority: u8,
    expires_at: Option<Timestamp>,
    left: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Hold {
    organization: OrgId,
    /// None of a tombstone.
    request: Option<Arc<HoldRequest>>,
    credits: u64,
    owed: u64,
    deadline: Timestamp,
    end: Option<End>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct End {
    at: Timestamp,
    settled: bool,
    charged: u64,
    refunded: u64,
    /// Where a refund goes.
    paid_from: (u8, Option<Timestamp>),
    /// Nobody knows whether it is still remembered.
    perhaps_forgotten: bool,
}

/// What is known of an idempotency key.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Record {
    hold: HoldId,
    fingerprint: [u8; 32],
    expires_at: Timestamp,
    /// Done, and perhaps with an outcome; else it is running.
    done: Option<Option<Outcome>>,
    perhaps_forgotten: bool,
}

impl Model {
    /// Empty wallets of these.
    pub(super) fn of(organizations: impl IntoIterator<Item = OrgId>) -> Self {
        let organizations = organizations.into_iter();
        Self {
            wallets: organizations.map(|it| (it, Wallet::default())).collect(),
            ..Self::default()
        }
    }

    /// What an operation may do. One outcome that is not `plausible` may be left out early.
    pub(super) fn apply(
        &self,
        operation: &Operation,
        plausible: &dyn Fn(&Self) -> bool,
    ) -> Outcomes {
        let known = self.known(operation);
        let outcomes = known.iter().flat_map(|model| match operation {
            Operation::Hold(request) => model.hold(request),
            Operation::Extend(extension) => model.extend(extension),
            Operation::Settle(settle) => model.settle(settle),
            Operation::Void(id, organization, at) => model.void(*id, organization, *at),
            Operation::Expire { now, limit } => model.expire(*now, *limit, plausible),
            Operation::Forget {
                ended_before,
                now,
                limit,
            } => model.forget(*ended_before, *now, *limit),
            Operation::Grant(grant, change) => model.grant(grant, change),
            Operation::Withdraw(organization, credits, change) => {
                model.withdraw(organization, *credits, change)
            }
            Operation::Refund(refund, change) => model.refund(refund, change),
            Operation::Balance(organization, now, allowance) => {
                let mut read = model.clone();
                read.advance(organization, *now, *allowance);
                let balance = read.balance(organization);
                vec![(Answer::Balance(balance), model.clone())]
            }
        });
        outcomes.collect()
    }

    /// The sums of a wallet, added up.
    pub(super) fn balance(&self, organization: &OrgId) -> Balance {
        let sum = |kinds: [EntryKind; 2]| {
            let entries = self.entries(organization).iter();
            let of_kinds = entries.filter(|entry| kinds.contains(&entry.kind));
            of_kinds
                .map(|entry| i128::from(entry.credits))
                .sum::<i128>()
        };
        let open = self.holds.values().filter(|hold| hold.end.is_none());
        let theirs = open.filter(|hold| hold.organization == *organization);
        Balance {
            granted: count(sum([EntryKind::Grant, EntryKind::Allowance])),
            withdrawn: count(-sum([EntryKind::Lapse, EntryKind::Withdrawal])),
            settled: count(-sum([EntryKind::Charge, EntryKind::Refund])),
            held: count(theirs.map(|hold| i128::from(hold.credits)).sum()),
        }
    }

    /// An organization's books, the oldest first.
    pub(super) fn entries(&self, organization: &OrgId) -> &[Arc<Entry>] {
        let wallet = self.wallets.get(organization);
        wallet.map_or(&[], |wallet| &wallet.entries)
    }

    /// How many credits each open hold has.
    pub(super) fn open_holds(&self) -> BTreeMap<HoldId, u64> {
        let open = self.holds.iter().filter(|(_, hold)| hold.end.is_none());
        open.map(|(id, hold)| (*id, hold.credits)).collect()
    }

    fn available(&self, organization: &OrgId) -> u64 {
        let balance = self.balance(organization);
        balance.granted - balance.withdrawn - balance.settled - balance.held
    }

    fn wallet(&mut self, organization: &OrgId) -> &mut Wallet {
        self.wallets.entry(organization.clone()).or_default()
    }

    /// Lets lapse what has expired and is not held, then grants an allowance that is due.
    fn advance(&mut self, organization: &OrgId, now: Timestamp, allowance: Option<Allowance>) {
        let free = self.available(organization);
        let lapsed = self.wallet(organization).spend(free, |grant| {
            grant.expires_at.is_some_and(|expiry| expiry <= now)
        });
        if lapsed.credits > 0 {
            let kind = EntryKind::Lapse;
            self.write(Entry::new(organization, now, kind, lapsed.credits, 0));
        }
        let Some(due) = allowance else { return };
        let last = self.wallet(organization).allowance;
        let before = match last {
            None => None,
            Some((month, _)) if month < due.month => None,
            Some((month, _)) if month > due.month => return,
            Some((_, credits)) => Some(credits),
        };
        if before.is_some_and(|before| before >= due.credits) {
            return;
        }
        let room = MAX_CREDITS - self.balance(organization).granted;
        let credits = room.min(due.credits - before.unwrap_or(0));
        let wallet = self.wallet(organization);
        wallet.allowance = Some((due.month, due.credits));
        wallet.add(Allowance::PRIORITY, due.expires_at, credits);
        if credits > 0 {
            let kind = EntryKind::Allowance;
            self.write(Entry::new(organization, now, kind, credits, 0));
        }
    }

    /// Adds a line, with the balance that it leaves.
    fn write(&mut self, mut entry: Entry) {
        let organization = entry.organization.clone();
        let before = self.balance(&organization);
        let funds = i128::from(before.granted) - i128::from(before.withdrawn);
        let funds = funds - i128::from(before.settled) + i128::from(entry.credits);
        entry.balance = count(funds);
        let wallet = self.wallet(&organization);
        wallet.entries.push(Arc::new(entry));
    }
}

/// What was taken out of grants, and the last of these.
struct Spent {
    credits: u64,
    from: (u8, Option<Timestamp>),
}

impl Wallet {
    fn add(&mut self, priority: u8, expires_at: Option<Timestamp>, credits: u64) {
        if credits > 0 {
            self.grants.push(Granted {
                priority,
                expires_at,
                left: credits,
            });
            // What never expires comes last.
            self.grants.sort_by_key(|grant| {
                let never = grant.expires_at.is_none();
                (grant.priority, never, grant.expires_at)
            });
        }
    }

    /// Takes up to so many credits out of these grants, in their order.
    fn spend(&mut self, credits: u64, these: impl Fn(&Granted) -> bool) -> Spent {
        let mut spent = Spent {
            credits: 0,
            from: (Allowance::PRIORITY, None),
        };
        for grant in self.grants.iter_mut().filter(|grant| these(grant)) {
            let part = grant.left.min(credits - spent.credits);
            if part > 0 {
                grant.left -= part;
                spent.credits += part;
                spent.from = (grant.priority, grant.expires_at);
            }
        }
        self.grants.retain(|grant| grant.left > 0);
        spent
    }
}

/// A sum that cannot be negative, or be more than a wallet holds.
fn count(sum: i128) -> u64 {
    u64::try_from(sum).unwrap()
}
