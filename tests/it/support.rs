//! An app behind a gate, served over real HTTP, whose clock and stores the test holds.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tollgate::client_address::TrustedProxies;
use tollgate::core::change::Actor;
use tollgate::core::clock::Clock;
use tollgate::core::credits::{Balance, Ledger};
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::plan::Limits;
use tollgate::core::quota::{QuotaLimit, QuotaPeriod};
use tollgate::core::rate::RateLimit;
use tollgate::core::reply::Reply;
use tollgate::core::store::KeyStore;
use tollgate::core::usage::{UsageStore, UsageTotals};
use tollgate::{Catalog, Gate, GateBuilder, Plan, Routes, Scope};
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Faults, FaultyStore};

pub(crate) use self::call::{Answer, Call};
pub(crate) use self::door::Door;

mod call;
mod door;
pub(crate) mod log;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// The longest that a test waits for what happens by itself, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestApp {
    pub(crate) gate: Gate,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    pub(crate) store: Arc<FaultyStore<MemoryStore>>,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    server: JoinHandle<()>,
}

/// A key, and the one copy of its secret.
#[derive(Clone)]
pub(crate) struct TestKey {
    pub(crate) id: KeyId,
    pub(crate) secret: String,
}

/// Scopes are reserved, so that a test mounts no more routes than it needs.
pub(crate) fn catalog() -> Catalog {
    let scope = |name: &str| Scope::new(name).reserved();
    let exports = |units| Limits::new().with_rate(RateLimit::exact(units, MINUTE).unwrap());
    let daily = Limits::new().with_quota(QuotaLimit::new(3, QuotaPeriod::Day).unwrap());
    let narrow = Limits::new()
        .with_rate(RateLimit::smooth(100, MINUTE).unwrap())
        .with_in_flight(1);
    let free = Plan::new("free")
        .rank(0)
        .rate(RateLimit::smooth(5, MINUTE).unwrap())
        .rate(RateLimit::exact(50, HOUR).unwrap())
        .class("exports", exports(2))
        .class("daily", daily.clone())
        .class("narrow", narrow.clone());
    let pro = Plan::new("pro")
        .rank(1)
        .rate(RateLimit::smooth(60, MINUTE).unwrap())
        .quota(QuotaLimit::new(100_000, QuotaPeriod::Day).unwrap())
        .in_flight(32)
        .class("exports", exports(20))
        .class("daily", daily)
        .class("narrow", narrow)
        .credits_per_month(100)
        .feature("format.stix");
    Catalog::builder()
        .scope(scope("iocs:read"))
        .scope(scope("iocs:write").implies("iocs:read"))
        .scope(scope("ai:chat").requires_plan("pro"))
        .plan(free)
        .plan(pro)
        .build()
        .unwrap()
}

impl TestApp {
    pub(crate) async fn new(routes: impl FnOnce(&Gate) -> Routes) -> Self {
        Self::with(|builder| builder, routes).await
    }

    pub(crate) async fn with(
        configure: impl FnOnce(GateBuilder) -> GateBuilder,
        routes: impl FnOnce(&Gate) -> Routes,
    ) -> Self {
        Self::of(catalog(), configure, routes).await
    }

    /// An app of another catalog, which has the plans `free` and `pro`.
    pub(crate) async fn of(
        catalog: Catalog,
        configure: impl FnOnce(GateBuilder) -> GateBuilder,
        routes: impl FnOnce(&Gate) -> Routes,
    ) -> Self {
        Self::serve(catalog, configure, |gate, listener| {
            let service = routes(gate).into_service().unwrap();
            tokio::spawn(async move { axum::serve(listener, service).await.unwrap() })
        })
        .await
    }

    /// A bigger app, with the gate's routes somewhere inside.
    pub(crate) async fn inside(
        configure: impl FnOnce(GateBuilder) -> GateBuilder,
        router: impl FnOnce(&Gate) -> Router,
    ) -> Self {
        Self::serve(catalog(), configure, |gate, listener| {
            let app = router(gate).into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
        })
        .await
    }

