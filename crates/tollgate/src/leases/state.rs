//! What is on lease, and what becomes of it: pure, and asked under one lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;

use tollgate_core::clock::{Moment, Steady, Timestamp};
use tollgate_core::credits::{
    Balance, Extension, HoldAnswer, HoldRequest, Part, Price, RouteName, Settle, Settlement,
};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::{HoldId, KeyId, OrgId};

use super::Flight;

/// The route that a lease's hold names: it is of many.
const ROUTE: &str = "(leased)";

/// How many times longer a lease lasts that requests need all the time.
const LONG: u32 = 15;

pub(super) struct State {
    most: u64,
    lease_for: Duration,
    /// The lease that each organization spends now.
    current: HashMap<OrgId, HoldId, RandomState>,
    leases: HashMap<HoldId, Lease, RandomState>,
    /// What requests have of them.
    taken: HashMap<HoldId, Taken, RandomState>,
    pub(super) flights: HashMap<OrgId, Flight, RandomState>,
    /// Nothing is leased any more.
    closed: bool,
}

struct Lease {
    organization: OrgId,
    /// How many credits the ledger holds for it.
    credits: u64,
    spent: u64,
    /// What requests that are under way have of it, and owe of that.
    taken: u64,
    owed: u64,
    /// What the wallet had beside it.
    available: u64,
    /// Nothing is spent of it from here on, by either clock: the ledger may have ended it.
    until: Until,
    /// When it was leased.
    since: Steady,
    /// Whether anything happened since it was renewed last.
    used: bool,
    /// Whether the ledger is being told of its end.
    ending: bool,
    /// Whether the ledger has ended it by itself.
    is_over: bool,
    parts: HashMap<(KeyId, RouteName), Part, RandomState>,
}

#[derive(Clone, Copy)]
struct Until {
    steady: Steady,
    wall: Timestamp,
}

struct Taken {
    lease: HoldId,
    credits: u64,
    owed: u64,
    key: KeyId,
    route: RouteName,
    price: Price,
}

/// What a request lacks.
pub(super) struct Missing {
    /// What may bring it.
    pub(super) ask: Ask,
    /// How many credits more it needs at least.
    pub(super) least: u64,
    /// What is left of the lease that is too little for it.
    pub(super) left: u64,
}

/// What a ledger is to be asked for.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    /// A lease, of at most so many credits.
    Lease(u64),
    /// So many credits more of a lease.
    More(HoldId, u64),
}

/// What a ledger was asked for.
pub(super) enum Sent {
    Lease(Box<HoldRequest>),
    More(HoldId),
}

/// What the ledger has to be told of a lease.
pub(super) enum Due {
    /// That it goes on, from this point.
    Renew(Extension, Moment),
    /// That it ends.
    End(Settle),
}

/// Whether a request has more now.
pub(super) enum Extended {
    /// It has.
    Done(HoldAnswer),
    /// Its organization's lease lacks so many credits.
    Missing(OrgId, HoldId, u64),
    /// Its lease is gone.
    Ended,
    /// It has nothing on lease.
    Unknown,
}

impl Lease {
    fn new(
        request: &HoldRequest,
        credits: u64,
        available: u64,
        until: Until,
        since: Steady,
    ) -> Self {
        Self {
            organization: request.organization.clone(),
            credits,
            spent: 0,
            taken: 0,
            owed: 0,
            available,
            until,
            since,
            used: true,
            ending: false,
            is_over: false,
            parts: HashMap::default(),
        }
    }

    /// Notes what the ledger said to more of it.
    fn raised(&mut self, answer: Result<&HoldAnswer, &StoreError>, until: Until) {
        match answer {
            Ok(HoldAnswer::Held { credits, available }) => {
                self.credits = self.credits.max(*credits);
                self.available = *available;
                if !self.is_over {
                    self.until = until;
                }
            }
            Ok(HoldAnswer::Insufficient { available }) => self.available = *available,
            Ok(HoldAnswer::Repeated(_)) => {}
            // It has ended: nothing more is spent of it, and what was not noted is lost.
            Err(error) if error.kind() == StoreErrorKind::NotFound => {
                self.is_over = true;
            }
            Err(error) => tracing::warn!(%error, "could not renew a lease"),
        }
    }

    fn may_be_spent(&self, now: Moment) -> bool {
        let in_time = now.steady < self.until.steady && now.wall < self.until.wall;
        in_time && !self.is_over && !self.ending
    }

    const fn left(&self) -> u64 {
        self.credits
            .saturating_sub(self.spent)
            .saturating_sub(self.taken)
    }

    fn end(&mut self, id: HoldId, now: Moment) -> Due {
        self.ending = true;
        let mut parts: Vec<Part> = self.parts.values().cloned().collect();
        parts.sort_unstable_by(|a, b| (a.key, &a.route).cmp(&(b.key, &b.route)));
        Due::End(Settle {
            id,
            credits: self.spent,
            at: now.wall,
            outcome: None,
            parts,
        })
    }
}

