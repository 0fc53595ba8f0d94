//! One node: the threat-intel app, over the database and the Redis that it is told.
//!
//! It serves until its standard input ends, which it does with the process that started it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tollgate::access::scope;
use tollgate::core::accounts::Accounts;
use tollgate::core::clock::SystemClock;
use tollgate::{CacheSettings, Gate};
use tollgate_admin::SessionCookies;
use tollgate_examples::failure::Failure;
use tollgate_examples::interrupt::interrupted;
use tollgate_examples::tour::origin;
use tollgate_redis::{RedisLimiter, RedisOptions};

use crate::app::api::{self, Intel};
use crate::flags::{DATABASE, Flags, REDIS};
use crate::servers;

/// What a node prints before its address.
pub(crate) const LISTENING: &str = "listening on ";

/// A route of the cluster's own, since the app's plans have rates and no prices.
pub(crate) const REPORT: &str = "/api/v1/report";
pub(crate) const REPORT_CREDITS: u64 = 1;

/// What the gate waits for a database and for Redis: servers, nodes and whoever asks share the
/// processors of one machine, and one that is busy is no reason to give up.
const DEADLINE: Duration = Duration::from_secs(10);
/// In place of 50 ms, for the same reason. It is less than the gate waits, which would give up before
/// the limiter counts by itself.
const REDIS_DEADLINE: Duration = Duration::from_secs(5);

/// Serves until the standard input ends.
///
/// # Errors
///
/// A [`Failure`] where a server cannot be used.
pub(crate) async fn run(flags: &Flags) -> Result<(), Failure> {
    let missing = |what| Failure::new(format!("a node needs {what}"));
    let database = flags.database().ok_or_else(|| missing(DATABASE))?;
    let redis = flags.redis().ok_or_else(|| missing(REDIS))?;
    // Ctrl-C in a terminal is for every process there is. What ends a node is its standard input.
    let _ignored = interrupted()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let store = servers::open(database, flags.allow_lost_commits()).await?;
    let limiter = RedisOptions::new(redis)
        .prefix("tollgate-threat-intel")
        .nodes(flags.nodes().into())
        .deadline(REDIS_DEADLINE);
    let limiter = limiter.open().await?;
    let accounts = Accounts::new(Arc::new(store.clone()), Arc::new(SystemClock::default()));
    let people = SessionCookies::new(accounts).named(api::SESSION_COOKIE)?;
    let gate = api::configure(Gate::builder(api::catalog()?))
        .store(store.clone())
        .limiter(limiter.clone())
        .sessions(people)
        .cache(CacheSettings::new().with_deadline(DEADLINE))
        .charge_deadline(DEADLINE)
        .build()
        .await?;
    let served = serve(listener, &gate, &limiter).await;
    gate.shutdown().await;
    store.close().await;
    served
}

async fn serve(listener: TcpListener, gate: &Gate, limiter: &RedisLimiter) -> Result<(), Failure> {
    let price = scope("read:iocs").credits(REPORT_CREDITS);
    let app = api::routes(gate)
        .post(REPORT, async || "A report that costs a credit.\n", price)
        .with_state(Intel::samples(gate)?)
        .into_service()?;
    if limiter.is_degraded() {
        return Err(Failure::new("Redis does not answer")
            .with_remedy("start it, or name another one with `--redis`"));
    }
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "{LISTENING}{}", origin(address))?;
    let ended = async {
        let mut nothing = Vec::new();
        tokio::io::stdin().read_to_end(&mut nothing).await.ok();
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(ended);
    Ok(server.await?)
}
