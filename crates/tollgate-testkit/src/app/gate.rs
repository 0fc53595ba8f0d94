//! A gate in memory, or over another store, with one clock.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tollgate::{Catalog, Gate, GateBuilder};
use tollgate_core::accounts::Accounts;
use tollgate_core::change::Actor;
use tollgate_core::clock::Clock;
use tollgate_core::credits::{Balance, Entry};
use tollgate_core::id::OrgId;
use tollgate_core::memory::MemoryStore;
use tollgate_core::rate::LocalLimiter;
use tollgate_core::record::ApiKey;
use tollgate_core::reply::Reply;
use tollgate_core::store::Store;
use tower::Service;

use crate::app::call::TestApp;
use crate::app::consumed::Counting;
use crate::app::leaks::Watch;
use crate::app::makers::{NewTestKey, NewTestOrganization, NewTestSession, TestKey};
use crate::clock::ManualClock;
use crate::faults::{Faults, FaultyLimiter, FaultyStore};
use crate::records::org;

/// How often tasks in the background get a turn after a call, or when the clock has moved.
const TURNS: usize = 32;

/// A gate in memory whose clock stands still until the test moves it. Clones share everything;
/// the last one checks on drop that no hold is open and that no secret was logged.
#[derive(Clone, Debug)]
pub struct TestGate(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) gate: Gate,
    pub(super) clock: ManualClock,
    pub(super) store: Arc<FaultyStore<dyn Store>>,
    pub(super) watch: Watch,
}

/// A [`TestGate`] that is being put together, for apps whose sessions need its store first.
#[derive(Debug)]
#[must_use = "build it"]
pub struct TestGateBuilder {
    builder: GateBuilder,
    clock: ManualClock,
    store: Arc<FaultyStore<dyn Store>>,
}

impl TestGate {
    /// A gate of this catalog.
    pub async fn new(catalog: Catalog) -> Self {
        Self::builder(catalog).build().await
    }

    /// A gate of this catalog, set up as the app's own is: give it the app's own function.
    pub async fn with(
        catalog: Catalog,
        configure: impl FnOnce(GateBuilder) -> GateBuilder,
    ) -> Self {
        Self::builder(catalog).configure(configure).build().await
    }

    /// Starts to put a gate together.
    pub fn builder(catalog: Catalog) -> TestGateBuilder {
        let clock = ManualClock::new();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let store = FaultyStore::elsewhere(store, None, Arc::new(clock.clone()));
        TestGateBuilder {
            builder: Gate::builder(catalog),
            clock,
            store: Arc::new(store),
        }
    }

    /// The gate, to declare routes with and to manage keys.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The one clock.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.0.clock
    }

    /// Says what goes wrong with the store, the ledger and the limiter.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.0.store.faults()
    }

    /// Calls this app, which is behind the gate.
    pub fn app<S>(&self, service: S) -> TestApp
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: std::fmt::Debug,
        S::Future: Send,
    {
        TestApp::new(self.clone(), service)
    }

    /// Moves the clock, and lets what has waited for it go on.
    pub async fn advance(&self, time: Duration) {
        self.0.clock.advance(time);
        take_turns(&self.0.store).await;
    }

    /// A new organization, on the catalog's highest plan unless said otherwise.
    pub fn organization(&self, id: &str) -> NewTestOrganization<'_> {
        NewTestOrganization::new(self, id)
    }

    /// A new key of an organization, without scopes unless said otherwise.
    pub fn key(&self, organization: &str) -> NewTestKey<'_> {
        NewTestKey::new(self, organization)
    }

    /// A key that was made in another way: by the app, or over its management routes.
    #[must_use]
    pub fn adopt(&self, key: ApiKey, secret: &str) -> TestKey {
        TestKey::new(self, key, secret)
    }

    /// Signs somebody in, who is made if need be. The app's gate needs the sessions of
    /// [`accounts`](Self::accounts).
    pub fn session(&self, email: &str) -> NewTestSession<'_> {
        NewTestSession::new(self, email)
    }

    /// Users and sessions, in the gate's store.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        accounts(&self.0.store, &self.0.clock)
    }

    /// An organization's wallet as it is now, without a look at the allowance of its plan.
    #[must_use]
    pub fn balance(&self, organization: &str) -> Balance {
        let now = self.0.clock.now().wall;
        at_once(self.0.store.spared({
            let organization = org(organization);
            move |store| store.balance(&organization, now, None)
        }))
    }

    /// The newest lines of an organization's books, the newest first.
    pub(super) fn entries(&self, organization: &OrgId) -> Vec<Entry> {
        at_once(self.0.store.spared({
            let organization = organization.clone();
            move |store| store.entries(&organization, None, 1_000)
        }))
    }
}

