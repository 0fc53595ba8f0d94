//! The stores, through their public interface.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::io::Write;

use tollgate_sqlx::{AnyOptions, AnyStore, PostgresOptions};

mod contention;
mod contracts;
#[cfg(unix)]
mod crash;
#[cfg(target_os = "linux")]
mod full_disk;
mod postgres;
#[cfg(unix)]
mod sqlite;

/// Writes a line past the test harness, which shows what is printed only where a test fails.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// A number from the environment, or this one.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Opens a database at a path, or at a URL of the tests' own server, which does not wait for its
/// disk.
async fn open(location: &str) -> AnyStore {
    let options = match AnyOptions::new(location) {
        AnyOptions::Postgres(_) => {
            let options = PostgresOptions::new(location);
            AnyOptions::Postgres(options.allow_lost_commits().by_the_callers_time())
        }
        sqlite => sqlite,
    };
    options.open().await.unwrap()
}
