//! From where a key may be used: single addresses and networks, allowed and denied.
//!
//! Addresses and networks are made canonical before they are compared, so that an IPv4 client
//! seen through an IPv6 listener (`::ffff:10.1.2.3`) is the IPv4 client that the list means.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid::Invalid;

/// A list of addresses and networks, written with commas: `203.0.113.50, 198.51.100.0/24`.
///
/// Blanks around commas are ignored, the empty text is the empty list. Networks with host bits,
/// ports, zones, octal numbers, names and empty entries are refused, each with the reason.
///
/// ```
/// use tollgate_core::ip::IpList;
///
/// let office: IpList = "203.0.113.50, 198.51.100.0/24".parse()?;
/// assert!(office.contains("198.51.100.7".parse().unwrap()));
/// assert!(office.contains("::ffff:203.0.113.50".parse().unwrap()));
///
/// let error = "198.51.100.7/24".parse::<IpList>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "IP list: `198.51.100.7/24` has host bits set; write `198.51.100.0/24`",
/// );
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Default)]
pub struct IpList {
    nets: Box<[IpNet]>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Sorted ranges that neither touch nor overlap, so that one binary search decides.
type Ranges<T> = Box<[(T, T)]>;

impl IpList {
    /// The list of these networks, made canonical.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let nets: Box<[IpNet]> = nets.into_iter().map(canonical).collect();
        let v4 = nets.iter().filter_map(|net| match net {
            IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V6(_) => None,
        });
        let v6 = nets.iter().filter_map(|net| match net {
            IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V4(_) => None,
        });
        Self {
            v4: merged(v4),
            v6: merged(v6),
            nets,
        }
    }

    /// Whether the list names this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => found(&self.v4, address.to_bits()),
            IpAddr::V6(address) => found(&self.v6, address.to_bits()),
        }
    }

    /// Whether the list names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }

    /// The networks, as they were given but canonical.
    #[must_use]
    pub fn nets(&self) -> &[IpNet] {
        &self.nets
    }
}

fn merged<T: Ord + Copy>(ranges: impl Iterator<Item = (T, T)>) -> Ranges<T> {
    let mut sorted: Vec<(T, T)> = ranges.collect();
    sorted.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged.into()
}

fn found<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= address);
    after
        .checked_sub(1)
        .and_then(|last| ranges.get(last))
        .is_some_and(|(_, end)| address <= *end)
}

/// `::ffff:a.b.c.d/n` with n ≥ 96 means IPv4 `a.b.c.d/(n − 96)`.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(addr), Some(prefix)) => {
            Ipv4Net::new(addr, prefix).map_or(net, |net| IpNet::V4(net.trunc()))
        }
        _ => net,
    }
}

impl FromStr for IpList {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',')
            .map(|entry| parse_entry(entry.trim_matches([' ', '\t'])))
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
    }
}

fn parse_entry(entry: &str) -> Result<IpNet, Invalid> {
    let refuse = |reason: String| Err(Invalid::new("IP list", reason));
    let shown = entry.escape_default();
    if entry.is_empty() {
        return refuse("an entry is empty; remove the extra comma".to_owned());
    }
    if entry.contains('%') {
        return refuse(format!(
            "`{shown}` has a zone; write the address without `%…`"
        ));
    }
    let (address, prefix) = match entry.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (entry, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return refuse(why_not_an_address(address, &shown.to_string()));
    };
    let widest: u8 = if address.is_ipv4() { 32 } else { 128 };
    let Some(prefix) = prefix else {
        return Ok(IpNet::from(address));
    };
    let canonical_number = !prefix.is_empty()
        && prefix.bytes().all(|b| b.is_ascii_digit())
        && (prefix.len() == 1 || !prefix.starts_with('0'));
    let length = prefix.parse::<u8>().ok().filter(|n| *n <= widest);
    let Some(net) = length
        .filter(|_| canonical_number)
        .and_then(|n| IpNet::new(address, n).ok())
    else {
        return refuse(format!(
            "`{shown}` needs a number from 0 to {widest} after the slash"
        ));
    };
    if net.trunc() != net {
        return refuse(format!(
            "`{shown}` has host bits set; write `{}`",
            net.trunc()
        ));
    }
    Ok(net)
}

