//! T38 to T42: where a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;
use tollgate::GateBuilder;
use tollgate::access::{authenticated, public};
use tollgate::client_address::{ClientAddress, TrustedProxies};
use tollgate::core::ip::{IpList, IpRules};
use tollgate::core::rate::RateLimit;

use super::{Ran, code, get};
use crate::support::{MINUTE, TestApp};

/// A source of numbers that is the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn list(text: &str) -> IpList {
    text.parse().unwrap()
}

/// A route that tells the address, and one that counts.
async fn app(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> (TestApp, Ran) {
    let ran = Ran::default();
    let tell = async |ClientAddress(seen): ClientAddress| seen.unwrap().to_string();
    let app = TestApp::with(configure, |gate| {
        gate.routes()
            .get("/address", tell, public())
            .get("/forwarded", forwarded, public())
            .get("/key", ran.clone(), authenticated().rate_cost(0))
    });
    (app.await, ran)
}

/// The headers about addresses that a handler is left with.
async fn forwarded(headers: HeaderMap) -> String {
    let names = ["forwarded", "x-forwarded-for", "x-real-ip"];
    let left = names.into_iter().flat_map(|name| {
        let values = headers.get_all(name).into_iter();
        values.map(move |value| format!("{name}: {}\n", value.to_str().unwrap()))
    });
    left.collect()
}

async fn seen(app: &TestApp, lines: &[(&str, &[u8])]) -> String {
    String::from_utf8(get(app, "/address", lines).await.body).unwrap()
}

#[tokio::test]
async fn t38_what_a_client_writes_to_the_left_changes_nothing() {
    let (app, ran) = app(|builder| {
        let proxies = list("127.0.0.1, 198.51.100.0/24");
        builder.trusted_proxies(TrustedProxies::x_forwarded_for(proxies))
    })
    .await;
    let office = IpRules::allowing(list("203.0.113.0/24"));
    let key = app
        .key_with("umbra", |key| key.ip_rules(office))
        .await
        .secret;
    let pieces = [
        "203.0.113.1",
        "127.0.0.1",
        "198.51.100.9",
        "::1",
        "unknown",
        "\"",
        "",
        " ",
        "garbage",
        "203.0.113.1:80",
        "[::ffff:203.0.113.1]",
        "0.0.0.0",
        "203.0.113.1,",
        "for=203.0.113.1",
    ];
    let mut numbers = Numbers(38);
    for round in 0..400 {
        let spoofed: Vec<&str> = (0..numbers.below(5))
            .map(|_| pieces[usize::try_from(numbers.below(14)).unwrap()])
            .collect();
        let spoofed = spoofed.join(", ");
        let hops = ["192.0.2.66", "192.0.2.66, 198.51.100.7"][round % 2];
        // In one line, or each proxy with a line of its own.
        let joined = format!("{spoofed}, {hops}");
        let lines = if round % 3 == 0 {
            vec![
                ("X-Forwarded-For", spoofed.as_bytes()),
                ("X-Forwarded-For", hops.as_bytes()),
            ]
        } else {
            vec![("X-Forwarded-For", joined.as_bytes())]
        };
        assert_eq!(seen(&app, &lines).await, "192.0.2.66", "{joined}");
        let with_key = [&lines[..], &[("X-API-Key", key.as_bytes())]].concat();
        let answer = get(&app, "/key", &with_key).await;
        assert_eq!(
            (answer.status, &*code(&answer)),
            (403, "ip_not_allowed"),
            "{joined}"
        );
    }
    assert_eq!(ran.times(), 0);
    let lines = [
        ("X-API-Key", key.as_bytes()),
        ("X-Forwarded-For", b"203.0.113.1"),
    ];
    assert_eq!(get(&app, "/key", &lines).await.status, 200);

    // What nobody can read ends the walk: the last good hop is the client.
    for (value, expected) in [
        ("203.0.113.1, garbage", "127.0.0.1"),
        ("203.0.113.1, garbage, 198.51.100.7", "198.51.100.7"),
        ("203.0.113.1, ", "127.0.0.1"),
        ("198.51.100.1, 198.51.100.2", "198.51.100.1"),
        ("203.0.113.9\u{e9}", "127.0.0.1"),
    ] {
        assert_eq!(
            seen(&app, &[("X-Forwarded-For", value.as_bytes())]).await,
            expected
        );
    }
}

#[tokio::test]
async fn t38_an_untrusted_peer_says_nothing() {
    let (app, _) = app(|builder| builder.trusted_proxies(TrustedProxies::none())).await;
    for name in [
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "Via",
    ] {
        for value in [
            &b"203.0.113.1"[..],
            b"for=203.0.113.1",
            b"127.0.0.1, 203.0.113.1",
        ] {
            assert_eq!(seen(&app, &[(name, value)]).await, "127.0.0.1", "{name}");
        }
    }
}

#[tokio::test]
async fn t39_one_family_of_headers_counts_and_the_others_do_not() {
    let loopback = || list("127.0.0.1");
    let all: [(&str, &[u8]); 7] = [
        ("X-Real-IP", b"192.0.2.1"),
        ("Forwarded", b"for=192.0.2.2"),
        ("X-Forwarded-For", b"192.0.2.3"),
        ("CF-Connecting-IP", b"192.0.2.4"),
        ("True-Client-IP", b"192.0.2.5"),
        ("X-Client-IP", b"192.0.2.6"),
        ("X-Cluster-Client-IP", b"192.0.2.7"),
    ];
    for (proxies, counts, address) in [
        (
            TrustedProxies::x_forwarded_for(loopback()),
            "X-Forwarded-For",
            "192.0.2.3",
        ),
        (
            TrustedProxies::forwarded(loopback()),
            "Forwarded",
            "192.0.2.2",
        ),
    ] {
        let (app, _) = app(|builder| builder.trusted_proxies(proxies)).await;
        let mut turned = all;
        for _ in 0..all.len() {
            turned.rotate_left(1);
            assert_eq!(seen(&app, &turned).await, address);
        }
        let others: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| *name != counts)
            .collect();
        assert_eq!(
            seen(&app, &others).await,
            "127.0.0.1",
            "the one that counts is missing"
        );
    }
}

