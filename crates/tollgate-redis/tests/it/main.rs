//! The limiter on Redis, through its public interface. Every module needs a server.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tollgate_core::clock::{Moment, Steady, Timestamp};
use tollgate_core::id::OrgId;
use tollgate_core::rate::{RateLimit, Subject};
use tollgate_redis::RedisOptions;
use tollgate_servers::Redis;

mod redis_agrees;
mod redis_clock;
mod redis_contract;
mod redis_down;
mod redis_keys;
mod redis_nodes;
mod redis_start;

/// Longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The shared server, with names that nobody else has.
fn fresh() -> RedisOptions {
    static USED: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("test{}", USED.fetch_add(1, Ordering::Relaxed));
    RedisOptions::new(Redis::shared().url()).prefix(prefix)
}

fn acme() -> Subject {
    Subject::organization(OrgId::new("acme").unwrap())
}

fn smooth(units: u32, secs: u64) -> RateLimit {
    RateLimit::smooth(units, Duration::from_secs(secs)).unwrap()
}

fn exact(units: u32, secs: u64) -> RateLimit {
    RateLimit::exact(units, Duration::from_secs(secs)).unwrap()
}

fn at(micros: u64) -> Moment {
    Moment {
        wall: Timestamp::from_micros(i64::try_from(micros).unwrap()),
        steady: Steady::from_nanos(micros * 1000),
    }
}

/// Does what an operator does, past the limiter.
async fn order(url: &str, words: &[&str]) -> redis::Value {
    let (name, rest) = words.split_first().unwrap();
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let order = redis::cmd(name).arg(rest).to_owned();
    order.query_async(&mut connection).await.unwrap()
}
