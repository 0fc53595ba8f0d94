//! Whatever happens to the server or to the way there: every call ends by its deadline, as
//! unavailable and as nothing else; afterwards the same store works; nobody is charged twice, and
//! no answer belongs to another question.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tollgate_core::audit::AuditStore;
use tollgate_core::change::ChangeFeed;
use tollgate_core::clock::{Steady, SystemClock};
use tollgate_core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Settle};
use tollgate_core::deadline::within;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::HoldId;
use tollgate_core::quota::{DebitRequest, QuotaPeriod, QuotaStore};
use tollgate_core::rate::Subject;
use tollgate_core::reply::Reply;
use tollgate_core::store::KeyStore;
use tollgate_core::usage::{KeyUsage, UsageStore};
use tollgate_servers::{Lag, Postgres, Proxy};
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{
    api_key, at, change, digest, hold_request, key_id, org, organization,
};

use super::{open, steady};
use crate::say;

/// How long the gate waits for a look-up, and for everything else.
const LOOKUP: Duration = Duration::from_millis(500);
const OTHERS: Duration = Duration::from_secs(1);
/// How much later a deadline is noticed where the machine itself is never late.
const SLACK: Duration = Duration::from_millis(250);
/// How long each fault lasts: longer than any deadline.
const LASTS: Duration = Duration::from_millis(1_300);
/// How soon everything works again, there too.
const RECOVERS: Duration = Duration::from_secs(2);
/// So many answers in a row, of each kind of call, are what working is.
const WORKS: u64 = 20;
/// Longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_secs(20);
const KEYS: u8 = 200;
/// Four that look up, one that charges, three that count, two that manage, and one that listens.
const CONNECTIONS: u64 = 11;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The server's processes are stopped, and go on.
    Stopped,
    /// They are killed, and started anew.
    Killed,
    /// Connections are refused.
    Cut,
    /// Everything is lost on the way.
    BlackHole,
    /// The server has hung up, and nobody is told.
    HalfOpen,
    /// Each reply comes after the deadline.
    Late,
}

const FAULTS: [Fault; 6] = [
    Fault::Stopped,
    Fault::Killed,
    Fault::Cut,
    Fault::BlackHole,
    Fault::HalfOpen,
    Fault::Late,
];

/// What became of one kind of call.
#[derive(Debug, Default)]
struct Tally {
    answers: u64,
    failures: u64,
    /// Answers since the last failure, or since the fault was over.
    in_a_row: u64,
    last_failure: Option<Steady>,
    /// By how much a call was longer than its deadline.
    late: Duration,
}

