//! A store and a limiter that fail on demand.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_core::clock::Clock;
use tollgate_core::error::StoreError;
use tollgate_core::reply::Reply;

mod accounts;
mod limiter;
mod news;
mod ports;

pub use crate::faults::limiter::FaultyLimiter;

/// Wraps a store, and does to each call what its [`Faults`] say.
#[derive(Debug)]
pub struct FaultyStore<S: ?Sized> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    faults: Faults,
    /// Where the store lives, if not with whoever calls it.
    runtime: Option<Handle>,
    under_way: UnderWay,
}

/// Says what goes wrong, and counts calls. Clones say the same.
///
/// ```
/// use std::sync::Arc;
///
/// use tollgate_core::id::OrgId;
/// use tollgate_core::memory::MemoryStore;
/// use tollgate_core::reply::Reply;
/// use tollgate_core::store::KeyStore;
/// use tollgate_testkit::clock::ManualClock;
/// use tollgate_testkit::faults::{Fault, FaultyStore, Operation};
///
/// let store = FaultyStore::new(MemoryStore::default(), Arc::new(ManualClock::new()));
/// let faults = store.faults();
/// faults.set(Operation::Keys, Fault::Fail);
/// let reply = store.organization(&OrgId::new("acme").unwrap());
/// assert!(matches!(reply, Reply::Now(Err(_))));
/// assert_eq!(faults.calls(Operation::Keys), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<Operation, Fault>,
    calls: BTreeMap<Operation, u64>,
    news: news::News,
}

/// A group of operations that fail together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Operation {
    /// Finding a key by its digest: the look-up of each request.
    Find,
    /// All else of keys and organizations, and their audit trail.
    Keys,
    /// Holding credits, and extending a hold.
    Hold,
    /// Settling, voiding and expiring holds.
    Settle,
    /// Granting credits, and reading a wallet.
    Wallet,
    /// Debiting quotas, and giving back.
    Quota,
    /// Writing and reading usage.
    Usage,
    /// Reading the change feed.
    Feed,
    /// Waiting to be told of changes. What waits already is not done to.
    Told,
    /// Writing and reading declarations.
    Catalog,
    /// Users and their sessions.
    Accounts,
    /// Taking units of rates, by a [`FaultyLimiter`].
    Rates,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Nothing is done, and the answer is an error, at once.
    Fail,
    /// Nothing is done, and there is no answer, ever.
    Hang,
    /// It is done, and answered, once this long has passed on the store's clock.
    Late(Duration),
    /// It is done, but the answer is an error: the connection broke just then.
    LoseReply,
}

impl Operation {
    /// All groups.
    pub const ALL: [Self; 12] = [
        Self::Find,
        Self::Keys,
        Self::Hold,
        Self::Settle,
        Self::Wallet,
        Self::Quota,
        Self::Usage,
        Self::Feed,
        Self::Told,
        Self::Catalog,
        Self::Accounts,
        Self::Rates,
    ];
}

impl Faults {
    /// Says what goes wrong with one group from now on.
    pub fn set(&self, operation: Operation, fault: Fault) {
        self.0.lock().faults.insert(operation, fault);
    }

    /// Says what goes wrong with every group from now on.
    pub fn set_all(&self, fault: Fault) {
        for operation in Operation::ALL {
            self.set(operation, fault);
        }
    }

    /// How often operations of a group were called, whatever came of it.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.0.lock().calls.get(&operation).copied().unwrap_or(0)
    }

    fn called(&self, operation: Operation) -> Fault {
        let state = &mut *self.0.lock();
        let calls = state.calls.entry(operation).or_default();
        *calls = calls.saturating_add(1);
        state.faults.get(&operation).copied().unwrap_or_default()
    }
}

impl<S: Send + Sync + 'static> FaultyStore<S> {
    /// Wraps a store with which nothing is wrong yet. The clock is for [`Fault::Late`].
    pub fn new(store: S, clock: Arc<dyn Clock>) -> Self {
        Self {
            store: Arc::new(store),
            clock,
            faults: Faults::default(),
            runtime: None,
            under_way: UnderWay::default(),
        }
    }
}

impl<S: Send + Sync + ?Sized + 'static> FaultyStore<S> {
    /// Wraps a store whose connections live on a runtime: each call of it is made there.
    #[must_use]
    pub fn elsewhere(store: Arc<S>, runtime: Option<Handle>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            faults: Faults::default(),
            runtime,
            under_way: UnderWay::default(),
        }
    }

    /// Calls the store where it lives, and nothing goes wrong.
    #[cfg(feature = "app")]
    pub(crate) fn spared<T: Send + 'static>(
        &self,
        call: impl FnOnce(&S) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        self.caller().call(call)
    }

    /// Waits until no call of a store that lives elsewhere is under way, and says whether none was
    /// from the first.
    pub async fn is_quiet(&self) -> bool {
        self.under_way.is_over().await
    }

    /// The handle that says what goes wrong.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The store itself, with which nothing goes wrong.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    fn caller(&self) -> Caller<S> {
        Caller {
            store: Arc::clone(&self.store),
            runtime: self.runtime.clone(),
            under_way: self.under_way.clone(),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        call: impl FnOnce(&S) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let store = self.caller();
        match self.faults.called(operation) {
            Fault::None => store.counted(call),
            Fault::Fail => Reply::failed(asked_for()),
            Fault::Hang => Reply::later(std::future::pending()),
            Fault::Late(delay) => {
                let asleep = self.clock.sleep(delay);
                Reply::later(async move {
                    asleep.await;
                    store.counted(call).await
                })
            }
            Fault::LoseReply => Reply::later(async move {
                let _lost = store.counted(call).await;
                Err(asked_for())
            }),
        }
    }
}

