//! The reference ledger: in memory, for tests and for apps that sell nothing durable.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::change::Change;
use crate::clock::Timestamp;
use crate::credits::{Balance, HoldAnswer, HoldRequest, Ledger, MAX_CREDITS, Settlement};
use crate::error::StoreError;
use crate::id::{HoldId, OrgId};
use crate::reply::Reply;

/// Keeps credits in memory; they are gone with the process.
///
/// Ended holds are forgotten, but for tombstones of holds that were voided before they were
/// seen: those are kept until [`Ledger::expire`] passes their time.
#[derive(Default)]
pub struct MemoryLedger(Mutex<Books>);

#[derive(Default)]
struct Books {
    wallets: HashMap<OrgId, Wallet, RandomState>,
    holds: HashMap<HoldId, Hold, RandomState>,
}

#[derive(Default)]
struct Wallet {
    balance: Balance,
    allowance_month: Option<Timestamp>,
}

enum Hold {
    Open {
        organization: OrgId,
        credits: u64,
        deadline: Timestamp,
    },
    Tombstone {
        at: Timestamp,
    },
}

impl Wallet {
    fn grant(&mut self, credits: u64) -> Result<(), StoreError> {
        self.balance.granted = self
            .balance
            .granted
            .checked_add(credits)
            .filter(|sum| *sum <= MAX_CREDITS)
            .ok_or_else(|| StoreError::conflict("the grant would overflow the wallet"))?;
        Ok(())
    }
}

impl Ledger for MemoryLedger {
    fn hold(&self, request: HoldRequest) -> Reply<HoldAnswer> {
        let books = &mut *self.0.lock();
        let wallet = books
            .wallets
            .entry(request.organization.clone())
            .or_default();
        if let Some(allowance) = request.allowance
            && wallet
                .allowance_month
                .is_none_or(|last| last < allowance.month)
        {
            // A wallet that is full already takes what fits.
            let room = MAX_CREDITS.saturating_sub(wallet.balance.granted);
            wallet.balance.granted = wallet
                .balance
                .granted
                .saturating_add(allowance.credits.min(room));
            wallet.allowance_month = Some(allowance.month);
        }
        let available = wallet.balance.available();
        match books.holds.entry(request.id) {
            Entry::Occupied(seen) => Reply::Now(match seen.get() {
                Hold::Open { credits, .. } => Ok(HoldAnswer::Held {
                    credits: *credits,
                    available,
                }),
                Hold::Tombstone { .. } => Err(StoreError::conflict("the hold was voided")),
            }),
            Entry::Vacant(_) if available < request.least => {
                Reply::ready(HoldAnswer::Insufficient { available })
            }
            Entry::Vacant(slot) => {
                let credits = available.min(request.most);
                wallet.balance.held = wallet.balance.held.saturating_add(credits);
                slot.insert(Hold::Open {
                    organization: request.organization,
                    credits,
                    deadline: request.deadline,
                });
                Reply::ready(HoldAnswer::Held {
                    credits,
                    available: available.saturating_sub(credits),
                })
            }
        }
    }

    fn extend(&self, id: HoldId, to: u64) -> Reply<HoldAnswer> {
        let books = &mut *self.0.lock();
        let Some(Hold::Open {
            organization,
            credits,
            ..
        }) = books.holds.get_mut(&id)
        else {
            return Reply::failed(StoreError::not_found("the hold has ended"));
        };
        let wallet = books.wallets.entry(organization.clone()).or_default();
        let available = wallet.balance.available();
        let more = to.saturating_sub(*credits);
        if available < more {
            return Reply::ready(HoldAnswer::Insufficient { available });
        }
        *credits = credits.saturating_add(more);
        wallet.balance.held = wallet.balance.held.saturating_add(more);
        Reply::ready(HoldAnswer::Held {
            credits: *credits,
            available: available.saturating_sub(more),
        })
    }

    fn settle(&self, id: HoldId, credits: u64, _at: Timestamp) -> Reply<Settlement> {
        Reply::ready(
            self.0
                .lock()
                .end(id, credits)
                .map_or(Settlement::AlreadyEnded, |charged| Settlement::Settled {
                    charged,
                }),
        )
    }

    fn void(&self, id: HoldId, _organization: &OrgId, at: Timestamp) -> Reply<()> {
        let mut books = self.0.lock();
        if books.end(id, 0).is_none() {
            books.holds.entry(id).or_insert(Hold::Tombstone { at });
        }
        Reply::ready(())
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        let mut books = self.0.lock();
        let due: Vec<HoldId> = books
            .holds
            .iter()
            .filter(|(_, hold)| matches!(hold, Hold::Open { deadline, .. } if *deadline <= now))
            .map(|(id, _)| *id)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        let ended = due.into_iter().filter_map(|id| books.end(id, 0)).count();
        books
            .holds
            .retain(|_, hold| !matches!(hold, Hold::Tombstone { at } if *at < now));
        Reply::ready(ended.try_into().unwrap_or(u64::MAX))
    }

    fn grant(&self, organization: &OrgId, credits: u64, _change: Change) -> Reply<Balance> {
        let mut books = self.0.lock();
        let wallet = books.wallets.entry(organization.clone()).or_default();
        Reply::Now(wallet.grant(credits).map(|()| wallet.balance))
    }

    fn balance(&self, organization: &OrgId) -> Reply<Balance> {
        let books = self.0.lock();
        Reply::ready(
            books
                .wallets
                .get(organization)
                .map_or_else(Balance::default, |wallet| wallet.balance),
        )
    }
}

impl Books {
    /// Ends an open hold and says what was charged.
    fn end(&mut self, id: HoldId, charge: u64) -> Option<u64> {
        let Entry::Occupied(seen) = self.holds.entry(id) else {
            return None;
        };
        if matches!(seen.get(), Hold::Tombstone { .. }) {
            return None;
        }
        let Hold::Open {
            organization,
            credits,
            ..
        } = seen.remove()
        else {
            return None;
        };
        let charged = charge.min(credits);
        let balance = &mut self.wallets.entry(organization).or_default().balance;
        balance.held = balance.held.saturating_sub(credits);
        balance.settled = balance.settled.saturating_add(charged);
        Some(charged)
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}
