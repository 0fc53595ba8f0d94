//! What is logged, at every level, by everybody.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use parking_lot::Mutex;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

thread_local! {
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What the threads on which sqlx works for any test have logged.
static BY_DATABASES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Keeps what is logged on this thread, if its test captures; each test has a thread.
struct ThisThread;

impl ThisThread {
    /// Whether anybody wants to know; else what is logged is not even written out.
    fn is_heard() -> bool {
        CAPTURED.with_borrow(Option::is_some) || Self::is_database()
    }

    fn is_database() -> bool {
        let current = std::thread::current();
        current.name().is_some_and(|name| name.starts_with("sqlx-"))
    }
}

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if Self::is_database() {
            BY_DATABASES.lock().extend_from_slice(bytes);
        }
        CAPTURED.with_borrow_mut(|captured| {
            if let Some(captured) = captured {
                captured.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Captures everything from now on. The subscriber is everybody's and stays: where one comes and
/// goes, others miss what is logged meanwhile, since whether a callsite is on is cached.
pub(crate) fn capture() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let lines = tracing_subscriber::fmt::layer()
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(|| ThisThread)
            .with_filter(dynamic_filter_fn(|_, _| ThisThread::is_heard()));
        tracing_subscriber::registry().with(lines).init();
    });
    CAPTURED.set(Some(Vec::new()));
}

pub(crate) fn captured() -> String {
    let bytes = CAPTURED.take().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What all databases have logged so far, those of other tests included.
pub(crate) fn by_databases() -> Vec<u8> {
    BY_DATABASES.lock().clone()
}