/// Calls a store where it lives.
struct Caller<S: ?Sized> {
    store: Arc<S>,
    runtime: Option<Handle>,
    under_way: UnderWay,
}

impl<S: Send + Sync + ?Sized + 'static> Caller<S> {
    fn counted<T: Send + 'static>(
        self,
        call: impl FnOnce(&S) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let one = self.runtime.is_some().then(|| self.under_way.begin());
        match self.call(call) {
            Reply::Later(reply) if one.is_some() => Reply::later(async move {
                let answer = reply.await;
                // Not before whoever asked is there to go on.
                drop(one);
                answer
            }),
            reply => reply,
        }
    }

    fn call<T: Send + 'static>(
        self,
        call: impl FnOnce(&S) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let Self { store, runtime, .. } = self;
        let Some(runtime) = runtime else {
            return call(&store);
        };
        let task = runtime.spawn(async move { call(&store).await });
        Reply::later(Given(task))
    }
}

/// A call that is given up with whoever waits for it.
struct Given<T>(JoinHandle<Result<T, StoreError>>);

impl<T> Future for Given<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(done.map_err(StoreError::unavailable).flatten())
    }
}

impl<T> Drop for Given<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many calls are under way.
#[derive(Clone, Debug, Default)]
struct UnderWay(watch::Sender<usize>);

/// One of them, until dropped.
struct One(UnderWay);

impl UnderWay {
    fn begin(&self) -> One {
        self.0.send_modify(|calls| *calls = calls.saturating_add(1));
        One(self.clone())
    }

    async fn is_over(&self) -> bool {
        let mut calls = self.0.subscribe();
        let was_quiet = *calls.borrow_and_update() == 0;
        // The sender is there as long as this is.
        let _ = calls.wait_for(|calls| *calls == 0).await;
        was_quiet
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0
            .0
            .send_modify(|calls| *calls = calls.saturating_sub(1));
    }
}

fn asked_for() -> StoreError {
    StoreError::unavailable(InjectedFault)
}

#[derive(Debug)]
struct InjectedFault;

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a test asked for this failure")
    }
}

impl Error for InjectedFault {}

#[cfg(test)]
mod tests {
    use tollgate_core::credits::{Grant, Ledger};
    use tollgate_core::error::StoreErrorKind;
    use tollgate_core::memory::MemoryStore;

    use super::*;
    use crate::clock::ManualClock;
    use crate::records::{at, change, org};

    fn faulty() -> (FaultyStore<MemoryStore>, ManualClock) {
        let clock = ManualClock::new();
        let store = FaultyStore::new(MemoryStore::default(), Arc::new(clock.clone()));
        (store, clock)
    }

    #[tokio::test]
    async fn a_failing_store_does_nothing() {
        let (store, _) = faulty();
        store.faults().set(Operation::Wallet, Fault::Fail);
        let error = store
            .grant(Grant::new(org("acme"), 5), change(0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let balance = store
            .store()
            .balance(&org("acme"), at(0), None)
            .await
            .unwrap();
        assert_eq!(balance.granted, 0);
    }

    #[tokio::test]
    async fn a_lost_reply_was_done() {
        let (store, _) = faulty();
        store.faults().set_all(Fault::LoseReply);
        assert!(
            store
                .grant(Grant::new(org("acme"), 5), change(0))
                .await
                .is_err()
        );
        store.faults().set_all(Fault::None);
        assert_eq!(
            store
                .balance(&org("acme"), at(0), None)
                .await
                .unwrap()
                .granted,
            5
        );
        assert_eq!(store.faults().calls(Operation::Wallet), 2);
        assert_eq!(store.faults().calls(Operation::Hold), 0);
    }

    #[tokio::test]
    async fn a_late_reply_waits_for_the_clock() {
        let (store, clock) = faulty();
        let delay = Duration::from_secs(3);
        store.faults().set(Operation::Wallet, Fault::Late(delay));
        let late = tokio::spawn(
            store
                .grant(Grant::new(org("acme"), 5), change(0))
                .into_future(),
        );
        tokio::task::yield_now().await;
        let balance = store
            .store()
            .balance(&org("acme"), at(0), None)
            .await
            .unwrap();
        assert!(!late.is_finished() && balance.granted == 0);
        clock.advance(delay);
        assert_eq!(late.await.unwrap().unwrap().granted, 5);
    }

    #[tokio::test]
    async fn a_hanging_store_never_answers() {
        let (store, clock) = faulty();
        store.faults().set(Operation::Wallet, Fault::Hang);
        let hung = tokio::spawn(store.balance(&org("acme"), at(0), None).into_future());
        clock.advance(Duration::from_secs(86_400));
        tokio::task::yield_now().await;
        assert!(!hung.is_finished());
    }
}
