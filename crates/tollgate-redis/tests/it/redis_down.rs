//! Redis goes away, or cannot count: decisions go on by each node's share, and come back.

use std::sync::mpsc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, advance, timeout};
use tollgate_core::clock::{Clock, SystemClock};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::rate::{Limiter, RateLimit, Take, Tally};
use tollgate_core::reply::Reply;
use tollgate_redis::{RedisLimiter, RedisOptions, WhenDown};
use tollgate_servers::{Lag, Redis};

use crate::{PATIENCE, acme, exact, order};

/// What the project asks for: without a restart, in at most so long, where the machine is never late.
const RECOVERY: Duration = Duration::from_secs(2);

/// A node. Its clock is the machine's, as in an app.
struct Node {
    limiter: RedisLimiter,
    clock: SystemClock,
}

impl Node {
    async fn open(options: RedisOptions) -> Self {
        Self {
            limiter: options.open().await.unwrap(),
            clock: SystemClock::default(),
        }
    }

    /// The same, once it is connected: on a busy machine that may be later than at the start.
    async fn counting(options: RedisOptions) -> Self {
        let this = Self::open(options).await;
        timeout(PATIENCE, this.limiter.recovered()).await.unwrap();
        this
    }

    fn ask(&self, limits: &[RateLimit]) -> Reply<Tally> {
        let subject = &acme();
        let take = Take {
            subject,
            limits,
            cost: 1,
            now: self.clock.now(),
        };
        self.limiter.take(&take)
    }

    async fn admitted(&self, limits: &[RateLimit], of: u32) -> u32 {
        let mut admitted = 0;
        for _ in 0..of {
            admitted += u32::from(self.ask(limits).await.unwrap().admitted);
        }
        admitted
    }

    async fn recovers(&self) {
        self.recovers_within(RECOVERY).await;
    }

    async fn recovers_within(&self, most: Duration) {
        let (lag, began) = (Lag::watch(), Instant::now());
        timeout(PATIENCE, self.limiter.recovered()).await.unwrap();
        let (took, late) = (began.elapsed(), lag.end());
        assert!(took <= most + 4 * late, "{took:?}, with {late:?}");
        assert!(!self.limiter.is_degraded());
    }
}

/// For tests in which Redis says what is wrong: a machine that is busy is late too.
fn patient(redis: &Redis) -> RedisOptions {
    RedisOptions::new(redis.url()).deadline(PATIENCE)
}

#[tokio::test]
async fn nodes_together_admit_n_and_while_it_is_down_the_nth_part_each() {
    let (redis, limits) = (Redis::start(), [exact(22, 3600)]);
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Node::open(patient(&redis).nodes(4)).await);
    }
    let mut together = 0;
    for _ in 0..10 {
        for node in &nodes {
            together += node.admitted(&limits, 1).await;
        }
    }
    assert_eq!(together, 22);
    redis.kill();
    for node in &nodes {
        // 22 / 4, rounded down: N + n·⌊N/n⌋ in the window in which it went.
        assert_eq!(node.admitted(&limits, 10).await, 5);
        assert!(node.limiter.is_degraded());
    }
    redis.restart();
    for node in &nodes {
        node.recovers().await;
    }
    // It has nothing in it: new windows, which all count in again.
    assert_eq!(nodes[0].admitted(&limits, 20).await, 20);
    assert_eq!(nodes[3].admitted(&limits, 20).await, 2);
    // A node that has had its share does not get another when Redis goes again.
    redis.kill();
    assert_eq!(nodes[1].admitted(&limits, 10).await, 0);
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_three_times_and_no_more() {
    let (redis, limits) = (Redis::start(), [exact(100_000, 3600)]);
    let options = RedisOptions::new(redis.url()).deadline(Duration::from_millis(40));
    let node = Node::counting(options).await;
    redis.pause();
    for late in [false, false, true] {
        let (lag, started) = (Lag::watch(), Instant::now());
        assert!(node.ask(&limits).await.unwrap().admitted);
        let (took, lag) = (started.elapsed(), lag.end());
        assert!(took >= Duration::from_millis(40), "{took:?}");
        // The crate underneath would wait for half a second.
        let most = Duration::from_millis(400) + lag;
        assert!(took < most, "{took:?}, with {lag:?}");
        assert_eq!(node.limiter.is_degraded(), late);
    }
    for _ in 0..1000 {
        let Reply::Now(answer) = node.ask(&limits) else {
            panic!("waits for a Redis that is down");
        };
        assert!(answer.unwrap().admitted);
    }
    redis.resume();
    node.recovers().await;
    assert!(node.ask(&limits).await.unwrap().admitted);
}

#[tokio::test]
async fn one_late_answer_is_no_reason_to_count_alone() {
    let (redis, limits) = (Redis::start(), [exact(100, 3600)]);
    let deadline = Duration::from_millis(40);
    let options = RedisOptions::new(redis.url()).deadline(deadline);
    let node = Node::counting(options).await;
    let still = Still::stand();
    for _ in 0..3 {
        for _ in 0..2 {
            redis.pause();
            let late = node.ask(&limits).into_future();
            let (tally, ()) = tokio::join!(late, advance(deadline + TICK));
            assert!(tally.unwrap().admitted);
            redis.resume();
        }
        // One in time, and those before are forgotten.
        assert!(node.ask(&limits).await.unwrap().admitted);
        assert!(!node.limiter.is_degraded());
    }
    still.end().await;
}

/// How fine tokio's timers are.
const TICK: Duration = Duration::from_millis(1);

