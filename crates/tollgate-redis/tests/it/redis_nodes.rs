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
/// A window is cut into sixty, in whole microseconds.
const SLOT: Duration = Duration::from_micros(16_667);
const RUN: Duration = Duration::from_millis(3300);
/// Longer than it takes any machine to ask for more than there is.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a request was sent, when its answer was there, and whether it was admitted.
#[derive(Clone, Copy)]
struct Asked {
    sent: Instant,
    answered: Instant,
    admitted: bool,
}

/// Asks for as long as the run takes, and until it was refused.
async fn hammer(limiter: RedisLimiter, began: Instant) -> Vec<Asked> {
    let (subject, limits, mut all) = (acme(), [exact(UNITS, 1)], Vec::new());
    let mut until = began + PATIENCE;
    while Instant::now() < until {
        let take = Take {
            subject: &subject,
            limits: &limits,
            cost: 1,
            now: at(0),
        };
        let sent = Instant::now();
        let admitted = limiter.take(&take).await.unwrap().admitted;
        if !admitted {
            until = began + RUN;
        }
        all.push(Asked {
            sent,
            answered: Instant::now(),
            admitted,
        });
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_admit_n_in_any_window_and_refuse_nobody_before() {
    let redis = Arc::new(Redis::start());
    let mut limiters = Vec::new();
    for _ in 0..8 {
        let options = RedisOptions::new(redis.url()).when_down(WhenDown::Refuse);
        let options = options.deadline(Duration::from_secs(10));
        limiters.push(options.open().await.unwrap());
    }
    let began = Instant::now();
    let each = limiters.iter().flat_map(|limiter| [limiter; 2]).cloned();
    let tasks: Vec<_> = each.map(|it| tokio::spawn(hammer(it, began))).collect();
    let mut asked = Vec::new();
    for task in tasks {
        asked.extend(task.await.unwrap());
    }
    let (admitted, refused): (Vec<Asked>, Vec<Asked>) = asked.iter().partition(|it| it.admitted);
    let units = usize::try_from(UNITS).unwrap();
    for first in &admitted {
        // What was surely counted in this window.
        let inside = |it: &&Asked| it.sent >= first.sent && it.answered < first.sent + WINDOW;
        let seen = admitted.iter().filter(inside).count();
        assert!(seen <= units, "{seen} in a window");
    }
    // Whoever is refused comes too late for all units, each of which is free again after a window
    // and the rest of its slot.
    let before = |it: &Asked| {
        let touches =
            |other: &&Asked| other.answered + WINDOW + SLOT >= it.sent && other.sent <= it.answered;
        admitted.iter().filter(touches).count()
    };
    let least = refused.iter().map(before).min();
    let least = least.expect("more was asked for than is admitted");
    assert!(least >= units, "refused after {least} of {UNITS}");
}
