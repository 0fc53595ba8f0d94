//! No path, method or credential opens a guarded route that is to stay shut.
//!
//! Every shape of an app gets every path form with every credential, the method taking turns, and
//! besides every method with every credential and with every path. Whether a handler ran is what the
//! handler itself counted, never a status. That the doors open at all is shown with a good key.

use std::collections::BTreeSet;

use self::run::{Bench, Tally};
use self::shapes::shapes;

pub(crate) mod credentials;
pub(crate) mod http2;
mod paths;
mod run;
mod shapes;
pub(crate) mod wire;

const METHODS: [&str; 14] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW",
    "QUERY", "PROPFIND", "Get",
];

/// Tries every shape, and prints what came out. Doors open before and after.
async fn on_every_shape(
    what: &str,
    strict: bool,
    attack: impl AsyncFn(&Bench, &mut Tally),
) -> Tally {
    let mut all = Tally::default();
    for (number, shape) in shapes().into_iter().enumerate() {
        let bench = Bench::new(number, shape, strict).await;
        bench.opens().await;
        attack(&bench, &mut all).await;
        bench.opens().await;
        bench.close().await;
    }
    all.tell(what);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_enough_of_everything() {
    let shapes = shapes();
    assert!(shapes.len() >= 30, "{} shapes", shapes.len());
    assert!(METHODS.len() >= 12);
    let bench = Bench::new(0, shapes.into_iter().next().unwrap(), true).await;
    let (paths, credentials) = (&bench.paths, &bench.credentials);
    assert!(paths.len() >= 100, "{} path forms", paths.len());
    assert!(credentials.len() >= 80, "{} credentials", credentials.len());
    let named: BTreeSet<_> = paths.iter().map(|form| form.name).collect();
    assert_eq!(named.len(), paths.len(), "two path forms have one name");
    let named: BTreeSet<_> = credentials.iter().map(|form| form.name).collect();
    assert_eq!(
        named.len(),
        credentials.len(),
        "two credentials have one name"
    );
}

/// With unusual paths allowed, so that every form gets to the router.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_credential_opens_a_guarded_route_over_http1() {
    let tally = on_every_shape("HTTP/1, any path", false, async |bench, tally| {
        bench.refuses(&bench.credential_cases(), tally).await;
        bench.refuses(&bench.method_cases(), tally).await;
    });
    let tally = tally.await;
    assert!(tally.cases >= 250_000, "{} cases", tally.cases);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_credential_opens_a_guarded_route_where_paths_are_strict() {
    let tally = on_every_shape("HTTP/1, strict paths", true, async |bench, tally| {
        bench.refuses(&bench.method_cases(), tally).await;
    });
    let tally = tally.await;
    assert!(tally.cases >= 40_000, "{} cases", tally.cases);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_credential_opens_a_guarded_route_over_http2() {
    let tally = on_every_shape("HTTP/2, any path", false, async |bench, tally| {
        bench.refuses_over_http2(&bench.method_cases(), tally).await;
    });
    let tally = tally.await;
    assert!(tally.cases >= 30_000, "{} cases", tally.cases);
}
