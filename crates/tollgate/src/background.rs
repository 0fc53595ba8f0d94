//! What a gate does between requests: reads the change feed, ends overdue holds, writes usage.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_core::change::{ChangeKind, ChangeListener as _, Told};
use tollgate_core::clock::Clock;
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::quota::Spawn;
use tollgate_core::reply::{BoxFuture, Reply, ReplyFuture};

use crate::denial::with_causes;
use crate::gate::{Gate, WeakGate};
use crate::tab::renew;

/// How often other processes' changes are looked for.
const FEED_EVERY: Duration = Duration::from_millis(250);
/// How often usage is written: the most that a crash loses.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// How often holds are renewed, and overdue ones are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often what ended long ago is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// How many changes, or holds, are taken at once.
const BATCH: u32 = 1000;
/// The longest that a store is waited for here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Tasks that outlive their request, such as a settle after the reply.
#[derive(Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
    stop: CancellationToken,
    /// What did not work the last time: an outage is told of once, and so is its end.
    failing: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Tasks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            tracker: TaskTracker::new(),
            runtime,
            stop: CancellationToken::new(),
            failing: Arc::default(),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.runtime);
    }

    pub(crate) fn spawner(&self) -> Spawn {
        let tasks = self.clone();
        Arc::new(move |task| tasks.spawn(task))
    }

    /// Ends the periodic work.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the rest.
    pub(crate) async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("under_way", &self.tracker.len())
            .finish_non_exhaustive()
    }
}

/// Starts the periodic work; it ends with the gate.
pub(crate) fn start(gate: &Gate) {
    follow_feed(gate);
    every(gate, USAGE_EVERY, |gate| {
        Box::pin(async move { report(&gate, "write usage", write_usage(&gate).await) })
    });
    every(gate, SWEEP_EVERY, |gate| {
        Box::pin(async move {
            let till = gate.till();
            let (jumped, may_sweep) = till.jumps.look(till.clock.now());
            renew(&gate, jumped).await;
            if let Some(leases) = &till.leases {
                leases.renew().await;
            }
            if may_sweep {
                report(&gate, "end overdue holds", sweep(&gate).await);
            }
        })
    });
    every(gate, FORGET_EVERY, |gate| {
        Box::pin(async move { report(&gate, "forget ended holds", forget(&gate).await) })
    });
}

fn every(gate: &Gate, period: Duration, work: fn(Gate) -> BoxFuture<()>) {
    let tasks = gate.till().tasks.clone();
    let (clock, stop) = (gate.clock_handle(), tasks.stop.clone());
    let weak: WeakGate = gate.downgrade();
    tasks.spawn(async move {
        while stop
            .run_until_cancelled(clock.sleep(period))
            .await
            .is_some()
        {
            let Some(gate) = weak.upgrade() else { return };
            work(gate).await;
        }
    });
}

/// Reads the change feed as often as is due, and whenever it tells of a change.
fn follow_feed(gate: &Gate) {
    let tasks = gate.till().tasks.clone();
    let (clock, feed) = (gate.clock_handle(), gate.feed_handle());
    let (weak, stop) = (gate.downgrade(), tasks.stop.clone());
    tasks.spawn(async move {
        let mut told = feed.told().into_future();
        let mut anew = false;
        loop {
            let due = told_or_due(&mut told, clock.sleep(FEED_EVERY));
            // Whatever is waited for, nothing keeps the gate meanwhile, or its shutdown waiting.
            let Some(answer) = stop.run_until_cancelled(due).await else {
                return;
            };
            let Some(gate) = weak.upgrade() else { return };
            if let Some(answer) = answer {
                anew |= matches!(answer, Ok(Told::Again));
                told = feed.told().into_future();
            }
            if anew {
                let begun = begin_feed_anew(&gate).await;
                anew = begun.is_err();
                report(&gate, "read the change feed anew", begun);
            } else {
                report(&gate, "read the change feed", read_feed(&gate).await);
            }
        }
    });
}

/// What a feed told, or nothing if it is due to be read anyway. One that cannot tell is asked again
/// when that is due, and not at once.
async fn told_or_due(
    told: &mut ReplyFuture<Told, StoreError>,
    due: BoxFuture<()>,
) -> Option<Result<Told, StoreError>> {
    match select(told, due).await {
        Either::Left((answer, due)) => {
            if answer.is_err() {
                due.await;
            }
            Some(answer)
        }
        Either::Right(_) => None,
    }
}

