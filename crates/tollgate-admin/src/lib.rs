//! The management routes of Tollgate, for people with a session.
//!
//! [`Admin::routes`] gives routes that an app nests where it likes. They accept sessions only: an
//! API key is a 401 there, even beside a good session. The sessions are the app's own, or those of
//! [`SessionCookies`], over the users that Tollgate keeps.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tollgate::core::accounts::Accounts;
//! use tollgate::core::clock::SystemClock;
//! use tollgate::core::memory::MemoryStore;
//! use tollgate::{Catalog, Gate, Plan};
//! use tollgate_admin::{Admin, SessionCookies};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::default());
//! let clock = Arc::new(SystemClock::default());
//! let cookies = SessionCookies::new(Accounts::new(store.clone(), clock));
//! let catalog = Catalog::builder().plan(Plan::new("free")).build()?;
//! let gate = Gate::builder(catalog)
//!     .shared_store(store)
//!     .sessions(cookies.clone())
//!     .build()
//!     .await?;
//! let admin = Admin::new(&gate).with_sign_in(cookies);
//! let app = gate.routes().nest("/admin", admin.routes()).into_service()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a request meets
//!
//! | step | turns away with |
//! | --- | --- |
//! | another site's request, by `Sec-Fetch-Site` and `Origin` | 403 |
//! | an API key; no good session | 401 |
//! | an organization in which they have no role, or that is not there, alike | 404 |
//! | a role that is too low ([`Required`]) | 403 |
//! | a query or a body that says something unknown | 400, 413, 415, 422 |
//! | the keyring: what they may not grant | 403 |
//!
//! A handler cannot be mounted past this: it takes who is signed in, which can be had of a session
//! only, after its row's demand was met.
#![allow(
    unused_qualifications,
    reason = "the descriptions of routes are made by a macro that qualifies every name"
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

mod admin;
mod audit;
mod catalog;
mod cookies;
mod credits;
mod desk;
mod explain;
mod extract;
mod keys;
mod manager;
mod once;
mod openapi;
mod operation;
mod organizations;
mod page;
mod people;
mod sign_in;
mod usage;

pub use crate::admin::Admin;
pub use crate::cookies::{SameSite, SessionCookies};
pub use crate::operation::{Operation, Required};
