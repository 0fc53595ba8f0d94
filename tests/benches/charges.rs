//! How many charges a second are durable, on SQLite.
//!
//! `cargo bench -p tollgate-tests --bench charges`. A charge is a hold and a settle, both durable
//! before whoever asked goes on: at the port of the ledger, and over HTTP on loopback, by requests
//! that answer when they are charged. Beside them stands what one transaction for each gives: an
//! update of the wallet and a row of the hold, committed, and the same again for the settle; and
//! requests that are charged from a lease, which is durable once a second. All take turns;
//! `SECONDS=0.2` measures each for a shorter time, `ROUNDS=1` once.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench measures real time, prints, and fails loudly"
)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[path = "shared/at_once.rs"]
mod at_once;
#[path = "shared/charging.rs"]
mod charging;

use at_once::{Measured, Work, measure, work};
use charging::{Http, Port, Raw};

/// The project's budget for one hot organization, 64 at once, `FULL`, at the port.
const BUDGET: f64 = 20_000.0;
const SECONDS: f64 = 1.0;
const ROUNDS: usize = 5;
const MANY: usize = 1_000;

/// A ledger, and how it is asked.
struct Way {
    name: String,
    full: bool,
    organizations: usize,
    charge: Work,
}

struct Row<'a> {
    way: &'a Way,
    at_once: usize,
    rounds: Vec<Measured>,
}

fn main() {
    let seconds = std::env::var("SECONDS").map_or(SECONDS, |it| it.parse().unwrap());
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let time = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let ways = runtime.block_on(ways());
    let at_once = |way: &Way| match way.name.as_str() {
        RAW => vec![1, 64],
        _ => vec![1, 8, 64, 512],
    };
    let mut rows: Vec<Row> = ways
        .iter()
        .flat_map(|way| at_once(way).into_iter().map(move |at_once| (way, at_once)))
        .map(|(way, at_once)| Row {
            way,
            at_once,
            rounds: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for row in &mut rows {
            let measured = measure(row.at_once, time, Arc::clone(&row.way.charge));
            row.rounds.push(runtime.block_on(measured));
        }
    }
    println!("### Durable charges\n");
    println!("| synchronous | | organizations | at once | charges/s | p50 µs | p99 µs |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for row in &rows {
        println!("{row}");
    }
    let of = |name: &str| {
        let mut found = rows.iter().filter(|row| {
            row.way.full && row.at_once == 64 && row.way.organizations == 1 && row.way.name == name
        });
        found.next().unwrap().median(|it| it.per_second)
    };
    let (best, raw) = (of(PORT), of(RAW));
    let met = if best >= BUDGET { "met" } else { "NOT met" };
    println!(
        "\nMedians of {rounds} rounds in turn. One organization, 64 at once, FULL, at the port: {best:.0} a second, {:.1} times one transaction each. Budget {BUDGET:.0}: {met}.\n",
        best / raw
    );
}

const RAW: &str = "one transaction each";
const PORT: &str = "at the port";
const HTTP: &str = "over HTTP";
const LEASED: &str = "over HTTP, leased";

async fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for full in [true, false] {
        let mut way = |name: &str, organizations, charge| {
            let name = name.to_owned();
            ways.push(Way {
                name,
                full,
                organizations,
                charge,
            });
        };
        let raw = Arc::new(Raw::new(full).await);
        way(RAW, 1, work(move |_| Arc::clone(&raw).charge()));
        for organizations in [1, MANY] {
            let port = Arc::new(Port::new(full, organizations).await);
            way(
                PORT,
                organizations,
                work(move |_| Arc::clone(&port).charge()),
            );
        }
        for organizations in [1, MANY] {
            let http = Arc::new(Http::new(full, organizations, None).await);
            way(
                HTTP,
                organizations,
                work(move |task| Arc::clone(&http).charge(task)),
            );
        }
        let leased = Arc::new(Http::new(full, 1, Some(10_000)).await);
        way(
            LEASED,
            1,
            work(move |task| Arc::clone(&leased).charge(task)),
        );
    }
    ways
}

impl Row<'_> {
    fn median(&self, what: fn(&Measured) -> f64) -> f64 {
        at_once::median(&self.rounds, what)
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {} | {} | {:.0} | {:.0} | {:.0} |",
            if self.way.full { "FULL" } else { "NORMAL" },
            self.way.name,
            self.way.organizations,
            self.at_once,
            self.median(|it| it.per_second),
            self.median(|it| it.p50),
            self.median(|it| it.p99),
        )
    }
}
