//! What other processes give back, and what is missing beside what a process has.

use super::*;

/// So many milliseconds later, by both clocks.
fn later(millis: u64) -> Moment {
    let passed = Duration::from_millis(millis);
    Moment {
        wall: at(0).wall.after(passed),
        steady: Steady::default().after(passed),
    }
}

#[test]
fn what_another_process_gives_back_is_there_a_second_later() {
    for given_back in [false, true] {
        let store = Arc::new(Counted::default());
        let (other, this) = (
            blocks_on(Arc::clone(&store) as _),
            blocks_on(Arc::clone(&store) as _),
        );
        let asked = || store.debits.load(Ordering::Relaxed);
        let limits = [
            QuotaLimit::new(1000, QuotaPeriod::Day).unwrap(),
            QuotaLimit::new(1000, QuotaPeriod::Month).unwrap(),
        ];
        let take = |cost, now_| now(this.take(&acme(), &limits, cost, now_)).admitted;
        assert!(now(other.take(&acme(), &limits, 1, later(0))).admitted);
        assert!(take(990, later(0)));
        assert!(!take(1, later(0)));
        if given_back {
            futures_block(other.release()).unwrap();
        }
        let before = asked();
        assert!((0..1000).all(|millis| !take(1, later(millis))));
        assert_eq!(asked(), before, "within a second");
        let admitted = (1000..=9999).filter(|millis| take(1, later(*millis)));
        assert_eq!(admitted.count(), if given_back { 9 } else { 0 });
        if !given_back {
            // Once a second, although both quotas refuse.
            assert_eq!(asked(), before + 9);
        }
        let before = asked();
        assert!(!take(1001, later(60_000)));
        assert_eq!(asked(), before, "there is never so much");
    }
}

#[tokio::test]
async fn who_is_refused_does_not_wait_until_the_store_was_asked_again() {
    let store = Arc::new(Slow::default());
    let spawn: Spawn = Arc::new(|task| drop(tokio::spawn(task)));
    let [other, this] = [(); 2].map(|()| QuotaBlocks::new(Arc::clone(&store) as _, spawn.clone()));
    let limit = a_day(1000);
    let taken = other.take(&acme(), &limit, 1, later(0)).await.unwrap();
    assert!(taken.admitted);
    let taken = this.take(&acme(), &limit, 990, later(0)).await.unwrap();
    assert!(taken.admitted);
    let refused = this.take(&acme(), &limit, 1, later(0)).await.unwrap();
    assert!(!refused.admitted);
    other.release().await.unwrap();
    let before = store.debits.load(Ordering::Relaxed);
    for _ in 0..10 {
        assert!(!now(this.take(&acme(), &limit, 1, later(1000))).admitted);
    }
    // As often as the task needs that asks.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.debits.load(Ordering::Relaxed), before + 1);
    assert!(now(this.take(&acme(), &limit, 1, later(1000))).admitted);
}

/// Of what is in a block already, the store need not have anything.
#[test]
fn what_is_refused_is_what_is_missing_beside_the_block() {
    let store = Arc::new(Counted::default());
    let [this, other] = [(); 2].map(|()| blocks_on(Arc::clone(&store) as _));
    let limit = a_day(1000);
    let take = |who: &QuotaBlocks, cost| now(who.take(&acme(), &limit, cost, later(0))).admitted;
    assert!(take(&this, 3), "there are 7 of the 10 of a block");
    assert!(take(&other, 988), "there are 2 in the store");
    assert!(!take(&this, 10));
    assert!(take(&this, 8));
    assert!(take(&this, 1));
    assert!(!take(&this, 1));
}

/// They ask the store all the time, and what it says is as good as an answer to the dear one.
#[test]
fn cheap_requests_do_not_keep_a_dear_one_out_for_which_there_is_enough_again() {
    let store = Arc::new(Counted::default());
    let [this, other] = [(); 2].map(|()| blocks_on(Arc::clone(&store) as _));
    let limit = a_day(1000);
    let take = |who: &QuotaBlocks, cost, millis| {
        now(who.take(&acme(), &limit, cost, later(millis))).admitted
    };
    assert!(take(&this, 1, 0) && take(&other, 950, 0));
    assert!(!take(&this, 60, 0));
    other.put_back(&acme(), &limit, 950, later(0));
    futures_block(other.release()).unwrap();
    assert!((0..10).all(|_| take(&this, 1, 500)));
    assert!(take(&this, 60, 600));
}
