//! The binary `tollgate`, run against databases of its own.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that goes wrong fails"
)]

mod audit;
mod catalog;
mod credits;
mod imports;
mod keys;
mod live;
mod mistakes;
mod names;
mod organizations;
mod people;
mod place;
mod postgres;
mod printing;
mod running;
mod secrets;
mod usage;
