//! What PostgreSQL has beyond the contracts.

use tollgate_sqlx::{PostgresOptions, PostgresStore};

/// Opens a database of the tests' own server, which does not wait for its disk.
pub(crate) async fn open(url: &str) -> PostgresStore {
    let options = PostgresOptions::new(url).allow_lost_commits();
    options.open().await.unwrap()
}
