//! The holds of requests that take long: renewed as long as somebody works.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tollgate_core::clock::Steady;
use tollgate_core::credits::Extension;
use tollgate_core::deadline::within;
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::HoldId;

use crate::gate::Gate;

/// When each hold was renewed last.
#[derive(Default)]
pub(crate) struct Live(Mutex<HashMap<HoldId, Steady, foldhash::quality::RandomState>>);

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

/// Renews what is due, at a third of the time that a hold lasts: two attempts may fail.
pub(crate) async fn renew(gate: &Gate) {
    let till = gate.till();
    let now = till.clock.now();
    let third = till.hold_for.checked_div(3).unwrap_or(till.hold_for);
    let renewals = till
        .live
        .due(now.steady, third)
        .into_iter()
        .map(|id| async move {
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
        });
    join_all(renewals).await;
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("holds", &self.0.lock().len())
            .finish()
    }
}
