//! Many nodes at full tilt, by the server's clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_core::rate::{Limiter, Take};
use tollgate_redis::{RedisLimiter, RedisOptions, WhenDown};
use tollgate_servers::Redis;

use crate::{acme, at, exact};

const UNITS: u32 = 300;
const WINDOW: Duration = Duration::from_secs(1);
const RUN: Duration = Duration::from_millis(3300);

/// When an admitted request was sent, and when its answer was there.
type Span = (Instant, Instant);

async fn hammer(limiter: RedisLimiter, until: Instant) -> Vec<Span> {
    let (subject, limits, mut spans) = (acme(), [exact(UNITS, 1)], Vec::new());
    while Instant::now() < until {
        let take = Take {
            subject: &subject,
            limits: &limits,
            cost: 1,
            now: at(0),
        };
        let sent = Instant::now();
        if limiter.take(&take).await.unwrap().admitted {
            spans.push((sent, Instant::now()));
        }
    }
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_admit_n_in_any_window_and_almost_n_in_each() {
    let redis = Arc::new(Redis::start());
    let mut limiters = Vec::new();
    for _ in 0..8 {
        let options = RedisOptions::new(redis.url()).when_down(WhenDown::Refuse);
        let options = options.deadline(Duration::from_secs(10));
        limiters.push(options.open().await.unwrap());
    }
    let until = Instant::now() + RUN;
    let each = limiters.iter().flat_map(|limiter| [limiter; 2]).cloned();
    let tasks: Vec<_> = each.map(|it| tokio::spawn(hammer(it, until))).collect();
    let mut spans = Vec::new();
    for task in tasks {
        spans.extend(task.await.unwrap());
    }
    for (start, _) in &spans {
        // What was surely counted in this window.
        let inside = |(sent, answered): &&Span| sent >= start && *answered < *start + WINDOW;
        let seen = spans.iter().filter(inside).count();
        assert!(
            seen <= usize::try_from(UNITS).unwrap(),
            "{seen} in a window"
        );
    }
    let all = u32::try_from(spans.len()).unwrap();
    assert!(all * 100 >= 3 * UNITS * 95, "{all} in {RUN:?}");
}
