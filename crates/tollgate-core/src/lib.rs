//! The nouns, rules and ports of Tollgate: API-key access control, without http and without I/O.
//!
//! In the order in which a request meets them:
//!
//! | module | what it says |
//! | --- | --- |
//! | [`catalog`], [`scope`], [`plan`] | what an app declares up front |
//! | [`key_format`], [`secret`] | what a key looks like, and what is kept of it |
//! | [`record`] | keys and organizations, as stores keep them |
//! | [`ip`] | from where a key may be used |
//! | [`rate`], [`quota`] | how often, and how much |
//! | [`credits`] | what it costs |
//! | [`usage`] | who did what |
//! | [`keyring`] | the one place where keys change |
//! | [`demand`], [`explain`] | what routes demand, and what a key may do about it |
//! | [`accounts`] | the people who manage them |
//! | [`audit`] | who changed what |
//!
//! [`store`], [`change`], [`credits`], [`quota`], [`rate`] and [`usage`] define the ports that a
//! database adapter implements; [`memory`] is the reference implementation of them all.
//! [`clock`] is the only source of time, [`reply`] the answer of a port, at once or later.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub mod accounts;
pub mod audit;
pub mod catalog;
pub mod change;
pub mod clock;
pub mod credits;
pub mod deadline;
pub mod demand;
pub mod error;
pub mod explain;
pub mod id;
pub mod invalid;
pub mod ip;
pub mod key_format;
pub mod keyring;
pub mod memory;
pub mod plan;
pub mod quota;
pub mod rate;
pub mod record;
pub mod reply;
pub mod scope;
pub mod secret;
mod shorthand;
pub mod store;
mod turns;
pub mod usage;
