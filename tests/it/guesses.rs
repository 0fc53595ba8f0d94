//! Made-up keys that come faster than the store answers, and what else a stranger found.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::future::{FutureExt, join_all};
use http::Request;
use tollgate::access::{authenticated, public};
use tollgate::core::clock::Clock;
use tollgate::core::memory::MemoryStore;
use tollgate::core::rate::{Limiter, Take, Tally};
use tollgate::core::reply::Reply;
use tollgate::credential::Credentials;
use tollgate::{Catalog, Gate, GateService, Plan};
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Fault, Faults, FaultyStore, Operation};
use tower::ServiceExt;

use crate::support::{TestApp, unknown_secret};

/// An app in this process, asked by many at once from one address.
struct Crowd {
    clock: ManualClock,
    faults: Faults,
    service: GateService<Router>,
}

impl Crowd {
    async fn new() -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = FaultyStore::new(MemoryStore::default(), Arc::clone(&shared));
        let faults = store.faults();
        let catalog = Catalog::builder().plan(Plan::new("free")).build().unwrap();
        let gate = Gate::builder(catalog).store(store).clock(shared);
        let gate = gate.build().await.unwrap();
        let routes = gate.routes().get("/", async || "", authenticated());
        Self {
            clock,
            faults,
            service: routes.into_service().unwrap(),
        }
    }

    fn guess(&self) -> impl Future<Output = u16> + Send + 'static {
        let peer = SocketAddr::from(([192, 0, 2, 9], 4711));
        let request = Request::get("/").extension(ConnectInfo(peer));
        let request = request.header("x-api-key", unknown_secret());
        let answer = self
            .service
            .clone()
            .oneshot(request.body(Body::empty()).unwrap());
        answer.map(|answer| answer.unwrap().status().as_u16())
    }

    /// So many guesses at once, of a store that answers after a while; how often it was asked.
    async fn reads_of(&self, guesses: usize) -> u64 {
        let before = self.faults.calls(Operation::Find);
        let late = Fault::Late(Duration::from_millis(50));
        self.faults.set(Operation::Find, late);
        let guesses: Vec<_> = (0..guesses).map(|_| tokio::spawn(self.guess())).collect();
        while guesses.iter().any(|guess| !guess.is_finished()) {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.clock.advance(Duration::from_millis(1));
        }
        join_all(guesses).await;
        self.faults.calls(Operation::Find) - before
    }
}

#[tokio::test]
async fn guesses_that_come_before_the_first_is_answered_count_too() {
    let crowd = Crowd::new().await;
    let reads = crowd.reads_of(3000).await;
    assert!((250..=330).contains(&reads), "{reads}");
    // What refills in a fifth of a second is one, not as many as ask at once.
    crowd.clock.advance(Duration::from_millis(200));
    let reads = crowd.reads_of(500).await;
    assert!(reads <= 16, "{reads}");
}

#[tokio::test]
async fn guesses_whose_sender_hangs_up_count_too() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::Hang);
    for _ in 0..300 {
        assert_eq!(crowd.guess().now_or_never(), None);
    }
    crowd.faults.set(Operation::Find, Fault::None);
    // The reads go on until their deadline, and keep the turns that they have.
    for _ in 0..10 {
        crowd.clock.advance(Duration::from_millis(100));
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    // One second gives five failures back, and one look-up besides.
    let mut read = 0;
    for _ in 0..20 {
        read += usize::from(crowd.guess().await == 401);
    }
    assert_eq!(read, 6);
}

/// A closed runtime drops what is spawned on it at once.
#[test]
fn a_look_up_on_a_runtime_that_has_ended_returns() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
    let crowd = runtime.block_on(Crowd::new());
    crowd.faults.set(Operation::Find, Fault::Hang);
    let handle = runtime.handle().clone();
    drop(runtime);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _entered = handle.enter();
        tell.send(crowd.guess().now_or_never()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(10))
        .expect("the request does not wait for itself");
}

/// A limiter with a fault of its own.
#[derive(Debug)]
struct Panics;

impl Limiter for Panics {
    fn take(&self, _: &Take<'_>) -> Reply<Tally> {
        panic!("a limiter's own fault")
    }

    fn peek(&self, _: &Take<'_>) -> Reply<Tally> {
        Reply::ready(Tally {
            admitted: true,
            ..Tally::default()
        })
    }
}

#[tokio::test]
async fn a_panic_after_the_look_up_is_on_the_keys_record() {
    let app = TestApp::with(
        |builder| builder.limiter(Panics),
        |gate| gate.routes().get("/", async || "", authenticated()),
    )
    .await;
    let key = app.key("umbra", []).await;
    assert_eq!(app.get("/").key(&key).status().await, 500);
    app.gate.shutdown().await;
    assert_eq!(app.usage(&key).total_requests, 1);
}

#[tokio::test]
async fn no_cache_keeps_a_uri_that_had_a_key() {
    let places = Credentials::new().with_query_parameter("api_key").unwrap();
    let app = TestApp::with(
        |builder| builder.credentials(places),
        |gate| gate.routes().get("/", async || "", public()),
    )
    .await;
    let path = format!("/?api_key={}", unknown_secret());
    for path in [path.clone(), path.replacen('/', "/nowhere", 1)] {
        let answer = app.get(&path).send().await;
        assert_eq!(
            answer.headers["cache-control"], "private, no-store",
            "{path}"
        );
    }
}