/// Doubts every copy, and reads on from the newest change.
async fn begin_feed_anew(gate: &Gate) -> Result<(), StoreError> {
    let asked = gate.feed().newest();
    let newest = within(gate.clock(), DEADLINE, "the change feed", asked).await;
    // Whatever was changed until then is read from the store; what follows, the feed tells.
    gate.keys().changed(ChangeKind::Other, None, None);
    gate.feed_seen().store(newest?, Ordering::Release);
    Ok(())
}

/// What a store is asked behind the requests has an end too.
pub(crate) fn in_time<T: Send + 'static>(clock: &dyn Clock, reply: Reply<T>) -> Reply<T> {
    within(clock, DEADLINE, "the store", reply)
}

fn report(gate: &Gate, what: &'static str, result: Result<(), StoreError>) {
    let failing = &gate.till().tasks.failing;
    match result {
        Err(error) => {
            let is_first = failing.lock().insert(what);
            let error = with_causes(&error);
            if is_first {
                tracing::error!(
                    error,
                    "could not {what}; tries until it can, and says so then"
                );
            } else {
                tracing::debug!(error, "could not {what} again");
            }
        }
        Ok(()) => {
            if failing.lock().remove(what) {
                tracing::warn!("could {what} at last");
            }
        }
    }
}

/// Drops the copies of what other processes changed.
async fn read_feed(gate: &Gate) -> Result<(), StoreError> {
    let seen = gate.feed_seen();
    loop {
        let after = seen.load(Ordering::Acquire);
        let asked = gate.feed().since(after, BATCH);
        let changes = within(gate.clock(), DEADLINE, "the change feed", asked).await?;
        let Some(newest) = changes.last().map(|change| change.seq) else {
            return look_back(gate, after).await;
        };
        for change in &changes {
            gate.keys().changed(
                change.kind,
                change.key.as_ref(),
                change.organization.as_ref(),
            );
        }
        seen.fetch_max(newest, Ordering::AcqRel);
    }
}

/// A store that was restored, or failed over to a standby that lacked the last commits, numbers
/// its changes anew: what comes next would be taken for old.
async fn look_back(gate: &Gate, seen: u64) -> Result<(), StoreError> {
    let asked = gate.feed().newest();
    let newest = within(gate.clock(), DEADLINE, "the change feed", asked).await?;
    if newest >= seen {
        return Ok(());
    }
    tracing::warn!(
        seen,
        newest,
        "the store has lost changes that were seen before; every copy is doubted"
    );
    begin_feed_anew(gate).await
}

/// Writes what was counted. What cannot be written is tried again with the next batch; if only
/// the answer was lost, it is counted twice: these are statistics.
pub(crate) async fn write_usage(gate: &Gate) -> Result<(), StoreError> {
    let log = gate.usage_log();
    log.gather();
    loop {
        let piece = log.take_piece();
        if piece.is_empty() {
            return Ok(());
        }
        let asked = gate.usage_store().record_usage(piece.clone());
        if let Err(error) = within(gate.clock(), DEADLINE, "the usage store", asked).await {
            log.put_back(piece);
            return Err(error);
        }
    }
}

/// Deletes holds that ended long ago, and outcomes whose time is over.
async fn forget(gate: &Gate) -> Result<(), StoreError> {
    let till = gate.till();
    loop {
        let now = till.clock.now().wall;
        let asked = till
            .ledger
            .forget(now.before(till.remember_for), now, BATCH);
        let forgotten = within(gate.clock(), DEADLINE, "the ledger", asked).await?;
        if forgotten < u64::from(BATCH) {
            return Ok(());
        }
    }
}

/// Ends holds that a crash left open.
async fn sweep(gate: &Gate) -> Result<(), StoreError> {
    loop {
        let asked = gate.till().ledger.expire(gate.clock().now().wall, BATCH);
        let ended = within(gate.clock(), DEADLINE, "the ledger", asked).await?;
        if ended > 0 {
            gate.till().telemetry.holds("expired", ended);
            tracing::warn!(holds = ended, "ended holds past their deadline");
        }
        if ended < u64::from(BATCH) {
            return Ok(());
        }
    }
}
