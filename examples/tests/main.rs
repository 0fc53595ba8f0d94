//! The examples, as whoever meets them first, and as their documents say.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails loudly, outside of its functions too"
)]

mod access;
mod classify_jobs;
mod cluster;
mod dataleaks;
mod docs;
mod mailer;
mod phishing_lab;
mod postgres;
mod quickstart;
mod running;
mod stores;
mod threat_intel;
mod tours;
