//! What a session sets for itself, and what a server has to be like.
//!
//! A server's defaults let a connection whose node is gone hold a wallet for hours. So each session
//! says how long a statement may take, how long a transaction may stand idle, and how soon a peer
//! that does not answer counts as gone.

use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use crate::open::OpenError;

macro_rules! settings {
    ($statement:literal, $idle:literal) => {
        concat!(
            "SET statement_timeout = '",
            $statement,
            "'; SET lock_timeout = '",
            $statement,
            "'; SET idle_in_transaction_session_timeout = '",
            $idle,
            "'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
             SET tcp_keepalives_count = 3; SET client_connection_check_interval = '1s'; \
             SET jit = off; SET TIME ZONE 'UTC'"
        )
    };
}

pub(super) const LOOKUPS: &str = settings!("10s", "5s");
/// A node that stops in the middle of a charge keeps the wallet from the others for so long.
///
/// A charge finds each row by its key. A planner that knows little of tables that have just been
/// made, or grew since, would rather read them from end to end.
pub(super) const CHARGES: &str = concat!(
    settings!("1s", "1s"),
    "; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_hashjoin = off; SET enable_mergejoin = off"
);
/// One that stops in the middle of a grant keeps the wallet too, and every change from the others.
pub(super) const CHANGES: &str = settings!("10s", "1s");

/// A migration takes the time that it takes, but waits for nobody who takes longer.
pub(super) const OPENING: &str = "SET lock_timeout = '10s'";

/// The oldest version that is tested.
const OLDEST: i32 = 150_000;

/// Refuses a server that is too old, or that would lose what it said is written.
pub(super) async fn check(
    connection: &mut PgConnection,
    shown: &str,
    may_lose: bool,
) -> Result<(), OpenError> {
    let refused = |error: sqlx::Error| {
        let message = format!("{shown} does not say how it is set up");
        OpenError::new(message).with_source(error)
    };
    let asked = "SELECT current_setting('server_version_num')::int4, \
         current_setting('server_version'), current_setting('fsync'), \
         current_setting('synchronous_commit'), current_setting('server_encoding'), \
         pg_is_in_recovery()";
    let row = connection.fetch_one(asked).await.map_err(refused)?;
    let text = |column: usize| row.try_get::<String, _>(column).map_err(refused);
    if row.try_get::<i32, _>(0).map_err(refused)? < OLDEST {
        let message = format!(
            "{shown} is PostgreSQL {}; 15 is the oldest that will do",
            text(1)?
        );
        return Err(OpenError::new(message));
    }
    if row.try_get::<bool, _>(5).map_err(refused)? {
        let message = format!("{shown} is a standby that cannot be written to; name the primary");
        return Err(OpenError::new(message));
    }
    if text(4)? != "UTF8" {
        let message = format!("{shown} is not in UTF-8; make one with `ENCODING 'UTF8'`");
        return Err(OpenError::new(message));
    }
    for (column, name) in [(2, "fsync"), (3, "synchronous_commit")] {
        if text(column)? == "off" && !may_lose {
            let message = format!(
                "{shown} runs with `{name} = off` and may lose charges that were made; turn it \
                 on, or allow lost commits"
            );
            return Err(OpenError::new(message));
        }
    }
    Ok(())
}
