//! Holds, and the requests that come again, as the reference ledger remembers them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::REMEMBERED;
use crate::clock::Timestamp;
use crate::credits::{HoldRequest, Idempotency, Outcome, Paid, Price, Repeat, RouteName};
use crate::id::{HoldId, KeyId, OrgId, RequestId};

pub(super) struct Hold {
    pub(super) organization: OrgId,
    pub(super) key: Option<KeyId>,
    pub(super) route: Option<RouteName>,
    pub(super) request_id: RequestId,
    pub(super) price: Price,
    pub(super) credits: u64,
    pub(super) owed: u64,
    pub(super) deadline: Timestamp,
    pub(super) ended: Option<Ended>,
    pub(super) paid: Paid,
    pub(super) refunded: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    Settled,
    /// Its lines in the books are those of its parts.
    SettledInParts,
    Voided,
    Expired,
}

impl Hold {
    pub(super) fn open(request: &HoldRequest, credits: u64) -> Self {
        Self {
            organization: request.organization.clone(),
            key: Some(request.key),
            route: Some(Arc::clone(&request.route)),
            request_id: request.request_id,
            price: request.price,
            credits,
            owed: 0,
            deadline: request.deadline,
            ended: None,
            paid: Paid::default(),
            refunded: 0,
        }
    }

    /// A hold that was voided before it was seen.
    pub(super) fn tombstone(organization: OrgId) -> Self {
        Self {
            organization,
            key: None,
            route: None,
            request_id: RequestId::default(),
            price: Price::Free,
            credits: 0,
            owed: 0,
            deadline: Timestamp::default(),
            ended: Some(Ended::Voided),
            paid: Paid::default(),
            refunded: 0,
        }
    }

    pub(super) const fn was_settled(&self) -> bool {
        matches!(self.ended, Some(Ended::Settled | Ended::SettledInParts))
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.deadline <= now
    }
}

/// The holds that ended last, in their order.
pub(super) struct EndedHolds {
    /// The oldest first.
    holds: VecDeque<EndedHold>,
    /// How many of them have an id with these last bits. Nearly every hold that is asked for is new,
    /// and most of those are told so by this.
    counts: Box<[u16]>,
    /// A forgotten one, whose place in memory the next takes.
    spare: Option<Box<Hold>>,
}

/// A hold that has ended, and the line that its charge is in the books.
pub(super) struct EndedHold {
    pub(super) id: HoldId,
    pub(super) at: Timestamp,
    pub(super) seq: u64,
    pub(super) balance: u64,
    pub(super) hold: Box<Hold>,
}

/// A power of two, and many more than are remembered.
const COUNTS: u16 = 16_384;

impl Default for EndedHolds {
    fn default() -> Self {
        Self {
            holds: VecDeque::new(),
            counts: vec![0; usize::from(COUNTS)].into(),
            spare: None,
        }
    }
}

impl EndedHolds {
    /// A box with this hold in it.
    pub(super) fn boxed(&mut self, hold: Hold) -> Box<Hold> {
        match self.spare.take() {
            Some(mut spare) => {
                *spare = hold;
                spare
            }
            None => Box::new(hold),
        }
    }

    pub(super) fn push(&mut self, ended: EndedHold) {
        if self.holds.len() >= REMEMBERED {
            self.forget_first();
        }
        if let Some(count) = self.count(&ended.id) {
            *count = count.saturating_add(1);
        }
        self.holds.push_back(ended);
    }

    pub(super) fn get(&mut self, id: &HoldId) -> Option<&mut Hold> {
        if self.count(id).is_some_and(|count| *count == 0) {
            return None;
        }
        let mut newest_first = self.holds.iter_mut().rev();
        let ended = newest_first.find(|ended| ended.id == *id)?;
        Some(&mut *ended.hold)
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &EndedHold> {
        self.holds.iter().rev()
    }

    /// Forgets the oldest, if it ended before this point, and gives back what it was.
    pub(super) fn forget_one(&mut self, ended_before: Timestamp) -> Option<EndedHold> {
        let oldest = self.holds.front()?;
        if oldest.at >= ended_before {
            return None;
        }
        self.pop_first()
    }

    fn forget_first(&mut self) {
        self.spare = self.pop_first().map(|ended| ended.hold);
    }

    fn pop_first(&mut self) -> Option<EndedHold> {
        let ended = self.holds.pop_front()?;
        if let Some(count) = self.count(&ended.id) {
            *count = count.saturating_sub(1);
        }
        Some(ended)
    }

    /// The last bits of an id are random.
    fn count(&mut self, id: &HoldId) -> Option<&mut u16> {
        let [.., a, b] = *id.as_bytes();
        let at = u16::from_le_bytes([a, b]).checked_rem(COUNTS)?;
        self.counts.get_mut(usize::from(at))
    }
}

/// Requests with an idempotency key, by whose and which route they are.
#[derive(Default)]
pub(super) struct Repeats {
    records: HashMap<Name, Record, RandomState>,
    /// Of holds that are open.
    running: HashMap<HoldId, Name, RandomState>,
}

type Name = (OrgId, RouteName, String);

struct Record {
    idempotency: Arc<Idempotency>,
    state: State,
}

enum State {
    Running,
    Done(Option<Outcome>),
}

impl Repeats {
    /// What became of the request that this one repeats, if it repeats one.
    pub(super) fn find(&self, request: &HoldRequest) -> Option<Repeat> {
        let asked = request.idempotency.as_deref()?;
        let record = self.records.get(&name(request, asked))?;
        let first = &record.idempotency;
        match &record.state {
            State::Done(_) if first.expires_at <= request.at => None,
            _ if first.fingerprint != asked.fingerprint => Some(Repeat::Different),
            State::Running => Some(Repeat::Running),
            State::Done(Some(outcome)) => Some(Repeat::Done(Arc::clone(outcome))),
            State::Done(None) => Some(Repeat::NotStored),
        }
    }

    pub(super) fn begin(&mut self, request: &HoldRequest) {
        if let Some(idempotency) = &request.idempotency {
            let name = name(request, idempotency);
            self.running.insert(request.id, name.clone());
            let record = Record {
                idempotency: Arc::clone(idempotency),
                state: State::Running,
            };
            self.records.insert(name, record);
        }
    }

    pub(super) fn done(&mut self, hold: HoldId, outcome: Option<Outcome>) {
        let name = self.running.remove(&hold);
        if let Some(record) = name.and_then(|name| self.records.get_mut(&name)) {
            record.state = State::Done(outcome);
        }
    }

    /// The key may be used anew.
    pub(super) fn free(&mut self, hold: HoldId) {
        if let Some(name) = self.running.remove(&hold) {
            self.records.remove(&name);
        }
    }

    pub(super) fn forget(&mut self, now: Timestamp, limit: usize) -> usize {
        let over = self.records.extract_if(|_, record| {
            matches!(record.state, State::Done(_)) && record.idempotency.expires_at <= now
        });
        over.take(limit).count()
    }
}

fn name(request: &HoldRequest, idempotency: &Idempotency) -> Name {
    (
        request.organization.clone(),
        Arc::clone(&request.route),
        idempotency.key.clone(),
    )
}
