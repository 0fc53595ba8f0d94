//! How long the whole stack takes, beside what request-id and `tower_governor` take.
//!
//! `cargo bench -p tollgate-tests`. The variants take turns in one process, round after round,
//! so that whatever else the machine does hits all of them; what is told is the median round,
//! and ratios.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

#[path = "shared/variants.rs"]
mod variants;

use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use http::Request;
use tower::{Service, ServiceExt};
use variants::Variant;

/// For a profiler, `ROUNDS=11 ONLY=tollgate` does.
const ROUNDS: usize = 1_001;
const REQUESTS: u32 = 256;

/// Nanoseconds a request. The service is timed, and dropping its response, as a server would;
/// not making requests.
async fn round(variant: &mut Variant) -> f64 {
    let requests: Vec<Request<Body>> = (0..REQUESTS).map(|_| variant.request()).collect();
    let started = Instant::now();
    for request in requests {
        let service = variant.service.ready().await.unwrap();
        let response = service.call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        black_box(response);
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut variants = variants::all().await;
    let mut times = variants.each_ref().map(|_| Vec::new());
    for _ in 0..rounds {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            if variant.name.contains(&only) {
                times.push(round(variant).await);
            }
        }
    }
    if !only.is_empty() {
        return;
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    let added = |at: usize| medians[at] - medians[0];
    println!("| variant | ns a request | added ns |");
    println!("| --- | ---: | ---: |");
    for (at, variant) in variants.iter().enumerate() {
        println!(
            "| {} | {:.0} | {:.0} |",
            variant.name,
            medians[at],
            added(at)
        );
    }
    println!("\nadded by tollgate / added by the two peers in one ServiceBuilder:");
    println!(
        "by Router::layer, as their docs show it: {:.2}",
        added(3) / added(2)
    );
    println!("around the router: {:.2}", added(3) / added(1));
    println!("budget: {:.2}\n", variants::TIMES);
    let _ = variants::ALLOCATIONS;
}
