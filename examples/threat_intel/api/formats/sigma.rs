//! Sigma rules: a YAML document for each log source that indicators can be seen in.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;
use tollgate::core::clock::Timestamp;

use super::super::feed::{Feed, NOTICE};
use super::super::ioc::{Ioc, IocType};

/// The rules that are asked for are `experimental` until somebody has tried them.
const STATUS: &str = "experimental";

/// What of a time is its date.
const DATE: usize = 10;

/// Where an indicator can be seen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogSource {
    Network,
    Dns,
    Proxy,
    ProcessCreation,
}

impl LogSource {
    pub(crate) const ALL: [Self; 4] =
        [Self::Network, Self::Dns, Self::Proxy, Self::ProcessCreation];

    /// The rule's id, its title, and the category of the log source.
    const fn rule(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Network => (
                "5a4c2d3e-8f0b-4c6e-9d53-1f2b7c0a9e01",
                "Connection to a known malicious address",
                "network_connection",
            ),
            Self::Dns => (
                "5a4c2d3e-8f0b-4c6e-9d53-1f2b7c0a9e02",
                "DNS query for a known malicious domain",
                "dns",
            ),
            Self::Proxy => (
                "5a4c2d3e-8f0b-4c6e-9d53-1f2b7c0a9e03",
                "Web request for a known malicious URL",
                "proxy",
            ),
            Self::ProcessCreation => (
                "5a4c2d3e-8f0b-4c6e-9d53-1f2b7c0a9e04",
                "Process of a known malicious file",
                "process_creation",
            ),
        }
    }

    /// What of an indicator this source logs: a field, and the value to find there.
    fn sees(self, ioc: &Ioc) -> Option<(&'static str, String)> {
        let value = || ioc.value.clone();
        match (self, ioc.kind) {
            (Self::Network, IocType::Ip) => Some(("DestinationIp", value())),
            (Self::Dns, IocType::Domain) => Some(("query", value())),
            (Self::Proxy, IocType::Url) => Some(("c-uri", value())),
            (Self::Proxy, IocType::Domain) => Some(("cs-host", value())),
            (Self::ProcessCreation, IocType::Md5) => Some(("Hashes|contains", hash("MD5", ioc))),
            (Self::ProcessCreation, IocType::Sha1) => Some(("Hashes|contains", hash("SHA1", ioc))),
            (Self::ProcessCreation, IocType::Sha256) => {
                Some(("Hashes|contains", hash("SHA256", ioc)))
            }
            _ => None,
        }
    }
}

/// As Sysmon writes hashes.
fn hash(algorithm: &str, ioc: &Ioc) -> String {
    format!("{algorithm}={}", ioc.value.to_ascii_uppercase())
}

/// The rules for these sources, as documents of one stream; none for a source that sees nothing.
pub(crate) fn rules(sources: &[LogSource], iocs: &[&Ioc], feed: &Feed, now: Timestamp) -> String {
    let rules = sources
        .iter()
        .filter_map(|source| rule(*source, iocs, feed, now));
    rules.collect()
}

fn rule(source: LogSource, iocs: &[&Ioc], feed: &Feed, now: Timestamp) -> Option<String> {
    let seen: Vec<_> = iocs
        .iter()
        .filter_map(|ioc| source.sees(ioc).map(|(field, value)| (field, value, *ioc)))
        .collect();
    let fields: BTreeSet<&str> = seen.iter().map(|(field, ..)| *field).collect();
    if fields.is_empty() {
        return None;
    }
    let (id, title, category) = source.rule();
    let date: String = now.to_string().chars().take(DATE).collect();
    let mut rule = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        rule,
        "---\ntitle: {title}\nid: {id}\nstatus: {STATUS}\n\
         description: 'Made of recent IOCs. {NOTICE}'\nauthor: SOC Defenders\ndate: {date}\n\
         tags:\n"
    );
    for tag in tags(seen.iter().map(|(.., ioc)| *ioc), feed) {
        let _ = writeln!(rule, "    - attack.{tag}");
    }
    let _ = write!(rule, "logsource:\n    category: {category}\ndetection:\n");
    for (number, field) in fields.iter().enumerate() {
        let _ = write!(rule, "    selection_{number}:\n        {field}:\n");
        for (_, value, _) in seen.iter().filter(|(of, ..)| of == field) {
            let _ = writeln!(rule, "            - {}", quoted(value));
        }
    }
    rule.push_str(
        "    condition: 1 of selection_*\nfalsepositives:\n    - Unlikely\nlevel: high\n",
    );
    Some(rule)
}

/// The techniques of indicators with their tactics, each once.
fn tags<'a>(iocs: impl Iterator<Item = &'a Ioc>, feed: &Feed) -> BTreeSet<String> {
    iocs.flat_map(|ioc| &ioc.techniques)
        .filter_map(|id| feed.technique(id))
        .flat_map(|technique| [technique.id.to_ascii_lowercase(), technique.tactic.clone()])
        .collect()
}

/// As a scalar in single quotes. In Sigma, `*`, `?` and a backslash before them have a meaning.
fn quoted(value: &str) -> String {
    let value = value
        .replace('\\', r"\\")
        .replace('*', r"\*")
        .replace('?', r"\?");
    format!("'{}'", value.replace('\'', "''"))
}
