//! The SQLite store, through its public interface.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contracts;
#[cfg(unix)]
mod sqlite;
