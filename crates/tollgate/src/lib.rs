//! Complete API-key access control for axum.
//!
//! Every request goes one way, and may be turned away at every step:
//!
//! | # | step | turns away with |
//! | --- | --- | --- |
//! | 1 | [request id](request_id) | – |
//! | 2 | [envelope](envelope) | – |
//! | 3 | [client's address](client_address) | – |
//! | 4 | [credential](credential): taken out of the request; a path with two readings, preflights | 400, 204, 429 |
//! | 5 | [lookup](authenticate), and the key's own state | 401, 400, 429, 503 |
//! | 6 | the organization's state | 403 |
//! | 7 | [IP rules](ip_filter) | 403 |
//! | 8 | [scope, plan, features](scope_guard) | 403 |
//! | 9 | [requests under way, quotas, rates](rate_limit) | 429, 503 |
//! | 10 | [credits](meter) | 402, 503 |
//! | 11 | the handler, with its [`Principal`] and [`Bill`] | its own |
//! | 12 | the way out: charge, headers, usage, metrics, span | – |
//!
//! The order is fixed in two places, `stack.rs` (1 to 4, and 12) and `admission.rs` (5 to 10),
//! and is not the app's to get wrong. Steps 1 to 4 consume nothing, 5 to 8 neither; a 429 costs no
//! credits; a 402 keeps the rate unit that it took.
//!
//! Start with [`Gate::builder`] and [`Routes`]; each layer also works alone.
//!
//! ```
#![doc = include_str!("../../../examples/ten_lines.rs")]
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that overflows fails"
    )
)]

pub mod access;
mod admission;
pub mod authenticate;
mod background;
mod bill;
mod cache;
pub mod client_address;
pub mod credential;
pub mod denial;
pub mod envelope;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod guard;
pub mod idempotency;
pub mod ip_filter;
mod leases;
pub mod meter;
mod metered;
mod number;
mod passage;
mod principal;
pub mod rate_limit;
pub mod request_id;
pub mod routes;
pub mod scope_guard;
mod session;
mod stack;
mod strict_path;
mod tab;
mod telemetry;
mod usage;
mod verified;

pub use tollgate_core as core;
pub use tollgate_core::catalog::{Catalog, Preset};
pub use tollgate_core::plan::Plan;
pub use tollgate_core::scope::Scope;

pub use crate::bill::Bill;
pub use crate::cache::CacheSettings;
pub use crate::denial::{Denial, DenialKind};
pub use crate::gate::{Audit, Credits, Gate, GateBuilder, StartError, Usage};
pub use crate::guard::{Guarded, ResponseFuture as GuardedFuture};
pub use crate::metered::Metered;
pub use crate::principal::Principal;
pub use crate::routes::Routes;
pub use crate::session::{Session, Sessions};
pub use crate::stack::{GateService, ResponseFuture as GateFuture};
