//! A limiter that fails on demand.

use std::sync::Arc;

use tollgate_core::clock::Clock;
use tollgate_core::rate::{Limiter, Take, Tally};
use tollgate_core::reply::Reply;

use crate::faults::{Fault, Faults, Operation, asked_for};

/// Wraps a limiter, and does to each [`take`](Limiter::take) what [`Operation::Rates`] says.
#[derive(Debug)]
pub struct FaultyLimiter<L> {
    limiter: Arc<L>,
    clock: Arc<dyn Clock>,
    faults: Faults,
}

impl<L: Limiter> FaultyLimiter<L> {
    /// Wraps a limiter, under the faults of a store. The clock is for [`Fault::Late`].
    pub fn new(limiter: L, clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self {
            limiter: Arc::new(limiter),
            clock,
            faults,
        }
    }
}

impl<L: Limiter> Limiter for FaultyLimiter<L> {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        match self.faults.called(Operation::Rates) {
            Fault::None => self.limiter.take(take),
            Fault::Fail => Reply::failed(asked_for()),
            Fault::Hang => Reply::later(std::future::pending()),
            Fault::Late(delay) => {
                let (limiter, asleep) = (Arc::clone(&self.limiter), self.clock.sleep(delay));
                let (subject, limits) = (take.subject.clone(), take.limits.to_vec());
                let (cost, now) = (take.cost, take.now);
                Reply::later(async move {
                    asleep.await;
                    let take = Take {
                        subject: &subject,
                        limits: &limits,
                        cost,
                        now,
                    };
                    let taken = limiter.take(&take);
                    taken.await
                })
            }
            Fault::LoseReply => {
                let taken = self.limiter.take(take);
                Reply::later(async move {
                    let _lost = taken.await;
                    Err(asked_for())
                })
            }
        }
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        self.limiter.peek(take)
    }
}
