//! What a key looks like: `<vendor>_<environment>_<30 random characters><6 of checksum>`.
//!
//! The random part has 178 bits. The checksum (CRC-32, six base-62 digits, as GitHub's tokens
//! have it) is no security: it lets a mistyped or made-up key be turned away without any look-up,
//! and lets secret scanners be sure.

use std::fmt;

use crate::catalog::KeyFormatSpec;
use crate::invalid::Invalid;
use crate::secret::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 30;
const CHECKSUM: usize = 6;
/// What a key of another system has at least after its prefix.
const FOREIGN: usize = 8;

/// The longest credential that is looked at, in bytes; longer ones are turned away unread.
pub const LONGEST: usize = 128;

/// The forms of key that an app accepts, and the one that it issues.
///
/// ```
/// use tollgate_core::catalog::Catalog;
/// use tollgate_core::key_format::KeyFormat;
///
/// let catalog = Catalog::builder().build()?;
/// let format = KeyFormat::new(&catalog.keys().format);
/// let issued = format.generate("live")?;
/// assert!(issued.secret.expose().starts_with("sk_live_"));
/// assert!(format.accepts(issued.secret.expose()));
/// assert!(!format.accepts("sk_live_typo"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyFormat {
    /// `sk_live_`, `sk_test_`: with the environment they stand for.
    prefixes: Vec<(String, String)>,
    shown: usize,
    /// How keys of another system begin.
    foreign: Vec<String>,
}

/// Where a key comes from, as its text tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a key is of here or it is not")]
pub enum KeyOrigin {
    /// Issued here: prefix, length, alphabet and checksum fit.
    Own,
    /// Imported from another system: prefix and length fit, and there is no checksum.
    Foreign,
}

/// A new key: its secret, and the beginning that may be shown for ever.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generated {
    /// The secret, to be shown once.
    pub secret: Secret,
    /// Its beginning: `sk_live_zIc8`.
    pub display_prefix: String,
}

impl KeyFormat {
    /// The format that a catalog declares.
    #[must_use]
    pub fn new(spec: &KeyFormatSpec) -> Self {
        let prefixes = spec
            .environments
            .iter()
            .map(|env| (format!("{}_{}_", spec.prefix, env.name), env.name.clone()))
            .collect();
        Self {
            prefixes,
            shown: spec.shown.into(),
            foreign: spec.foreign.clone(),
        }
    }

    /// Makes a new key of an environment, from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the environment is not declared, or the system gives no randomness.
    pub fn generate(&self, environment: &str) -> Result<Generated, Invalid> {
        let prefix = self.prefix_of(environment)?;
        let random = random_base62()?;
        let mut text = String::with_capacity(prefix.len().saturating_add(RANDOM + CHECKSUM));
        text.push_str(prefix);
        text.push_str(&random);
        let shown = text
            .get(..prefix.len().saturating_add(self.shown))
            .unwrap_or(prefix)
            .to_owned();
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.iter().copied().map(char::from));
        Ok(Generated {
            secret: Secret::new(text),
            display_prefix: shown,
        })
    }

    /// Whether a credential could be a key of this app: prefix, length, alphabet and checksum; or
    /// the prefix of another system, whose keys were imported.
    #[must_use]
    pub fn accepts(&self, credential: &str) -> bool {
        self.origin_of(credential).is_some()
    }

    /// Where a credential comes from, if it could be a key of this app.
    #[must_use]
    pub fn origin_of(&self, credential: &str) -> Option<KeyOrigin> {
        if credential.len() > LONGEST {
            return None;
        }
        if self.is_own(credential) {
            return Some(KeyOrigin::Own);
        }
        self.is_foreign(credential).then_some(KeyOrigin::Foreign)
    }

    /// Tells whether an environment is declared.
    ///
    /// # Errors
    ///
    /// [`Invalid`] that lists those which are.
    pub fn check_environment(&self, environment: &str) -> Result<(), Invalid> {
        self.prefix_of(environment).map(drop)
    }

    fn prefix_of(&self, environment: &str) -> Result<&str, Invalid> {
        let mut prefixes = self.prefixes.iter();
        if let Some((prefix, _)) = prefixes.find(|(_, name)| name == environment) {
            return Ok(prefix);
        }
        let known: Vec<&str> = self.prefixes.iter().map(|(_, name)| &**name).collect();
        Err(Invalid::new(
            "key environment",
            format!(
                "`{}` is not declared; use one of {}",
                environment.escape_debug(),
                known.join(", ")
            ),
        ))
    }

    fn is_foreign(&self, credential: &str) -> bool {
        self.foreign
            .iter()
            .filter_map(|prefix| credential.strip_prefix(&**prefix))
            .any(|rest| rest.len() >= FOREIGN && rest.bytes().all(|b| b.is_ascii_graphic()))
    }

    fn is_own(&self, credential: &str) -> bool {
        let Some(rest) = self
            .prefixes
            .iter()
            .find_map(|(prefix, _)| credential.strip_prefix(&**prefix))
        else {
            return false;
        };
        if rest.len() != RANDOM + CHECKSUM || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return false;
        }
        credential
            .len()
            .checked_sub(CHECKSUM)
            .and_then(|end| credential.as_bytes().split_at_checked(end))
            .is_some_and(|(body, tail)| tail == checksum(body))
    }

    /// The environment that a key's text names, if it names one.
    #[must_use]
    pub fn environment_of(&self, credential: &str) -> Option<&str> {
        self.prefixes
            .iter()
            .find(|(prefix, _)| credential.starts_with(&**prefix))
            .map(|(_, environment)| &**environment)
    }
}

