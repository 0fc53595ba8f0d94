//! What a request owes: opened before the handler, closed exactly once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;
use tollgate_core::clock::{Clock, Timestamp};
use tollgate_core::credits::{Extension, HoldAnswer, HoldRequest, Ledger, Outcome, Price, Repeat};
use tollgate_core::id::{HoldId, OrgId, RequestId};
use tollgate_core::reply::Reply;

use crate::background::Tasks;
use crate::denial::{Denial, DenialKind};
use crate::gate::Gate;
use crate::leases::Leases;
use crate::routes::Route;
use crate::telemetry::Telemetry;
use crate::verified::VerifiedKey;

pub(crate) use end::Closing;
use end::End;
pub(crate) use live::{Jumps, Live, renew};

mod end;
mod live;

/// What every tab of a gate shares.
#[derive(Debug)]
pub(crate) struct Till {
    /// What is durable once it has answered.
    pub(crate) durable: Arc<dyn Ledger>,
    /// What requests are charged to: the same, or leases from it.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The leases, where the app has asked for some.
    pub(crate) leases: Option<Leases>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
    pub(crate) deadline: Duration,
    /// How long a hold lasts before the sweeper ends it, unless it is renewed.
    pub(crate) hold_for: Duration,
    /// How long ended holds are remembered.
    pub(crate) remember_for: Duration,
    /// How long idempotency keys are remembered.
    pub(crate) remember_outcomes_for: Duration,
    /// Who is told of wallets that run low.
    pub(crate) low_balance: LowBalance,
    /// The holds that are renewed.
    pub(crate) live: Live,
    /// When the wall clock jumped.
    pub(crate) jumps: Jumps,
}

impl Till {
    /// The ledger that holds are asked of. A lease is not durable with each request.
    pub(crate) fn ledger_of(&self, durable: bool) -> &dyn Ledger {
        if durable {
            &*self.durable
        } else {
            &*self.ledger
        }
    }
}

/// Tells the app when a wallet falls below a threshold.
#[derive(Clone, Default)]
pub(crate) struct LowBalance(Option<(u64, Arc<OnLowBalance>)>);

type OnLowBalance = dyn Fn(&OrgId, u64) + Send + Sync;

impl LowBalance {
    pub(crate) fn new(below: u64, tell: impl Fn(&OrgId, u64) + Send + Sync + 'static) -> Self {
        Self(Some((below, Arc::new(tell))))
    }

    /// Tells once for each time that a wallet falls below, not for each request after that.
    fn note(&self, organization: &OrgId, before: u64, available: u64) {
        if let Some((below, tell)) = &self.0
            && available < *below
            && before >= *below
        {
            tell(organization, available);
        }
    }
}

