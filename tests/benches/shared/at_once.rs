//! The same work, done by many at once, again and again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Does it once; each of those that are at it at once has a number.
pub(super) type Work = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What was measured, in one round.
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

pub(super) fn work<F, C>(once: F) -> Work
where
    F: Fn(usize) -> C + Send + Sync + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |task| Box::pin(once(task)))
}

/// As many at once as told do it again and again; how long each took.
pub(super) async fn measure(at_once: usize, time: Duration, once: Work) -> Measured {
    let started = Instant::now();
    let end = started + time;
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let once = Arc::clone(&once);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let began = Instant::now();
                    once(task).await;
                    times.push(began.elapsed().as_secs_f64() * 1e6);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let per_second = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Measured {
        per_second,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    }
}

/// The median of a figure.
pub(super) fn median(rounds: &[Measured], what: fn(&Measured) -> f64) -> f64 {
    let mut all: Vec<f64> = rounds.iter().map(what).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
