//! The rules of one organization's credits. Pure: every ledger keeps them by calling this.
//!
//! What is left of the grants lies in pools, one for each priority and expiry. A charge empties
//! them in order; a hold names no pool, so whatever it ends up costing is taken from those that
//! are first then. A pool that lapses keeps what open holds need of it.

use serde::{Deserialize, Serialize};

use super::{Allowance, Balance, MAX_CREDITS};
use crate::clock::Timestamp;

/// An organization's credits, as a ledger keeps them.
///
/// At every point: `withdrawn + settled + held ≤ granted`, and the pools hold
/// `granted − withdrawn − settled`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger stores every field")]
pub struct Account {
    /// The sums.
    pub balance: Balance,
    /// The allowance that was granted last.
    pub allowance: Option<Allowed>,
    /// What is left of the grants, in the order in which it is spent.
    pub pools: Vec<Pool>,
}

/// The allowance of a month that was granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger stores both fields")]
pub struct Allowed {
    /// The start of the month, in UTC.
    pub month: Timestamp,
    /// How many credits it brought.
    pub credits: u64,
}

/// Credits that are spent, and lapse, together.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "a ledger stores every field")]
pub struct Pool {
    /// Lower ones are spent first.
    pub priority: u8,
    /// When they lapse; of one priority, the soonest are spent first, and these last.
    pub expires_at: Option<Timestamp>,
    /// How many are left.
    pub credits: u64,
}

impl Pool {
    /// The place in the order.
    fn rank(&self) -> (u8, i64) {
        let expiry = self.expires_at.map_or(i64::MAX, Timestamp::as_micros);
        (self.priority, expiry)
    }
}

/// How a charge was paid.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a ledger stores every field")]
pub struct Paid {
    /// How many credits.
    pub credits: u64,
    /// The last of the pools that paid it: where a refund goes.
    pub from: (u8, Option<Timestamp>),
}

/// Credits that would make a wallet larger than can be counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooMany;

impl Account {
    /// Brings the account up to `now`: what has expired lapses, and an allowance that is due is
    /// granted. Says how much of each that was.
    pub fn advance(&mut self, now: Timestamp, allowance: Option<Allowance>) -> Advanced {
        let lapsed = self.lapse(now);
        let allowed = allowance.map_or(0, |allowance| self.allow(allowance));
        Advanced { lapsed, allowed }
    }

    fn lapse(&mut self, now: Timestamp) -> u64 {
        let mut lapsed: u64 = 0;
        for pool in &mut self.pools {
            if pool.expires_at.is_none_or(|expiry| expiry > now) {
                continue;
            }
            let free = self.balance.available().saturating_sub(lapsed);
            let part = pool.credits.min(free);
            pool.credits = pool.credits.saturating_sub(part);
            lapsed = lapsed.saturating_add(part);
        }
        if lapsed > 0 {
            self.balance.withdrawn = self.balance.withdrawn.saturating_add(lapsed);
            self.tidy();
        }
        lapsed
    }

    /// Grants a month's allowance once; a larger one in the same month grants the difference. A
    /// wallet that is full already takes what fits.
    fn allow(&mut self, allowance: Allowance) -> u64 {
        let before = match self.allowance {
            Some(last) if last.month > allowance.month => return 0,
            Some(last) if last.month == allowance.month => last.credits,
            _ => 0,
        };
        if self
            .allowance
            .is_some_and(|last| last.month == allowance.month)
            && allowance.credits <= before
        {
            return 0;
        }
        let room = MAX_CREDITS.saturating_sub(self.balance.granted);
        let credits = allowance.credits.saturating_sub(before).min(room);
        self.allowance = Some(Allowed {
            month: allowance.month,
            credits: allowance.credits.min(MAX_CREDITS),
        });
        self.balance.granted = self.balance.granted.saturating_add(credits);
        self.pour(Allowance::PRIORITY, allowance.expires_at, credits);
        credits
    }

