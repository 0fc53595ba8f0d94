//! Nodes whose servers go away. These tests hold answers to deadlines in real time, so they are a
//! program of their own, in which one runs after the other and nothing else beside them.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that goes wrong fails, and the claims are about real time"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::NewOrganization;
use tollgate::core::rate::RateLimit;
use tollgate::{Catalog, Gate, Plan};
use tollgate_redis::RedisOptions;
use tollgate_servers::{Lag, Postgres, Redis};
use tollgate_sqlx::PostgresStore;

use self::node::{
    Asked, Node, PATIENCE, acme, catalog, customer, grant, key_of, node, say, store,
    store_of_our_time,
};

#[path = "../it/nodes/node.rs"]
mod node;
mod outages;
mod postgres_faults;
mod redis_faults;

/// Whoever has it is the only test that runs.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A secret that looks right, and that nobody was given.
fn unknown_secret() -> String {
    let format = KeyFormat::new(&catalog(Plan::new("pro")).keys().format);
    format.generate("live").unwrap().secret.expose().to_owned()
}
