//! What the five APIs' tests keep keys in: memory, or PostgreSQL where the environment says so.

use std::sync::{LazyLock, mpsc};

use tokio::runtime::{Builder, Runtime};
use tollgate::Catalog;
use tollgate_servers::Postgres;
use tollgate_sqlx::{PostgresOptions, PostgresStore};
use tollgate_testkit::app::{TestGate, TestGateBuilder};

/// Names another store than memory; see `postgres.rs`.
pub(crate) const STORE: &str = "TOLLGATE_EXAMPLES_STORE";
pub(crate) const POSTGRES: &str = "postgres";

/// Where connections live: a test's own runtime stands still while the kit waits for an answer.
static CONNECTIONS: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

/// A gate of this catalog, over an empty store.
pub(crate) fn kit(catalog: Catalog) -> TestGateBuilder {
    let builder = TestGate::builder(catalog);
    match std::env::var(STORE) {
        Err(_) => builder,
        Ok(it) if it == POSTGRES => builder.store(postgres(), CONNECTIONS.handle().clone()),
        Ok(other) => panic!("{STORE} is `{other}`; it can be `{POSTGRES}`"),
    }
}

/// A database of its own.
fn postgres() -> PostgresStore {
    let options = PostgresOptions::new(Postgres::shared().fresh())
        .allow_lost_commits()
        .by_the_callers_time();
    let (tell, told) = mpsc::channel();
    CONNECTIONS.spawn(async move { tell.send(options.open().await) });
    told.recv().unwrap().unwrap()
}
