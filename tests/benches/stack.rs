//! How long the whole stack takes, each layer, and each answer, beside what others take.
//!
//! `cargo bench -p tollgate-tests --bench stack`. What is told is the median round, and ratios.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

#[path = "shared/answers.rs"]
mod answers;
#[path = "shared/layers.rs"]
mod layers;
#[path = "shared/others.rs"]
mod others;
#[path = "shared/rounds.rs"]
mod rounds;
#[path = "shared/variant.rs"]
mod variant;
#[path = "shared/whole.rs"]
mod whole;

use rounds::medians;
use variant::Variant;

/// The project's budget: at most so many times what the two peers add.
const BUDGET: f64 = 1.25;
/// For a profiler, `ROUNDS=11 ONLY=whole` does.
const ROUNDS: usize = 1_001;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut beside = vec![
        others::bare(),
        others::peers_around(),
        others::peers_within(),
        others::peers_apart(),
        others::hand_written(),
        whole::whole().await,
    ];
    if let Ok(only) = std::env::var("ONLY") {
        beside.retain(|variant| variant.name.contains(&only));
        medians(&mut beside, rounds).await;
        return;
    }
    let times = medians(&mut beside, rounds).await;
    println!("### The whole stack beside others\n");
    let added: Vec<f64> = times.iter().map(|time| time - times[0]).collect();
    println!("| variant | ns a request | added ns | added by tollgate / added by this |");
    println!("| --- | ---: | ---: | ---: |");
    let whole = added[beside.len() - 1];
    for ((variant, time), added) in beside.iter().zip(&times).zip(&added) {
        let ratio = if *added > 0.0 {
            format!("{:.2}", whole / added)
        } else {
            String::new()
        };
        println!("| {} | {time:.0} | {added:.0} | {ratio} |", variant.name);
    }
    let met = |ratio: f64| if ratio <= BUDGET { "met" } else { "NOT met" };
    println!(
        "\nBudget beside request-id + tower_governor in one `ServiceBuilder`, {BUDGET:.2} times: {} around the router, {} by `Router::layer`.",
        met(whole / added[1]),
        met(whole / added[2])
    );

    println!("\n### Each layer by itself\n");
    println!("| layer | ns a request | added ns |");
    println!("| --- | ---: | ---: |");
    table(&mut layers::first(), rounds).await;
    table(&mut layers::inner().await, rounds).await;
    println!("\nThe lower half is counted from the line of the authenticator.");

    println!("\n### Each answer of the whole stack\n");
    println!("| answer | ns a request | added ns |");
    println!("| --- | ---: | ---: |");
    table(&mut answers::answers().await, rounds / 3).await;
    println!();
}

/// Each variant, and what it adds to the first.
async fn table(variants: &mut [Variant], rounds: usize) {
    let times = medians(variants, rounds).await;
    for (variant, time) in variants.iter().zip(&times) {
        let added = time - times[0];
        println!("| {} | {time:.0} | {added:.0} |", variant.name);
    }
}