/// Says how a key looks, for a caller who sent none: `sk_live_…`.
impl fmt::Display for KeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefixes.first() {
            Some((prefix, _)) => write!(f, "{prefix}..."),
            None => f.write_str("..."),
        }
    }
}

/// Thirty characters, each equally likely: bytes that would favour some are thrown away.
fn random_base62() -> Result<String, Invalid> {
    let mut text = String::with_capacity(RANDOM);
    let mut bytes = [0_u8; 64];
    while text.len() < RANDOM {
        getrandom::fill(&mut bytes).map_err(|error| {
            Invalid::new("key", format!("the system gave no randomness: {error}"))
        })?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let digits = fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        let missing = RANDOM.saturating_sub(text.len());
        text.extend(digits.take(missing).map(|digit| char::from(*digit)));
    }
    Ok(text)
}

/// CRC-32 (ISO-HDLC) of the text before it, as six base-62 digits, the most significant first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(rest % 62).unwrap_or(0);
        *digit = ALPHABET.get(value).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalog::Catalog;

    fn format() -> KeyFormat {
        KeyFormat::new(&Catalog::builder().build().unwrap().keys().format)
    }

    #[test]
    fn the_checksum_is_golden() {
        // A change of alphabet or polynomial would turn away every key ever issued.
        let key = "sk_live_0123456789ABCDEFGHIJKLMNOPQRST";
        let sum = checksum(key.as_bytes());
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(std::str::from_utf8(&sum).unwrap(), GOLDEN);
        assert!(format().accepts(&format!("{key}{GOLDEN}")));
    }
    const GOLDEN: &str = "4KxuAM";

    #[test]
    fn every_one_character_change_is_refused() {
        let format = format();
        let issued = format.generate("live").unwrap();
        let good = issued.secret.expose();
        assert!(format.accepts(good));
        for position in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(bytes).unwrap();
            assert!(!format.accepts(&typo), "{position}");
        }
        assert!(!format.accepts(&good[1..]));
        assert!(!format.accepts(&format!("{good}0")));
        assert!(!format.accepts(""));
        assert!(!format.accepts("sk_live_"));
        assert!(!format.accepts(&"sk_live_é".repeat(5)));
    }

    #[test]
    fn a_good_checksum_makes_no_key_of_another_length_or_alphabet() {
        let format = format();
        for (random, good) in [
            ("0123456789ABCDEFGHIJKLMNOPQRST", true),
            ("0123456789ABCDEFGHIJKLMNOPQRS", false),
            ("0123456789ABCDEFGHIJKLMNOPQRSTU", false),
            ("", false),
            ("0123456789ABCDEFGHIJKLMNOPQR-T", false),
            ("0123456789ABCDEFGHIJKLMNOPQR_T", false),
            ("0123456789ABCDEFGHIJKLMNOPQR T", false),
            ("0123456789ABCDEFGHIJKLMNOPQRé", false),
        ] {
            let body = format!("sk_live_{random}");
            let sum = checksum(body.as_bytes());
            let key = format!("{body}{}", std::str::from_utf8(&sum).unwrap());
            assert_eq!(format.accepts(&key), good, "{key}");
        }
    }

    #[test]
    fn a_foreign_key_has_its_prefix_and_a_length_and_no_checksum() {
        let spec = KeyFormatSpec::default()
            .foreign("oldco_")
            .foreign("sk_live_");
        let format = KeyFormat::new(&spec);
        let issued = format.generate("live").unwrap();
        let own = issued.secret.expose();
        let longest = format!("oldco_{}", "x".repeat(LONGEST - 6));
        for (text, origin) in [
            (own, Some(KeyOrigin::Own)),
            ("oldco_9f86d081.~884", Some(KeyOrigin::Foreign)),
            ("oldco_12345678", Some(KeyOrigin::Foreign)),
            ("oldco_1234567", None),
            (&longest, Some(KeyOrigin::Foreign)),
            (&format!("{longest}x"), None),
            ("Oldco_12345678", None),
            ("oldco_1234 5678", None),
            ("oldco_1234é5678", None),
            ("sk_live_12345678", Some(KeyOrigin::Foreign)),
            ("sk_test_12345678", None),
        ] {
            assert_eq!(format.origin_of(text), origin, "{text}");
        }
    }

    #[test]
    fn a_key_names_its_environment_and_the_format_its_beginning() {
        let format = format();
        assert_eq!(format.environment_of("sk_test_0123"), Some("test"));
        assert_eq!(format.environment_of("sk_live_0123"), Some("live"));
        assert_eq!(format.environment_of("sk_prod_0123"), None);
        assert_eq!(format.to_string(), "sk_live_...");
    }

    #[test]
    fn the_display_prefix_tells_little() {
        let issued = format().generate("test").unwrap();
        assert_eq!(issued.display_prefix.len(), "sk_test_".len() + 4);
        assert!(issued.secret.expose().starts_with(&issued.display_prefix));
    }

    #[test]
    fn an_environment_that_is_not_declared_is_refused_by_name() {
        let error = format().generate("prod").unwrap_err().to_string();
        assert_eq!(
            error,
            "key environment: `prod` is not declared; use one of live, test"
        );
    }

    #[test]
    fn random_parts_are_even_and_never_repeat() {
        let mut seen = HashSet::new();
        let mut counts = [0_u32; 62];
        for _ in 0..10_000 {
            let random = random_base62().unwrap();
            for byte in random.bytes() {
                counts[ALPHABET.iter().position(|a| *a == byte).unwrap()] += 1;
            }
            assert!(seen.insert(random));
        }
        let expected = 10_000.0 * 30.0 / 62.0;
        let chi_square: f64 = counts
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        // 61 degrees of freedom: 130 is exceeded once in a million fair runs.
        assert!(chi_square < 130.0, "{chi_square}");
    }
}
