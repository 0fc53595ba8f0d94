//! Charges from credits that are leased ahead: the fast path, where losing the last second of
//! charges in a crash is better than waiting for the disk with each request.
//!
//! A lease is a hold of many requests' worth, one for each organization. Requests are held and
//! charged in memory from it, as [`QuotaBlocks`](tollgate_core::quota::QuotaBlocks) spend a quota; every
//! second the lease is renewed, and what was spent of it is noted as owed. So
//!
//! - an organization never spends more than it was granted, however many processes lease;
//! - a crash loses the charges since the last note, at most a lease's, and charges nothing that
//!   was not spent;
//! - a lease is a hundredth of what the wallet has, and near its end a single request's worth;
//! - a process that slept past its lease spends nothing more of it;
//! - a lease that nobody spends for a second is given back, as all are at shutdown.
//!
//! The books have one entry for each key and route that spent of a lease.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;

use tollgate_core::change::Change;
use tollgate_core::clock::{Clock, Timestamp};
use tollgate_core::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Refund, Settle,
    Settlement,
};
use tollgate_core::deadline::within;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::quota::Spawn;
use tollgate_core::reply::{BoxFuture, Reply};

use self::state::{Ask, Due, Extended, Sent, State};

mod state;
#[cfg(test)]
mod tests;

/// How often a lease is asked for because others took what it brought.
const REPEATS: usize = 1000;
/// The longest that the ledger is waited for; requests have a deadline of their own.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many leases the ledger is told of at once.
const AT_ONCE: usize = 256;
/// The pause before a lease that could not be given back is given back again.
const PAUSE: Duration = Duration::from_millis(100);

/// A ledger that charges from credits leased ahead from another. Clones share everything.
#[derive(Clone)]
pub(crate) struct Leases {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    spawn: Spawn,
    state: Arc<Mutex<State>>,
}

/// What is asked of the ledger.
#[derive(Clone, Copy)]
enum Wish<'a> {
    /// A lease of so many credits, for a request like this one.
    Lease(&'a HoldRequest, u64),
    /// So many more of a lease.
    More(HoldId, u64),
}

/// A lease that is being asked for.
type Flight = Shared<BoxFuture<Result<HoldAnswer, StoreError>>>;