/// What nobody vouches for is not there for a handler to believe.
#[tokio::test]
async fn t39_only_the_headers_of_a_trusted_proxy_get_as_far_as_a_handler() {
    let (near, far) = (|| list("127.0.0.1"), || list("203.0.113.0/24"));
    let all: [(&str, &[u8]); 7] = [
        ("X-Real-IP", b"192.0.2.1"),
        ("Forwarded", b"for=192.0.2.2"),
        ("X-Forwarded-For", b"192.0.2.3"),
        ("Forwarded", b"for=192.0.2.4"),
        ("X-Forwarded-For", b"192.0.2.5"),
        ("X-Real-IP", b"192.0.2.6"),
        ("X-Forwarded-Proto", b"https"),
    ];
    let one = "x-forwarded-for: 192.0.2.3\nx-forwarded-for: 192.0.2.5\n";
    let other = "forwarded: for=192.0.2.2\nforwarded: for=192.0.2.4\n";
    for (proxies, left) in [
        (TrustedProxies::x_forwarded_for(near()), one),
        (TrustedProxies::forwarded(near()), other),
        (TrustedProxies::x_forwarded_for(far()), ""),
        (TrustedProxies::forwarded(far()), ""),
        (TrustedProxies::none(), ""),
    ] {
        let told = format!("{proxies:?}");
        let (app, _) = app(|builder| builder.trusted_proxies(proxies)).await;
        let answer = get(&app, "/forwarded", &all).await;
        assert_eq!(String::from_utf8(answer.body).unwrap(), left, "{told}");
    }
}

#[tokio::test]
async fn t40_an_ipv4_address_in_an_ipv6_coat_is_the_ipv4_address() {
    let (app, ran) = app(|builder| builder).await;
    let key = async |rules: IpRules| {
        app.key_with("umbra", |key| key.ip_rules(rules))
            .await
            .secret
    };
    let allowed = key(IpRules::allowing(list("203.0.113.0/24"))).await;
    let coated = key(IpRules::allowing(list("::ffff:203.0.113.0/120"))).await;
    let denied = key(IpRules::default().with_deny(list("203.0.113.0/24"))).await;
    let mut opened = 0;
    for (from, inside) in [
        ("203.0.113.7", true),
        ("::ffff:203.0.113.7", true),
        ("::FFFF:CB00:7107", true),
        ("[::ffff:203.0.113.7]:80", true),
        ("203.0.114.7", false),
        ("::ffff:203.0.114.7", false),
        // NAT64, 6to4, IPv4-compatible and translated addresses are addresses of their own.
        ("64:ff9b::203.0.113.7", false),
        ("2002:cb00:7107::1", false),
        ("::203.0.113.7", false),
        ("::ffff:0:203.0.113.7", false),
    ] {
        for (key, opens) in [(&allowed, inside), (&coated, inside), (&denied, !inside)] {
            let lines = [
                ("X-API-Key", key.as_bytes()),
                ("X-Forwarded-For", from.as_bytes()),
            ];
            let status = get(&app, "/key", &lines).await.status;
            assert_eq!(status, if opens { 200 } else { 403 }, "{from}");
            opened += u64::from(opens);
            assert_eq!(ran.times(), opened);
        }
    }
}

