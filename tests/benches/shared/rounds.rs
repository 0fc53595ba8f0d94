//! Variants that take turns, so that whatever else the machine does hits all of them.

use std::hint::black_box;
use std::time::Instant;

use axum::body::Body;
use http::Request;

use crate::variant::Variant;

const REQUESTS: u32 = 256;

/// Nanoseconds a request, the median of the rounds. The service is timed, and dropping its
/// response, as a server would; not making requests.
pub(crate) async fn medians(variants: &mut [Variant], rounds: usize) -> Vec<f64> {
    let mut times = vec![Vec::new(); variants.len()];
    for _ in 0..rounds {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            times.push(round(variant).await);
        }
    }
    times.into_iter().map(median).collect()
}

async fn round(variant: &mut Variant) -> f64 {
    let requests: Vec<Request<Body>> = (0..REQUESTS).map(|_| variant.request()).collect();
    let started = Instant::now();
    for request in requests {
        black_box(variant.answer(request).await);
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS)
}

pub(crate) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
