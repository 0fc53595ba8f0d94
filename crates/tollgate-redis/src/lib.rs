//! Tollgate's rates on Redis or Valkey: counted together by many nodes.
//!
//! [`RedisLimiter`] is the [`Limiter`] of an app that runs on several nodes. It decides as
//! [`LocalLimiter`] does, to the microsecond, but in one script on the server and by the server's
//! clock: one round trip for all windows of a request, smooth and exact, all consumed or none.
//!
//! ```no_run
//! use tollgate_redis::{RedisOptions, WhenDown};
//!
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = RedisOptions::new("redis://localhost:6379")
//!     .nodes(4)
//!     .when_down_for("hour", WhenDown::Refuse)
//!     .open()
//!     .await?;
//! // let gate = Gate::builder(catalog).store(store).limiter(limiter.clone()) …
//! assert!(!limiter.is_degraded());
//! # Ok(())
//! # }
//! ```
//!
//! It needs Redis or Valkey 7 or later, a server by itself or behind a failover; a cluster is not
//! connected to yet. Each subject is one key, `tollgate:rate:{org:acme}`, which leaves by itself
//! when all of its units are free, so the keys would do in a cluster.
//!
//! # While Redis is down
//!
//! A decision waits for Redis as long as the [deadline](RedisOptions::deadline) says, 50 ms unless
//! said otherwise. What happens without an answer is chosen for the limiter, and for a limit by
//! its name:
//!
//! - [`WhenDown::Share`], the default: each node admits ⌊N/n⌋ of a limit of N by itself, where n
//!   is the number of [nodes](RedisOptions::nodes). In a window in which Redis goes or comes back,
//!   up to N + n·⌊N/n⌋ ≤ 2N are admitted, and N more if it comes back empty. Where N < n there is
//!   no share, and a request that costs more than the share could never be admitted: both are
//!   refused as below.
//! - [`WhenDown::Refuse`]: the limiter has no answer, and a gate says 503.
//!
//! A connection that broke, an answer that Redis cannot decide now (loading, out of memory, a
//! replica that only reads), or three decisions in a row that came too late: then Redis is *down*,
//! and no request waits for it until a connection in the background could count again, which is
//! tried several times a second. Redis may be down when the app starts. A Redis that comes back
//! empty begins new windows; one that lost its last writes in a failover admits as many again.
//!
//! What came too late may have been counted by Redis after all, and is then counted twice.
//!
//! # Metrics
//!
//! | metric | labels |
//! | --- | --- |
//! | `tollgate_redis_up` | – (1, or 0 while nodes count by themselves) |
//! | `tollgate_redis_degraded_total` | `outcome`: `admitted`, `refused`, `unavailable`, of decisions without Redis |
//!
//! [`Limiter`]: tollgate_core::rate::Limiter
//! [`LocalLimiter`]: tollgate_core::rate::LocalLimiter
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub use limiter::RedisLimiter;
pub use location::OpenError;
pub use options::{RedisOptions, WhenDown};

mod failure;
mod limiter;
mod link;
mod location;
mod options;
mod script;
mod share;
