use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::clock::Steady;
use crate::id::OrgId;
use crate::quota::MemoryQuotas;

mod given_back;

/// The memory answers at once, so nothing is ever spawned.
fn blocks_on(store: Arc<dyn QuotaStore>) -> QuotaBlocks {
    QuotaBlocks::new(store, Arc::new(|_| panic!("spawned")))
}

fn at(secs: i64) -> Moment {
    Moment {
        wall: Timestamp::from_secs(secs),
        steady: Steady::default(),
    }
}

fn acme() -> Subject {
    Subject::organization(OrgId::new("acme").unwrap())
}

fn a_day(units: u64) -> [QuotaLimit; 1] {
    [QuotaLimit::new(units, QuotaPeriod::Day).unwrap()]
}

fn now<T: fmt::Debug>(reply: Reply<T>) -> T {
    match reply {
        Reply::Now(result) => result.unwrap(),
        later @ Reply::Later(_) => panic!("{later:?}"),
    }
}

const DAY: i64 = 86_400;

#[test]
fn exactly_n_a_day_and_n_again_the_next() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    for day in 0..3 {
        let admitted = (0..2000).filter(|second| {
            now(blocks.take(&acme(), &a_day(1000), 1, at(day * DAY + second))).admitted
        });
        assert_eq!(admitted.count(), 1000);
    }
}

#[test]
fn a_clock_that_is_set_back_reopens_nothing() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    assert!(now(blocks.take(&acme(), &a_day(1), 1, at(DAY))).admitted);
    assert!(!now(blocks.take(&acme(), &a_day(1), 1, at(DAY - 1))).admitted);
    let other = blocks_on(Arc::clone(&blocks.store));
    assert!(!now(other.take(&acme(), &a_day(1), 1, at(DAY - 1))).admitted);
}

#[test]
fn all_quotas_or_none() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    let limits = [
        QuotaLimit::new(10, QuotaPeriod::Month).unwrap(),
        QuotaLimit::new(2, QuotaPeriod::Day).unwrap(),
    ];
    let take = |cost| now(blocks.take(&acme(), &limits, cost, at(0)));
    assert!(take(2).admitted);
    let refused = take(1);
    assert!(!refused.admitted);
    assert_eq!(
        (refused.quotas[0].remaining, refused.quotas[0].refused),
        (8, false)
    );
    assert_eq!(
        (refused.quotas[1].remaining, refused.quotas[1].refused),
        (0, true)
    );
}

#[test]
fn what_is_put_back_can_be_taken_again() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    assert!(now(blocks.take(&acme(), &a_day(1), 1, at(0))).admitted);
    assert!(!now(blocks.take(&acme(), &a_day(1), 1, at(0))).admitted);
    blocks.put_back(&acme(), &a_day(1), 1, at(0));
    assert!(now(blocks.take(&acme(), &a_day(1), 1, at(0))).admitted);
}

#[test]
fn a_plan_change_keeps_the_units_used() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    for _ in 0..10 {
        assert!(now(blocks.take(&acme(), &a_day(1000), 1, at(0))).admitted);
    }
    assert!(!now(blocks.take(&acme(), &a_day(10), 1, at(0))).admitted);
    assert!(now(blocks.take(&acme(), &a_day(11), 1, at(0))).admitted);
    assert!(!now(blocks.take(&acme(), &a_day(11), 1, at(0))).admitted);
    assert!(now(blocks.take(&acme(), &a_day(1000), 1, at(0))).admitted);
}

#[test]
fn a_released_block_is_there_for_the_next_process() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    now(blocks.take(&acme(), &a_day(1000), 1, at(0)));
    futures_block(blocks.release()).unwrap();
    let next = blocks_on(Arc::clone(&blocks.store));
    let admitted = (0..2000).filter(|_| now(next.take(&acme(), &a_day(1000), 1, at(1))).admitted);
    assert_eq!(admitted.count(), 999);
}

