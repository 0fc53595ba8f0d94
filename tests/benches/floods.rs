//! What floods of made-up keys and of addresses do to everybody else.
//!
//! `cargo bench -p tollgate-tests --bench floods`; ten million requests each, or `REQUESTS`. Time
//! is the gate's clock: 100,000 requests of a flood are a second. Each flood has a process of its
//! own, so that none fills memory that another has left. Ends in failure if a bound is broken.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and fails loudly"
)]

#[path = "shared/flood.rs"]
mod flood;
#[path = "shared/site.rs"]
mod site;

use std::process::{Command, ExitCode};
use std::time::Duration;

use flood::{Sent, Size, Source};
use site::Site;
use tollgate::core::rate::RateLimit;

const REQUESTS: u64 = 10_000_000;

/// Which flood a child process is.
const CHILD: &str = "TOLLGATE_FLOOD";

const FLOODS: [(Sent, Source); 11] = [
    (Sent::GoodChecksum, Source::OneAddress),
    (Sent::GoodChecksum, Source::OneBlock),
    (Sent::GoodChecksum, Source::Ipv4),
    (Sent::GoodChecksum, Source::Ipv6),
    (Sent::BadChecksum, Source::OneAddress),
    (Sent::BadChecksum, Source::Ipv4),
    (Sent::BadChecksum, Source::Ipv6),
    (Sent::NoKeyToPublic, Source::Ipv6),
    (Sent::NoKeyToPublic, Source::OneBlock),
    (Sent::NoKey, Source::Ipv6),
    (Sent::NoKey, Source::OneBlock),
];

/// Keys a second that a flood of one address sends, and how many of them come back like a good one.
const FATES: [(u64, u64); 6] = [
    (1_000, 0),
    (10_000, 0),
    (100_000, 0),
    (10_000, 10),
    (10_000, 100),
    (10_000, 1_000),
];

/// How many seconds a client with a good key keeps trying.
const PATIENCE: u64 = 60;

fn requests() -> u64 {
    std::env::var("REQUESTS").map_or(REQUESTS, |requests| requests.parse().unwrap())
}

async fn site() -> Site {
    let rate = RateLimit::smooth(600, Duration::from_secs(60)).unwrap();
    Site::new(|builder| builder.address_rate(rate)).await
}

/// Prints a row, and says whether its bounds hold.
async fn row(sent: Sent, from: Source) -> bool {
    let size = Size {
        requests: requests(),
        per_second: 100_000,
        hot_keys: 50,
    };
    let harm = flood::flood(&mut site().await, sent, from, size).await;
    let mib = |bytes: i64| bytes as f64 / f64::from(1 << 20);
    println!(
        "| {sent:?} | {from:?} | {} | {} | {} | {} | {:.3} % | {} | {:.1} | {:.2} |",
        harm.requests,
        harm.refused,
        harm.reads,
        harm.hot_requests,
        100.0 * harm.hit_rate(),
        harm.hot_refused,
        mib(harm.grown),
        mib(harm.grown - harm.grown_at_half),
    );
    let broken = harm.broken(sent, from);
    for what in &broken {
        eprintln!("broken: {what}");
    }
    broken.is_empty()
}

/// Prints a row, and says whether a flood that does not come back keeps good keys out.
async fn fates(per_second: u64, returning: u64) -> bool {
    let trials = (requests() / per_second / 50).clamp(5, 100);
    let mut site = site().await;
    let mut seconds = Vec::new();
    for _ in 0..trials {
        let fate = flood::fate(&mut site, per_second, returning, PATIENCE).await;
        // Whoever tries in vain is worse off than anybody who did not.
        seconds.push(fate.map_or(u64::MAX, |fate| fate.seconds.max(fate.tries - 1)));
    }
    seconds.sort_unstable();
    let told = |seconds: u64| match seconds {
        u64::MAX => format!("over {PATIENCE}"),
        seconds => seconds.to_string(),
    };
    let (median, worst) = (seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
    println!(
        "| {per_second} | {returning} | {trials} | {} | {} |",
        told(median),
        told(worst)
    );
    returning > 10 || worst < PATIENCE
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let floods = FLOODS.len();
    if let Ok(child) = std::env::var(CHILD) {
        let child: usize = child.parse().unwrap();
        let held = match FLOODS.get(child) {
            Some((sent, from)) => row(*sent, *from).await,
            None => fates(FATES[child - floods].0, FATES[child - floods].1).await,
        };
        return if held {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    println!(
        "| sent | from | requests | 429 | reads for them | hot requests | hot hits | hot keys refused | MiB grown | in the second half |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut broken = 0;
    for child in 0..floods + FATES.len() {
        if child == floods {
            println!(
                "\n| made-up keys a second | of them come back | good keys | let in after s, median | worst |"
            );
            println!("| ---: | ---: | ---: | ---: | ---: |");
        }
        let mut program = Command::new(std::env::current_exe().unwrap());
        let status = program.env(CHILD, child.to_string()).status().unwrap();
        broken += u32::from(!status.success());
    }
    println!("\nbroken bounds: {broken}");
    ExitCode::from(u8::from(broken > 0))
}
