//! How many allocations the whole stack adds to a request. Exact, whatever the machine does.
//!
//! A program of its own: counting makes each allocation dearer.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails loudly"
)]

#[path = "shared/variants.rs"]
mod variants;

use tower::{Service, ServiceExt};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut variants = runtime.block_on(variants::all());
    let counts = variants.each_mut().map(|variant| {
        let mut call = || {
            let request = variant.request();
            let counted = allocation_counter::measure(|| {
                let answer = runtime.block_on(async {
                    variant
                        .service
                        .ready()
                        .await
                        .unwrap()
                        .call(request)
                        .await
                        .unwrap()
                });
                assert_eq!(answer.status(), 200);
            });
            counted.count_total
        };
        // The first requests fill caches; the last is like all that follow.
        (0..100).map(|_| call()).last().unwrap()
    });
    let [bare, ..] = counts;
    println!("| variant | allocations a request | added |");
    println!("| --- | ---: | ---: |");
    for (variant, count) in variants.iter().zip(counts) {
        println!("| {} | {count} | {} |", variant.name, count - bare);
    }
    println!("\nbudget of added allocations: {}", variants::ALLOCATIONS);
    let _ = variants::TIMES;
}
