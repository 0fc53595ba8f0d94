//! Spends quotas from blocks that are debited ahead.
//!
//! A block is at most a hundredth of the quota, and a single request's worth near its end, so a
//! crash forfeits at most a hundredth. Only a request that finds its block empty waits for the
//! store, and all that do share one debit, which goes on when they hang up. What is spent and what
//! is in blocks never exceeds what the store debited, so the store alone keeps the limit, however
//! many processes share it.
//!
//! Another process may give back what it did not spend. So who refuses asks the store again, once a
//! second at most, and waits for no answer: what it brings is there for the next request.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use futures_util::FutureExt;
use futures_util::future::Shared;
use parking_lot::Mutex;

use crate::clock::{Moment, Steady, Timestamp};
use crate::error::{StoreError, StoreErrorKind};
use crate::quota::{
    DebitRequest, Debited, QuotaLimit, QuotaPeriod, QuotaState, QuotaStore, QuotaTally,
};
use crate::rate::Subject;
use crate::reply::{BoxFuture, Reply};

#[cfg(test)]
mod tests;

/// Above this many subjects, those whose period is over are forgotten.
const SWEEP_AT: usize = 65_536;

/// How long after it was asked the store may have more than it said.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often a debit is repeated because others took what it brought.
const REPEATS: usize = 1000;

/// Counts units against quotas. Clones share everything.
#[derive(Clone)]
pub struct QuotaBlocks {
    store: Arc<dyn QuotaStore>,
    blocks: Arc<Mutex<Blocks>>,
    spawn: Spawn,
}

/// Runs a future to its end, whoever waits for it: `tokio::spawn`, or the like.
pub type Spawn = Arc<dyn Fn(BoxFuture<()>) + Send + Sync>;

/// A debit that is under way.
type Flight = Shared<BoxFuture<Result<(), StoreError>>>;

#[derive(Default)]
struct Blocks {
    by_subject: HashMap<Subject, Periods, RandomState>,
    flights: HashMap<(Subject, QuotaPeriod), Flight, RandomState>,
    sweep_at: usize,
}

/// What this process has of a subject's quotas.
#[derive(Clone, Copy, Debug, Default)]
struct Periods {
    day: Option<Block>,
    month: Option<Block>,
}

/// What this process has of one period.
#[derive(Clone, Copy, Debug)]
struct Block {
    period: QuotaPeriod,
    start: Timestamp,
    end: Timestamp,
    /// Debited and not spent.
    left: u64,
    /// Used by all, as the store said last; what is `left` is included.
    used: u64,
    /// The limit, and how many units were missing, when the store had too few.
    exhausted: Option<(u64, u64)>,
    /// When the store was asked last.
    asked_at: Steady,
}

impl QuotaBlocks {
    /// Debits blocks from this store, in tasks of their own.
    #[must_use]
    pub fn new(store: Arc<dyn QuotaStore>, spawn: Spawn) -> Self {
        Self {
            store,
            blocks: Arc::default(),
            spawn,
        }
    }

    /// Consumes `cost` units of every quota, or of none.
    pub fn take(
        &self,
        subject: &Subject,
        limits: &[QuotaLimit],
        cost: u32,
        now: Moment,
    ) -> Reply<QuotaTally> {
        match self.try_take(subject, limits, cost, now) {
            Ok(tally) if tally.admitted => Reply::ready(tally),
            Ok(refused) => {
                let asked = self.next_question(subject, limits, cost, now);
                match asked.map(|again| self.debit(subject, again)) {
                    Some(Reply::Now(Ok(()))) => {
                        let (this, subject) = (self.clone(), subject.clone());
                        this.take_again(subject, limits.to_vec(), cost, now, REPEATS)
                    }
                    // Nobody waits for it, and whatever it is, this is refused.
                    _ => Reply::ready(refused),
                }
            }
            Err(missing) => {
                let (this, subject, limits) = (self.clone(), subject.clone(), limits.to_vec());
                this.debit(&subject, missing)
                    .and_then(move |()| this.take_again(subject, limits, cost, now, REPEATS))
            }
        }
    }

    fn take_again(
        self,
        subject: Subject,
        limits: Vec<QuotaLimit>,
        cost: u32,
        now: Moment,
        repeats: usize,
    ) -> Reply<QuotaTally> {
        match self.try_take(&subject, &limits, cost, now) {
            Ok(tally) => Reply::ready(tally),
            Err(_) if repeats == 0 => Reply::failed(StoreError::new(
                StoreErrorKind::Unavailable,
                "others take the quota's units faster than they can be debited",
            )),
            Err(missing) => self.debit(&subject, missing).and_then(move |()| {
                self.take_again(subject, limits, cost, now, repeats.saturating_sub(1))
            }),
        }
    }

    /// Says what is left, as far as this process knows, and consumes nothing.
    #[must_use]
    pub fn peek(&self, subject: &Subject, limits: &[QuotaLimit], now: Moment) -> QuotaTally {
        let mut blocks = self.blocks.lock();
        let blocks = blocks.of(subject, now.wall);
        QuotaTally {
            admitted: true,
            quotas: limits
                .iter()
                .map(|limit| Block::current(blocks, limit.period(), now.wall).state(limit, false))
                .collect(),
        }
    }

