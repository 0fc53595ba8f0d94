//! What an app's own access tests are written with.
//!
//! A [`TestGate`] is a gate in memory with one clock, which moves expiry, caches, rates, quotas,
//! refills and the deadlines of holds together. A [`TestApp`] calls the app as a key, as somebody
//! who is signed in or as nobody, from an address, and says why it was answered as it was.
//!
//! ```
//! use std::time::Duration;
//!
//! use tollgate::access::scope;
//! use tollgate::core::rate::RateLimit;
//! use tollgate::{Catalog, Gate, Plan, Routes, Scope};
//! use tollgate_testkit::app::{Consumed, TestGate};
//!
//! fn catalog() -> Catalog {
//!     let write = Scope::new("iocs:write").implies("iocs:read");
//!     let free = Plan::new("free").rate(RateLimit::exact(10, Duration::from_secs(60)).unwrap());
//!     let catalog = Catalog::builder().scope("iocs:read").scope(write);
//!     catalog.plan(free).build().unwrap()
//! }
//!
//! fn routes(gate: &Gate) -> Routes {
//!     gate.routes()
//!         .get("/iocs", async || "none", scope("iocs:read").credits(3))
//!         .post("/iocs", async || "done", scope("iocs:write"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let kit = TestGate::new(catalog()).await;
//! let app = kit.app(routes(kit.gate()).into_service().unwrap());
//! kit.organization("acme").plan("free").credits(10).make().await;
//! let reader = kit.key("acme").scopes(["iocs:read"]).make().await;
//!
//! let read = app.get("/iocs").key(&reader).send().await;
//! read.assert_status(200).assert_consumed(Consumed::rate(1).credits(3));
//! let written = app.post("/iocs").key(&reader).send().await;
//! written.assert_denied("insufficient_permissions").assert_consumed(Consumed::NOTHING);
//! # }
//! ```
//!
//! # What is checked without being asked
//!
//! When a [`TestGate`] is dropped, no hold may be open, and no secret of its keys may have been
//! logged by anybody (see [`log_watch`]) or sent in an answer.
//!
//! # When a test fails
//!
//! The message shows the request without its secret, how to send it again, the answer, and what
//! each step of the stack says of it.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test kit fails loudly: what is wrong fails the test that it is in"
)]

mod answer;
mod call;
mod checklist;
mod consumed;
mod gate;
mod leaks;
mod makers;
mod matrix;
#[cfg(test)]
mod tests;

pub use crate::app::answer::Answer;
pub use crate::app::call::{Call, TestApp};
pub use crate::app::checklist::Checklist;
pub use crate::app::consumed::Consumed;
pub use crate::app::gate::{TestGate, TestGateBuilder};
pub use crate::app::leaks::log_watch;
pub use crate::app::makers::{
    NewTestKey, NewTestOrganization, NewTestSession, TestKey, TestSession,
};
pub use crate::app::matrix::{Documented, Holder, Matrix, MatrixRow, NewMatrix, Verdict};
