//! Secrets are not found anywhere: canary keys are presented in every place and form, and every
//! sink is searched for them.
//!
//! | sink | what is searched |
//! | --- | --- |
//! | log | all events and spans with their fields, at TRACE: Tollgate, axum, hyper-util, h2, sqlx, tower-http inside the gate |
//! | metrics | all names and labels |
//! | database | the file, its WAL and its shared memory |
//! | answers | status, headers and body of every response |
//! | `Debug` | every value that a running gate hands out |
//!
//! # What is claimed, and what is not
//!
//! Tollgate and whatever is further in tell nobody. What is further *out* sees a request as it
//! came: a `TraceLayer` around the gate logs a key in the query, and all headers if it is told to.
//! hyper logs nothing unless it is compiled with `--cfg hyper_unstable_tracing`. h2 logs the size
//! and kind of what it reads, but of what it refuses a path that is no URI, at DEBUG, and a `te`
//! header, at TRACE, as they are. `uri.rs` shows both limits. A key where none belongs, in a path
//! or a cookie, stays where it is.

mod debug;
mod presented;
mod search;
mod sinks;
mod stage;
mod uri;
