//! What a request owes: opened before the handler, closed exactly once.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use tollgate_core::clock::{Clock, Timestamp};
use tollgate_core::credits::{Extension, HoldAnswer, HoldRequest, Ledger, Price};
use tollgate_core::id::{HoldId, OrgId, RequestId};
use tollgate_core::reply::Reply;

use crate::access::Access;
use crate::background::Tasks;
use crate::denial::{Denial, DenialKind};
use crate::gate::Gate;
use crate::routes::Route;
use crate::telemetry::Telemetry;
use crate::verified::VerifiedKey;

pub(crate) use end::Closing;
use end::End;
pub(crate) use live::{Live, renew};

mod end;
mod live;

/// What every tab of a gate shares.
#[derive(Debug)]
pub(crate) struct Till {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    pub(crate) deadline: Duration,
    /// How long a hold lasts before the sweeper ends it, unless it is renewed.
    pub(crate) hold_for: Duration,
    /// How long ended holds are remembered.
    pub(crate) remember_for: Duration,
    /// The holds that are renewed.
    pub(crate) live: Live,
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
    /// What the wallet had beside the hold, when it was asked last.
    available: u64,
    /// What the handler said the work costs.
    recorded: Option<u64>,
    /// What the items that the handler counted cost.
    counted: Option<u64>,
    stage: Stage,
    /// Whether its hold is renewed.
    live: bool,
}

/// How far a tab has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The ledger has been asked, and has not answered.
    Asked,
    /// The hold is durable.
    Held,
    /// The response has begun, and the work goes on: a stream, or a connection that was taken over.
    Outlived,
    Closed,
}

impl Tab {
    /// Prepares a tab. Nothing is held yet, but if the tab is dropped the hold that may be on
    /// its way is voided.
    pub(crate) fn prepare(
        route: &Route,
        key: &VerifiedKey,
        request_id: RequestId,
        now: Timestamp,
    ) -> (Self, HoldRequest) {
        let Access { price, charge, .. } = route.access;
        let till = route.gate.till();
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let id = HoldId::from_parts(now, &random);
        let (least, most) = price.held_first();
        let request = HoldRequest {
            id,
            organization: key.organization().id.clone(),
            key: key.id(),
            route: Arc::clone(route.name()),
            request_id,
            price,
            least,
            most,
            at: now,
            deadline: now.after(till.hold_for),
            allowance: key.plan.allowance(now),
            idempotency: None,
        };
        let tab = Self {
            gate: route.gate.clone(),
            id,
            organization: request.organization.clone(),
            price,
            policy: charge,
            held: 0,
            available: 0,
            recorded: None,
            counted: None,
            stage: Stage::Asked,
            live: false,
        };
        (tab, request)
    }

    pub(crate) const fn held(&self) -> u64 {
        self.held
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

    /// Asks for more of the hold, and for more time.
    pub(crate) fn extension(&self, credits: u64, owed: u64) -> Extension {
        let at = self.gate.clock().now().wall;
        Extension {
            id: self.id,
            credits,
            owed,
            deadline: at.after(self.gate.till().hold_for),
            at,
        }
    }

    /// Renews the hold until the tab is closed.
    pub(crate) fn keep_alive(&mut self) {
        if !std::mem::replace(&mut self.live, true) {
            let till = self.gate.till();
            till.live.add(self.id, till.clock.now().steady);
        }
    }

    /// The work goes on after the response has begun: what was recorded last is charged when the
    /// tab is dropped.
    pub(crate) fn outlive(&mut self) {
        self.stage = Stage::Outlived;
        self.keep_alive();
    }

    /// Whether a response of this status leaves the tab open. 101 does: whoever takes the
    /// connection over keeps the bill until it is closed.
    pub(crate) fn outlives(&mut self, status: StatusCode) -> bool {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.outlive();
            return true;
        }
        self.stage == Stage::Outlived && (self.policy.charges)(status)
    }

    /// Notes what a ledger answered.
    pub(crate) fn note(&mut self, answer: &HoldAnswer, wanted: u64) -> Result<(), Denial> {
        match answer {
            HoldAnswer::Held { credits, available } => {
                self.held = *credits;
                self.available = *available;
                if self.stage == Stage::Asked {
                    self.stage = Stage::Held;
                }
                Ok(())
            }
            HoldAnswer::Insufficient { available } => {
                if self.stage == Stage::Asked {
                    // Nothing was opened, so there is nothing to close.
                    self.stage = Stage::Closed;
                }
                Err(Denial::new(DenialKind::InsufficientCredits)
                    .with_detail("required", wanted)
                    .with_detail("available", available.saturating_add(self.held)))
            }
            HoldAnswer::Repeated(_) => {
                self.stage = Stage::Closed;
                Err(Denial::new(DenialKind::Internal).with_reason("the request was no repetition"))
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
            Ending::HungUp if self.policy.on_hangup || self.stage == Stage::Outlived => {
                self.recorded.unwrap_or(least)
            }
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
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        if stage == Stage::Closed {
            return Closing::Done(Some(0));
        }
        let till = self.gate.till();
        if self.live {
            till.live.remove(self.id);
        }
        let end = End {
            gate: self.gate.clone(),
            id: self.id,
            organization: self.organization.clone(),
            due,
            // A hold that was never answered is left to the sweeper if it cannot be voided now:
            // a ledger that is down would collect one such task for each request.
            retry: stage != Stage::Asked,
            waited_for: self.policy.before_reply,
        };
        match end.ask() {
            Reply::Now(Ok(settlement)) => Closing::Done(Some(end.report(settlement))),
            reply => {
                let (tell, told) = oneshot::channel();
                // A task of its own: whoever waits for the charge may go away, the charge may not.
                till.tasks.spawn(end.finish(reply, tell));
                Closing::Waits(told)
            }
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.stage != Stage::Closed {
            let due = self.due(Ending::HungUp);
            drop(self.close_with(due));
        }
    }
}
