//! The management routes, over HTTP, on every store.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails"
)]

mod csrf;
mod keys;
mod matrix;
mod sign_in;
mod support;
