//! Ledgers that are wrong, each in one way that only a crash or a second look shows.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate::core::change::Change;
use tollgate::core::clock::Timestamp;
use tollgate::core::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Price, Refund,
    Settle, Settlement,
};
use tollgate::core::id::{HoldId, OrgId};
use tollgate::core::reply::Reply;
use tollgate_sqlx::SqliteStore;

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrong {
    /// It says that a charge is made before it is durable.
    SettlesEarly,
    /// It says that credits are held before that is durable.
    HoldsEarly,
    /// It charges again, under another hold.
    SettlesTwice,
    /// It charges, and does not store what is to be answered to who comes again.
    DropsOutcomes,
    /// It does not note what is owed of a stream.
    OwesNothing,
    /// It says that credits are given before that is durable.
    GrantsEarly,
}

#[derive(Debug)]
pub(super) struct BrokenLedger {
    store: SqliteStore,
    wrong: Wrong,
    asked: Arc<Mutex<HashMap<HoldId, HoldRequest>>>,
}

impl BrokenLedger {
    pub(super) fn new(store: SqliteStore, name: &str) -> Self {
        let wrong = match name {
            "settles_early" => Wrong::SettlesEarly,
            "holds_early" => Wrong::HoldsEarly,
            "settles_twice" => Wrong::SettlesTwice,
            "drops_outcomes" => Wrong::DropsOutcomes,
            "owes_nothing" => Wrong::OwesNothing,
            "grants_early" => Wrong::GrantsEarly,
            _ => panic!("`{name}` is no ledger"),
        };
        Self {
            store,
            wrong,
            asked: Arc::default(),
        }
    }
}

impl Ledger for BrokenLedger {
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        let held = self.store.hold(request);
        match self.wrong {
            // Others are raised, or come again, which would show at once.
            Wrong::HoldsEarly
                if matches!(request.price, Price::Fixed(_)) && request.idempotency.is_none() =>
            {
                tokio::spawn(held.into_future());
                Reply::ready(HoldAnswer::Held {
                    credits: request.least,
                    available: 0,
                })
            }
            Wrong::SettlesTwice => {
                self.asked.lock().insert(request.id, request.clone());
                held
            }
            _ => held,
        }
    }

    fn extend(&self, mut extension: Extension) -> Reply<HoldAnswer> {
        if self.wrong == Wrong::OwesNothing {
            extension.owed = 0;
        }
        self.store.extend(extension)
    }

    fn settle(&self, mut settle: Settle) -> Reply<Settlement> {
        match self.wrong {
            Wrong::SettlesEarly => {
                let charged = settle.credits;
                tokio::spawn(self.store.settle(settle).into_future());
                Reply::ready(Settlement::Settled { charged })
            }
            Wrong::SettlesTwice => {
                let asked = self.asked.lock().remove(&settle.id);
                let store = self.store.clone();
                Reply::later(async move {
                    let settled = store.settle(settle.clone()).await;
                    if let Some(mut again) = asked {
                        again.id = HoldId::new(again.at).unwrap();
                        again.idempotency = None;
                        settle.id = again.id;
                        store.hold(&again).await?;
                        store.settle(settle).await?;
                    }
                    settled
                })
            }
            Wrong::DropsOutcomes => {
                settle.outcome = None;
                self.store.settle(settle)
            }
            _ => self.store.settle(settle),
        }
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        self.store.void(id, organization, at)
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        self.store.expire(now, limit)
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        self.store.forget(ended_before, now, limit)
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        let granted = self.store.grant(grant, change);
        if self.wrong == Wrong::GrantsEarly {
            tokio::spawn(granted.into_future());
            return Reply::ready(Balance::default());
        }
        granted
    }

    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        self.store.withdraw(organization, credits, change)
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        self.store.refund(refund, change)
    }

    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        self.store.balance(organization, now, allowance)
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        self.store.entries(organization, before, limit)
    }
}
