//! Ending a hold, until the ledger has said that it is ended.

use std::time::Duration;

use tokio::sync::oneshot;
use tollgate_core::credits::{Outcome, Settle, Settlement};
use tollgate_core::deadline::within;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::reply::Reply;

use crate::gate::Gate;
use crate::verified::age;

/// The pause before a hold is ended again, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What ends a hold.
pub(super) struct End {
    pub(super) gate: Gate,
    pub(super) id: HoldId,
    pub(super) organization: OrgId,
    pub(super) due: u64,
    /// Whether it is settled, or voided.
    pub(super) settles: bool,
    /// What the request that comes again is told.
    pub(super) outcome: Option<Outcome>,
    /// Whether to try again if the ledger is down.
    pub(super) retry: bool,
    /// Whether the response waits for it.
    pub(super) waited_for: bool,
}

impl End {
    /// Asks the ledger once. Asking again is safe: a hold ends once.
    pub(super) fn ask(&self) -> Reply<Settlement> {
        let till = self.gate.till();
        let at = till.clock.now().wall;
        let reply = if self.settles {
            till.ledger.settle(Settle {
                id: self.id,
                credits: self.due,
                at,
                outcome: self.outcome.clone(),
                parts: Vec::new(),
            })
        } else {
            let voided = till.ledger.void(self.id, &self.organization, at);
            voided.map_result(|voided| voided.map(|()| Settlement::Settled { charged: 0 }))
        };
        within(&*till.clock, till.deadline, "the ledger", reply)
    }

    /// Ends the hold, however often the ledger has to be asked. Whoever waits is told what became
    /// of the first time.
    pub(super) async fn finish(
        mut self,
        first: Reply<Settlement>,
        waiter: oneshot::Sender<Option<u64>>,
    ) {
        let gate = self.gate.clone();
        let clock = &gate.till().clock;
        let started = clock.now();
        let mut result = first.await;
        let telemetry = &gate.till().telemetry;
        telemetry.store_took("settle", age(started.steady, clock.now()));
        let charged = result.as_ref().ok();
        // Often nobody waits.
        let _ = waiter.send(charged.and_then(|settlement| self.as_promised(*settlement)));
        if result.is_err() && self.waited_for {
            // Its caller is told that the service failed, so it is not to be charged.
            self.settles = false;
        }
        let give_up = started.wall.after(gate.till().hold_for);
        let mut pause = FIRST_PAUSE;
        let mut again = false;
        while let Err(error) = &result
            && self.retry
            && may_pass(error)
            && clock.now().wall < give_up
        {
            if !again {
                tracing::warn!(hold.id = %self.id, %error, "could not end a hold; trying again");
            }
            again = true;
            clock.sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            result = self.ask().await;
        }
        match result {
            Ok(Settlement::AlreadyEnded { charged }) if again => {
                tracing::info!(hold.id = %self.id, charged, "the hold had ended");
            }
            Ok(settlement) => drop(self.report(settlement)),
            Err(error) => tracing::error!(
                hold.id = %self.id,
                due = self.due,
                %error,
                "a hold could not be ended; the sweeper will, without a charge"
            ),
        }
    }

    /// What was charged; nothing that a response may wait for if the hold had ended by itself.
    pub(super) const fn as_promised(&self, settlement: Settlement) -> Option<u64> {
        match settlement {
            Settlement::AlreadyEnded { .. } if self.waited_for && self.settles => None,
            settlement => Some(settlement.charged()),
        }
    }

    /// What was charged.
    pub(super) fn report(&self, settlement: Settlement) -> u64 {
        let charged = settlement.charged();
        self.gate.till().telemetry.hold_ended(self.settles, charged);
        tracing::debug!(hold.id = %self.id, settled = self.settles, charged, "a hold has ended");
        if let Settlement::AlreadyEnded { charged } = settlement {
            tracing::warn!(
                hold.id = %self.id,
                due = self.due,
                charged,
                "a hold had ended before it was settled"
            );
        }
        charged
    }
}

/// Whether what failed may work later.
fn may_pass(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Unavailable | StoreErrorKind::TimedOut
    )
}

/// A tab that is being closed.
pub(crate) enum Closing {
    /// It is closed; so much was charged, if that is known.
    Done(Option<u64>),
    /// The ledger takes its time, and will say.
    Waits(oneshot::Receiver<Option<u64>>),
}

impl Closing {
    /// What was charged, once it is known; `None` if it cannot be.
    pub(crate) async fn charged(self) -> Option<u64> {
        match self {
            Self::Done(charged) => charged,
            Self::Waits(told) => told.await.ok().flatten(),
        }
    }
}