impl fmt::Debug for LowBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = self.0.as_ref().map(|(below, _)| below);
        f.debug_tuple("LowBalance").field(&below).finish()
    }
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
    /// Whether the plan brings credits each month.
    monthly: bool,
    /// What the handler said the work costs.
    recorded: Option<u64>,
    /// What the items that the handler counted cost.
    counted: Option<u64>,
    stage: Stage,
    /// Whether its hold is renewed.
    live: bool,
    /// Whether the request has an idempotency key.
    once: bool,
    /// What the request that comes again is told.
    outcome: Option<Outcome>,
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
    /// What is asked of the ledger for a request.
    pub(crate) fn request(
        route: &Route,
        key: &VerifiedKey,
        request_id: RequestId,
        now: Timestamp,
    ) -> HoldRequest {
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        // A key whose environment is free opens a tab only to know requests that come again.
        let price = if key.free {
            Price::Free
        } else {
            route.access.price
        };
        let (least, most) = price.held_first();
        HoldRequest {
            id: HoldId::from_parts(now, &random),
            organization: key.organization().id.clone(),
            key: key.id(),
            route: Arc::clone(route.name()),
            request_id,
            price,
            least,
            most,
            at: now,
            deadline: now.after(route.gate.till().hold_for),
            allowance: key.plan.allowance(now),
            idempotency: None,
        }
    }

    /// The tab of a hold that is about to be asked for. Nothing is held yet, but if the tab is
    /// dropped the hold that may be on its way is voided.
    pub(crate) fn new(route: &Route, request: &HoldRequest) -> Self {
        Self {
            gate: route.gate.clone(),
            id: request.id,
            organization: request.organization.clone(),
            price: request.price,
            policy: route.access.charge,
            held: 0,
            available: 0,
            monthly: request.allowance.is_some(),
            recorded: None,
            counted: None,
            stage: Stage::Asked,
            live: false,
            once: false,
            outcome: None,
        }
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

    /// Whether the response waits until the tab is closed. Nobody waits for the end of a hold that
    /// the ledger never answered for: its request has waited long enough, and costs nothing.
    pub(crate) fn settles_before_reply(&self) -> bool {
        self.policy.before_reply && self.stage != Stage::Asked
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

    /// What a response of this status costs, and what the wallet has left then.
    pub(crate) fn bill_of(&self, status: StatusCode) -> Option<(u64, u64)> {
        // What a stream costs is not known before its end.
        if self.stage != Stage::Held {
            return None;
        }
        let due = self.due(Ending::Answered(status));
        let back = self.held.saturating_sub(due);
        Some((due, self.available.saturating_add(back)))
    }

    /// Whether nothing is charged.
    pub(crate) const fn is_free(&self) -> bool {
        self.price.is_free()
    }

    pub(crate) const fn is_once(&self) -> bool {
        self.once
    }

    /// The request has an idempotency key: it answers when its outcome is durable.
    pub(crate) const fn do_once(&mut self) {
        self.once = true;
        self.policy.before_reply = true;
    }

    /// Keeps what is to be stored with the charge.
    pub(crate) fn keep_outcome(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
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
                let more = credits.saturating_sub(self.held);
                self.held = *credits;
                self.available = *available;
                if self.stage == Stage::Asked {
                    self.stage = Stage::Held;
                }
                self.gate.till().low_balance.note(
                    &self.organization,
                    available.saturating_add(more),
                    *available,
                );
                Ok(())
            }
            HoldAnswer::Insufficient { available } => {
                if self.stage == Stage::Asked {
                    // Nothing was opened, so there is nothing to renew or to close.
                    self.stage = Stage::Closed;
                    if std::mem::take(&mut self.live) {
                        self.gate.till().live.remove(self.id);
                    }
                }
                self.gate.till().telemetry.holds("refused", 1);
                let mut denial = Denial::new(DenialKind::InsufficientCredits)
                    .with_detail("price", self.price.to_string())
                    .with_detail("required", wanted)
                    .with_detail("available", available.saturating_add(self.held));
                if self.monthly {
                    let next = self.gate.clock().now().wall.start_of_next_month();
                    denial = denial.with_detail("next_allowance_at", next.as_unix_secs_ceil());
                }
                Err(denial)
            }
            HoldAnswer::Repeated(repeat) => {
                self.stage = Stage::Closed;
                self.gate.till().telemetry.holds("repeated", 1);
                Err(match repeat {
                    Repeat::Running => Denial::new(DenialKind::RequestInProgress)
                        .with_retry_after(Duration::from_secs(1)),
                    Repeat::Different => DenialKind::IdempotencyKeyReused.into(),
                    // Whoever can give the outcome again has taken it out before.
                    Repeat::NotStored | Repeat::Done(_) => DenialKind::OutcomeNotStored.into(),
                })
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
                self.recorded.unwrap_or(least)
            }
            Ending::Answered(_) => 0,
            Ending::HungUp if self.policy.on_hangup || self.stage == Stage::Outlived => {
                self.recorded.unwrap_or(least)
            }
            Ending::HungUp => self.recorded.unwrap_or(0),
        }
    }

    /// A stream has ended, or was dropped: what was delivered is charged.
    pub(crate) fn end_stream(&mut self) {
        let due = self.recorded.unwrap_or(0);
        drop(self.end(due, true));
    }

    /// Closes the tab, and says what was charged. A close that waits goes on by itself.
    pub(crate) fn close(&mut self, ending: Ending) -> Closing {
        let due = self.due(ending);
        let good = matches!(ending, Ending::Answered(status) if (self.policy.charges)(status));
        if good && self.recorded.is_none() && matches!(self.price, Price::Between { .. }) {
            tracing::error!(
                hold.id = %self.id,
                "a handler with a dynamic price recorded none; charging the least"
            );
        }
        self.end(due, good)
    }

    /// Charges this much now, whatever becomes of the request.
    pub(crate) fn close_with(&mut self, due: u64) -> Closing {
        self.end(due, true)
    }

    /// What was good is settled even if it costs nothing, so that its outcome is known.
    fn end(&mut self, due: u64, good: bool) -> Closing {
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
            settles: due > 0 || (self.once && good),
            outcome: self.outcome.take(),
            // A hold that was never answered is left to the sweeper if it cannot be voided now:
            // a ledger that is down would collect one such task for each request.
            retry: stage != Stage::Asked,
            waited_for: self.policy.before_reply,
        };
        match end.ask() {
            Reply::Now(Ok(settlement)) => {
                end.report(settlement);
                Closing::Done(end.as_promised(settlement))
            }
            reply => {
                let (waiter, told) = oneshot::channel();
                // A task of its own: whoever waits for the charge may go away, the charge may not.
                till.tasks.spawn(end.finish(reply, waiter));
                Closing::Waits(told)
            }
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.stage != Stage::Closed {
            drop(self.close(Ending::HungUp));
        }
    }
}
