//! Servers that go away under load: what nodes answer meanwhile, how soon, and what was charged.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex as Shared;
use tokio::time::sleep;
use tollgate::core::clock::{Clock as _, SystemClock};
use tollgate::core::credits::Ledger as _;

use super::*;

/// By how much a deadline may be missed, where the machine itself is never late.
const SLACK: Duration = Duration::from_millis(50);
/// What waits for two servers, or twice for one, because they went away in the middle; where the
/// machine is never late.
const LONGEST: Duration = Duration::from_millis(2_500);
/// How soon everything works again, there too.
const RECOVERS: Duration = Duration::from_secs(2);
/// So many good answers in a row, of each kind of request, are what working is.
const WORKS: usize = 20;
/// So many requests of each kind begin and end while the servers are gone.
const WHOLE: usize = 3;
/// How long it is well before, and the pause before somebody asks again.
const CALM: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(4);

/// One kind of request, and how it is answered.
#[derive(Clone)]
pub(super) struct Asks {
    pub(super) what: &'static str,
    pub(super) node: Node,
    pub(super) path: &'static str,
    /// Of one task each.
    pub(super) keys: Vec<Key>,
    /// Whether it is not asked for before the servers are gone.
    pub(super) is_new: bool,
    /// When all is well, and while it is not.
    pub(super) well: u16,
    pub(super) meanwhile: u16,
    /// How long the node waits for a server, altogether.
    pub(super) deadline: Duration,
    /// How long one of them may take besides, where the machine is busy.
    pub(super) besides: Duration,
}

#[derive(Clone)]
pub(super) enum Key {
    Known(String),
    /// Another one each time, which nobody was given.
    Unknown,
}

/// What is done to servers, and undone.
pub(super) struct Outage<'a> {
    pub(super) what: &'a str,
    /// Longer than any deadline, and at least so long.
    pub(super) lasts: Duration,
}

/// The answers to one kind of request, as they came.
type Answers = Arc<Shared<Vec<Asked>>>;

/// Everybody who asks.
struct Load {
    answers: Vec<(Asks, Answers)>,
    ended: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn new() -> Self {
        Self {
            answers: Vec::new(),
            ended: Arc::default(),
            tasks: Vec::new(),
        }
    }

    fn begin(&mut self, asks: &Asks) {
        let answers = Answers::default();
        for key in asks.keys.clone() {
            let (asks, answers) = (asks.clone(), Arc::clone(&answers));
            let ended = Arc::clone(&self.ended);
            self.tasks.push(tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    let asked = asks.once(&key).await;
                    answers.lock().push(asked);
                    sleep(PAUSE).await;
                }
            }));
        }
        self.answers.push((asks.clone(), answers));
    }

    /// Waits until every kind of request is answered well, again and again.
    async fn works(&self, over: Instant) {
        let works = |(asks, answers): &(Asks, Answers)| {
            let answers = answers.lock();
            let good = answers.iter().rev().take_while(|it| it.began > over);
            good.take_while(|it| it.status == asks.well).count() >= WORKS
        };
        while !self.answers.iter().all(works) {
            let failing = self.answers.iter().find(|it| !works(it));
            let failing = failing.map(|(asks, _)| asks.what);
            assert!(over.elapsed() < PATIENCE, "{failing:?} never works again");
            sleep(PAUSE).await;
        }
    }

    /// Waits until some requests of each kind have begun and ended since.
    async fn is_asked(&self, down: Instant) {
        let asked = |(_, answers): &(Asks, Answers)| {
            let answers = answers.lock();
            answers.iter().filter(|it| it.began >= down).count() >= WHOLE
        };
        while !self.answers.iter().all(asked) {
            assert!(down.elapsed() < PATIENCE, "nobody is answered");
            sleep(PAUSE).await;
        }
    }

    async fn end(self) -> Vec<(Asks, Vec<Asked>)> {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let answers = self.answers.into_iter();
        answers
            .map(|(asks, answers)| (asks, std::mem::take(&mut *answers.lock())))
            .collect()
    }
}

impl Asks {
    async fn once(&self, key: &Key) -> Asked {
        let key = match key {
            Key::Known(key) => key.clone(),
            Key::Unknown => unknown_secret(),
        };
        let began = Instant::now();
        let status = self.node.status(self.path, &key).await;
        Asked {
            began,
            ended: Instant::now(),
            status,
        }
    }
}

