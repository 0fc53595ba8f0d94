//! What PostgreSQL has beyond the contracts: a network, other nodes, and a server that may be down.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]

use std::sync::LazyLock;

use tollgate_core::clock::{Clock, Steady, SystemClock};
use tollgate_sqlx::{PostgresOptions, PostgresStore};

mod ambiguous;
mod clocks;
mod connections;
mod faults;
mod feed;
mod locks;
mod opening;
mod races;
mod usage;

/// Opens a database of the tests' own server, which does not wait for its disk, by the tests' own
/// time.
pub(crate) async fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions::new(url).allow_lost_commits();
    options.by_the_callers_time().open().await.unwrap()
}

fn steady() -> Steady {
    static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);
    CLOCK.now().steady
}