/// A store that is asked all the time, and what it answers.
struct Stage {
    store: PostgresStore,
    clock: SystemClock,
    tallies: Mutex<BTreeMap<&'static str, Tally>>,
    ended: AtomicBool,
    charged: AtomicU64,
    granted: AtomicU64,
    numbers: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_in_time_and_the_store_works_again_by_itself() {
    let server = Arc::new(Postgres::start());
    let proxy = Proxy::before(server.port()).await;
    let url = server.url();
    let direct = open(&url).await;
    let stage = Stage::new(open(&proxy.url_for(&url)).await, &direct).await;
    let tasks = stage.ask_everything();
    for fault in FAULTS {
        stage.works().await;
        let lag = Lag::watch();
        stage.tallies.lock().clear();
        begin(fault, &server, &proxy).await;
        sleep(LASTS).await;
        end(fault, &server, &proxy).await;
        let over = steady();
        stage.works().await;
        stage.tell(fault, over, lag.end());
    }
    stage.ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let balance = direct.balance(&org("acme"), at(0), None).await.unwrap();
    let charged = stage.charged.load(Ordering::Relaxed);
    let granted = stage.granted.load(Ordering::Relaxed);
    say(&format!(
        "through all faults: {charged} credits charged, {granted} granted"
    ));
    assert_eq!(
        (balance.settled, balance.held, balance.granted),
        (charged, 0, granted)
    );
    // Connections that were given up on are gone at the server too.
    let count = format!(
        "SELECT count(*) <= {} FROM pg_stat_activity WHERE backend_type = 'client backend' \
         AND application_name = 'tollgate'",
        2 * CONNECTIONS
    );
    let began = steady();
    while server.query(&url, &count).unwrap().trim() != "t" {
        assert!(steady().since(began) < PATIENCE, "connections are left");
    }
}

async fn begin(fault: Fault, server: &Arc<Postgres>, proxy: &Proxy) {
    match fault {
        Fault::Stopped => on(server, Postgres::pause).await,
        Fault::Killed => on(server, Postgres::kill).await,
        Fault::Cut => proxy.cut(),
        Fault::BlackHole => proxy.black_hole(),
        Fault::HalfOpen => proxy.half_open(),
        Fault::Late => proxy.delay(OTHERS),
    }
}

async fn end(fault: Fault, server: &Arc<Postgres>, proxy: &Proxy) {
    match fault {
        Fault::Stopped => on(server, Postgres::resume).await,
        Fault::Killed => on(server, Postgres::restart).await,
        _ => proxy.pass(),
    }
}

/// Does something to the server that takes its time.
async fn on(server: &Arc<Postgres>, what: fn(&Postgres)) {
    let server = Arc::clone(server);
    spawn_blocking(move || what(&server)).await.unwrap();
}

impl Stage {
    async fn new(store: PostgresStore, direct: &PostgresStore) -> Arc<Self> {
        let acme = organization("acme");
        direct.insert_organization(acme, change(0)).await.unwrap();
        for n in 0..KEYS {
            let key = api_key(n.into(), "acme");
            direct.insert_key(key, digest(n), change(0)).await.unwrap();
        }
        let granted = 100_000_000;
        let grant = Grant::new(org("acme"), granted);
        direct.grant(grant, change(0)).await.unwrap();
        Arc::new(Self {
            store,
            clock: SystemClock::default(),
            tallies: Mutex::default(),
            ended: AtomicBool::new(false),
            charged: AtomicU64::new(0),
            granted: AtomicU64::new(granted),
            numbers: AtomicU64::new(0),
        })
    }

    fn ask_everything(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            tasks.push(tokio::spawn(Arc::clone(self).look_up()));
            tasks.push(tokio::spawn(Arc::clone(self).charge()));
        }
        tasks.push(tokio::spawn(Arc::clone(self).manage()));
        tasks.push(tokio::spawn(Arc::clone(self).count()));
        tasks.push(tokio::spawn(Arc::clone(self).read()));
        let listens = tokio::spawn(Arc::clone(self).listen());
        drop(listens);
        tasks
    }

