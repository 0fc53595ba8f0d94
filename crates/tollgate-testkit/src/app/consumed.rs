//! What a request took: units of its rates and quotas, and credits.

use std::cell::Cell;
use std::fmt;

use tollgate_core::rate::{Limiter, Take, Tally};
use tollgate_core::reply::Reply;

tokio::task_local! {
    /// The units that the request of this task has taken so far.
    static TAKEN: Cell<u64>;
}

/// What one request consumed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Consumed {
    /// Units of each rate and quota under which it is counted; none where nothing is limited.
    pub rate: u64,
    /// Credits.
    pub credits: u64,
}

impl Consumed {
    /// Neither units nor credits.
    pub const NOTHING: Self = Self {
        rate: 0,
        credits: 0,
    };

    /// So many units of each rate, and no credits.
    #[must_use]
    pub const fn rate(units: u64) -> Self {
        Self {
            rate: units,
            credits: 0,
        }
    }

    /// So many credits besides.
    #[must_use]
    pub const fn credits(self, credits: u64) -> Self {
        Self { credits, ..self }
    }
}

impl fmt::Display for Consumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, credits } = self;
        write!(f, "{rate} units of each rate and {credits} credits")
    }
}

/// Runs a request, and says how many units it took.
pub(super) async fn counting<T>(request: impl Future<Output = T>) -> (T, u64) {
    let counted = async { (request.await, TAKEN.with(Cell::get)) };
    TAKEN.scope(Cell::new(0), counted).await
}

/// A limiter that tells the request's task what it takes.
#[derive(Debug)]
pub(super) struct Counting<L>(pub(super) L);

impl<L: Limiter> Limiter for Counting<L> {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        let cost = take.cost;
        match self.0.take(take) {
            Reply::Now(tally) => Reply::Now(tally.inspect(|tally| count(tally, cost))),
            Reply::Later(tally) => Reply::later(async move {
                let tally = tally.await?;
                count(&tally, cost);
                Ok(tally)
            }),
        }
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        self.0.peek(take)
    }
}

fn count(tally: &Tally, cost: u32) {
    if tally.admitted {
        // Whoever is not called by the client is counted by nobody.
        let _ = TAKEN.try_with(|taken| taken.set(taken.get().saturating_add(cost.into())));
    }
}
