//! An indicator of compromise, and what type a text is of.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize, Serializer};
use tollgate::core::clock::Timestamp;
use uuid::Uuid;

/// The longest text that is looked at.
pub(crate) const LONGEST_VALUE: usize = 2048;

const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;

/// An indicator, as the feed has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ioc {
    pub(crate) id: Uuid,
    #[serde(rename = "type")]
    pub(crate) kind: IocType,
    pub(crate) value: String,
    pub(crate) threat: String,
    /// How bad it is, out of a hundred.
    pub(crate) score: u8,
    pub(crate) sources: Vec<String>,
    pub(crate) techniques: Vec<String>,
    pub(crate) tags: Vec<String>,
    #[serde(skip_deserializing, serialize_with = "as_text")]
    pub(crate) first_seen: Timestamp,
}

/// What an indicator is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IocType {
    Ip,
    Domain,
    Url,
    Md5,
    Sha1,
    Sha256,
    Email,
}

impl IocType {
    /// The type of a text, if it is any.
    pub(crate) fn detect(text: &str) -> Option<Self> {
        if text.parse::<IpAddr>().is_ok() {
            return Some(Self::Ip);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let web = ["http", "https", "ftp"].contains(&&*scheme.to_ascii_lowercase());
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return (web && !host.is_empty() && !text.contains(char::is_whitespace))
                .then_some(Self::Url);
        }
        if let Some((local, domain)) = text.rsplit_once('@') {
            let printable = local.bytes().all(|byte| byte.is_ascii_graphic());
            return (!local.is_empty() && printable && is_domain(domain)).then_some(Self::Email);
        }
        if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return match text.len() {
                32 => Some(Self::Md5),
                40 => Some(Self::Sha1),
                64 => Some(Self::Sha256),
                _ => None,
            };
        }
        is_domain(text).then_some(Self::Domain)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Email => "email",
        }
    }
}

impl Ioc {
    pub(crate) const fn level(&self) -> &'static str {
        match self.score {
            ..40 => "low",
            40..70 => "medium",
            70..90 => "high",
            _ => "critical",
        }
    }

    /// Whether it is this text. Only of a URL and of an e-mail's local part the case may matter.
    pub(crate) fn is(&self, text: &str) -> bool {
        match self.kind {
            IocType::Url => self.value == text,
            IocType::Ip => match (self.value.parse::<IpAddr>(), text.parse::<IpAddr>()) {
                (Ok(known), Ok(asked)) => known == asked,
                _ => false,
            },
            _ => self.value.eq_ignore_ascii_case(text),
        }
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        self.value.parse::<Ipv4Addr>().is_ok()
    }
}

fn is_domain(text: &str) -> bool {
    let labels = || text.split('.');
    let good = |label: &str| {
        let ends = [label.chars().next(), label.chars().next_back()];
        (1..=LONGEST_LABEL).contains(&label.len())
            && !ends.contains(&Some('-'))
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let top = labels().next_back().unwrap_or_default();
    text.len() <= LONGEST_DOMAIN
        && labels().count() >= 2
        && labels().all(good)
        && top.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A time as people and machines read it: `2026-05-17T09:42:11Z`.
pub(crate) fn as_text<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