fn futures_block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn many_processes_and_threads_never_exceed_the_quota() {
    let store: Arc<dyn QuotaStore> = Arc::new(MemoryQuotas::default());
    let admitted: usize = std::thread::scope(|scope| {
        let process = |_| {
            let blocks = blocks_on(Arc::clone(&store));
            (0..4).map(move |_| blocks.clone()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..3)
            .flat_map(process)
            .map(|blocks| {
                scope.spawn(move || {
                    let take = |_: &i32| now(blocks.take(&acme(), &a_day(5000), 1, at(0))).admitted;
                    (0..2000).filter(take).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 5000);
}

/// Counts what it is asked for.
#[derive(Debug, Default)]
struct Counted {
    inner: MemoryQuotas,
    debits: AtomicU32,
    given_back: AtomicU32,
}

impl QuotaStore for Counted {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        self.debits.fetch_add(1, Ordering::Relaxed);
        self.inner.debit(request)
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        self.given_back.fetch_add(1, Ordering::Relaxed);
        self.inner.give_back(subject, period, start, units)
    }
}

#[test]
fn what_is_known_to_be_used_up_is_refused_without_asking() {
    let store = Arc::new(Counted::default());
    let blocks = blocks_on(Arc::clone(&store) as _);
    let take = || now(blocks.take(&acme(), &a_day(10), 1, at(0))).admitted;
    assert!((0..10).all(|_| take()));
    let asked = store.debits.load(Ordering::Relaxed);
    assert!(!take());
    assert_eq!(store.debits.load(Ordering::Relaxed), asked);
    // Nothing is left of the block, so nothing is given back.
    futures_block(blocks.release()).unwrap();
    assert_eq!(store.given_back.load(Ordering::Relaxed), 0);
}

#[test]
fn what_others_used_up_is_refused_until_less_is_asked_or_the_plan_has_more() {
    let store: Arc<dyn QuotaStore> = Arc::new(MemoryQuotas::default());
    let (other, this) = (blocks_on(Arc::clone(&store)), blocks_on(store));
    let take = |limit, cost| now(this.take(&acme(), &a_day(limit), cost, at(0))).admitted;
    assert!(now(other.take(&acme(), &a_day(10), 8, at(0))).admitted);
    assert!(!take(10, 5));
    assert!(take(10, 1));
    assert!(!take(10, 2));
    assert!(take(1000, 5));
}

#[test]
fn the_rest_of_a_block_is_spent_although_the_store_has_no_more() {
    for costs in [vec![3], vec![2, 1], vec![1, 1, 1]] {
        let store: Arc<dyn QuotaStore> = Arc::new(MemoryQuotas::default());
        let (other, this) = (blocks_on(Arc::clone(&store)), blocks_on(store));
        let take = |cost| now(this.take(&acme(), &a_day(1000), cost, at(0))).admitted;
        // A block of ten is debited, and three of it are left.
        assert!(take(7));
        assert!(now(other.take(&acme(), &a_day(1000), 990, at(0))).admitted);
        assert!(!take(5));
        for cost in costs {
            assert!(take(cost), "{cost}");
        }
        assert!(!take(1));
    }
}

#[test]
fn subjects_whose_period_is_over_are_forgotten() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    let subjects = |range: std::ops::RangeInclusive<usize>, day: i64| {
        for n in range {
            let of = Subject::organization(OrgId::new(&format!("org{n}")).unwrap());
            now(blocks.take(&of, &a_day(2), 1, at(day * DAY)));
        }
        blocks.blocks.lock().by_subject.len()
    };
    assert_eq!(subjects(0..=SWEEP_AT, 0), SWEEP_AT + 1);
    // Nobody's day is over, so all are kept, also by the sweep that now comes.
    assert_eq!(subjects(0..=0, 0), SWEEP_AT + 1);
    assert!(
        !now(blocks.take(
            &Subject::organization(OrgId::new("org1").unwrap()),
            &a_day(2),
            2,
            at(0)
        ))
        .admitted
    );
    blocks.blocks.lock().sweep_at = 0;
    assert_eq!(subjects(0..=0, 1), 1);
}

#[test]
fn debug_shows_the_store() {
    let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
    assert!(format!("{blocks:?}").starts_with("QuotaBlocks { store: MemoryQuotas"));
}

/// Answers after a while, as a database does.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryQuotas,
    debits: AtomicU32,
}

impl QuotaStore for Slow {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        self.debits.fetch_add(1, Ordering::Relaxed);
        let debited = self.inner.debit(request);
        Reply::later(async move {
            tokio::task::yield_now().await;
            debited.await
        })
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        self.inner.give_back(subject, period, start, units)
    }
}

#[tokio::test]
async fn those_who_find_a_block_empty_share_one_debit_that_outlives_them() {
    let store = Arc::new(Slow::default());
    let spawn: Spawn = Arc::new(|task| drop(tokio::spawn(task)));
    let blocks = QuotaBlocks::new(Arc::clone(&store) as _, spawn);
    let take = || blocks.take(&acme(), &a_day(1000), 1, at(0));
    // Whoever asked first goes away; its debit does not.
    let (mut first, mut waiting) = (take(), Vec::new());
    if let Reply::Later(future) = &mut first {
        assert!(future.as_mut().now_or_never().is_none());
    }
    drop(first);
    for _ in 0..9 {
        waiting.push(take());
    }
    for tally in waiting {
        assert!(tally.await.unwrap().admitted);
    }
    assert_eq!(store.debits.load(Ordering::Relaxed), 1);
    assert_eq!(
        blocks.peek(&acme(), &a_day(1000), at(0)).quotas[0].remaining,
        991
    );
}

/// Panics the first time, after a while.
#[derive(Debug, Default)]
struct Panics {
    inner: Slow,
}

impl QuotaStore for Panics {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        let debited = self.inner.debit(request);
        let is_first = self.inner.debits.load(Ordering::Relaxed) == 1;
        Reply::later(async move {
            let debited = debited.await;
            assert!(!is_first, "the first debit panics");
            debited
        })
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        self.inner.give_back(subject, period, start, units)
    }
}

#[tokio::test]
async fn a_debit_that_panics_is_an_error_and_the_next_one_is_asked() {
    let spawn: Spawn = Arc::new(|task| drop(tokio::spawn(task)));
    let blocks = QuotaBlocks::new(Arc::new(Panics::default()), spawn);
    let take = || blocks.take(&acme(), &a_day(1000), 1, at(0));
    for waiting in [take(), take()] {
        let error = waiting.await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(take().await.unwrap().admitted);
}

proptest! {
    #[test]
    fn what_is_admitted_is_what_fits(
        limit in 1_u64..2000,
        costs in prop::collection::vec(1_u32..20, 1..300),
    ) {
        let blocks = blocks_on(Arc::new(MemoryQuotas::default()));
        let mut left = limit;
        for cost in costs {
            let tally = now(blocks.take(&acme(), &a_day(limit), cost, at(0)));
            prop_assert_eq!(tally.admitted, u64::from(cost) <= left);
            if tally.admitted {
                left -= u64::from(cost);
            }
            prop_assert_eq!(tally.quotas[0].remaining, left);
        }
    }
}

#[tokio::test]
async fn what_is_foretold_happens_and_takes_nothing() {
    let store: Arc<dyn QuotaStore> = Arc::new(MemoryQuotas::default());
    let mut nodes = [blocks_on(Arc::clone(&store)), blocks_on(store)];
    let limits = [
        QuotaLimit::new(900, QuotaPeriod::Day).unwrap(),
        QuotaLimit::new(1500, QuotaPeriod::Month).unwrap(),
    ];
    let mut random = numbers(7);
    let (mut taken, mut refused) = ([0, 0], 0);
    for second in 0..3000 {
        let time = at(second * 60);
        if time.wall.start_of_day() == time.wall {
            taken[0] = 0;
        }
        let (node, cost) = (random() % 2, u32::try_from(random() % 4).unwrap());
        let node = &mut nodes[node];
        let told = node.foretell(&acme(), &limits, cost, time).await.unwrap();
        assert_eq!(
            told,
            node.foretell(&acme(), &limits, cost, time).await.unwrap()
        );
        // What another process has debited and not spent counts as used.
        for (state, taken) in told.quotas.iter().zip(taken) {
            assert!(state.remaining + taken <= state.limit, "{told:?} {taken}");
        }
        if cost == 0 {
            assert!(told.admitted);
            continue;
        }
        let done = now(node.take(&acme(), &limits, cost, time));
        assert_eq!(told.admitted, done.admitted, "{second} {told:?} {done:?}");
        if done.admitted {
            taken = taken.map(|taken| taken + u64::from(cost));
        } else {
            refused += 1;
            let of = |tally: &QuotaTally| tally.quotas.iter().position(|it| it.refused);
            assert_eq!(of(&told), of(&done));
        }
        if random().is_multiple_of(200) {
            node.release().await.unwrap();
        }
    }
    assert!(refused > 100, "{refused}");
    assert!(taken[1] > 1400, "{taken:?}");
}

/// Numbers without a pattern, always the same.
fn numbers(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 40).unwrap()
    }
}