    /// Says what [`take`](Self::take) would say, and consumes nothing. Unlike [`peek`](Self::peek) it
    /// asks the store, and so knows what other processes have used.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn foretell(
        &self,
        subject: &Subject,
        limits: &[QuotaLimit],
        cost: u32,
        now: Moment,
    ) -> Result<QuotaTally, StoreError> {
        let cost = u64::from(cost);
        let mut tally = QuotaTally::default();
        for limit in limits {
            let (period, units) = (limit.period(), limit.units().get());
            let of = |blocks: &mut Blocks| {
                *Block::current(blocks.of(subject, now.wall), period, now.wall)
            };
            let nothing = DebitRequest {
                subject: subject.clone(),
                period,
                start: of(&mut self.blocks.lock()).start,
                limit: units,
                want: 0,
                at_least: 0,
            };
            let used = self.store.debit(nothing).await?.used;
            let mut block = of(&mut self.blocks.lock());
            block.used = block.used.max(used);
            let refused = cost > 0 && block.must_refuse(units, cost);
            tally.admitted &= !refused;
            tally.quotas.push(block.state(limit, refused));
        }
        Ok(tally)
    }

    /// Puts units back that [`take`](Self::take) consumed for a request that was refused after all.
    pub fn put_back(&self, subject: &Subject, limits: &[QuotaLimit], cost: u32, now: Moment) {
        let mut blocks = self.blocks.lock();
        let blocks = blocks.of(subject, now.wall);
        for limit in limits {
            let start = limit.period().start(now.wall);
            if let Some(block) = blocks.begun(limit.period(), start) {
                block.left = block.left.saturating_add(cost.into());
                block.exhausted = None;
            }
        }
    }

    /// Gives all unspent units back to the store: at shutdown.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; then the rest is forfeited, as in a crash.
    pub async fn release(&self) -> Result<(), StoreError> {
        let blocks = std::mem::take(&mut self.blocks.lock().by_subject);
        for (subject, blocks) in blocks {
            for block in blocks.iter().filter(|block| block.left > 0) {
                let Block {
                    period,
                    start,
                    left,
                    ..
                } = *block;
                self.store
                    .give_back(subject.clone(), period, start, left)
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes from the blocks, or says which debit is missing.
    fn try_take(
        &self,
        subject: &Subject,
        limits: &[QuotaLimit],
        cost: u32,
        now: Moment,
    ) -> Result<QuotaTally, DebitRequest> {
        let cost = u64::from(cost);
        let mut blocks = self.blocks.lock();
        let blocks = blocks.of(subject, now.wall);
        let mut tally = QuotaTally::default();
        for limit in limits {
            let block = Block::current(blocks, limit.period(), now.wall);
            let refused = block.must_refuse(limit.units().get(), cost);
            tally.admitted &= !refused;
            tally.quotas.push(block.state(limit, refused));
        }
        if !tally.admitted {
            return Ok(tally);
        }
        for limit in limits {
            let block = Block::current(blocks, limit.period(), now.wall);
            if block.left < cost {
                block.asked_at = now.steady;
                return Err(block.next_debit(subject, limit.units().get(), cost));
            }
        }
        for (limit, state) in limits.iter().zip(&mut tally.quotas) {
            let block = Block::current(blocks, limit.period(), now.wall);
            block.left = block.left.saturating_sub(cost);
            *state = block.state(limit, false);
        }
        Ok(tally)
    }

    /// What the store is asked after a refusal, if it was not asked for a while.
    fn next_question(
        &self,
        subject: &Subject,
        limits: &[QuotaLimit],
        cost: u32,
        now: Moment,
    ) -> Option<DebitRequest> {
        let cost = u64::from(cost);
        let mut blocks = self.blocks.lock();
        let blocks = blocks.of(subject, now.wall);
        let mut next: Option<(Duration, &QuotaLimit)> = None;
        for limit in limits {
            let block = Block::current(blocks, limit.period(), now.wall);
            let units = limit.units().get();
            if !block.must_refuse(units, cost) {
                continue;
            }
            let ago = now.steady.since(block.asked_at);
            // What is more than the quota is refused whatever others give back.
            if ago < ASK_AGAIN_AFTER || cost > units {
                return None;
            }
            if next.is_none_or(|(longest, _)| longest < ago) {
                next = Some((ago, limit));
            }
        }
        let (_, limit) = next?;
        let block = Block::current(blocks, limit.period(), now.wall);
        block.asked_at = now.steady;
        Some(block.next_debit(subject, limit.units().get(), cost))
    }

    /// Asks the store, unless somebody does already, and puts what it gives into the block.
    fn debit(&self, subject: &Subject, request: DebitRequest) -> Reply<()> {
        let mut blocks = self.blocks.lock();
        let of = (subject.clone(), request.period);
        if let Some(flight) = blocks.flights.get(&of) {
            return Reply::later(flight.clone());
        }
        let asked = request.clone();
        let debited = match self.store.debit(request) {
            Reply::Now(debited) => {
                return debited.map(|debited| blocks.credit(&asked, debited)).into();
            }
            Reply::Later(debited) => debited,
        };
        let shared = Arc::clone(&self.blocks);
        let landing = of.clone();
        let flight: BoxFuture<_> = Box::pin(async move {
            // Who asks later would get the panic too.
            let debited = AssertUnwindSafe(debited).catch_unwind().await;
            let debited = debited.unwrap_or_else(|_| Err(panicked()));
            let mut blocks = shared.lock();
            blocks.flights.remove(&landing);
            debited.map(|debited| blocks.credit(&asked, debited))
        });
        let flight = flight.shared();
        blocks.flights.insert(of, flight.clone());
        drop(blocks);
        let driven = flight.clone();
        (self.spawn)(Box::pin(async move { drop(driven.await) }));
        Reply::later(flight)
    }
}

impl Periods {
    const fn slot(&mut self, period: QuotaPeriod) -> &mut Option<Block> {
        match period {
            QuotaPeriod::Day => &mut self.day,
            QuotaPeriod::Month => &mut self.month,
        }
    }

    /// The block of the period that began then, if there is one.
    fn begun(&mut self, period: QuotaPeriod, start: Timestamp) -> Option<&mut Block> {
        let block = self.slot(period).as_mut();
        block.filter(|block| block.start == start)
    }

    fn iter(&self) -> impl Iterator<Item = &Block> {
        self.day.iter().chain(&self.month)
    }
}

impl Blocks {
    /// Puts what was debited into its block.
    fn credit(&mut self, asked: &DebitRequest, debited: Debited) {
        let Debited { granted, used } = debited;
        let blocks = self.by_subject.entry(asked.subject.clone()).or_default();
        if let Some(block) = blocks.begun(asked.period, asked.start) {
            block.left = block.left.saturating_add(granted);
            // It may be less than before: one debit follows another.
            block.used = used;
            if granted < asked.at_least {
                block.exhausted = Some((asked.limit, asked.at_least));
            } else if block.is_exhausted_for(asked.limit, asked.at_least) || block.is_refuted(used)
            {
                block.exhausted = None;
            }
        }
    }

    fn of(&mut self, subject: &Subject, now: Timestamp) -> &mut Periods {
        if self.by_subject.len() > self.sweep_at.max(SWEEP_AT) {
            self.by_subject
                .retain(|_, blocks| blocks.iter().any(|block| block.end > now));
            self.sweep_at = self.by_subject.len().saturating_mul(2);
        }
        if !self.by_subject.contains_key(subject) {
            self.by_subject.insert(subject.clone(), Periods::default());
        }
        self.by_subject.entry(subject.clone()).or_default()
    }
}

impl Block {
    /// The block of the period that this point is in; a clock that is set back stays where it was.
    fn current(blocks: &mut Periods, period: QuotaPeriod, now: Timestamp) -> &mut Self {
        let fresh = || Self {
            period,
            start: period.start(now),
            end: period.end(now),
            left: 0,
            used: 0,
            exhausted: None,
            asked_at: Steady::default(),
        };
        let block = blocks.slot(period).get_or_insert_with(fresh);
        if now >= block.end {
            *block = fresh();
        }
        block
    }

    fn must_refuse(&self, limit: u64, cost: u64) -> bool {
        let spent = self.used.saturating_sub(self.left);
        let missing = cost.saturating_sub(self.left);
        let known_exhausted = missing > 0 && self.is_exhausted_for(limit, missing);
        spent.saturating_add(cost) > limit || known_exhausted
    }

    /// Whether the store had too few for less, or for a larger limit.
    fn is_exhausted_for(&self, limit: u64, missing: u64) -> bool {
        self.exhausted
            .is_some_and(|(at, least)| limit <= at && missing >= least)
    }

    /// Whether the store has enough again of what it had too few of: others gave units back.
    fn is_refuted(&self, used: u64) -> bool {
        self.exhausted
            .is_some_and(|(at, least)| at.saturating_sub(used) >= least)
    }

    /// A hundredth of the quota, or, when two such are not left, just what is needed.
    fn next_debit(&self, subject: &Subject, limit: u64, cost: u64) -> DebitRequest {
        let hundredth = limit / 100;
        let plenty = limit.saturating_sub(self.used) > hundredth.saturating_mul(2);
        let missing = cost.saturating_sub(self.left);
        DebitRequest {
            subject: subject.clone(),
            period: self.period,
            start: self.start,
            limit,
            want: if plenty {
                missing.max(hundredth)
            } else {
                missing
            },
            at_least: missing,
        }
    }

    fn state(&self, limit: &QuotaLimit, refused: bool) -> QuotaState {
        let spent = self.used.saturating_sub(self.left);
        QuotaState {
            limit: limit.units().get(),
            remaining: limit.units().get().saturating_sub(spent),
            reset_at: self.end,
            refused,
        }
    }
}

fn panicked() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the quota store panicked")
}

impl fmt::Debug for QuotaBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaBlocks")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
