//! Group commit: what comes while a transaction is being written shares the next one.
//!
//! Nobody waits for more to come. Whoever asks while nothing is being written has a transaction
//! begun at once; whoever asks meanwhile is in the next. So one caller has the latency of one
//! commit, and many share its price.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::reply::Reply;

use super::batch::Batch;
use super::op::Op;
use crate::session::{Backend, Time, Transaction};

#[cfg(test)]
mod tests;

/// How many operations share a transaction at most.
const MOST_AT_ONCE: usize = 512;
/// How many wait at most; the next is refused at once, which tells the caller to come later.
const MOST_WAITING: usize = 4096;

/// Tells whoever asked.
pub(super) type Tell<T> = oneshot::Sender<Result<T, StoreError>>;

/// What waits to be decided.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    ops: VecDeque<Op>,
    /// Whether somebody takes care of them.
    led: bool,
}

impl Queue {
    /// Asks, and answers when what was decided is durable.
    pub(super) fn ask<B: Backend, T: Send + 'static>(
        &self,
        backend: &B,
        op: impl FnOnce(Tell<T>) -> Op + Send + 'static,
    ) -> Reply<T> {
        let (queue, backend) = (self.clone(), backend.clone());
        Reply::later(async move {
            let (tell, told) = oneshot::channel();
            if queue.push(op(tell))? {
                let lead = Lead::new(queue);
                tokio::spawn(async move { lead.run(&backend).await });
            }
            told.await.unwrap_or_else(|_| Err(abandoned()))
        })
    }

    /// Adds an operation, and says whether somebody has to begin with them.
    fn push(&self, op: Op) -> Result<bool, StoreError> {
        let mut waiting = self.0.lock();
        if waiting.ops.len() >= MOST_WAITING {
            return Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "too many charges wait to be written",
            ));
        }
        waiting.ops.push_back(op);
        Ok(!std::mem::replace(&mut waiting.led, true))
    }
}

/// Whoever writes. Should its task end early, those who wait are told.
struct Lead {
    queue: Queue,
    /// Whether it still is the one: once it is not, another may be.
    leads: bool,
}

impl Lead {
    const fn new(queue: Queue) -> Self {
        Self { queue, leads: true }
    }

    async fn run<B: Backend>(mut self, backend: &B) {
        while self.has_more() {
            let transaction = backend.charge().await;
            // Whoever came while the connection was busy is in.
            let ops = self.take();
            match transaction {
                Ok(transaction) => decide(transaction, backend, ops).await,
                Err(error) => fail_all(ops, &error),
            }
        }
    }

    /// Whether anything waits; if not, the next who asks leads.
    fn has_more(&mut self) -> bool {
        let mut waiting = self.queue.0.lock();
        waiting.led = !waiting.ops.is_empty();
        self.leads = waiting.led;
        self.leads
    }

    fn take(&self) -> Vec<Op> {
        let mut waiting = self.queue.0.lock();
        let count = waiting.ops.len().min(MOST_AT_ONCE);
        // Whoever has gone away meanwhile asks for nothing any more.
        waiting.ops.drain(..count).filter(Op::is_wanted).collect()
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.leads {
            let mut waiting = self.queue.0.lock();
            waiting.led = false;
            let ops = std::mem::take(&mut waiting.ops);
            drop(waiting);
            fail_all(ops, &abandoned());
        }
    }
}

/// Decides operations together. Where what one of them needs is damaged, or the database refuses
/// what one of them does, its half of them is parted from the other, and so on until it is alone, so
/// that nobody else suffers. One that met what another node did at that moment finds it done then.
async fn decide<B: Backend>(transaction: B::Write, backend: &B, ops: Vec<Op>) {
    let mut begun = Some(transaction);
    // The first are the last of these, so that all are decided in the order in which they came.
    let mut parts = vec![ops];
    while let Some(mut ops) = parts.pop() {
        let is_first = begun.is_some();
        let transaction = match begun.take() {
            Some(begun) => Ok(begun),
            None => backend.charge().await,
        };
        // Some may have gone away since the last part was begun.
        ops.retain(Op::is_wanted);
        let decided = match transaction {
            Ok(_) if ops.is_empty() => continue,
            Ok(transaction) => write(transaction, backend.time(), &ops).await,
            Err(error) => Err(error),
        };
        match decided {
            Ok(batch) => batch.tell(ops),
            Err(error) if !is_about_one(&error) => {
                // Nobody waits until each part has met it too.
                let rest = parts.into_iter().rev().flatten();
                return fail_all(ops.into_iter().chain(rest), &error);
            }
            Err(_) if is_first && ops.len() == 1 => parts.push(ops),
            Err(error) if ops.len() == 1 => fail_all(ops, &error),
            Err(_) => {
                let later = ops.split_off(ops.len() / 2);
                parts.extend([later, ops]);
            }
        }
    }
}

fn is_about_one(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Corrupt | StoreErrorKind::Conflict
    )
}

async fn write(
    mut transaction: impl Transaction,
    time: Time,
    ops: &[Op],
) -> Result<Batch, StoreError> {
    let mut batch = Batch::read(&mut transaction, time, ops).await?;
    batch.decide(ops);
    let writes = batch.writes()?;
    if batch.is_flat() {
        transaction.commit_together(writes).await?;
    } else {
        transaction.commit_after(writes).await?;
    }
    Ok(batch)
}

fn fail_all(ops: impl IntoIterator<Item = Op>, error: &StoreError) {
    for op in ops {
        op.fail(error);
    }
}

fn abandoned() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "whoever was to write the charge has ended",
    )
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.0.lock().ops.len())
            .finish()
    }
}
