//! How late the machine is: what a test must not hold against those whom it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const TURN: Duration = Duration::from_millis(1);

/// A thread that does nothing but sleep, and that no runtime of this program holds up.
pub(super) struct Lag {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Lag {
    pub(super) fn watch() -> Self {
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
    pub(super) fn end(self) -> Duration {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
