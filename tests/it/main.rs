//! The stack, through its public interface.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong fails"
)]

mod compile_fail;
mod freshness;
mod layers;
mod layout;
