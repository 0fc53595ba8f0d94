//! Indicators of compromise, recognised by their form.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, Domain, Url, unreadable};

/// An indicator of compromise. Its kind is recognised by its form.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(crate) enum Indicator {
    Address(Address),
    Domain(Domain),
    Url(Url),
    Hash(Hash),
}

/// The digest of a file, in lower-case hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Hash {
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
}

impl Indicator {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "ip",
            Self::Domain(_) => "domain",
            Self::Url(_) => "url",
            Self::Hash(hash) => hash.algorithm.as_str(),
        }
    }
}

impl Algorithm {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim().to_ascii_lowercase();
        let algorithm = match digits.len() {
            32 => Some(Algorithm::Md5),
            40 => Some(Algorithm::Sha1),
            64 => Some(Algorithm::Sha256),
            _ => None,
        };
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match algorithm.filter(|_| hexadecimal) {
            Some(algorithm) => Ok(Self { algorithm, digits }),
            None => Err(unreadable(&text, "write an MD5, a SHA-1 or a SHA-256")),
        }
    }
}

impl TryFrom<String> for Indicator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Hash::try_from(text.clone())
            .map(Self::Hash)
            .or_else(|_| Address::try_from(text.clone()).map(Self::Address))
            .or_else(|_| Url::try_from(text.clone()).map(Self::Url))
            .or_else(|_| Domain::try_from(text.clone()).map(Self::Domain))
            .map_err(|_| {
                unreadable(
                    &text,
                    "write an address, a domain, a URL, an MD5, a SHA-1 or a SHA-256",
                )
            })
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Domain(domain) => domain.fmt(f),
            Self::Url(url) => url.fmt(f),
            Self::Hash(hash) => f.write_str(&hash.digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_is_what_it_looks_like() {
        let sha1 = "a".repeat(40);
        let sha256 = "AB".repeat(32);
        for (text, kind) in [
            ("198.51.100.23", "ip"),
            ("2001:db8::1", "ip"),
            ("evil.example", "domain"),
            ("https://evil.example/", "url"),
            ("44d88612fea8a8f36de82e1278abb02f", "md5"),
            (&sha1, "sha1"),
            (&sha256, "sha256"),
        ] {
            let read = Indicator::try_from(text.to_owned()).unwrap();
            assert_eq!(read.kind(), kind);
            assert_eq!(read.to_string(), text.to_lowercase());
        }
        let told = Indicator::try_from("what\nis this".to_owned()).unwrap_err();
        assert!(
            told.starts_with("cannot use `what\\nis this`: write"),
            "{told}"
        );
    }
}