impl State {
    pub(super) fn new(most: u64, lease_for: Duration) -> Self {
        Self {
            most,
            lease_for,
            current: HashMap::default(),
            leases: HashMap::default(),
            taken: HashMap::default(),
            flights: HashMap::default(),
            closed: false,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Until when a lease may be spent that was asked for at this point: with a third of its time
    /// to spare, for clocks that differ and for what is under way.
    fn until(&self, asked: Moment) -> Until {
        let third = self.lease_for.checked_div(3).unwrap_or_default();
        let time = self.lease_for.saturating_sub(third);
        Until {
            steady: asked.steady.after(time),
            wall: asked.wall.after(time),
        }
    }

    /// Takes credits for a request, or says what it lacks. `whatever` takes less than the most that
    /// it may cost, if there is no more.
    pub(super) fn hold(
        &mut self,
        request: &HoldRequest,
        now: Moment,
        whatever: bool,
    ) -> Result<HoldAnswer, Missing> {
        let current = self.current.get(&request.organization).copied();
        let lease = current.and_then(|id| Some((id, self.leases.get_mut(&id)?)));
        let Some((id, lease)) = lease.filter(|(_, lease)| lease.may_be_spent(now)) else {
            return Err(Missing {
                ask: Ask::Lease(request.most),
                least: request.least,
                left: 0,
            });
        };
        lease.used = true;
        let seen = self.taken.get(&request.id).map(|taken| taken.credits);
        let (there, most) = (lease.left(), request.most);
        let enough = if whatever { request.least } else { most };
        if seen.is_none() && there < enough {
            let lacks = request.least.saturating_sub(there);
            // A hundredth of the wallet; of one that is nearly empty, what is needed.
            let plenty = self.most.min(lease.available / 100);
            let wanted = plenty.max(most.saturating_sub(there)).min(lease.available);
            return Err(Missing {
                ask: Ask::More(id, wanted.max(lacks)),
                least: lacks,
                left: there,
            });
        }
        let credits = seen.unwrap_or_else(|| {
            let credits = there.min(most);
            lease.taken = lease.taken.saturating_add(credits);
            let taken = Taken {
                lease: id,
                credits,
                owed: 0,
                key: request.key,
                route: Arc::clone(&request.route),
                price: request.price,
            };
            self.taken.insert(request.id, taken);
            credits
        });
        let available = lease.available.saturating_add(lease.left());
        Ok(HoldAnswer::Held { credits, available })
    }

    /// The hold that is a lease for a request like this one.
    pub(super) fn lease(&self, request: &HoldRequest, credits: u64, asked: Moment) -> HoldRequest {
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        HoldRequest {
            id: HoldId::from_parts(asked.wall, &random),
            route: ROUTE.into(),
            most: credits,
            at: asked.wall,
            deadline: asked.wall.after(self.lease_for),
            idempotency: None,
            ..request.clone()
        }
    }

    /// What raises a lease by so many credits, and renews it.
    pub(super) fn extension(&self, id: HoldId, more: u64, now: Moment) -> Extension {
        let mut extension = Extension {
            id,
            credits: 0,
            owed: 0,
            deadline: now.wall.after(self.lease_for),
            at: now.wall,
        };
        if let Some(lease) = self.leases.get(&id) {
            extension.credits = lease.credits.saturating_add(more);
            extension.owed = lease.spent.saturating_add(lease.owed);
        }
        extension
    }

    /// Notes what the ledger answered.
    pub(super) fn landed(
        &mut self,
        sent: &Sent,
        answer: Result<&HoldAnswer, &StoreError>,
        asked: Moment,
    ) {
        let until = self.until(asked);
        match (sent, answer) {
            (Sent::Lease(request), Ok(HoldAnswer::Held { credits, available })) => {
                let lease = Lease::new(request, *credits, *available, until, asked.steady);
                // The one before is spent no more; it ends when no request needs it.
                self.current.insert(lease.organization.clone(), request.id);
                self.leases.insert(request.id, lease);
            }
            (Sent::Lease(_), _) => {}
            (Sent::More(id), answer) => {
                if let Some(lease) = self.leases.get_mut(id) {
                    lease.raised(answer, until);
                }
            }
        }
    }

    /// Raises what a request has.
    pub(super) fn extend(&mut self, extension: &Extension, now: Moment) -> Extended {
        let Some(taken) = self.taken.get_mut(&extension.id) else {
            return Extended::Unknown;
        };
        let Some(lease) = self.leases.get_mut(&taken.lease) else {
            return Extended::Ended;
        };
        lease.used = true;
        let more = extension.credits.saturating_sub(taken.credits);
        if more > 0 && !lease.may_be_spent(now) {
            return Extended::Ended;
        }
        if more > lease.left() {
            let lacks = more.saturating_sub(lease.left());
            return Extended::Missing(lease.organization.clone(), taken.lease, lacks);
        }
        lease.taken = lease.taken.saturating_add(more);
        taken.credits = taken.credits.saturating_add(more);
        let owed = extension.owed.min(taken.credits).max(taken.owed);
        lease.owed = lease.owed.saturating_add(owed.saturating_sub(taken.owed));
        taken.owed = owed;
        Extended::Done(HoldAnswer::Held {
            credits: taken.credits,
            available: lease.available.saturating_add(lease.left()),
        })
    }

    /// Ends what a request has, by charging some of it. None if it has nothing here; else how it
    /// ended, and the end of its lease if that was the last to need it.
    pub(super) fn settle(
        &mut self,
        id: HoldId,
        credits: u64,
        now: Moment,
    ) -> Option<(Settlement, Option<Due>)> {
        let taken = self.taken.remove(&id)?;
        let Some(lease) = self.leases.get_mut(&taken.lease) else {
            return Some((Settlement::AlreadyEnded { charged: 0 }, None));
        };
        let charged = credits.min(taken.credits);
        lease.used = true;
        lease.taken = lease.taken.saturating_sub(taken.credits);
        lease.owed = lease.owed.saturating_sub(taken.owed);
        lease.spent = lease.spent.saturating_add(charged);
        if charged > 0 {
            let name = (taken.key, Arc::clone(&taken.route));
            let part = lease.parts.entry(name).or_insert_with(|| Part {
                key: taken.key,
                route: taken.route,
                price: taken.price,
                credits: 0,
                requests: 0,
            });
            part.credits = part.credits.saturating_add(charged);
            part.requests = part.requests.saturating_add(1);
        }
        // One that was granted during the shutdown is nobody's to retire any more.
        let retired = self.closed || self.current.get(&lease.organization) != Some(&taken.lease);
        let ends = retired && lease.taken == 0 && !lease.ending;
        let due = ends.then(|| lease.end(taken.lease, now));
        Some((Settlement::Settled { charged }, due))
    }

    /// What is due of each lease, a second after the last time.
    pub(super) fn due(&mut self, now: Moment) -> Vec<Due> {
        let ids: Vec<HoldId> = self.leases.keys().copied().collect();
        ids.into_iter()
            .filter_map(|id| self.due_of(id, now))
            .collect()
    }

    fn due_of(&mut self, id: HoldId, now: Moment) -> Option<Due> {
        let lease = self.leases.get_mut(&id).filter(|lease| !lease.ending)?;
        let is_current = self.current.get(&lease.organization) == Some(&id);
        // The books are to know of an old one. One that requests need makes way for another later:
        // what is left of it is no use to anybody then.
        let age = now.steady.since(lease.since);
        let is_needed = lease.taken > 0;
        let oldest = if is_needed { LONG } else { 1 };
        let is_old = age >= self.lease_for.saturating_mul(oldest);
        let goes_on = (lease.used || is_needed) && !is_old && lease.may_be_spent(now);
        if is_current && !goes_on {
            self.current.remove(&lease.organization);
        }
        lease.used = false;
        if lease.taken > 0 || (is_current && goes_on) {
            return Some(Due::Renew(self.extension(id, 0, now), now));
        }
        Some(lease.end(id, now))
    }

    /// The end of every lease that no request needs. The others end with their requests.
    pub(super) fn release(&mut self, now: Moment) -> Vec<Due> {
        self.current.clear();
        self.closed = true;
        let open = self.leases.iter_mut();
        open.filter(|(_, lease)| lease.taken == 0 && !lease.ending)
            .map(|(id, lease)| lease.end(*id, now))
            .collect()
    }

    /// Whether no lease is left but those that requests need.
    pub(super) fn has_ended(&self) -> bool {
        self.leases.values().all(|lease| lease.taken > 0)
    }

    /// The end of an organization's lease, if no request needs it.
    pub(super) fn give_back(&mut self, organization: &OrgId, now: Moment) -> Option<Due> {
        let id = *self.current.get(organization)?;
        let lease = self.leases.get_mut(&id)?;
        if lease.taken > 0 || lease.ending {
            return None;
        }
        self.current.remove(organization);
        Some(lease.end(id, now))
    }

    /// Notes whether the ledger has ended a lease; if not, it is told again.
    pub(super) fn ended(&mut self, id: HoldId, done: bool) {
        if done {
            self.leases.remove(&id);
        } else if let Some(lease) = self.leases.get_mut(&id) {
            lease.ending = false;
        }
    }

    /// A balance, with what is spent of leases as charged, and what is left of them as available.
    pub(super) fn seen(&self, organization: &OrgId, mut balance: Balance) -> Balance {
        let leases = self.leases.values().filter(|lease| !lease.ending);
        for lease in leases.filter(|lease| lease.organization == *organization) {
            let free = lease.credits.saturating_sub(lease.taken);
            balance.held = balance.held.saturating_sub(free);
            balance.settled = balance.settled.saturating_add(lease.spent);
        }
        balance
    }
}
