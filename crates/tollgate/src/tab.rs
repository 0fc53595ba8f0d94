//! What a request owes: opened before the handler, closed exactly once.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use tollgate_core::clock::{Clock, Timestamp};
use tollgate_core::credits::{Allowance, HoldAnswer, HoldRequest, Ledger, Price, Settlement};
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::reply::Reply;

use crate::access::Access;
use crate::background::Tasks;
use crate::denial::{Denial, DenialKind};
use crate::gate::Gate;
use crate::routes::Route;
use crate::telemetry::Telemetry;
use crate::verified::{VerifiedKey, age};

/// What every tab of a gate shares.
#[derive(Debug)]
pub(crate) struct Till {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    pub(crate) deadline: Duration,
    /// How long a hold lasts before the sweeper ends it.
    pub(crate) hold_for: Duration,
}

/// How a route charges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChargePolicy {
    /// Which statuses are charged.
    pub(crate) charges: fn(StatusCode) -> bool,
    pub(crate) on_hangup: bool,
    pub(crate) before_reply: bool,
}

impl ChargePolicy {
    /// 2xx and 304 are charged; a hang-up is not, unless the handler recorded a price.
    pub(crate) const NORMAL: Self = Self {
        charges: |status| status.is_success() || status.as_u16() == 304,
        on_hangup: false,
        before_reply: false,
    };
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// With this status.
    Answered(StatusCode),
    /// The client went away, or the future was dropped.
    HungUp,
}

/// One request's tab. Whatever becomes of the request, dropping the tab closes it.
#[derive(Debug)]
pub(crate) struct Tab {
    gate: Gate,
    id: HoldId,
    organization: OrgId,
    price: Price,
    policy: ChargePolicy,
    held: u64,
    /// What the handler said the work costs.
    recorded: Option<u64>,
    /// What the items that the handler counted cost.
    counted: Option<u64>,
    open: bool,
}

impl Tab {
    /// Prepares a tab. Nothing is held yet, but if the tab is dropped the hold that may be on
    /// its way is voided.
    pub(crate) fn prepare(route: &Route, key: &VerifiedKey, now: Timestamp) -> (Self, HoldRequest) {
        let Access { price, charge, .. } = route.access;
        let till = route.gate.till();
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let id = HoldId::from_parts(now, &random);
        let (least, most) = price.held_first();
        let credits = key.plan.monthly_credits;
        let request = HoldRequest {
            id,
            organization: key.organization().id.clone(),
            key: key.key().id,
            route: Arc::clone(route.name()),
            least,
            most,
            at: now,
            deadline: now.after(till.hold_for),
            allowance: (credits > 0).then(|| Allowance {
                month: now.start_of_month(),
                credits,
            }),
        };
        let tab = Self {
            gate: route.gate.clone(),
            id,
            organization: request.organization.clone(),
            price,
            policy: charge,
            held: 0,
            recorded: None,
            counted: None,
            open: true,
        };
        (tab, request)
    }

    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    pub(crate) const fn id(&self) -> HoldId {
        self.id
    }

    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What [`Bill::settle_now`](crate::Bill::settle_now) charges.
    pub(crate) fn recorded_or_held(&self) -> u64 {
        self.recorded.or(self.counted).unwrap_or(self.held)
    }

    pub(crate) const fn price(&self) -> Price {
        self.price
    }

    pub(crate) const fn settles_before_reply(&self) -> bool {
        self.policy.before_reply
    }

    /// Notes what a ledger answered.
    pub(crate) fn note(&mut self, answer: HoldAnswer, wanted: u64) -> Result<(), Denial> {
        match answer {
            HoldAnswer::Held { credits, .. } => {
                self.held = credits;
                Ok(())
            }
            HoldAnswer::Insufficient { available } => {
                // Nothing was opened, so there is nothing to close.
                self.open = self.held > 0;
                Err(Denial::new(DenialKind::InsufficientCredits)
                    .with_detail("required", wanted)
                    .with_detail("available", available.saturating_add(self.held)))
            }
        }
    }

    /// Records what the work costs; more than is held cannot be recorded.
    pub(crate) fn record(&mut self, credits: u64) -> Result<(), Denial> {
        if credits > self.held {
            return Err(Denial::new(DenialKind::Internal).with_reason(format!(
                "{credits} credits recorded, but only {} are held",
                self.held
            )));
        }
        // A route that costs between two bounds costs at least the lower one.
        self.recorded = Some(match self.price {
            Price::Between { least, .. } => credits.max(least.min(self.held)),
            _ => credits,
        });
        Ok(())
    }

    /// Notes what the items cost that were counted, and are held.
    pub(crate) const fn count(&mut self, credits: u64) {
        self.counted = Some(credits);
    }

    /// What an ending costs.
    fn due(&self, ending: Ending) -> u64 {
        let least = match self.price {
            Price::Between { least, .. } => least.min(self.held),
            _ => self.counted.unwrap_or(self.held),
        };
        match ending {
            Ending::Answered(status) if (self.policy.charges)(status) => {
                if self.recorded.is_none() && matches!(self.price, Price::Between { .. }) {
                    tracing::error!(
                        hold.id = %self.id,
                        "a handler with a dynamic price recorded none; charging the least"
                    );
                }
                self.recorded.unwrap_or(least)
            }
            Ending::Answered(_) => 0,
            Ending::HungUp if self.policy.on_hangup => self.recorded.unwrap_or(least),
            Ending::HungUp => self.recorded.unwrap_or(0),
        }
    }

    /// Closes the tab, and says what was charged. A close that waits goes on by itself.
    pub(crate) fn close(&mut self, ending: Ending) -> Closing {
        let due = self.due(ending);
        self.close_with(due)
    }

    /// Charges this much now, whatever becomes of the request.
    pub(crate) fn close_with(&mut self, due: u64) -> Closing {
        if !std::mem::take(&mut self.open) {
            return Closing::Done(Some(0));
        }
        let Till {
            ledger,
            clock,
            telemetry,
            tasks,
            deadline,
            ..
        } = self.gate.till();
        let started = clock.now();
        let reply = if due == 0 {
            let voided = ledger.void(self.id, &self.organization, started.wall);
            voided.map_result(|voided| voided.map(|()| Settlement::Settled { charged: 0 }))
        } else {
            ledger.settle(self.id, due, started.wall)
        };
        match within(&**clock, *deadline, "the ledger", reply) {
            Reply::Now(result) => Closing::Done(report(self.id, result)),
            Reply::Later(future) => {
                let (clock, telemetry, id) = (Arc::clone(clock), telemetry.clone(), self.id);
                let (tell, told) = oneshot::channel();
                // A task of its own: whoever waits for the charge may go away, the charge may not.
                tasks.spawn(async move {
                    let result = future.await;
                    telemetry.store_took("settle", age(started.steady, clock.now()));
                    // Often nobody waits.
                    let _ = tell.send(report(id, result));
                });
                Closing::Waits(told)
            }
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.open {
            let due = self.due(Ending::HungUp);
            drop(self.close_with(due));
        }
    }
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

/// A settle that failed leaves the hold to the sweeper, which gives the credits back.
fn report(id: HoldId, result: Result<Settlement, StoreError>) -> Option<u64> {
    match result {
        Ok(Settlement::Settled { charged }) => Some(charged),
        Ok(Settlement::AlreadyEnded) => {
            tracing::warn!(hold.id = %id, "a hold had ended before it was settled; nothing charged");
            Some(0)
        }
        Err(error) => {
            tracing::error!(hold.id = %id, %error, "a hold could not be ended; the sweeper will");
            None
        }
    }
}
