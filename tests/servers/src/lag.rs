//! How late the machine is: what a test must not hold against those whom it measures.
#![expect(clippy::disallowed_methods, reason = "it measures the machine")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::stop;

const TURN: Duration = Duration::from_millis(1);

/// A thread that does nothing but sleep, and that no runtime of this program holds up.
#[derive(Debug)]
#[must_use = "it tells how late the machine was when it ends"]
pub struct Lag {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Lag {
    /// Begins to watch.
    pub fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut latest = Duration::ZERO;
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(TURN);
                latest = latest.max(began.elapsed().saturating_sub(TURN));
            }
            latest
        });
        Self { ended, thread }
    }

    /// By how much it woke up too late, at most.
    #[must_use]
    pub fn end(self) -> Duration {
        self.ended.store(true, Ordering::Relaxed);
        let Ok(latest) = self.thread.join() else {
            stop("the thread that measures how late the machine is has panicked")
        };
        latest
    }
}