/// Bit by bit, as slow as it is plain. A network of IPv6, be it `::/0`, holds no IPv4 address.
fn in_network(network: IpAddr, prefix: u32, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) | (0xffff << 32),
        IpAddr::V6(address) => address.to_bits(),
    };
    if network.to_canonical().is_ipv4() != address.to_canonical().is_ipv4() {
        return false;
    }
    let prefix = if network.is_ipv4() {
        prefix + 96
    } else {
        prefix
    };
    (0..prefix).all(|bit| {
        let mask = 1 << (127 - bit);
        bits(network) & mask == bits(address) & mask
    })
}

#[test]
fn t40_lists_agree_with_a_comparison_bit_by_bit() {
    let mut numbers = Numbers(40);
    let (mut inside, mut outside) = (0, 0);
    for _ in 0..20_000 {
        let v4 = Ipv4Addr::from_bits(u32::try_from(numbers.next() >> 32).unwrap());
        let v6 = Ipv6Addr::from_bits(u128::from(numbers.next()) << 64 | u128::from(numbers.next()));
        let (network, widest): (IpAddr, u32) = match numbers.below(3) {
            0 => (v4.into(), 32),
            1 => (v6.into(), 128),
            _ => (v4.to_ipv6_mapped().into(), 128),
        };
        // A coat is read as such only if the network keeps all of it.
        let mapped = matches!(network, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        let least = if mapped { 96 } else { 0 };
        let prefix = least + u32::try_from(numbers.below(u64::from(widest - least) + 1)).unwrap();
        let kept = u128::MAX.checked_shl(widest - prefix).unwrap_or(0);
        let network: IpAddr = match network {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(
                v4.to_bits() & u32::try_from(kept & u128::from(u32::MAX)).unwrap(),
            )
            .into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & kept).into(),
        };
        let listed = list(&format!("{network}/{prefix}"));
        // An address beside the network: one bit of it is another.
        let flip = |address: IpAddr, bit: u32| -> IpAddr {
            match address {
                IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() ^ (1 << (bit % 32))).into(),
                IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() ^ (1 << (bit % 128))).into(),
            }
        };
        let near = flip(network, u32::try_from(numbers.below(128)).unwrap());
        for address in [
            network,
            near,
            v4.into(),
            v6.into(),
            v4.to_ipv6_mapped().into(),
        ] {
            let expected = in_network(network, prefix, address);
            assert_eq!(
                listed.contains(address),
                expected,
                "{address} in {network}/{prefix}"
            );
            *(if expected { &mut inside } else { &mut outside }) += 1;
        }
    }
    assert!(inside > 20_000 && outside > 20_000, "{inside} {outside}");
}

#[tokio::test]
async fn t41_addresses_are_counted_by_64_bits_of_ipv6_and_all_of_ipv4() {
    let rate = RateLimit::smooth(1, MINUTE).unwrap();
    let (app, _) = app(|builder| builder.address_rate(rate)).await;
    for (from, status) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 429),
        ("2001:db8:0:2::1", 200),
        ("203.0.113.1", 200),
        ("::ffff:203.0.113.1", 429),
        ("203.0.113.2", 200),
        ("::ffff:203.0.113.3", 200),
        ("203.0.113.3", 429),
        ("::ffff:198.51.100.1", 200),
    ] {
        let answer = get(&app, "/address", &[("X-Forwarded-For", from.as_bytes())]).await;
        assert_eq!(answer.status, status, "{from}");
    }
}

#[tokio::test]
async fn t42_sloppy_networks_are_refused_where_they_are_written() {
    for text in [
        "203.0.113.0/00",
        "203.0.113.0/024",
        "203.0.113.0/+24",
        "203.0.113.0/24 ",
        "203.0.113.0/ 24",
        "203.0.113.0/",
        "203.0.113.0/33",
        "203.0.113.7/24",
        "203.0.113.0/24/24",
        "203.0.113",
        "203.0.113.010",
        "0203.0.113.1",
        "0xcb.0.113.1",
        "3405803777",
        "203.0.113.1\n",
        "\n203.0.113.1",
        "203.0.113.1\0",
        "203.0.113.1,,198.51.100.1",
        ",",
        "203.0.113.*",
        "203.0.113.1-9",
        "2001:db8::/129",
        "2001:db8::1/64",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "203.0.113.1:80",
        "localhost",
        "any",
        "*",
        "::ffff:203.0.113.7/119",
    ] {
        let trimmed = text.trim_matches([' ', '\t']);
        let is_only_blank = trimmed != text;
        assert_eq!(text.parse::<IpList>().is_ok(), is_only_blank, "{text:?}");
    }
    let (app, ran) = app(|builder| builder).await;
    let everybody = IpRules::allowing(list(""));
    assert_eq!(everybody, IpRules::default());
    let key = app
        .key_with("umbra", |key| key.ip_rules(everybody))
        .await
        .secret;
    assert_eq!(
        get(&app, "/key", &[("X-API-Key", key.as_bytes())])
            .await
            .status,
        200
    );
    assert_eq!(ran.times(), 1);
}
