//! What the tests of Tollgate, of its stores and of apps have in common.
//!
//! | module | what it gives |
//! | --- | --- |
//! | `app` | what an app's own access tests are written with: a gate in memory, keys in one line, a client |
//! | [`clock`] | a clock that stands still until a test moves it |
//! | [`faults`] | a store that fails, hangs, is late or loses its replies on demand |
//! | [`key_store`], [`key_lists`], [`key_import`], [`ledger`], [`quota_store`], [`usage_store`], [`change_feed`], [`audit`], [`accounts`], [`limiter`] | what every implementation of a port must do |
//! | [`records`] | keys and organizations to test with |
//!
//! A contract is a list of plain functions, one for each claim, and a macro that makes one test of
//! each. The macro takes an expression that makes a fresh store: an async closure whose result
//! derefs to the store, such as an `Arc`, or a guard that also keeps a temporary directory. The
//! caller needs `tokio` with `macros` and `rt-multi-thread`. [`ledger::sequences`] is a function.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tollgate_core::memory::MemoryStore;
//!
//! tollgate_testkit::ledger_contract!(async || Arc::new(MemoryStore::default()));
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub mod accounts;
#[cfg(feature = "app")]
pub mod app;
mod at_once;
pub mod audit;
pub mod change_feed;
pub mod clock;
mod contract;
pub mod faults;
pub mod key_import;
pub mod key_lists;
pub mod key_requests;
pub mod key_store;
pub mod ledger;
#[doc(hidden)]
pub use ledger::{
    allowances as ledger_allowances, books as ledger_books, deadlines as ledger_deadlines,
    repeats as ledger_repeats,
};
pub mod limiter;
pub mod quota_store;
pub mod records;
pub mod usage_store;
