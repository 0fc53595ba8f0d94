//! How many decisions a second the limiter on Redis makes.
//!
//! `cargo bench -p tollgate-tests --bench redis`. It starts a server of its own. Beside the
//! limiter, which decides about a smooth and an exact window, stands what one round trip costs
//! anybody: a script that returns 1, called by its hash on one connection of the same crate. All
//! take turns; `SECONDS=0.2` measures each for a shorter time, `ROUNDS=1` once.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate::core::clock::{Clock, SystemClock};
use tollgate::core::id::OrgId;
use tollgate::core::rate::{Limiter, RateLimit, Subject, Take};
use tollgate_redis::{RedisLimiter, RedisOptions, WhenDown};
use tollgate_servers::Redis;

const SECONDS: f64 = 1.0;
const ROUNDS: usize = 5;
const AT_ONCE: [usize; 3] = [1, 8, 64];
const RAW: &str = "one raw EVALSHA";

/// Decides once; each of those that are at it at once has a number.
type Decide = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

struct Row {
    name: &'static str,
    at_once: usize,
    decide: Decide,
    /// Decisions a second, in each round.
    rounds: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    }
}

fn main() {
    let seconds = std::env::var("SECONDS").map_or(SECONDS, |it| it.parse().unwrap());
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let redis = Redis::start();
    let ways = runtime.block_on(ways(&redis.url()));
    let mut rows: Vec<Row> = AT_ONCE
        .iter()
        .flat_map(|at_once| ways.iter().map(move |way| (*at_once, way)))
        .map(|(at_once, (name, decide))| Row {
            name,
            at_once,
            decide: Arc::clone(decide),
            rounds: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for row in &mut rows {
            let measured = measure(row.at_once, time, Arc::clone(&row.decide));
            row.rounds.push(runtime.block_on(measured));
        }
    }
    println!("### Rates of many nodes, on Redis\n");
    println!("| at once | | decisions/s | µs each | beside a raw EVALSHA |");
    println!("| ---: | --- | ---: | ---: | ---: |");
    for row in &rows {
        let raw = rows
            .iter()
            .find(|it| it.name == RAW && it.at_once == row.at_once);
        let (per_second, raw) = (row.median(), raw.unwrap().median());
        println!(
            "| {} | {} | {per_second:.0} | {:.1} | {:.2} |",
            row.at_once,
            row.name,
            1e6 / per_second,
            per_second / raw
        );
    }
    println!(
        "\nMedians of {rounds} rounds in turn, one connection each, on the server's machine.\n"
    );
}

async fn ways(url: &str) -> Vec<(&'static str, Decide)> {
    let client = redis::Client::open(url).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let script = redis::Script::new("return 1");
    script.load_async(&mut connection.clone()).await.unwrap();
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(1).arg("raw");
    let raw: Decide = Arc::new(move |_| {
        let (call, mut connection) = (call.clone(), connection.clone());
        Box::pin(async move {
            let one: i64 = call.query_async(&mut connection).await.unwrap();
            assert_eq!(one, 1);
        })
    });
    vec![
        (RAW, raw),
        ("smooth", limited(url, "smooth", vec![smooth()]).await),
        (
            "smooth and exact",
            limited(url, "both", vec![smooth(), exact()]).await,
        ),
    ]
}

fn smooth() -> RateLimit {
    RateLimit::smooth(1_000_000_000, Duration::from_secs(60)).unwrap()
}

/// Of a minute, so that it has as many slots as there have been seconds.
fn exact() -> RateLimit {
    RateLimit::exact(1_000_000_000, Duration::from_secs(60)).unwrap()
}

async fn limited(url: &str, prefix: &str, limits: Vec<RateLimit>) -> Decide {
    let options = RedisOptions::new(url)
        .prefix(prefix)
        .when_down(WhenDown::Refuse);
    let limiter: RedisLimiter = options
        .deadline(Duration::from_secs(10))
        .open()
        .await
        .unwrap();
    let (clock, limits) = (SystemClock::default(), Arc::new(limits));
    let subject = Subject::organization(OrgId::new("acme").unwrap());
    Arc::new(move |_| {
        let take = Take {
            subject: &subject,
            limits: &limits,
            cost: 1,
            now: clock.now(),
        };
        let reply = limiter.take(&take);
        Box::pin(async move { assert!(reply.await.unwrap().admitted) })
    })
}

/// As many at once as told decide again and again.
async fn measure(at_once: usize, time: Duration, decide: Decide) -> f64 {
    let started = Instant::now();
    let end = started + time;
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let decide = Arc::clone(&decide);
            tokio::spawn(async move {
                let mut decided = 0_u64;
                while Instant::now() < end {
                    decide(task).await;
                    decided += 1;
                }
                decided
            })
        })
        .collect();
    let mut decided = 0;
    for task in tasks {
        decided += task.await.unwrap();
    }
    decided as f64 / started.elapsed().as_secs_f64()
}
