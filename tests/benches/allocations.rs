//! How many allocations the whole stack adds to a request. Exact, whatever the machine does.
//!
//! A program of its own: counting makes each allocation dearer. It fails if there are more than
//! the project's budget allows.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails loudly"
)]

#[path = "shared/answers.rs"]
mod answers;
#[path = "shared/layers.rs"]
mod layers;
#[path = "shared/others.rs"]
mod others;
#[path = "shared/variant.rs"]
mod variant;
#[path = "shared/whole.rs"]
mod whole;

use tokio::runtime::Runtime;
use variant::Variant;

/// The project's budget for an admitted request.
const BUDGET: u64 = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let (whole, answers, inner) = runtime.block_on(async {
        (
            whole::whole().await,
            answers::answers().await,
            layers::inner().await,
        )
    });
    let beside = vec![
        others::bare(),
        others::peers_around(),
        others::peers_within(),
        others::peers_apart(),
        others::hand_written(),
        whole,
    ];
    println!("### Allocations\n");
    println!("| variant | allocations a request | added |");
    println!("| --- | ---: | ---: |");
    let added = table(&runtime, beside);
    table(&runtime, layers::first());
    table(&runtime, inner);
    table(&runtime, answers);
    println!("\nBudget for the whole stack: {BUDGET} added.\n");
    let added = added[added.len() - 1];
    assert!(added <= BUDGET, "the stack adds {added} allocations");
}

/// What each variant adds to the first.
fn table(runtime: &Runtime, variants: Vec<Variant>) -> Vec<u64> {
    let mut counts = Vec::new();
    for mut variant in variants {
        // The first requests fill caches; the last is like all that follow.
        let count = (0..100)
            .map(|_| count(runtime, &mut variant))
            .last()
            .unwrap();
        let first = *counts.first().unwrap_or(&count);
        println!(
            "| {} | {count} | {} |",
            variant.name,
            count.saturating_sub(first)
        );
        counts.push(count);
    }
    counts
        .iter()
        .map(|count| count.saturating_sub(counts[0]))
        .collect()
}

fn count(runtime: &Runtime, variant: &mut Variant) -> u64 {
    let request = variant.request();
    let counted = allocation_counter::measure(|| drop(runtime.block_on(variant.answer(request))));
    counted.count_total
}
