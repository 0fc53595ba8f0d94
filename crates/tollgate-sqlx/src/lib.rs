//! Tollgate's stores on SQLite: keys, organizations, credits, quotas, usage and the change feed.
//!
//! [`SqliteStore`] implements every port of `tollgate-core`. It keeps the contracts of
//! `tollgate-testkit`, over one file that several processes of one machine may share.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use tollgate_core::id::OrgId;
//! use tollgate_core::store::KeyStore;
//! use tollgate_sqlx::SqliteStore;
//!
//! let store = SqliteStore::open("sqlite::memory:").await?;
//! assert!(store.organization(&OrgId::new("acme")?).await?.is_none());
//! store.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it keeps its promises
//!
//! A mutation is one transaction that begins as a writer (`BEGIN IMMEDIATE`), on the one
//! connection that writes; it never fails halfway because another process wrote in between. Reads
//! have connections of their own and wait for nobody. Nothing is ever retried: what to do about
//! an error is up to the caller, who has a deadline.
//!
//! A connection on which a transaction could not begin or end, or that met a full disk or broken
//! storage, is closed; the next call opens another. Dropping a future rolls its transaction back.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub use open::OpenError;
pub use sqlite::{Sqlite, SqliteOptions};
pub use store::{SqlStore, SqliteStore};

mod accounts;
mod audit;
mod changes;
mod declarations;
mod imports;
mod keys;
mod ledger;
mod lists;
mod open;
mod organizations;
mod queries;
mod quotas;
mod rows;
pub mod session;
mod sqlite;
mod store;
mod usage;
