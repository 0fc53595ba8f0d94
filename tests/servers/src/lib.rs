//! Throw-away servers for tests, benches and demos: a Postgres and a Redis that nobody has to set
//! up, and that leave nothing behind; and a [`Proxy`] that does to connections what networks do.
//! [`Lag`] tells how late the machine was meanwhile.
//!
//! Each is started on a free port of 127.0.0.1, with its data in a temporary folder, and is seen to
//! be its own before its URL is handed out. It stops when its value is dropped, or else with the
//! process, however that ends: a shell stands between, and stops it once the pipe from the process
//! is closed. Where the machine lacks a server, Debian's package is installed if that can be done;
//! else the test fails with a sentence that says how to get it, or how to leave such tests out.
//!
//! Tests that need a server have `postgres` or `redis` in their names, or in their modules'.
//! Linux is needed, for its `/proc`.
//!
//! ```no_run
//! let postgres = tollgate_servers::Postgres::shared();
//! let database = postgres.fresh();
//! let redis = tollgate_servers::Redis::start();
//! redis.kill();
//! redis.restart();
//! ```

mod install;
mod keeper;
mod lag;
mod postgres;
mod proxy;
mod redis;

pub use lag::Lag;
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use redis::Redis;

/// Ends a test that cannot have its server.
#[expect(clippy::panic, reason = "tests are told so, and nobody else uses this")]
fn stop(why: &str) -> ! {
    panic!("{why}")
}
