//! A list of networks is read strictly, says what it means, and means what the bits say.
//!
//! Up to the last NUL it is the list; behind it are addresses to ask for, 16 bytes each.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use tollgate::core::ip::IpList;

/// A network as the address's bits, IPv4 ones mapped into IPv6, and how many of them count.
type Net = (u128, u32);

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The bits of a network that count.
fn mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128 - length).unwrap_or_default()
}

/// The grammar once more: `None` if the entry has to be refused.
fn entry(text: &str) -> Option<Net> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let (widest, offset) = if address.is_ipv4() {
        (32, 96)
    } else {
        (128, 0)
    };
    let length = match length {
        Some(length) => (0..=widest).find(|number| number.to_string() == length)?,
        None => widest,
    } + offset;
    // An IPv6 network of everything that is mapped, and more, is none of IPv4.
    (bits(address) & !mask(length) == 0).then_some((bits(address), length))
}

fn list(text: &str) -> Option<Vec<Net>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|it| entry(it.trim_matches([' ', '\t'])))
        .collect()
}

/// Short IPv6 networks do not reach IPv4 clients, though the mapped addresses lie inside.
fn names(nets: &[Net], address: IpAddr) -> bool {
    let v4 = address.to_canonical().is_ipv4();
    nets.iter().any(|(net, length)| {
        let mapped = net >> 32 == 0xffff && *length >= 96;
        v4 == mapped && (bits(address) ^ net) & mask(*length) == 0
    })
}

fuzz_target!(|data: &[u8]| {
    let (text, probes) = match data.iter().rposition(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let expected = list(text);
    let parsed = match text.parse::<IpList>() {
        Ok(parsed) => parsed,
        Err(error) => {
            let told = error.to_string();
            assert!(expected.is_none(), "{text:?}: {told}");
            assert!(!told.chars().any(char::is_control), "{told:?}");
            assert!(!error.reason().is_empty());
            return;
        }
    };
    let nets = expected.unwrap_or_else(|| panic!("{text:?} is read as {parsed}"));
    assert_eq!(parsed.is_empty(), nets.is_empty());
    let told = parsed.to_string();
    let again: IpList = told.parse().expect("what it says of itself");
    assert_eq!(again, parsed, "{told}");
    assert_eq!(again.to_string(), told);

    let edges = nets.iter().flat_map(|(net, length)| {
        let last = net | !mask(*length);
        [*net, last, net.wrapping_sub(1), last.wrapping_add(1)]
    });
    let asked = probes
        .chunks_exact(16)
        .map(|it| u128::from_be_bytes(it.try_into().expect("16 bytes")));
    let fixed = [0, 1, u128::MAX, bits(IpAddr::from([10, 0, 0, 1]))];
    for probe in edges.chain(asked).chain(fixed) {
        let v6 = IpAddr::V6(Ipv6Addr::from_bits(probe));
        let canonical = v6.to_canonical();
        assert_eq!(parsed.contains(v6), names(&nets, v6), "{v6} in {told}");
        assert_eq!(
            parsed.contains(canonical),
            parsed.contains(v6),
            "{v6} in {told}"
        );
        assert_eq!(again.contains(v6), parsed.contains(v6), "{v6} in {told}");
    }
});
