//! Stored answers: whatever the database holds, reading it panics never, and what was read is
//! written and read again as the same.
#![no_main]

use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use tollgate::fuzzing::{read_outcome, write_outcome};

/// What each answer has anew, and a stored one therefore loses.
const NOT_KEPT: [&str; 5] = [
    "date",
    "content-length",
    "connection",
    "set-cookie",
    "transfer-encoding",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((status, mut headers, body)) = read(bytes) else {
        return;
    };
    let mut response = http::Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers.clone();
    let again = write_outcome(&response.into_parts().0, &body);
    for name in NOT_KEPT {
        headers.remove(name);
    }
    assert_eq!(read(&again), Some((status, headers, body)));
});

fn read(bytes: &[u8]) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    let (head, body) = read_outcome(bytes)?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).now_or_never();
    let body = body
        .expect("a stored body is there")
        .expect("it fails never");
    Some((head.status, head.headers, body.to_vec()))
}
