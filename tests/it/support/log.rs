//! What is logged, at every level, by everybody.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use parking_lot::Mutex;
use tracing_subscriber::fmt::format::FmtSpan;

thread_local! {
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What the threads on which sqlx works for any test have logged.
static BY_DATABASES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Keeps what is logged on this thread, if its test captures; each test has a thread.
struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_database = |name: &str| name.starts_with("sqlx-");
        if std::thread::current().name().is_some_and(is_database) {
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
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(|| ThisThread)
            .init();
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