fn why_not_an_address(address: &str, shown: &str) -> String {
    let quads: Vec<&str> = address.split('.').collect();
    let numbers = |parts: &[&str]| {
        parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    if quads.len() == 4
        && numbers(&quads)
        && quads.iter().any(|q| q.len() > 1 && q.starts_with('0'))
    {
        return format!("`{shown}` has a number with a leading zero, which some read as octal");
    }
    if address.starts_with('[')
        || address
            .rsplit_once(':')
            .is_some_and(|(host, _)| host.parse::<Ipv4Addr>().is_ok())
    {
        return format!("`{shown}` has a port or brackets; write the bare address");
    }
    if address.chars().any(|c| c.is_ascii_alphabetic()) && !address.contains(':') {
        return format!("`{shown}` is a name; write its addresses");
    }
    format!("`{shown}` is not an IP address or network like `203.0.113.50` or `198.51.100.0/24`")
}

impl fmt::Display for IpList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, net) in self.nets.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            if net.prefix_len() == net.max_prefix_len() {
                net.addr().fmt(f)?;
            } else {
                net.fmt(f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for IpList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IpList({self})")
    }
}

impl PartialEq for IpList {
    fn eq(&self, other: &Self) -> bool {
        self.nets == other.nets
    }
}

impl Eq for IpList {}

impl Serialize for IpList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which addresses may use a key: an allow list and a deny list. Deny wins.
///
/// An empty allow list means any address; so does no rule at all.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IpRules {
    allow: IpList,
    deny: IpList,
}

impl IpRules {
    /// Allows only the addresses of this list; with an empty list, any.
    #[must_use]
    pub fn allowing(allow: IpList) -> Self {
        Self {
            allow,
            deny: IpList::default(),
        }
    }

    /// Denies the addresses of this list, whatever else is allowed.
    #[must_use]
    pub fn with_deny(mut self, deny: IpList) -> Self {
        self.deny = deny;
        self
    }

    /// The allow list.
    #[must_use]
    pub const fn allow(&self) -> &IpList {
        &self.allow
    }

    /// The deny list.
    #[must_use]
    pub const fn deny(&self) -> &IpList {
        &self.deny
    }

    /// Whether there is any rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether this address may use the key. An address that is not known may only where there
    /// is no rule at all.
    #[must_use]
    pub fn permit(&self, address: Option<IpAddr>) -> bool {
        match address {
            None => self.is_empty(),
            Some(address) => {
                !self.deny.contains(address)
                    && (self.allow.is_empty() || self.allow.contains(address))
            }
        }
    }
}

