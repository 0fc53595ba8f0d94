//! Requests and responses written as lines, so that a corpus can be read and written by hand.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The text up to the first newline, and what is behind it.
#[must_use]
pub fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// Headers, one to a line; what cannot be one is left out.
#[must_use]
pub fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = line[at + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&line[..at]),
            HeaderValue::from_bytes(value),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// Puts keys where the bytes 1 and 2 are, which no header and no URI may have: fuzzing finds no
/// checksum by itself.
#[must_use]
pub fn with_keys(data: &[u8], one: &str, two: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        match byte {
            1 => out.extend(one.as_bytes()),
            2 => out.extend(two.as_bytes()),
            other => out.push(*other),
        }
    }
    out
}
