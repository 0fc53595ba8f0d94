use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::told;
use crate::invalid::Invalid;
use crate::plan::text::optional_duration;
use crate::shorthand::Value;

/// What the app's keys look like: `<prefix>_<environment>_…`.
///
/// ```
/// use tollgate_core::catalog::KeyFormatSpec;
///
/// let format = KeyFormatSpec::new("op").environment("live").free_environment("sandbox");
/// assert_eq!(format.environments.len(), 2);
/// assert_eq!(KeyFormatSpec::default().prefix, "sk");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyFormatSpec {
    /// The vendor: 1 to 12 of `a-z 0-9`.
    pub prefix: String,
    /// The environments a key may be for, in declared order.
    pub environments: Vec<EnvironmentSpec>,
    /// How many of the random characters a listing shows after the prefix.
    pub shown: u8,
    /// How keys begin that were imported from another system: 2 to 32 of `A-Z a-z 0-9 _ -`. They
    /// have no checksum, so that each that is made up is looked up.
    pub foreign: Vec<String>,
}

/// An environment that a key may be for.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Value<EnvironmentTable>")]
#[non_exhaustive]
pub struct EnvironmentSpec {
    /// The name in the key: 1 to 12 of `a-z 0-9`.
    pub name: String,
    /// Whether its keys pay nothing.
    pub free: bool,
}

impl KeyFormatSpec {
    /// Keys of this vendor, in no environment yet.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            environments: Vec::new(),
            shown: KeysSpec::SHOWN,
            foreign: Vec::new(),
        }
    }

    /// Adds an environment whose keys pay.
    #[must_use]
    pub fn environment(self, name: impl Into<String>) -> Self {
        self.with(name.into(), false)
    }

    /// Adds an environment whose keys pay nothing.
    #[must_use]
    pub fn free_environment(self, name: impl Into<String>) -> Self {
        self.with(name.into(), true)
    }

    /// Shows this many random characters in listings, in place of 4.
    #[must_use]
    pub const fn shown(mut self, characters: u8) -> Self {
        self.shown = characters;
        self
    }

    /// Accepts keys of another system that begin so, without a checksum. In a file,
    /// `foreign = ["oldco_"]`.
    ///
    /// ```
    /// use tollgate_core::catalog::KeyFormatSpec;
    /// use tollgate_core::key_format::KeyFormat;
    ///
    /// let format = KeyFormat::new(&KeyFormatSpec::default().foreign("oldco_"));
    /// assert!(format.accepts("oldco_9f86d081884c7d65"));
    /// assert!(!format.accepts("newco_9f86d081884c7d65"));
    /// ```
    #[must_use]
    pub fn foreign(mut self, prefix: impl Into<String>) -> Self {
        self.foreign.push(prefix.into());
        self
    }

    fn with(mut self, name: String, free: bool) -> Self {
        self.environments.push(EnvironmentSpec { name, free });
        self
    }
}