/// The part of an address that one customer usually holds: IPv4 whole, IPv6 its /64.
#[must_use]
pub fn customer_block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(text: &str) -> IpList {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_is_addresses_and_networks_with_blanks_around_commas() {
        let list = list(" 203.0.113.50 ,10.0.0.0/8,\t2001:db8::/32");
        for inside in [
            "203.0.113.50",
            "10.255.0.1",
            "2001:db8::7",
            "::ffff:10.0.0.1",
        ] {
            assert!(list.contains(ip(inside)), "{inside}");
        }
        for outside in ["203.0.113.51", "11.0.0.0", "2001:db9::"] {
            assert!(!list.contains(ip(outside)), "{outside}");
        }
        assert_eq!(list.to_string(), "203.0.113.50, 10.0.0.0/8, 2001:db8::/32");
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, reason) in [
            ("10.0.0.1,,10.0.0.2", "an entry is empty"),
            ("10.0.0.1,", "an entry is empty"),
            ("10.0.0.1/8", "host bits set; write `10.0.0.0/8`"),
            ("10.0.0.0/33", "number from 0 to 32"),
            ("10.0.0.0/08", "number from 0 to 32"),
            ("10.0.0.0/+8", "number from 0 to 32"),
            ("10.0.0.0/", "number from 0 to 32"),
            ("::/129", "number from 0 to 128"),
            ("010.0.0.1", "leading zero"),
            ("10.0.0.1:80", "port or brackets"),
            ("[::1]:80", "port or brackets"),
            ("fe80::1%eth0", "zone"),
            ("example.com", "is a name"),
            ("10.0.0", "not an IP address"),
            ("10.0.0.1\n", "not an IP address"),
            ("0x0a000001", "is a name"),
            ("256.0.0.1", "not an IP address"),
            ("01..2.3", "not an IP address"),
            ("01.x.2.3", "is a name"),
            ("10.0.0.1 10.0.0.2", "not an IP address"),
        ] {
            let error = text.parse::<IpList>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn mapped_networks_are_the_ipv4_networks_they_stand_for() {
        assert!(list("::ffff:10.0.0.0/104").contains(ip("10.1.2.3")));
        assert!(!list("64:ff9b::/96").contains(ip("10.1.2.3")));
    }

    #[test]
    fn empty_means_any_and_deny_wins() {
        assert!(IpRules::default().permit(Some(ip("1.2.3.4"))));
        assert!(IpRules::default().permit(None));
        let rules = IpRules::allowing(list("10.0.0.0/8")).with_deny(list("10.0.0.1"));
        assert!(rules.permit(Some(ip("10.0.0.2"))));
        assert!(!rules.permit(Some(ip("10.0.0.1"))));
        assert!(!rules.permit(Some(ip("11.0.0.1"))));
        assert!(!rules.permit(None));
    }

    #[test]
    fn an_unknown_address_fails_any_rule() {
        let somewhere = || list("10.0.0.0/8");
        for (rules, empty) in [
            (IpRules::default(), true),
            (IpRules::allowing(IpList::default()), true),
            (IpRules::allowing(somewhere()), false),
            (IpRules::default().with_deny(somewhere()), false),
        ] {
            assert_eq!(rules.is_empty(), empty, "{rules:?}");
            assert_eq!(rules.permit(None), empty, "{rules:?}");
        }
    }

    #[test]
    fn rules_are_stored_as_they_are() {
        let rules = IpRules::allowing(list("10.0.0.0/8, 192.0.2.7")).with_deny(list("10.0.0.1"));
        assert_eq!(rules.allow().nets(), &*list("10.0.0.0/8, 192.0.2.7").nets);
        assert_eq!(rules.deny().nets(), ["10.0.0.1/32".parse().unwrap()]);
        let stored = serde_json::to_string(&rules).unwrap();
        assert_eq!(
            stored,
            r#"{"allow":"10.0.0.0/8, 192.0.2.7","deny":"10.0.0.1"}"#
        );
        let read: IpRules = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, rules);
        assert!(!read.permit(Some(ip("11.0.0.1"))));
        // A list that was lost on the way would let anybody in.
        assert_ne!(read, IpRules::default());
        assert!(serde_json::from_str::<IpRules>(r#"{"allow":"10.0.0.1/8"}"#).is_err());
        assert!(serde_json::from_str::<IpRules>(r#"{"alow":"10.0.0.1"}"#).is_err());
    }

    #[test]
    fn debug_shows_the_list() {
        assert_eq!(format!("{:?}", list("10.0.0.0/8")), "IpList(10.0.0.0/8)");
    }

    #[test]
    fn an_ipv6_customer_is_its_64() {
        assert_eq!(customer_block(ip("2001:db8::1:2:3:4")), ip("2001:db8::"));
        assert_eq!(customer_block(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_the_networks(
            nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20),
            probes in prop::collection::vec(any::<u32>(), 50),
        ) {
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(bits, len)| IpNet::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), len).unwrap().trunc())
                .collect();
            let list = IpList::new(nets.clone());
            let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for probe in probes.into_iter().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).chain(edges) {
                prop_assert_eq!(list.contains(probe), nets.iter().any(|net| net.contains(&probe)));
            }
            prop_assert_eq!(list.to_string().parse::<IpList>().unwrap(), list);
        }
    }
}