impl TestGateBuilder {
    /// Sets the gate up as the app does: errors, credentials, headers, sessions. A store, a clock
    /// or a limiter that is named here gives way to the kit's.
    pub fn configure(mut self, configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        self.builder = configure(self.builder);
        self
    }

    /// Over an empty store in place of memory; name it before anything is made of the builder.
    ///
    /// Its connections live on this runtime, which is not the test's own: the kit may wait for an
    /// answer without letting the test's runtime go on.
    pub fn store(mut self, store: impl Store, runtime: Handle) -> Self {
        let clock = Arc::new(self.clock.clone());
        let store: Arc<dyn Store> = Arc::new(store);
        self.store = Arc::new(FaultyStore::elsewhere(store, Some(runtime), clock));
        self
    }

    /// Over the store and the clock of another gate, as the next version of an app is.
    pub fn over(mut self, other: &TestGate) -> Self {
        self.clock = other.0.clock.clone();
        self.store = Arc::clone(&other.0.store);
        self
    }

    /// Users and sessions, in the store of the gate that is to be.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        accounts(&self.store, &self.clock)
    }

    /// Builds the gate.
    pub async fn build(self) -> TestGate {
        let watch = Watch::begin();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let faults = self.store.faults();
        let limiter = FaultyLimiter::new(LocalLimiter::new(), Arc::clone(&clock), faults);
        let builder = self
            .builder
            .shared_store(Arc::clone(&self.store))
            .limiter(Counting(limiter))
            .clock(clock);
        TestGate(Arc::new(Inner {
            gate: builder.build().await.unwrap(),
            clock: self.clock,
            store: self.store,
            watch,
        }))
    }
}

fn accounts(store: &Arc<FaultyStore<dyn Store>>, clock: &ManualClock) -> Accounts {
    let store: Arc<FaultyStore<dyn Store>> = Arc::clone(store);
    Accounts::new(store, Arc::new(clock.clone()))
}

impl Inner {
    /// What all organizations hold together.
    fn held(&self) -> u64 {
        let (store, now) = (&self.store, self.clock.now().wall);
        let (mut all, mut after) = (0_u64, None);
        loop {
            let page = at_once(store.spared(move |it| it.organizations(after, 1_000)));
            for organization in &page {
                let id = organization.id.clone();
                let wallet = at_once(store.spared(move |it| it.balance(&id, now, None)));
                all = all.saturating_add(wallet.held);
            }
            after = page.into_iter().next_back().map(|last| last.id);
            if after.is_none() {
                return all;
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let held = self.held();
        assert!(
            held == 0,
            "{held} credits are still held: a request has neither been answered nor dropped"
        );
        if let Some(leak) = self.watch.logged() {
            panic!("{leak}");
        }
    }
}

/// What a test does as.
pub(super) fn actor() -> Actor {
    Actor::named("test")
}

/// Lets what goes on in the background go on.
pub(super) async fn take_turns(store: &FaultyStore<dyn Store>) {
    loop {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        if store.is_quiet().await {
            return;
        }
    }
}

/// The answer of a store that makes nobody wait, or that lives on a runtime of its own.
pub(super) fn at_once<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Now(answer) => answer.unwrap(),
        Reply::Later(answer) => wait(answer).unwrap(),
    }
}

/// Waits for what goes on elsewhere, with this whole thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // A test that has had its turns would be asked to wait for the next, which never comes here.
    let mut future = pin!(unconstrained(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}
