//! Instructions a hundred requests take: the same on a busy machine, so that CI can hold them to a
//! limit.
//!
//! `tests/benches/run instructions` installs what this needs: valgrind and gungraun's runner. The
//! limits are what was measured and five per cent; a change that exceeds one says so, and either
//! mends it or raises the limit in the same commit.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    missing_docs,
    unused_qualifications,
    reason = "a bench fails loudly, and the harness names and calls its functions"
)]

#[path = "shared/answers.rs"]
mod answers;
#[path = "shared/others.rs"]
#[expect(dead_code, reason = "the rest of the others is measured elsewhere")]
mod others;
#[path = "shared/variant.rs"]
mod variant;
#[path = "shared/whole.rs"]
mod whole;

use std::hint::black_box;

use axum::body::Body;
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use http::Request;
use tokio::runtime::Runtime;
use variant::Variant;

const REQUESTS: usize = 100;

/// An app whose caches are full, and a hundred requests for it.
struct Ready {
    runtime: Runtime,
    variant: Variant,
    requests: Vec<Request<Body>>,
}

fn ready(name: &str) -> Ready {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let mut variant = runtime.block_on(async {
        match name {
            "bare" => others::bare(),
            "peers" => others::peers_around(),
            "whole" => whole::whole().await,
            _ => {
                let all = answers::answers().await;
                all.into_iter()
                    .find(|variant| variant.name == name)
                    .unwrap()
            }
        }
    });
    let warm = async |variant: &mut Variant| {
        for _ in 0..REQUESTS {
            let request = variant.request();
            variant.answer(request).await;
        }
    };
    runtime.block_on(warm(&mut variant));
    let requests = (0..REQUESTS).map(|_| variant.request()).collect();
    Ready {
        runtime,
        variant,
        requests,
    }
}

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark]
#[bench::bare_axum(args = ("bare"), setup = ready)]
#[bench::peers(args = ("peers"), setup = ready)]
#[bench::whole_stack(args = ("whole"), setup = ready, config = at_most(2_100_000))]
#[bench::public_route(args = ("200, public route"), setup = ready, config = at_most(1_330_000))]
#[bench::no_key(args = ("401, no key"), setup = ready, config = at_most(2_140_000))]
#[bench::bad_checksum(args = ("401, checksum wrong"), setup = ready, config = at_most(2_350_000))]
#[bench::unknown_key(args = ("401, unknown, remembered"), setup = ready, config = at_most(2_480_000))]
#[bench::rate_exceeded(args = ("429, rate"), setup = ready, config = at_most(3_180_000))]
fn hundred_requests(ready: Ready) -> (Runtime, Variant) {
    let Ready {
        runtime,
        mut variant,
        requests,
    } = ready;
    runtime.block_on(async {
        for request in requests {
            black_box(variant.answer(request).await);
        }
    });
    (runtime, variant)
}

library_benchmark_group!(name = requests, benchmarks = [hundred_requests]);
main!(library_benchmark_groups = requests);