    /// Asks within a deadline, and notes what came of it.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        deadline: Duration,
        reply: Reply<T>,
    ) -> Result<T, StoreError> {
        let began = steady();
        let answer = within(&self.clock, deadline, what, reply).await;
        let ended = steady();
        let mut tallies = self.tallies.lock();
        let tally = tallies.entry(what).or_default();
        tally.late = tally.late.max(ended.since(began).saturating_sub(deadline));
        match &answer {
            Err(error) if is_down(error) => {
                tally.failures += 1;
                tally.in_a_row = 0;
                tally.last_failure = Some(ended);
            }
            _ => {
                tally.answers += 1;
                tally.in_a_row += 1;
            }
        }
        answer
    }

    /// The same, again and again until there is an answer.
    async fn insist<T: Send + 'static>(
        &self,
        what: &'static str,
        deadline: Duration,
        reply: impl Fn() -> Reply<T>,
    ) -> Result<T, StoreError> {
        loop {
            match self.ask(what, deadline, reply()).await {
                Err(error) if is_down(&error) => sleep(Duration::from_millis(5)).await,
                answer => return answer,
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    async fn look_up(self: Arc<Self>) {
        while self.goes_on() {
            let n = fastrand::u8(..KEYS);
            let asked = || self.store.find(&digest(n));
            let found = self.insist("look-ups", LOOKUP, asked).await.unwrap();
            assert_eq!(found.unwrap().key.id, key_id(n.into()));
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn charge(self: Arc<Self>) {
        while self.goes_on() {
            let id = HoldId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
            let credits = fastrand::u64(1..=50);
            let request = HoldRequest {
                id,
                ..hold_request(0, "acme", credits, credits)
            };
            let asked = || self.store.hold(&request);
            let held = self.insist("holds", OTHERS, asked).await.unwrap();
            let HoldAnswer::Held { credits: held, .. } = held else {
                panic!("there are enough credits: {held:?}");
            };
            assert_eq!(held, credits);
            let settle = Settle {
                id,
                credits,
                at: at(1),
                outcome: None,
                parts: Vec::new(),
            };
            let asked = || self.store.settle(settle.clone());
            let settled = self.insist("settlements", OTHERS, asked).await.unwrap();
            assert_eq!(settled.charged(), credits);
            self.charged.fetch_add(credits, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn manage(self: Arc<Self>) {
        while self.goes_on() {
            let mut grant = Grant::new(org("acme"), 3);
            grant.reference = Some(format!("grant {}", self.number()));
            let asked = || self.store.grant(grant.clone(), change(0));
            self.insist("grants", OTHERS, asked).await.unwrap();
            self.granted.fetch_add(3, Ordering::Relaxed);
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn count(self: Arc<Self>) {
        let debit = || DebitRequest {
            subject: Subject::organization(org("acme")),
            period: QuotaPeriod::Day,
            start: at(0).start_of_day(),
            limit: 1_000_000,
            want: 1,
            at_least: 1,
        };
        let usage = || KeyUsage {
            key: key_id(1),
            last_used_at: at(0),
            last_address: None,
            with_old_secret: 0,
            counts: Vec::new(),
        };
        while self.goes_on() {
            let asked = || self.store.debit(debit());
            self.insist("quotas", OTHERS, asked).await.unwrap();
            let asked = || self.store.record_usage(vec![usage()]);
            self.insist("usage", OTHERS, asked).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn read(self: Arc<Self>) {
        while self.goes_on() {
            let asked = || self.store.newest();
            self.insist("reads", OTHERS, asked).await.unwrap();
            let asked = || self.store.audit_heads(None, 10);
            let heads = self.insist("reads", OTHERS, asked).await.unwrap();
            assert_eq!(heads.len(), 1);
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// It is told of the grants, or that it could not be told, whatever happens.
    async fn listen(self: Arc<Self>) {
        loop {
            self.store.told().await.unwrap();
            let mut tallies = self.tallies.lock();
            let tally = tallies.entry("told").or_default();
            tally.answers += 1;
            tally.in_a_row += 1;
        }
    }

    /// Waits until everything works.
    async fn works(&self) {
        let since = steady();
        for tally in self.tallies.lock().values_mut() {
            tally.in_a_row = 0;
        }
        loop {
            let all = {
                let tallies = self.tallies.lock();
                tallies.len() == 8 && tallies.values().all(|tally| tally.in_a_row >= WORKS)
            };
            if all {
                return;
            }
            let waited = steady().since(since);
            assert!(waited < PATIENCE, "{:#?}", self.tallies.lock());
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn tell(&self, fault: Fault, over: Steady, lag: Duration) {
        let tallies = self.tallies.lock();
        let mut told = Vec::new();
        for (what, tally) in &*tallies {
            let recovered = tally
                .last_failure
                .map_or(Duration::ZERO, |it| it.since(over));
            let of = format!("{fault:?}: {what}: {tally:?}, with {lag:?}");
            assert!(tally.late < SLACK + 4 * lag, "{of}");
            assert!(recovered < RECOVERS + 4 * lag, "{of}");
            let (answers, failures, late) = (tally.answers, tally.failures, tally.late);
            told.push(format!(
                "{what} {answers} ok, {failures} failed, {late:.0?} late, the last failure {recovered:.0?} after"
            ));
        }
        say(&format!(
            "{fault:?}: {}; the machine was {lag:.0?} late",
            told.join("; ")
        ));
    }
}

fn is_down(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Unavailable | StoreErrorKind::TimedOut
    )
}