    /// Sets aside as much of `least..=most` as there is.
    ///
    /// # Errors
    ///
    /// How many credits are available, if that is less than `least`; nothing changes then.
    pub fn hold(&mut self, least: u64, most: u64) -> Result<u64, u64> {
        let available = self.balance.available();
        if available < least {
            return Err(available);
        }
        let credits = available.min(most);
        self.balance.held = self.balance.held.saturating_add(credits);
        Ok(credits)
    }

    /// Ends a hold of `held` credits by charging some of them; more than it has are not charged.
    pub fn end(&mut self, held: u64, charge: u64) -> Paid {
        let credits = charge.min(held);
        self.balance.held = self.balance.held.saturating_sub(held);
        self.balance.settled = self.balance.settled.saturating_add(credits);
        let from = self.drain(credits);
        Paid { credits, from }
    }

    /// Gives credits.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if they cannot be counted; nothing changes then.
    pub fn grant(
        &mut self,
        credits: u64,
        priority: u8,
        expires_at: Option<Timestamp>,
    ) -> Result<(), TooMany> {
        let sum = self.balance.granted.checked_add(credits);
        self.balance.granted = sum.filter(|sum| *sum <= MAX_CREDITS).ok_or(TooMany)?;
        self.pour(priority, expires_at, credits);
        Ok(())
    }

    /// Takes granted credits back.
    ///
    /// # Errors
    ///
    /// How many credits are available, if that is less; nothing changes then.
    pub fn withdraw(&mut self, credits: u64) -> Result<(), u64> {
        let available = self.balance.available();
        if available < credits {
            return Err(available);
        }
        self.balance.withdrawn = self.balance.withdrawn.saturating_add(credits);
        self.drain(credits);
        Ok(())
    }

    /// Gives back what was charged. It lies where it was taken from, and lapses as it would have.
    pub fn refund(&mut self, paid: Paid) {
        let credits = paid.credits.min(self.balance.settled);
        self.balance.settled = self.balance.settled.saturating_sub(credits);
        let (priority, expires_at) = paid.from;
        self.pour(priority, expires_at, credits);
    }

    /// Takes credits out of the pools, in order, and says which was the last.
    fn drain(&mut self, credits: u64) -> (u8, Option<Timestamp>) {
        let mut rest = credits;
        let mut last = (Allowance::PRIORITY, None);
        for pool in &mut self.pools {
            if rest == 0 {
                break;
            }
            let part = pool.credits.min(rest);
            pool.credits = pool.credits.saturating_sub(part);
            rest = rest.saturating_sub(part);
            last = (pool.priority, pool.expires_at);
        }
        debug_assert_eq!(rest, 0, "the pools hold less than the sums say");
        if credits > 0 {
            self.tidy();
        }
        last
    }

    fn pour(&mut self, priority: u8, expires_at: Option<Timestamp>, credits: u64) {
        let new = Pool {
            priority,
            expires_at,
            credits,
        };
        let at = self.pools.partition_point(|pool| pool.rank() < new.rank());
        match self.pools.get_mut(at) {
            Some(pool) if pool.rank() == new.rank() => {
                pool.credits = pool.credits.saturating_add(credits);
            }
            _ if credits > 0 => self.pools.insert(at, new),
            _ => {}
        }
    }

    fn tidy(&mut self) {
        self.pools.retain(|pool| pool.credits > 0);
    }

    /// Whether the sums and the pools agree: what every ledger may assert.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Balance {
            granted,
            withdrawn,
            settled,
            held,
        } = self.balance;
        let spent = withdrawn.checked_add(settled);
        let left = spent.and_then(|spent| granted.checked_sub(spent));
        let pooled = self
            .pools
            .iter()
            .try_fold(0_u64, |sum, pool| sum.checked_add(pool.credits));
        let ordered = self.pools.is_sorted_by(|a, b| a.rank() < b.rank());
        granted <= MAX_CREDITS && left.is_some_and(|left| held <= left) && left == pooled && ordered
    }
}

/// What [`Account::advance`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a ledger writes an entry of each"
)]
pub struct Advanced {
    /// How many credits lapsed.
    pub lapsed: u64,
    /// How many credits the allowance brought.
    pub allowed: u64,
}

#[cfg(test)]
mod tests;
