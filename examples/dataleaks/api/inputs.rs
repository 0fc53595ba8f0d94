//! Domains, e-mail addresses and BINs: read strictly, and held against what the workspace owns.
//!
//! Whatever is read is spelled in one way only: in lower case, and without the dot that may end a
//! domain. Comparing is then by label, never by the end of a text: `notacme.example` is not below
//! `acme.example`.

use serde::{Deserialize, Serialize};
use tollgate::core::invalid::Invalid;
use tollgate::{Denial, Principal};

const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;
const LONGEST_LOCAL_PART: usize = 64;

/// A domain of two labels or more.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Domain(String);

/// An e-mail address, in whatever case it was written.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Email {
    local_part: String,
    domain: Domain,
}

/// How the number of a bank card begins: six digits, or eight.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct Bin(String);

impl Domain {
    pub(crate) fn read(text: &str) -> Result<Self, Invalid> {
        let domain = text.trim().to_ascii_lowercase();
        let domain = domain.strip_suffix('.').unwrap_or(&domain);
        let mut labels = domain.rsplit('.');
        // An address such as `192.0.2.1` is no domain.
        let named = labels
            .next()
            .is_some_and(|last| is_label(last) && !last.bytes().all(|byte| byte.is_ascii_digit()));
        let mut below = labels.peekable();
        if !named || below.peek().is_none() || !below.all(is_label) || domain.len() > LONGEST_DOMAIN
        {
            return Err(not("domain", text, "write one such as `acme.example`"));
        }
        Ok(Self(domain.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a domain, in lower case, is this one or below it.
    pub(crate) fn covers(&self, domain: &str) -> bool {
        domain
            .strip_suffix(&self.0)
            .is_some_and(|below| below.is_empty() || below.ends_with('.'))
    }

    /// Refuses a domain that is neither the workspace's nor below one that is.
    pub(crate) fn demand_in_scope(&self, caller: &Principal) -> Result<(), Denial> {
        let covers =
            |owned: &str, asked: &str| Self::read(owned).is_ok_and(|owned| owned.covers(asked));
        caller.owns_by("domain", Some(&self.0), covers).map(|_| ())
    }
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl Email {
    pub(crate) fn read(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            not(
                "e-mail address",
                text,
                "write one such as `ann@acme.example`",
            )
        };
        let (local_part, domain) = text.trim().split_once('@').ok_or_else(wrong)?;
        let domain = Domain::read(domain).map_err(|_| wrong())?;
        if local_part.len() > LONGEST_LOCAL_PART || !local_part.split('.').all(is_atom) {
            return Err(wrong());
        }
        Ok(Self {
            local_part: local_part.to_ascii_lowercase(),
            domain,
        })
    }

    /// Refuses an address whose domain is out of scope.
    pub(crate) fn demand_in_scope(&self, caller: &Principal) -> Result<(), Denial> {
        self.domain.demand_in_scope(caller)
    }

    /// Whether this is the address, which is in lower case.
    pub(crate) fn is(&self, address: &str) -> bool {
        address.split_once('@') == Some((&self.local_part, self.domain.as_str()))
    }
}

/// A part between dots of what is before the `@` (RFC 5322 §3.2.3). Quoted ones are not taken.
fn is_atom(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

impl Bin {
    pub(crate) fn read(text: &str) -> Result<Self, Invalid> {
        let bin = text.trim();
        if !matches!(bin.len(), 6 | 8) || !bin.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not("BIN", text, "write the first 6 or 8 digits of a card"));
        }
        Ok(Self(bin.to_owned()))
    }

    /// Whether the cards of another BIN, or one of more digits, are among this one's.
    pub(crate) fn covers(&self, bin: &str) -> bool {
        bin.starts_with(&self.0)
    }

    /// Refuses a BIN whose cards are not the workspace's.
    pub(crate) fn demand_in_scope(&self, caller: &Principal) -> Result<(), Denial> {
        let covers =
            |owned: &str, asked: &str| Self::read(owned).is_ok_and(|owned| owned.covers(asked));
        caller.owns_by("bin", Some(&self.0), covers).map(|_| ())
    }
}

/// Says what was not read. The text may be long, or hold anything.
fn not(what: &str, text: &str, remedy: &str) -> Invalid {
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    Invalid::new(what, format!("`{shown}` is none; {remedy}"))
}

macro_rules! read_from_text {
    ($($Type:ident),+) => {$(
        impl TryFrom<String> for $Type {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::read(&text)
            }
        }
    )+};
}

read_from_text!(Domain, Email, Bin);

impl From<Email> for String {
    fn from(email: Email) -> Self {
        format!("{}@{}", email.local_part, email.domain.as_str())
    }
}
