//! The elements of forwarding headers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The elements of a comma-separated line, the rightmost first.
///
/// A comma inside a quoted string belongs to the string. Quotes are paired from the right, where
/// the trusted proxies write, so that a quote that a client leaves open cannot swallow a hop.
pub(super) fn elements_from_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let mut quoted = false;
        let comma = line.iter().rposition(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let Some((left, element)) = comma.and_then(|at| line.split_at_checked(at)) else {
            rest = None;
            return Some(line.trim_ascii());
        };
        rest = Some(left);
        Some(element.strip_prefix(b",").unwrap_or(element).trim_ascii())
    })
}

/// `203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1` or `[2001:db8::1]:4711`, made canonical.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)
    };
    let address = bare.or_else(with_port).or_else(bracketed)?.to_canonical();
    (address != IpAddr::V4(Ipv4Addr::UNSPECIFIED)).then_some(address)
}

/// The address of the one `for=` parameter of an RFC 7239 element.
pub(super) fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(|byte| *byte == b';') {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        if name.trim_ascii().eq_ignore_ascii_case(b"for") {
            let value = value.strip_prefix(b"=")?.trim_ascii();
            let unquoted = value
                .strip_prefix(b"\"")
                .map_or(Some(value), |open| open.strip_suffix(b"\""))?;
            if found.replace(address(unquoted)?).is_some() {
                return None;
            }
        }
    }
    found
}
