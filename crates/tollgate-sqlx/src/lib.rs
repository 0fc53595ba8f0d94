//! Tollgate's stores on SQLite and PostgreSQL: keys, organizations, credits, quotas, usage, audit,
//! accounts and the change feed.
//!
//! [`SqliteStore`] and [`PostgresStore`] implement every port of `tollgate-core` and keep the
//! contracts of `tollgate-testkit`: the one over a file that several processes of one machine may
//! share, the other for many nodes. [`AnyStore`] is either, as its URL says.
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
//! A mutation is one transaction. On SQLite it begins as a writer (`BEGIN IMMEDIATE`), on the one
//! connection that writes. On PostgreSQL whoever manages keys waits for a lock of the whole schema,
//! so that changes and audit are numbered in the order of their commits; whoever charges or counts
//! locks the rows of it, in an order that is the same everywhere. So none fails halfway because
//! another process wrote in between. Reads have connections of their own and wait for nobody.
//! Nothing is ever retried: what to do about an error is up to the caller, who has a deadline.
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

pub use any::Any;
pub use open::OpenError;
pub use postgres::{Postgres, PostgresOptions};
pub use sqlite::{Sqlite, SqliteOptions};
pub use store::{AnyOptions, AnyStore, PostgresStore, SqlStore, SqliteStore};
pub use transfer::{Transfer, TransferError, Transferred};

mod accounts;
mod any;
mod audit;
mod changes;
mod declarations;
mod imports;
mod keys;
mod ledger;
mod lists;
mod open;
mod organizations;
mod postgres;
mod queries;
mod quotas;
mod rows;
pub mod session;
mod sqlite;
mod store;
mod transfer;
mod usage;
