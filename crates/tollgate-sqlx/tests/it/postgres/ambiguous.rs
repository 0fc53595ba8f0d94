//! A reply that is lost after the commit: nobody knows what happened. Who asks again with the same
//! id is told, and not charged again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_core::clock::Steady;
use tollgate_core::credits::{Balance, Grant, HoldAnswer, HoldRequest, Ledger, Settle, Settlement};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::HoldId;
use tollgate_servers::{Postgres, Proxy};
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{at, change, hold_request, org};

use super::{open, steady};
use crate::{number, say};

const WORKERS: u64 = 8;
/// How many of the replies are lost: a charge is two transactions of five replies or more.
const LOST: f64 = 0.03;

/// What the workers met.
#[derive(Debug, Default)]
struct Sums {
    begun: AtomicU64,
    answered: AtomicU64,
    again: AtomicU64,
    /// Settled, as a later try was told.
    already: AtomicU64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Tries {
    WithTheSameId,
    WithANewId,
}

/// `TOLLGATE_AMBIGUOUS` says how many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_is_asked_for_until_it_is_answered_is_charged_once() {
    let charges = number("TOLLGATE_AMBIGUOUS", 3_000);
    let began = steady();
    let (balance, sums) = charge(charges, charges, Tries::WithTheSameId).await;
    tell("the same id", charges, began, balance, &sums);
    assert!(sums.already.into_inner() > 0, "no commit was ambiguous");
    assert_eq!((balance.settled, balance.held), (charges, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_is_asked_for_with_a_new_id_each_time_is_charged_twice() {
    let (charges, began) = (600, steady());
    let (balance, sums) = charge(charges, 10 * charges, Tries::WithANewId).await;
    tell("a new id", charges, began, balance, &sums);
    assert!(balance.settled > charges, "no commit was ambiguous");
}

fn tell(how: &str, charges: u64, began: Steady, balance: Balance, sums: &Sums) {
    let took = steady().since(began);
    let settled = balance.settled;
    say(&format!(
        "ambiguous, tries with {how}: {charges} charges, {settled} charged in {took:.1?}: {sums:?}"
    ));
}

/// Charges so often through a proxy that loses replies, each until it is answered.
async fn charge(charges: u64, granted: u64, tries: Tries) -> (Balance, Sums) {
    let server = Postgres::shared();
    let url = server.fresh();
    let proxy = Proxy::before(server.port()).await;
    let (direct, store) = (open(&url).await, open(&proxy.url_for(&url)).await);
    let grant = Grant::new(org("acme"), granted);
    direct.grant(grant, change(0)).await.unwrap();
    let sums = Arc::new(Sums::default());
    proxy.cut_replies(LOST, number("TOLLGATE_SEED", 7));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| tokio::spawn(work(store.clone(), Arc::clone(&sums), charges, tries)))
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let balance = direct.balance(&org("acme"), at(0), None).await.unwrap();
    let sums = Arc::into_inner(sums).unwrap();
    assert_eq!(sums.answered.load(Ordering::Relaxed), charges);
    (balance, sums)
}

async fn work(store: PostgresStore, sums: Arc<Sums>, charges: u64, tries: Tries) {
    while sums.begun.fetch_add(1, Ordering::Relaxed) < charges {
        let mut id = new_id();
        while let Err(error) = charge_once(&store, &sums, id).await {
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
            sums.again.fetch_add(1, Ordering::Relaxed);
            if tries == Tries::WithANewId {
                id = new_id();
            }
        }
        sums.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Holds and settles one credit; whatever was done before of it is not done again.
async fn charge_once(store: &PostgresStore, sums: &Sums, id: HoldId) -> Result<(), StoreError> {
    let request = HoldRequest {
        id,
        ..hold_request(0, "acme", 1, 1)
    };
    match store.hold(&request).await {
        Ok(HoldAnswer::Held { credits: 1, .. }) => {}
        Ok(other) => panic!("one credit was asked for, and there are enough: {other:?}"),
        // The answer to the settlement was lost.
        Err(error) if error.kind() == StoreErrorKind::Conflict => {}
        Err(error) => return Err(error),
    }
    let settle = Settle {
        id,
        credits: 1,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    match store.settle(settle).await? {
        Settlement::Settled { charged: 1 } => {}
        Settlement::AlreadyEnded { charged: 1 } => {
            sums.already.fetch_add(1, Ordering::Relaxed);
        }
        other => panic!("one credit was held: {other:?}"),
    }
    Ok(())
}

fn new_id() -> HoldId {
    HoldId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)))
}
