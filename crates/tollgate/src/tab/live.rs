//! The holds of requests that take long: renewed as long as somebody works.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tollgate_core::clock::{Moment, Steady};
use tollgate_core::credits::Extension;
use tollgate_core::deadline::within;
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::HoldId;

use super::Till;
use crate::gate::Gate;

/// How many holds are renewed at once: the ledger's queue is also that of requests.
const AT_ONCE: usize = 256;

/// When each hold was renewed last.
#[derive(Default)]
pub(crate) struct Live(Mutex<HashMap<HoldId, Steady, foldhash::quality::RandomState>>);

/// Sees the wall clock jump ahead, by which the holds of everybody seem overdue.
#[derive(Debug)]
pub(crate) struct Jumps(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    last: Moment,
    /// How many times more nothing is swept.
    wait: u32,
}

/// More than clocks drift in a second.
const JUMP: Duration = Duration::from_secs(1);
/// How long other processes have to renew their holds too.
const WAIT: u32 = 5;

impl Jumps {
    pub(crate) const fn since(now: Moment) -> Self {
        Self(Mutex::new(Seen { last: now, wait: 0 }))
    }

    /// Whether the wall clock has jumped since the last time, and whether overdue holds may be
    /// ended. To be asked every second.
    pub(crate) fn look(&self, now: Moment) -> (bool, bool) {
        let mut seen = self.0.lock();
        let expected = now.steady.since(seen.last.steady).saturating_add(JUMP);
        let jumped = now.wall.since(seen.last.wall) > expected;
        seen.last = now;
        seen.wait = if jumped {
            WAIT
        } else {
            seen.wait.saturating_sub(1)
        };
        (jumped, seen.wait == 0)
    }
}

impl Live {
    pub(super) fn add(&self, id: HoldId, now: Steady) {
        self.0.lock().insert(id, now);
    }

    pub(super) fn remove(&self, id: HoldId) {
        self.0.lock().remove(&id);
    }

    /// The holds that were renewed longer ago than this.
    fn due(&self, now: Steady, age: Duration) -> Vec<HoldId> {
        let live = self.0.lock();
        let due = live.iter().filter(|(_, at)| now.since(**at) >= age);
        due.map(|(id, _)| *id).collect()
    }

    fn renewed(&self, id: HoldId, now: Steady) {
        // Whoever has closed it meanwhile has taken it out.
        if let Some(at) = self.0.lock().get_mut(&id) {
            *at = now;
        }
    }
}

/// Renews what is due, at a third of the time that a hold lasts: two attempts may fail. After a
/// jump of the wall clock, by which deadlines go, all are due.
pub(crate) async fn renew(gate: &Gate, jumped: bool) {
    let till = gate.till();
    let now = till.clock.now();
    let third = till.hold_for.checked_div(3).unwrap_or(till.hold_for);
    let age = if jumped { Duration::ZERO } else { third };
    let due = stream::iter(till.live.due(now.steady, age));
    due.for_each_concurrent(AT_ONCE, |id| renew_one(till, id, now))
        .await;
}

async fn renew_one(till: &Till, id: HoldId, now: Moment) {
    let extension = Extension {
        id,
        credits: 0,
        owed: 0,
        deadline: now.wall.after(till.hold_for),
        at: now.wall,
    };
    let asked = till.ledger.extend(extension);
    match within(&*till.clock, till.deadline, "the ledger", asked).await {
        Ok(_) => till.live.renewed(id, now.steady),
        Err(error) if error.kind() == StoreErrorKind::NotFound => {
            till.live.remove(id);
            tracing::warn!(hold.id = %id, "a hold has ended while its request goes on");
        }
        Err(error) => tracing::warn!(hold.id = %id, %error, "could not renew a hold"),
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("holds", &self.0.lock().len())
            .finish()
    }
}