/// `sk_live_…` and, free of charge, `sk_test_…`.
impl Default for KeyFormatSpec {
    fn default() -> Self {
        Self::new("sk").environment("live").free_environment("test")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentTable {
    name: String,
    #[serde(default)]
    free: bool,
}

impl TryFrom<Value<EnvironmentTable>> for EnvironmentSpec {
    type Error = Invalid;

    fn try_from(value: Value<EnvironmentTable>) -> Result<Self, Invalid> {
        match value {
            Value::Text(name) => Ok(Self { name, free: false }),
            Value::Table(EnvironmentTable { name, free }) => Ok(Self { name, free }),
            Value::List(_) => Err(Invalid::new("environment", "give a name or a table")),
        }
    }
}

/// All that is declared about keys.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(from = "KeysBody", into = "KeysBody")]
#[non_exhaustive]
pub struct KeysSpec {
    /// What they look like.
    pub format: KeyFormatSpec,
    /// How long a key lives if its maker does not say; forever, if unset.
    pub default_lifetime: Option<Duration>,
    /// The longest that a key may live; forever, if unset.
    pub max_lifetime: Option<Duration>,
    /// The age at which a key's secret should be rotated.
    pub rotation_age: Option<Duration>,
}

#[derive(Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct KeysBody {
    prefix: String,
    environments: Vec<EnvironmentSpec>,
    shown: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    foreign: Vec<String>,
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    default_lifetime: Option<Duration>,
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    max_lifetime: Option<Duration>,
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    rotation_age: Option<Duration>,
}

impl Default for KeysBody {
    fn default() -> Self {
        KeysSpec::default().into()
    }
}

impl From<KeysBody> for KeysSpec {
    fn from(body: KeysBody) -> Self {
        Self {
            format: KeyFormatSpec {
                prefix: body.prefix,
                environments: body.environments,
                shown: body.shown,
                foreign: body.foreign,
            },
            default_lifetime: body.default_lifetime,
            max_lifetime: body.max_lifetime,
            rotation_age: body.rotation_age,
        }
    }
}

impl From<KeysSpec> for KeysBody {
    fn from(keys: KeysSpec) -> Self {
        Self {
            prefix: keys.format.prefix,
            environments: keys.format.environments,
            shown: keys.format.shown,
            foreign: keys.format.foreign,
            default_lifetime: keys.default_lifetime,
            max_lifetime: keys.max_lifetime,
            rotation_age: keys.rotation_age,
        }
    }
}

impl KeysSpec {
    const SHOWN: u8 = 4;

    /// The most characters shown: the other 22 of 30 keep over 128 bits secret.
    const MOST_SHOWN: u8 = 8;

    /// Adds what is wrong to `problems`.
    pub(super) fn check(&self, problems: &mut Vec<Invalid>) {
        let mut refuse = |place: &str, reason: String| {
            problems.push(Invalid::new(place, reason));
        };
        let good = |name: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            (1..=12).contains(&name.len()) && name.bytes().all(plain)
        };
        let format = &self.format;
        if !good(&format.prefix) {
            let prefix = told(&format.prefix);
            refuse("key prefix", format!("{prefix} is not 1 to 12 of a-z 0-9"));
        }
        if format.environments.is_empty() {
            refuse(
                "key environments",
                "there is none; declare one, such as `live`".to_owned(),
            );
        }
        let mut seen = BTreeSet::new();
        for EnvironmentSpec { name, .. } in &format.environments {
            if !good(name) {
                let name = told(name);
                refuse(
                    "key environment",
                    format!("{name} is not 1 to 12 of a-z 0-9"),
                );
            }
            if !seen.insert(name) {
                let name = told(name);
                refuse(
                    "key environment",
                    format!("{name} is declared twice; remove one"),
                );
            }
        }
        if format.shown > Self::MOST_SHOWN {
            refuse(
                "shown characters of a key",
                format!("{} is more than {}", format.shown, Self::MOST_SHOWN),
            );
        }
        for prefix in &format.foreign {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            if !(2..=32).contains(&prefix.len()) || !prefix.bytes().all(plain) {
                let reason = format!("{} is not 2 to 32 of A-Z a-z 0-9 _ -", told(prefix));
                refuse("foreign key prefix", reason);
            }
        }
        for (place, duration) in [
            ("default key lifetime", self.default_lifetime),
            ("longest key lifetime", self.max_lifetime),
            ("key rotation age", self.rotation_age),
        ] {
            // Catalogs are recorded in whole microseconds: a finer duration would change on reading.
            if duration.is_some_and(|d| d.is_zero() || !d.subsec_nanos().is_multiple_of(1000)) {
                refuse(
                    place,
                    "it is not a whole, positive number of microseconds; leave it out for none"
                        .to_owned(),
                );
            }
        }
        if let (Some(default), Some(max)) = (self.default_lifetime, self.max_lifetime)
            && default > max
        {
            refuse(
                "default key lifetime",
                "it is longer than the longest; shorten it".to_owned(),
            );
        }
    }
}