    /// The gate trusts the loopback as a proxy, so that a call may come from any address.
    async fn serve(
        catalog: Catalog,
        configure: impl FnOnce(GateBuilder) -> GateBuilder,
        server: impl FnOnce(&Gate, TcpListener) -> JoinHandle<()>,
    ) -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = FaultyStore::new(MemoryStore::default(), Arc::clone(&shared));
        let store = Arc::new(store);
        let loopback = "127.0.0.1".parse().unwrap();
        let builder = Gate::builder(catalog)
            .shared_store(Arc::clone(&store))
            .clock(shared)
            .trusted_proxies(TrustedProxies::x_forwarded_for(loopback));
        let gate = configure(builder).build().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Self {
            server: server(&gate, listener),
            gate,
            clock,
            faults: store.faults(),
            store,
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        app.organization("acme", "free").await;
        app.organization("umbra", "pro").await;
        app
    }

    pub(crate) async fn organization(&self, name: &str, plan: &str) {
        let new = NewOrganization::new(org(name), plan);
        let keyring = self.gate.keyring();
        keyring.create_organization(new, &actor()).await.unwrap();
    }

    /// A key of an organization, with these scopes.
    pub(crate) async fn key<const N: usize>(
        &self,
        organization: &str,
        scopes: [&str; N],
    ) -> TestKey {
        self.key_with(organization, |key| key.scopes(scopes)).await
    }

    pub(crate) async fn key_with(
        &self,
        organization: &str,
        edit: impl FnOnce(NewKey) -> NewKey,
    ) -> TestKey {
        let new = edit(NewKey::new(org(organization), "a key"));
        let issued = self.gate.keyring().issue(new, &actor()).await.unwrap();
        TestKey {
            id: issued.key.id,
            secret: issued.secret.expose().to_owned(),
        }
    }

    pub(crate) async fn grant(&self, organization: &str, credits: u64) {
        let (organization, actor) = (org(organization), actor());
        let granted = self.gate.grant_credits(&organization, credits, &actor);
        granted.await.unwrap();
    }

    pub(crate) fn balance(&self, organization: &str) -> Balance {
        at_once(
            self.store
                .store()
                .balance(&org(organization), self.clock.now().wall, None),
        )
    }

    pub(crate) fn charged(&self, organization: &str) -> u64 {
        self.balance(organization).settled
    }

    pub(crate) fn usage(&self, key: &TestKey) -> UsageTotals {
        at_once(self.store.store().usage(&key.id))
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        let uri = format!("http://{}{path}", self.address);
        let request = Request::builder().method(method).uri(uri);
        Call {
            app: self,
            request: request.body(Full::default()).unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    /// A connection on which the test writes what it likes.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What all organizations hold together.
    fn held(&self) -> u64 {
        let organizations = at_once(self.store.store().organizations(None, 1000));
        let held = |id: &OrgId| self.balance(id.as_str()).held;
        organizations
            .iter()
            .map(|organization| held(&organization.id))
            .sum()
    }

    /// Waits until no hold is open; of an answered call none is, of a hung-up one soon.
    pub(crate) async fn settled(&self) {
        eventually("every hold has ended", async || self.held() == 0).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.server.abort();
        if std::thread::panicking() {
            return;
        }
        assert_eq!(self.held(), 0, "a hold is left open");
    }
}

pub(crate) fn org(name: &str) -> OrgId {
    OrgId::new(name).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor::system()
}

/// A secret that looks right, and that nobody was given.
pub(crate) fn unknown_secret() -> String {
    let format = KeyFormat::new(&catalog().keys().format);
    format.generate("live").unwrap().secret.expose().to_owned()
}

/// The answer of a store that never makes anybody wait.
fn at_once<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Now(answer) => answer.unwrap(),
        Reply::Later(_) => panic!("the memory store answers at once"),
    }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for what happens by itself.
pub(crate) async fn eventually(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    in_time(what, async {
        while !happened().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
