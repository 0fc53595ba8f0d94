//! Only trusted proxies say where a client is; what it writes itself changes nothing.
//!
//! The first byte chooses the header, the line behind it is the peer, the rest are lines of that
//! header. Everything in 10.0.0.0/8 and 2001:db8:ff::/48 is a trusted proxy.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use model::request;
use tollgate::client_address::TrustedProxies;

fn is_trusted(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0xff],
    }
}

/// One hop of `X-Forwarded-For`: an address, with a port or brackets perhaps.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim_ascii();
    let address: IpAddr = if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        let port_is_good = match port.strip_prefix(':') {
            Some(digits) => is_port(digits),
            None => port.is_empty(),
        };
        // A zone, which the standard library reads before a port, says nothing of the client.
        let inner = match inner.split_once('%') {
            Some((inner, zone)) if !port.is_empty() && is_zone(zone) => inner,
            _ => inner,
        };
        inner
            .parse::<Ipv6Addr>()
            .ok()
            .filter(|_| port_is_good)?
            .into()
    } else if let (Some((v4, port)), 1) = (text.split_once(':'), text.matches(':').count()) {
        v4.parse::<Ipv4Addr>()
            .ok()
            .filter(|_| is_port(port))?
            .into()
    } else {
        text.parse().ok()?
    };
    let address = address.to_canonical();
    (address != IpAddr::V4(Ipv4Addr::UNSPECIFIED)).then_some(address)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_zone(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok()
}

/// The rule, for lines without quotes: all hops in a row, and from the right over trusted ones.
fn expected(peer: IpAddr, lines: &[Vec<u8>]) -> IpAddr {
    let joined = lines.join(&b","[..]);
    let mut client = peer.to_canonical();
    if lines.is_empty() {
        return client;
    }
    for element in joined.rsplit(|byte| *byte == b',') {
        if !is_trusted(client) {
            break;
        }
        match std::str::from_utf8(element).ok().and_then(hop) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

struct Case {
    proxies: TrustedProxies,
    name: &'static str,
    peer: IpAddr,
}

impl Case {
    fn client<'a>(&self, lines: impl IntoIterator<Item = &'a [u8]>) -> IpAddr {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_bytes(line).expect("only good values are passed on");
            headers.append(self.name, value);
        }
        let client = self.proxies.client(self.peer, &headers);
        assert_eq!(client, client.to_canonical(), "canonical");
        client
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let (peer, rest) = request::line(rest);
    let Some(peer) = std::str::from_utf8(peer)
        .ok()
        .and_then(|it| it.parse().ok())
    else {
        return;
    };
    let networks = "10.0.0.0/8, 2001:db8:ff::/48"
        .parse()
        .expect("good networks");
    let standard = first & 1 == 1;
    let case = if standard {
        Case {
            proxies: TrustedProxies::forwarded(networks),
            name: "forwarded",
            peer,
        }
    } else {
        Case {
            proxies: TrustedProxies::x_forwarded_for(networks),
            name: "x-forwarded-for",
            peer,
        }
    };
    let lines: Vec<Vec<u8>> = rest
        .split(|byte| *byte == b'\n')
        .filter(|line| HeaderValue::from_bytes(line).is_ok())
        .map(|line| line.trim_ascii().to_vec())
        .take(32)
        .collect();
    let lines = if rest.is_empty() { Vec::new() } else { lines };
    let sent = || lines.iter().map(Vec::as_slice);
    let client = case.client(sent());

    if !is_trusted(peer) {
        assert_eq!(client, peer.to_canonical());
    }
    if !standard && !lines.concat().contains(&b'"') {
        assert_eq!(client, expected(peer, &lines), "{lines:?}");
    }
    // The other header is nobody's business.
    let mut other = HeaderMap::new();
    other.insert(
        if standard {
            "x-forwarded-for"
        } else {
            "forwarded"
        },
        HeaderValue::from_static("for=6.6.6.6"),
    );
    assert_eq!(case.proxies.client(peer, &other), peer.to_canonical());

    // Whoever is not a proxy ends the walk: nothing further left counts, be it on lines before
    // or on the same one. A proxy closes the quotes that it opens.
    if !is_trusted(client) {
        for forged in [
            &b"6.6.6.6"[..],
            b"for=6.6.6.6",
            b"for=\"6.6.6.6",
            b"\"",
            b"",
            b"\xff;=",
        ] {
            assert_eq!(case.client([forged].into_iter().chain(sent())), client);
            let Some((oldest, newer)) = lines.split_first() else {
                continue;
            };
            if oldest.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
                let longer = [forged, b",", oldest].concat();
                let newer = newer.iter().map(Vec::as_slice);
                assert_eq!(case.client([&*longer].into_iter().chain(newer)), client);
            }
        }
    }
    // And whatever is left of an honest proxy's word is forged.
    if is_trusted(peer) {
        let honest: &[u8] = if standard {
            b"for=203.0.113.9"
        } else {
            b"203.0.113.9"
        };
        let seen = case.client(sent().chain([honest]));
        assert_eq!(seen, IpAddr::from([203, 0, 113, 9]));
        if let Some((newest, older)) = lines.split_last() {
            let longer = [newest, &b", "[..], honest].concat();
            let older = older.iter().map(Vec::as_slice);
            assert_eq!(case.client(older.chain([&*longer])), seen);
        }
    }
});