impl Outage<'_> {
    /// Goes through it under this load. Says how requests of each path were answered.
    pub(super) async fn survive(
        &self,
        asks: &[Asks],
        begin: impl AsyncFnOnce(),
        end: impl AsyncFnOnce(),
    ) -> Tally {
        let lag = Lag::watch();
        let mut load = Load::new();
        for asks in asks.iter().filter(|asks| !asks.is_new) {
            load.begin(asks);
        }
        sleep(CALM).await;
        begin().await;
        let down = Instant::now();
        for asks in asks.iter().filter(|asks| asks.is_new) {
            load.begin(asks);
        }
        sleep(self.lasts).await;
        load.is_asked(down).await;
        let until = Instant::now();
        end().await;
        let over = Instant::now();
        load.works(over).await;
        let mut tally = Tally::default();
        let mut told = Vec::new();
        let answers = load.end().await;
        let lag = lag.end();
        for (asks, answers) in answers {
            told.push(self.judge(&asks, &answers, (down, until, over), lag));
            for it in answers {
                tally.count(asks.path, it.status);
            }
        }
        let told = told.join("; ");
        say(&format!(
            "{}: {told}; the machine was {lag:.2?} late",
            self.what
        ));
        tally
    }

    fn judge(
        &self,
        asks: &Asks,
        answers: &[Asked],
        (down, until, over): (Instant, Instant, Instant),
        lag: Duration,
    ) -> String {
        let of = format!("{}: {}", self.what, asks.what);
        // Whoever was under way when it began or ended may have either answer, and none but these.
        for it in answers {
            assert!(
                [asks.well, asks.meanwhile, 503].contains(&it.status),
                "{of}: {}",
                it.status
            );
        }
        let meanwhile: Vec<&Asked> = answers
            .iter()
            .filter(|it| it.began >= down && it.ended <= until)
            .collect();
        assert!(meanwhile.len() >= WHOLE, "{of}: nothing was asked");
        for it in &meanwhile {
            assert_eq!(it.status, asks.meanwhile, "{of}");
        }
        let mut took: Vec<Duration> = meanwhile.iter().map(|it| it.ended - it.began).collect();
        took.sort_unstable();
        let (half, slowest) = (took[took.len() / 2], took[took.len() - 1]);
        let all = answers.iter().map(|it| it.ended - it.began);
        let slowest_of_all = all.max().unwrap_or_default();
        let most = asks.deadline + SLACK;
        assert!(
            half <= most + lag,
            "{of}: half took {half:.0?}, with {lag:.0?}"
        );
        // A node, a server and a client each wake up late on a machine that is late.
        let late = 4 * lag;
        assert!(
            slowest <= most + asks.besides + late,
            "{of}: one took {slowest:.0?}, with {lag:.0?}"
        );
        assert!(
            slowest_of_all <= LONGEST + late,
            "{of}: one took {slowest_of_all:.0?}, with {lag:.0?}"
        );
        let failed = answers.iter().filter(|it| it.status != asks.well);
        let last = failed.map(|it| it.ended.saturating_duration_since(over));
        let recovered = last.max().unwrap_or_default();
        assert!(
            recovered <= RECOVERS + late,
            "{of}: works again after {recovered:.0?}, with {lag:.0?}"
        );
        format!(
            "{}: {} x {} within {half:.2?} (half), {slowest:.2?} (all); well after {recovered:.0?}",
            asks.what,
            took.len(),
            asks.meanwhile,
        )
    }
}

/// How often requests of each path got each status.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<(&'static str, u16), u64>);

impl Tally {
    fn count(&mut self, path: &'static str, status: u16) {
        *self.0.entry((path, status)).or_default() += 1;
    }

    pub(super) fn of(&self, path: &'static str, status: u16) -> u64 {
        self.0.get(&(path, status)).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (of, count) in &other.0 {
            *self.0.entry(*of).or_default() += count;
        }
    }
}

/// A route of an app under test, and how often its handler ran.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<AtomicU64>);

impl Runs {
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the books say of a route: how many charges, of how many holds, of how many credits.
pub(super) fn charges(server: &Postgres, url: &str, route: &str) -> (u64, u64, u64) {
    let row = server.query(
        url,
        &format!(
            "SELECT count(*), count(DISTINCT hold_id), coalesce(sum(-credits), 0) \
             FROM tollgate_entries WHERE kind = 'charge' AND route = '{route}'"
        ),
    );
    let row = row.unwrap();
    let mut numbers = row.trim().split('|').map(|it| it.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    (next(), next(), next())
}

/// Sees that no more is held than a node may have been unable to end, a credit each; that nothing is
/// once the sweeper has ended it; and that no more was charged than was granted; says what was.
pub(super) async fn settled(store: &PostgresStore, of: &OrgId, unended: u64) -> u64 {
    let now = SystemClock::default().now().wall;
    let balance = store.balance(of, now, None).await.unwrap();
    assert!(balance.held <= unended, "{unended} at most: {balance:?}");
    let all_are_over = now.after(Duration::from_secs(3600));
    store.expire(all_are_over, 1_000).await.unwrap();
    let balance = store.balance(of, now, None).await.unwrap();
    assert_eq!(balance.held, 0, "{balance:?}");
    assert!(balance.granted >= balance.settled, "{balance:?}");
    balance.settled
}
