//! What callers may send: each type reads one kind of text, within bounds, or says what is wrong
//! with it. axum's `Json` makes a 422 of that.

use std::fmt;
use std::net::IpAddr;

use axum::http::Uri;
use serde::{Deserialize, Serialize};

pub(crate) use self::indicator::Indicator;

mod indicator;

const LONGEST_TEXT: usize = 4000;
const LONGEST_URL: usize = 2048;
const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;
const MOST_ITEMS: usize = 100;

/// Text that is not blank, of at most 4,000 bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Text(String);

/// A list of 1 to 100 items.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<T>")]
pub(crate) struct Few<T>(Vec<T>);

/// A domain name, in lower case and without the dot at its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Domain(String);

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Address(pub(crate) IpAddr);

/// An absolute URL of `http` or `https`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Url {
    text: String,
    host: Host,
}

/// What a URL, or a scan, points to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", untagged)]
pub(crate) enum Host {
    Address(Address),
    Domain(Domain),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl Domain {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one of the two is the other, or a subdomain of it.
    pub(crate) fn is_related_to(&self, other: &Self) -> bool {
        let below = |name: &str, parent: &str| {
            name.strip_suffix(parent)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        below(&self.0, &other.0) || below(&other.0, &self.0)
    }
}

impl Url {
    pub(crate) const fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.text
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
    }

    /// The path and the query, without a fragment.
    pub(crate) fn path(&self) -> String {
        let uri = self.text.parse::<Uri>().unwrap_or_default();
        uri.path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() || text.len() > LONGEST_TEXT {
            let reason = format!("a text is 1 to {LONGEST_TEXT} bytes and not blank");
            return Err(unreadable(&text, &reason));
        }
        Ok(Self(text))
    }
}

impl<T> TryFrom<Vec<T>> for Few<T> {
    type Error = String;

    fn try_from(items: Vec<T>) -> Result<Self, String> {
        match items.len() {
            1..=MOST_ITEMS => Ok(Self(items)),
            count => Err(format!("{count} items; send 1 to {MOST_ITEMS}")),
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = text.trim().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let label = |label: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(good)
        };
        let top = name.rsplit_once('.').map(|(_, top)| top);
        let named = top.is_some_and(|top| top.bytes().any(|byte| byte.is_ascii_alphabetic()));
        if !named || name.len() > LONGEST_DOMAIN || !name.split('.').all(label) {
            return Err(unreadable(&text, "write a domain such as `evil.example`"));
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.trim().parse().map(Self);
        address.map_err(|_| unreadable(&text, "write an address such as `198.51.100.23`"))
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = text.trim();
        let host = || {
            let uri: Uri = url.parse().ok()?;
            matches!(uri.scheme_str(), Some("http" | "https")).then_some(())?;
            let host = uri.host()?;
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            Host::try_from(bare.unwrap_or(host).to_owned()).ok()
        };
        match host() {
            Some(host) if url.len() <= LONGEST_URL => Ok(Self {
                text: url.to_owned(),
                host,
            }),
            _ => Err(unreadable(
                &text,
                "write a URL such as `https://evil.example/login`",
            )),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Address::try_from(text.clone()) {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Domain::try_from(text).map(Self::Domain),
        }
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.text
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

/// One sentence with the beginning of what was sent.
fn unreadable(text: &str, remedy: &str) -> String {
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    format!("cannot use `{shown}`: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_read_whatever_its_case_and_the_dot_at_its_end() {
        let read = |text: &str| Domain::try_from(text.to_owned());
        assert_eq!(read("Evil.EXAMPLE.").unwrap().as_str(), "evil.example");
        let long = format!("{}.example", "a".repeat(64));
        for bad in [
            "",
            "example",
            "198.51.100.23",
            "a..example",
            "a b.example",
            &long,
        ] {
            let told = read(bad).unwrap_err();
            assert!(told.starts_with("cannot use `"), "{told}");
        }
    }

    #[test]
    fn a_subdomain_is_related_and_a_lookalike_is_not() {
        let domain = |text: &str| Domain::try_from(text.to_owned()).unwrap();
        let acme = domain("acme.example");
        assert!(acme.is_related_to(&acme));
        assert!(acme.is_related_to(&domain("mail.acme.example")));
        assert!(domain("mail.acme.example").is_related_to(&acme));
        assert!(!acme.is_related_to(&domain("notacme.example")));
    }

    #[test]
    fn a_url_has_a_host_and_a_scheme_of_the_web() {
        let read = |text: &str| Url::try_from(text.to_owned());
        let url = read(" HTTPS://Evil.example:8443/a?b#c ").unwrap();
        assert_eq!(
            (url.host().to_string(), url.path()),
            ("evil.example".to_owned(), "/a?b".to_owned())
        );
        assert!(url.is_encrypted());
        let six = read("http://[2001:db8::1]/").unwrap();
        assert_eq!(six.host().to_string(), "2001:db8::1");
        let long = format!("https://evil.example/{}", "a".repeat(LONGEST_URL));
        for bad in [
            "evil.example",
            "ftp://evil.example/",
            "https:///a",
            "https://a b/",
            &long,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_and_a_text_have_bounds() {
        assert!(Few::try_from(vec![0; MOST_ITEMS]).is_ok());
        assert_eq!(
            Few::try_from(vec![0; 101]).unwrap_err(),
            "101 items; send 1 to 100"
        );
        assert!(Few::<u8>::try_from(vec![]).is_err());
        let text = |length| Text::try_from("a".repeat(length));
        assert!(text(LONGEST_TEXT).is_ok() && text(LONGEST_TEXT + 1).is_err());
        assert!(Text::try_from(" ".to_owned()).is_err());
    }
}
