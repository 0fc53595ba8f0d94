//! Names of things: keys, organizations, holds, users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::invalid::Invalid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $Name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
        #[serde(transparent)]
        pub struct $Name(Uuid);

        impl $Name {
            /// A new id (UUID version 7), ordered by the time it was made at.
            ///
            /// # Errors
            ///
            /// [`Invalid`] if the operating system gives no randomness.
            pub fn new(at: Timestamp) -> Result<Self, Invalid> {
                let mut random = [0; 10];
                getrandom::fill(&mut random).map_err(|error| {
                    Invalid::new($what, format!("the system gave no randomness: {error}"))
                })?;
                Ok(Self::from_parts(at, &random))
            }

            /// An id made of a time and ten bytes of randomness that the caller has at hand.
            #[must_use]
            pub fn from_parts(at: Timestamp, random: &[u8; 10]) -> Self {
                Self(
                    uuid::Builder::from_unix_timestamp_millis(at.as_unix_millis(), random)
                        .into_uuid(),
                )
            }

            /// The sixteen bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id that these sixteen bytes are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $Name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text).map(Self).map_err(|_| {
                    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
                    Invalid::new($what, format!("`{shown}` is not a UUID"))
                })
            }
        }
    };
}

uuid_id! {
    /// Names an API key. It never changes, whatever happens to the secret.
    KeyId, "key id"
}

uuid_id! {
    /// Names a hold on credits.
    HoldId, "hold id"
}

uuid_id! {
    /// Names a user.
    UserId, "user id"
}

uuid_id! {
    /// Names a session; it does not open it.
    SessionId, "session id"
}

/// The longest request id that is kept with a charge; the rest of a longer one is cut off.
const REQUEST_ID_BYTES: usize = 64;

/// The id of a request, as responses and logs show it. It lies in place, so that noting it costs
/// no allocation.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct RequestId {
    bytes: [u8; REQUEST_ID_BYTES],
    len: u8,
}

impl RequestId {
    /// Takes the first 64 bytes of an id.
    #[must_use]
    pub fn new(id: &[u8]) -> Self {
        let mut bytes = [0; REQUEST_ID_BYTES];
        let len = id.len().min(REQUEST_ID_BYTES);
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), id.get(..len)) {
            to.copy_from_slice(from);
        }
        Self {
            bytes,
            len: u8::try_from(len).unwrap_or(0),
        }
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self {
            bytes: [0; REQUEST_ID_BYTES],
            len: 0,
        }
    }
}

/// What is not visible ASCII is shown as `?`.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        bytes.iter().try_for_each(|byte| {
            let visible = if byte.is_ascii_graphic() { *byte } else { b'?' };
            fmt::Write::write_char(f, char::from(visible))
        })
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names an organization, in the app's own words: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct OrgId(Arc<str>);

impl OrgId {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is empty, longer than 64 bytes, has another character, or is `.`, `..` or
    /// `-`.
    pub fn new(name: &str) -> Result<Self, Invalid> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if matches!(name, "." | ".." | "-") {
            let reason = format!("`{name}` is no name: a path or a list could not name it");
            return Err(Invalid::new("organization id", reason));
        }
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            return Err(Invalid::new(
                "organization id",
                format!(
                    "`{}` is not 1 to 64 of A-Z a-z 0-9 . _ -",
                    name.chars()
                        .take(80)
                        .flat_map(char::escape_default)
                        .collect::<String>()
                ),
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OrgId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for OrgId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}
