//! The management routes, over HTTP, on every store.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod bodies;
mod bounds;
mod canary;
mod catalog;
mod csrf;
mod explain;
mod isolation;
mod keys;
mod late;
mod lists;
mod matrix;
mod once;
mod openapi;
mod outages;
mod own_sessions;
mod people;
mod sign_in;
mod support;
mod unchanged;