/// Tokio's time, while nothing but the test moves it: else it goes on whenever nobody has anything to
/// do but to wait for a server.
struct Still {
    ends: mpsc::Sender<()>,
    stands: JoinHandle<()>,
}

impl Still {
    fn stand() -> Self {
        let (ends, ended) = mpsc::channel();
        // Time that stands still is not moved by the runtime while somebody blocks.
        let stands = spawn_blocking(move || ended.recv().unwrap());
        tokio::time::pause();
        Self { ends, stands }
    }

    async fn end(self) {
        tokio::time::resume();
        self.ends.send(()).unwrap();
        self.stands.await.unwrap();
    }
}

#[tokio::test]
async fn who_chose_so_is_refused_while_it_is_down() {
    let redis = Redis::start();
    let options = patient(&redis).when_down(WhenDown::Refuse);
    let node = Node::open(options.when_down_for("second", WhenDown::Share)).await;
    redis.kill();
    for limits in [&[exact(10, 60)][..], &[exact(10, 1), exact(10, 60)]] {
        let error = node.ask(limits).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "Redis is down, and `minute` is not counted without it"
        );
    }
    assert!(node.ask(&[exact(10, 1)]).await.unwrap().admitted);
    // Nothing to count needs no Redis.
    assert!(node.ask(&[]).await.unwrap().admitted);
}

#[tokio::test]
async fn a_redis_that_forgot_its_scripts_is_given_them_and_counts_on() {
    let (redis, limits) = (Redis::start(), [exact(5, 3600)]);
    let node = Node::open(patient(&redis).when_down(WhenDown::Refuse)).await;
    assert_eq!(node.admitted(&limits, 3).await, 3);
    for left in [1, 0] {
        order(&redis.url(), &["SCRIPT", "FLUSH"]).await;
        assert_eq!(node.ask(&limits).await.unwrap().windows[0].remaining, left);
    }
    assert!(!node.limiter.is_degraded());
}

#[tokio::test]
async fn a_redis_that_forgot_everything_begins_new_windows() {
    let (redis, limits) = (Redis::start(), [exact(5, 3600)]);
    let node = Node::open(patient(&redis).when_down(WhenDown::Refuse)).await;
    assert_eq!(node.admitted(&limits, 9).await, 5);
    order(&redis.url(), &["FLUSHALL"]).await;
    assert_eq!(node.admitted(&limits, 9).await, 5);
    assert!(!node.limiter.is_degraded());
}

#[tokio::test]
async fn a_redis_without_memory_is_down_until_it_has_some() {
    let (redis, limits) = (Redis::start(), [exact(8, 3600)]);
    let node = Node::open(patient(&redis).nodes(2)).await;
    assert_eq!(node.admitted(&limits, 3).await, 3);
    order(&redis.url(), &["CONFIG", "SET", "maxmemory", "1"]).await;
    // What was counted before the memory ran out is there again afterwards.
    assert_eq!(node.admitted(&limits, 9).await, 4);
    assert!(node.limiter.is_degraded());
    order(&redis.url(), &["CONFIG", "SET", "maxmemory", "0"]).await;
    node.recovers().await;
    assert_eq!(node.admitted(&limits, 9).await, 5);
}

#[tokio::test]
async fn a_replica_that_only_reads_is_down_until_it_is_promoted() {
    let (master, redis, limits) = (Redis::start(), Redis::start(), [exact(8, 3600)]);
    let node = Node::open(patient(&redis).nodes(2)).await;
    assert_eq!(node.admitted(&limits, 3).await, 3);
    let port = master.port().to_string();
    order(&redis.url(), &["REPLICAOF", "127.0.0.1", &port]).await;
    assert_eq!(node.admitted(&limits, 9).await, 4);
    assert!(node.limiter.is_degraded());
    // A replica at the start is waited for too.
    let late = Node::open(patient(&redis).nodes(2)).await;
    assert!(late.limiter.is_degraded());
    order(&redis.url(), &["REPLICAOF", "NO", "ONE"]).await;
    node.recovers().await;
    late.recovers().await;
}

#[tokio::test]
async fn a_redis_whose_clients_are_paused_is_down_until_they_go_on() {
    let (redis, limits) = (Redis::start(), [exact(1000, 3600)]);
    let node = Node::open(RedisOptions::new(redis.url())).await;
    // Whoever would end the pause is paused too.
    order(&redis.url(), &["CLIENT", "PAUSE", "3000", "ALL"]).await;
    assert_eq!(node.admitted(&limits, 10).await, 10);
    assert!(node.limiter.is_degraded());
    let pause = Duration::from_secs(3);
    node.recovers_within(pause + RECOVERY).await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_seen_to_break() {
    let redis = Redis::start();
    let node = Node::open(patient(&redis)).await;
    let (lag, killed) = (Lag::watch(), Instant::now());
    redis.kill();
    timeout(PATIENCE, async {
        while !node.limiter.is_degraded() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let (took, late) = (killed.elapsed(), lag.end());
    assert!(took <= 2 * RECOVERY + 4 * late, "{took:?}, with {late:?}");
    redis.restart();
    node.recovers().await;
}

#[tokio::test]
async fn the_last_clone_closes_the_connection() {
    let redis = Redis::start();
    let limiter = patient(&redis).open().await.unwrap();
    let names = async || format!("{:?}", order(&redis.url(), &["CLIENT", "LIST"]).await);
    let clone = limiter.clone();
    drop(limiter);
    tokio::task::yield_now().await;
    assert!(!clone.is_degraded());
    drop(clone);
    let connected = async || names().await.matches("cmd=evalsha").count();
    timeout(PATIENCE, async { while connected().await > 0 {} })
        .await
        .unwrap();
}