impl Leases {
    /// Leases up to `most` credits at once from this ledger; a lease that is not renewed ends
    /// after `lease_for`.
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        spawn: Spawn,
        most: u64,
        lease_for: Duration,
    ) -> Self {
        Self {
            ledger,
            clock,
            spawn,
            state: Arc::new(Mutex::new(State::new(most, lease_for))),
        }
    }

    /// Notes what is owed of each lease, renews those that are in use, and gives back the others.
    /// To be called every second.
    pub(crate) async fn renew(&self) {
        let due = self.state.lock().due(self.clock.now());
        self.carry_out_all(due).await;
    }

    /// Gives every lease back: at shutdown. Those that requests still need end with them, and
    /// whatever comes now is charged without a lease.
    pub(crate) async fn release(&self) {
        loop {
            let due = self.state.lock().release(self.clock.now());
            if due.is_empty() {
                return;
            }
            self.carry_out_all(due).await;
            if self.state.lock().has_ended() {
                return;
            }
            self.clock.sleep(PAUSE).await;
        }
    }

    /// Some at a time: the ledger's queue is also that of requests.
    async fn carry_out_all(&self, due: Vec<Due>) {
        let all = stream::iter(due);
        all.for_each_concurrent(AT_ONCE, |due| self.carry_out(due))
            .await;
    }

    /// Asks the ledger for what is due of a lease.
    async fn carry_out(&self, due: Due) {
        match due {
            Due::Renew(extension, asked) => {
                let sent = Sent::More(extension.id);
                let answer = self.asked(self.ledger.extend(extension)).await;
                self.state.lock().landed(&sent, answer.as_ref(), asked);
            }
            Due::End(settle) => {
                let (id, spent) = (settle.id, settle.credits);
                let settled = self.asked(self.ledger.settle(settle)).await;
                match &settled {
                    Ok(settlement) if settlement.charged() < spent => tracing::error!(
                        hold.id = %id,
                        lost = spent.saturating_sub(settlement.charged()),
                        "a lease had ended; what was spent of it since it was noted last is lost"
                    ),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(hold.id = %id, %error, "could not end a lease; will try again");
                    }
                }
                self.state.lock().ended(id, settled.is_ok());
            }
        }
    }

    /// What the ledger says, if it says so in time.
    async fn asked<T: Send + 'static>(&self, reply: Reply<T>) -> Result<T, StoreError> {
        within(&*self.clock, DEADLINE, "the ledger", reply).await
    }

    fn hold_again(self, request: HoldRequest, ask: Ask, repeats: usize) -> Reply<HoldAnswer> {
        if repeats == 0 {
            return Reply::failed(too_many());
        }
        let new = matches!(ask, Ask::Lease(_));
        let wish = match ask {
            Ask::Lease(credits) => Wish::Lease(&request, credits),
            Ask::More(id, credits) => Wish::More(id, credits),
        };
        self.ask(&request.organization, wish)
            .map_result(move |answer| {
                // It ended while it was asked for more; the next is a new one.
                match answer {
                    Err(error) if !new && error.kind() == StoreErrorKind::NotFound => {
                        Ok(HoldAnswer::Insufficient {
                            available: u64::MAX,
                        })
                    }
                    answer => answer,
                }
            })
            .and_then(move |answer| {
                // A dynamic price takes what there is now.
                let held = self.state.lock().hold(&request, self.clock.now(), true);
                let missing = match held {
                    Ok(answer) => return Reply::ready(answer),
                    Err(missing) => missing,
                };
                let next = match answer {
                    HoldAnswer::Insufficient { available } if missing.least > available => {
                        if new || request.allowance.is_none() {
                            let available = available.saturating_add(missing.left);
                            return Reply::ready(HoldAnswer::Insufficient { available });
                        }
                        // A new month may have begun, and a new lease brings its allowance.
                        Ask::Lease(request.most)
                    }
                    _ => missing.ask,
                };
                self.hold_again(request, next, repeats.saturating_sub(1))
            })
    }

    /// Asks the ledger, unless somebody does already.
    fn ask(&self, organization: &OrgId, wish: Wish<'_>) -> Reply<HoldAnswer> {
        let mut state = self.state.lock();
        if let Some(flight) = state.flights.get(organization) {
            return Reply::later(flight.clone());
        }
        let asked = self.clock.now();
        let (sent, reply) = match wish {
            Wish::Lease(request, credits) => {
                let lease = state.lease(request, credits, asked);
                let reply = self.ledger.hold(&lease);
                (Sent::Lease(Box::new(lease)), reply)
            }
            Wish::More(id, credits) => {
                let raise = state.extension(id, credits, asked);
                (Sent::More(id), self.ledger.extend(raise))
            }
        };
        let answer = match within(&*self.clock, DEADLINE, "the ledger", reply) {
            Reply::Now(answer) => {
                state.landed(&sent, answer.as_ref(), asked);
                drop(state);
                self.void_unanswered(sent, answer.is_err());
                return Reply::Now(answer);
            }
            Reply::Later(answer) => answer,
        };
        let (this, landing) = (self.clone(), organization.clone());
        let flight: BoxFuture<_> = Box::pin(async move {
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| Err(panicked()));
            let mut state = this.state.lock();
            state.flights.remove(&landing);
            state.landed(&sent, answer.as_ref(), asked);
            drop(state);
            this.void_unanswered(sent, answer.is_err());
            answer
        });
        let flight = flight.shared();
        state.flights.insert(organization.clone(), flight.clone());
        drop(state);
        self.spawn_driver(flight.clone());
        Reply::later(flight)
    }

    /// Voids a lease that may have been granted though nobody was told so: its credits would be
    /// missing until its time is over.
    fn void_unanswered(&self, sent: Sent, failed: bool) {
        let (true, Sent::Lease(lease)) = (failed, sent) else {
            return;
        };
        let this = self.clone();
        (self.spawn)(Box::pin(async move {
            let at = this.clock.now().wall;
            let voided = this.ledger.void(lease.id, &lease.organization, at);
            if let Err(error) = this.asked(voided).await {
                tracing::debug!(hold.id = %lease.id, %error, "could not void a lease; the sweeper will");
            }
        }));
    }

    /// Raises what a request has, as often as others take what was meant for it.
    fn extend_again(self, extension: Extension, repeats: usize) -> Reply<HoldAnswer> {
        let extended = self.state.lock().extend(&extension, self.clock.now());
        let (organization, lease, more) = match extended {
            Extended::Done(answer) => return Reply::ready(answer),
            Extended::Ended => return Reply::failed(StoreError::not_found("the hold has ended")),
            Extended::Unknown => return self.ledger.extend(extension),
            Extended::Missing(..) if repeats == 0 => return Reply::failed(too_many()),
            Extended::Missing(organization, lease, more) => (organization, lease, more),
        };
        let asked = self.ask(&organization, Wish::More(lease, more));
        asked.and_then(move |answer| {
            if let HoldAnswer::Insufficient { available } = answer {
                let lacks = match self.state.lock().extend(&extension, self.clock.now()) {
                    Extended::Done(answer) => return Reply::ready(answer),
                    Extended::Missing(_, _, lacks) => lacks,
                    _ => 0,
                };
                if lacks > available {
                    return Reply::ready(HoldAnswer::Insufficient { available });
                }
            }
            self.extend_again(extension, repeats.saturating_sub(1))
        })
    }

    /// Whoever waits for it may go away.
    fn spawn_driver(&self, flight: Flight) {
        (self.spawn)(Box::pin(async move { drop(flight.await) }));
    }

    fn spawn_end(&self, due: Option<Due>) {
        if let Some(due) = due {
            let this = self.clone();
            (self.spawn)(Box::pin(async move { this.carry_out(due).await }));
        }
    }

    /// Gives back what an organization has on lease, as far as no request needs it.
    fn give_back(&self, organization: &OrgId) -> Reply<()> {
        let now = self.clock.now();
        let Some(due) = self.state.lock().give_back(organization, now) else {
            return Reply::ready(());
        };
        let this = self.clone();
        let given: BoxFuture<()> = Box::pin(async move { this.carry_out(due).await });
        let given = given.shared();
        // Whoever waits for it may go away, and the lease has to end all the same.
        (self.spawn)(Box::pin(given.clone()));
        Reply::later(given.map(Ok))
    }
}

