use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tollgate_core::audit::AuditKey;
use tollgate_core::change::Told;
use tollgate_core::credits::{Grant, HoldAnswer, Ledger};
use tollgate_testkit::records::{at, change, hold_id, hold_request, org};

use super::*;
use crate::session::sealed::Sealed;
use crate::session::{Dialect, Session, values};
use crate::sqlite::Sqlite;
use crate::store::{SqlStore, SqliteStore};

fn void(n: u32) -> Op {
    let (tell, _) = oneshot::channel();
    Op::Void {
        id: hold_id(n),
        organization: org("acme"),
        at: at(0),
        tell,
    }
}

#[test]
fn a_full_queue_refuses_at_once() {
    let queue = Queue::default();
    for _ in 0..MOST_WAITING {
        queue.push(void(1)).unwrap();
    }
    let error = queue.push(void(1)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[test]
fn who_has_ended_leaves_the_next_alone() {
    let queue = Queue::default();
    let mut ended = Lead::new(queue.clone());
    assert!(!ended.has_more());
    let (tell, mut told) = oneshot::channel();
    let begins = queue.push(Op::Void {
        id: hold_id(1),
        organization: org("acme"),
        at: at(0),
        tell,
    });
    assert!(begins.unwrap(), "nobody leads any more");
    drop(ended);
    assert!(
        told.try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
    );
    assert!(Lead::new(queue).has_more());
}

/// A database that says how many transactions it was asked for, lets so many begin, and is gone
/// after some.
#[derive(Clone, Debug)]
struct Counted {
    inner: Sqlite,
    begun: Arc<watch::Sender<usize>>,
    may_begin: Arc<Semaphore>,
    gone_after: usize,
}

impl Sealed for Counted {}

impl Backend for Counted {
    type Read = <Sqlite as Backend>::Read;
    type Write = <Sqlite as Backend>::Write;

    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn time(&self) -> Time {
        self.inner.time()
    }

    async fn read(&self) -> Result<Self::Read, StoreError> {
        self.inner.read().await
    }

    async fn write(&self) -> Result<Self::Write, StoreError> {
        self.inner.write().await
    }

    async fn charge(&self) -> Result<Self::Write, StoreError> {
        self.begun.send_modify(|begun| *begun += 1);
        if *self.begun.borrow() > self.gone_after {
            return Err(StoreError::unavailable(sqlx::Error::PoolClosed));
        }
        self.may_begin.acquire().await.unwrap().forget();
        self.inner.charge().await
    }

    async fn count(&self) -> Result<Self::Write, StoreError> {
        self.inner.count().await
    }

    async fn told(&self) -> Told {
        self.inner.told().await
    }
}

impl Counted {
    async fn has_begun(&self, transactions: usize) {
        let mut begun = self.begun.subscribe();
        let waits = begun.wait_for(|begun| *begun == transactions);
        timeout(Duration::from_secs(20), waits)
            .await
            .unwrap()
            .unwrap();
    }
}

/// The one whose wallet is damaged.
const DAMAGED: usize = 300;
const RICH: u64 = 1_000;

/// A full batch, of which one is damaged, before its transaction begins.
async fn a_batch(gone_after: usize) -> (SqlStore<Counted>, Vec<JoinHandle<Answer>>) {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    for name in ["acme", "other"] {
        let grant = Grant::new(org(name), RICH);
        store.grant(grant, change(0)).await.unwrap();
    }
    let mut writer = store.backend.write().await.unwrap();
    let damage = "UPDATE tollgate_wallets SET pools = '[]' WHERE organization = 'acme'";
    writer.execute(damage, values![]).await.unwrap();
    writer.commit().await.unwrap();
    let backend = Counted {
        inner: store.backend.clone(),
        begun: Arc::default(),
        may_begin: Arc::new(Semaphore::new(0)),
        gone_after,
    };
    let store = SqlStore::new(backend, AuditKey::default());
    let asked = (0..MOST_AT_ONCE).map(|n| hold(&store, n)).collect();
    while store.charges.0.lock().ops.len() < MOST_AT_ONCE {
        tokio::task::yield_now().await;
    }
    (store, asked)
}

type Answer = Result<HoldAnswer, StoreError>;

fn hold(store: &SqlStore<Counted>, n: usize) -> JoinHandle<Answer> {
    let name = if n == DAMAGED { "acme" } else { "other" };
    let request = hold_request(n.try_into().unwrap(), name, 1, 1);
    tokio::spawn(store.hold(&request).into_future())
}

fn go_on(store: &SqlStore<Counted>) {
    store.backend.may_begin.add_permits(10 * MOST_AT_ONCE);
}

#[tokio::test]
async fn one_that_is_damaged_costs_its_batch_two_transactions_for_each_halving() {
    let (store, asked) = a_batch(usize::MAX).await;
    go_on(&store);
    let mut left = RICH;
    for (n, answer) in asked.into_iter().enumerate() {
        let answer = answer.await.unwrap();
        if n == DAMAGED {
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Corrupt);
            continue;
        }
        // In the order in which they came.
        left -= 1;
        let held = HoldAnswer::Held {
            credits: 1,
            available: left,
        };
        assert_eq!(answer.unwrap(), held, "{n}");
    }
    let halvings = MOST_AT_ONCE.ilog2() as usize;
    assert_eq!(*store.backend.begun.borrow(), 1 + 2 * halvings);
    // One that was alone from the beginning may have met another node: it has another try.
    let alone = hold(&store, DAMAGED).await.unwrap();
    assert_eq!(alone.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(*store.backend.begun.borrow(), 1 + 2 * halvings + 2);
}

#[tokio::test]
async fn a_database_that_goes_away_meanwhile_is_told_to_all_at_once() {
    // All, the first half, the second half, of which one is damaged.
    let (store, asked) = a_batch(3).await;
    go_on(&store);
    for (n, answer) in asked.into_iter().enumerate() {
        let failed = answer.await.unwrap().err().map(|error| error.kind());
        let is_gone = n >= MOST_AT_ONCE / 2;
        assert_eq!(
            failed,
            is_gone.then_some(StoreErrorKind::Unavailable),
            "{n}"
        );
    }
    assert_eq!(*store.backend.begun.borrow(), 4);
}

#[tokio::test]
async fn who_has_gone_away_while_a_batch_is_parted_is_left_out() {
    let (store, mut asked) = a_batch(usize::MAX).await;
    store.backend.may_begin.add_permits(1);
    store.backend.has_begun(2).await;
    let damaged = asked.swap_remove(DAMAGED);
    let first = asked.swap_remove(0);
    for gone in asked {
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    go_on(&store);
    assert!(matches!(
        first.await.unwrap().unwrap(),
        HoldAnswer::Held { .. }
    ));
    let damaged = damaged.await.unwrap().unwrap_err();
    assert_eq!(damaged.kind(), StoreErrorKind::Corrupt);
    assert_eq!(*store.backend.begun.borrow(), 3);
    let other = store.balance(&org("other"), at(0), None).await.unwrap();
    assert_eq!(other.held, 1);
}
