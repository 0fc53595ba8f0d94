//! Ends holds that are due, whoever left them open.
//!
//! What is damaged is told and left, and what is behind it is looked for: it keeps nobody else's
//! holds from ending.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::Account;
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::batch::Batch;
use super::rows::{self, Hold, State};
use crate::queries::holds as hold_sql;
use crate::rows::json;
use crate::session::{Backend, Session, Statement, Time, Transaction, values};

#[cfg(test)]
mod tests;

/// Knows what it found damaged the last time, which it does not tell again each second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweeper(Arc<Mutex<Damage>>);

impl Sweeper {
    /// Ends up to `limit` holds that are due, charging what is owed of them.
    pub(super) async fn expire<B: Backend>(
        &self,
        backend: &B,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut sweep = Sweep::new(backend.time(), now, limit);
        // A transaction for each page: wallets are locked in the order of their names, which those
        // of two pages are not in.
        while !sweep.is_done {
            let mut transaction = backend.count().await?;
            let writes = sweep.page(&mut transaction).await?;
            transaction.commit_after(writes).await?;
        }
        self.tell(sweep.damage);
        Ok(sweep.ended.try_into().unwrap_or(u64::MAX))
    }

    fn tell(&self, damage: Damage) {
        let mut told = self.0.lock();
        if damage.is_news(&told) {
            tracing::error!(
                wallets = damage.wallets.len(),
                organization = damage.wallets.first().map(OrgId::as_str),
                holds = damage.holds.len(),
                hold = damage.holds.first().map(tracing::field::display),
                "overdue holds stay open: their wallet is missing or its sums do not agree, or the \
                 hold cannot be read; mend the rows, or restore them from a backup"
            );
        }
        *told = damage;
    }
}

/// What cannot be read, or does not agree.
#[derive(Debug, Default)]
struct Damage {
    wallets: BTreeSet<OrgId>,
    holds: BTreeSet<HoldId>,
}

impl Damage {
    fn is_news(&self, told: &Self) -> bool {
        !self.wallets.is_subset(&told.wallets) || !self.holds.is_subset(&told.holds)
    }

    /// Notes what of these holds could not be read, or has no wallet that it may be taken from.
    fn note(&mut self, ids: &[HoldId], holds: &[(HoldId, Hold)], accounts: &[(OrgId, Account)]) {
        let held: HashMap<&OrgId, u64> = accounts
            .iter()
            .map(|(name, account)| (name, account.balance.held))
            .collect();
        let mut unread: BTreeSet<HoldId> = ids.iter().copied().collect();
        for (id, hold) in holds {
            unread.remove(id);
            let is_held = held
                .get(&hold.organization)
                .is_some_and(|held| hold.credits <= *held);
            if hold.state == State::Open && !is_held {
                self.wallets.insert(hold.organization.clone());
            }
        }
        self.holds.append(&mut unread);
    }
}

/// One round over what is due, in pages.
struct Sweep {
    time: Time,
    now: Timestamp,
    limit: u32,
    /// The deadline and the id after which the next page begins.
    after: (Timestamp, [u8; 16]),
    damage: Damage,
    ended: usize,
    is_done: bool,
}

impl Sweep {
    fn new(time: Time, now: Timestamp, limit: u32) -> Self {
        Self {
            time,
            now,
            limit,
            after: (Timestamp::from_micros(i64::MIN), [0; 16]),
            damage: Damage::default(),
            ended: 0,
            is_done: false,
        }
    }

    /// Decides the next page, and says what is to be written of it.
    async fn page(&mut self, session: &mut impl Session) -> Result<Vec<Statement>, StoreError> {
        if self.time == Time::Servers {
            self.now = rows::read_now(session.fetch(hold_sql::NOW, values![]).await?)?;
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let ids = self.due(session).await?;
        self.is_done = ids.is_empty() || ids.len() < limit;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Another process may have ended some of them until their wallets are locked.
        let reads = vec![rows::lock_accounts(&[], &ids)?, rows::select_holds(&ids)?];
        let mut found = session.run(reads).await?.into_iter();
        let accounts = rows::readable_accounts(found.next().unwrap_or_default());
        let holds = rows::readable_holds(found.next().unwrap_or_default());
        self.damage.note(&ids, &holds, &accounts);
        let mut batch = Batch::of(holds, accounts);
        let left = limit.saturating_sub(self.ended);
        let ended = ids.iter().filter(|id| batch.expire(**id, self.now));
        self.ended = self.ended.saturating_add(ended.take(left).count());
        self.is_done |= self.ended >= limit;
        batch.writes()
    }

    /// The next that are due, but those of wallets that are known to be damaged.
    async fn due(&mut self, session: &mut impl Session) -> Result<Vec<HoldId>, StoreError> {
        let (deadline, id) = self.after;
        let damaged = json(&self.damage.wallets)?;
        let row = values![self.now, self.limit, deadline, &id, damaged];
        let mut ids = Vec::new();
        for mut row in session.fetch(hold_sql::DUE, row).await? {
            self.after = (row.take()?, row.take()?);
            ids.push(HoldId::from_bytes(self.after.1));
        }
        Ok(ids)
    }
}
