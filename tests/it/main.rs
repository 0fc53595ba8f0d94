//! The whole stack, over real HTTP, through its public interface.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong fails"
)]

mod bypass;
mod consumption;
#[cfg(unix)]
mod crash;
mod denials;
mod endings;
mod explain;
mod explain_live;
mod extraction;
#[path = "../benches/shared/flood.rs"]
mod flood;
mod floods;
mod framework_errors;
mod freshness;
#[cfg(target_os = "linux")]
mod full_disk;
mod guesses;
mod headers;
mod holds;
mod imports;
mod layers;
mod layout;
mod leases;
mod limits;
mod nodes;
mod observe;
mod ownership;
mod prices;
mod repeats;
mod routing;
mod secrets;
mod security;
#[path = "../benches/shared/site.rs"]
mod site;
mod stampede;
mod start;
mod streams;
mod support;
mod telemetry;
mod threats;
