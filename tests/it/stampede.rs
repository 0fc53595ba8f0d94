//! Ten thousand requests with one key that is not cached read it once, whatever comes of the read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, Response};
use tollgate::access::authenticated;
use tollgate::core::clock::Clock;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::{Catalog, Gate, GateService, Plan};
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::{Fault, Faults, FaultyStore, Operation};
use tower::ServiceExt;

use super::support::{actor, org, unknown_secret};

const CROWD: usize = 10_000;
const DEADLINE: Duration = Duration::from_millis(500);

struct Crowd {
    clock: ManualClock,
    faults: Faults,
    service: GateService<axum::Router>,
    secret: String,
    _gate: Gate,
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
        let (keys, actor) = (gate.keyring(), actor());
        let acme = NewOrganization::new(org("acme"), "free");
        keys.create_organization(acme, &actor).await.unwrap();
        let issued = keys.issue(NewKey::new(org("acme"), "k"), &actor).await;
        // The feed tells the gate of its own changes too, and what is told makes a read doubtful.
        stand_still().await;
        clock.advance(DEADLINE);
        stand_still().await;
        let routes = gate.routes().get("/", async || "", authenticated());
        Self {
            clock,
            faults,
            service: routes.into_service().unwrap(),
            secret: issued.unwrap().secret.expose().to_owned(),
            _gate: gate,
        }
    }

    fn ask(&self, secret: &str) -> impl Future<Output = u16> + Send + 'static {
        let request = Request::get("/").header("x-api-key", secret);
        let request = request.body(Body::empty()).unwrap();
        let answer = self.service.clone().oneshot(request);
        async {
            answer
                .await
                .map(|answer: Response<Body>| answer.status().as_u16())
                .unwrap()
        }
    }

    /// Starts so many requests with the key, and waits until each stands still.
    async fn start(&self, requests: usize) -> Vec<tokio::task::JoinHandle<u16>> {
        let started = (0..requests).map(|_| tokio::spawn(self.ask(&self.secret)));
        let started = started.collect();
        stand_still().await;
        started
    }

    fn reads(&self) -> u64 {
        self.faults.calls(Operation::Find)
    }
}

/// Lets the others go on, each a few times.
async fn stand_still() {
    for _ in 0..CROWD {
        tokio::task::yield_now().await;
    }
}

async fn all(answers: Vec<tokio::task::JoinHandle<u16>>, status: u16) {
    for answer in join_all(answers).await {
        assert_eq!(answer.unwrap(), status);
    }
}

#[tokio::test]
async fn a_slow_read_is_shared() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::Late(DEADLINE / 2));
    let answers = crowd.start(CROWD).await;
    assert_eq!(crowd.reads(), 1);
    crowd.clock.advance(DEADLINE / 2);
    all(answers, 200).await;
    assert_eq!(crowd.ask(&crowd.secret).await, 200);
    assert_eq!(crowd.reads(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_and_not_remembered() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::LoseReply);
    let crowd_of = (0..CROWD).map(|_| crowd.ask(&crowd.secret));
    let answers = join_all(crowd_of).await;
    assert!(answers.iter().all(|status| *status == 503));
    assert_eq!(crowd.reads(), 1);
    crowd.faults.set(Operation::Find, Fault::None);
    assert_eq!(crowd.ask(&crowd.secret).await, 200);
}

#[tokio::test]
async fn a_read_that_hangs_ends_at_its_deadline_for_all() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::Hang);
    let answers = crowd.start(CROWD).await;
    assert_eq!(crowd.reads(), 1);
    crowd.clock.advance(DEADLINE);
    all(answers, 503).await;
    crowd.faults.set(Operation::Find, Fault::None);
    assert_eq!(crowd.ask(&crowd.secret).await, 200);
    assert_eq!(crowd.reads(), 2);
}

#[tokio::test]
async fn whoever_began_a_read_may_hang_up() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::Late(DEADLINE / 2));
    let mut leader = crowd.start(1).await;
    let mut answers = crowd.start(CROWD).await;
    leader.remove(0).abort();
    for hung_up in answers.drain(..CROWD / 2) {
        hung_up.abort();
    }
    stand_still().await;
    crowd.clock.advance(DEADLINE / 2);
    all(answers, 200).await;
    assert_eq!(crowd.reads(), 1);
}

#[tokio::test]
async fn a_read_that_everybody_left_is_there_for_the_next() {
    let crowd = Crowd::new().await;
    crowd.faults.set(Operation::Find, Fault::Late(DEADLINE / 2));
    for hung_up in crowd.start(CROWD).await {
        hung_up.abort();
    }
    stand_still().await;
    let next = crowd.start(1).await;
    crowd.clock.advance(DEADLINE / 2);
    all(next, 200).await;
    assert_eq!(crowd.reads(), 1);
}

#[tokio::test]
async fn made_up_keys_wait_for_their_turn_and_known_ones_do_not() {
    let crowd = Crowd::new().await;
    assert_eq!(crowd.ask(&crowd.secret).await, 200);
    crowd.clock.advance(Duration::from_secs(10));
    let before = crowd.reads();
    crowd.faults.set(Operation::Find, Fault::Hang);
    let made_up = (0..200).map(|_| tokio::spawn(crowd.ask(&unknown_secret())));
    let made_up: Vec<_> = made_up.collect();
    stand_still().await;
    assert_eq!(crowd.reads() - before, 64);
    crowd.faults.set(Operation::Find, Fault::None);
    assert_eq!(
        crowd.ask(&crowd.secret).await,
        200,
        "it is known, if not fresh"
    );
    assert_eq!(crowd.reads() - before, 65);
    crowd.faults.set(Operation::Find, Fault::Hang);
    crowd.clock.advance(DEADLINE);
    all(made_up, 503).await;
    crowd.faults.set(Operation::Find, Fault::None);
    assert_eq!(
        crowd.ask(&unknown_secret()).await,
        401,
        "the turns are given back"
    );
}