impl Ledger for Leases {
    /// Holds in memory. Who needs a hold that is durable asks the ledger behind.
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        let mut state = self.state.lock();
        if state.is_closed() {
            drop(state);
            return self.ledger.hold(request);
        }
        let held = state.hold(request, self.clock.now(), false);
        drop(state);
        match held {
            Ok(answer) => Reply::ready(answer),
            Err(missing) => {
                let this = self.clone();
                this.hold_again(request.clone(), missing.ask, REPEATS)
            }
        }
    }

    fn extend(&self, extension: Extension) -> Reply<HoldAnswer> {
        self.clone().extend_again(extension, REPEATS)
    }

    fn settle(&self, settle: Settle) -> Reply<Settlement> {
        let now = self.clock.now();
        let ended = self.state.lock().settle(settle.id, settle.credits, now);
        match ended {
            Some((settlement, due)) => {
                self.spawn_end(due);
                Reply::ready(settlement)
            }
            None => self.ledger.settle(settle),
        }
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        let now = self.clock.now();
        let ended = self.state.lock().settle(id, 0, now);
        match ended {
            Some((_, due)) => {
                self.spawn_end(due);
                Reply::ready(())
            }
            None => self.ledger.void(id, organization, at),
        }
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        self.ledger.expire(now, limit)
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        self.ledger.forget(ended_before, now, limit)
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        self.ledger.grant(grant, change)
    }

    /// What is on lease here is given back first.
    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        let (this, organization) = (self.clone(), organization.clone());
        self.give_back(&organization)
            .and_then(move |()| this.ledger.withdraw(&organization, credits, change))
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        self.ledger.refund(refund, change)
    }

    /// What is spent of this process's leases counts as charged, and only what requests have of
    /// them as held.
    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        let (this, asked) = (self.clone(), organization.clone());
        let balance = self.ledger.balance(organization, now, allowance);
        balance.and_then(move |balance| Reply::ready(this.state.lock().seen(&asked, balance)))
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        self.ledger.entries(organization, before, limit)
    }
}

fn too_many() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "others take the leased credits faster than they can be leased",
    )
}

fn panicked() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the ledger panicked")
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
