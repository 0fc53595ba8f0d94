//! The secret of a key, and the digest that stands for it everywhere else.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::invalid::Invalid;

/// The plaintext of a key: `sk_live_…`.
///
/// Shown once, never stored. It cannot be printed (`Debug` redacts, there is no `Display`),
/// serialized or cloned, and its memory is wiped when it is dropped.
///
/// ```compile_fail
/// fn log(secret: &tollgate_core::secret::Secret) {
///     println!("{secret}");
/// }
/// ```
pub struct Secret(String);

impl Secret {
    /// Takes a plaintext.
    #[must_use]
    pub const fn new(plaintext: String) -> Self {
        Self(plaintext)
    }

    /// The plaintext, to be shown to its owner this once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What stores and caches hold instead of a secret: 32 bytes from which it cannot be found.
///
/// A random secret of 178 bits needs no slow hash: it cannot be guessed (OWASP ASVS 6.5.2,
/// NIST SP 800-63B §3.1.2.2).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Takes the bytes of a digest that was stored or imported.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// From 64 hexadecimal digits.
impl FromStr for KeyDigest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            let shown: String = text.chars().take(8).flat_map(char::escape_debug).collect();
            let reason = format!(
                "`{shown}…` is not 64 hexadecimal digits, but {} bytes of text",
                text.len()
            );
            Invalid::new("digest", reason)
        };
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|it| u8::try_from(it).ok())
        };
        let mut bytes = [0; 32];
        let mut digits = text.bytes();
        for byte in &mut bytes {
            let high = digits.next().and_then(digit).ok_or_else(bad)?;
            let low = digits.next().and_then(digit).ok_or_else(bad)?;
            *byte = (high << 4) | low;
        }
        match digits.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(bad()),
        }
    }
}

/// A digest is no secret, but there is no reason to print one whole.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "KeyDigest({a:02x}{b:02x}{c:02x}…)")
    }
}

/// Turns secrets into digests: SHA-256, or HMAC-SHA-256 with a pepper.
///
/// With a pepper kept outside the database, a stolen database does not even let the thief test
/// a secret found elsewhere.
#[derive(Clone, Default)]
pub struct Digester {
    pepper: Option<Hmac<Sha256>>,
}

impl Digester {
    /// Plain SHA-256.
    #[must_use]
    pub const fn sha256() -> Self {
        Self { pepper: None }
    }

    /// HMAC-SHA-256 with a pepper of any length; 32 random bytes are a good one.
    ///
    /// Every process that shares a store needs the same pepper.
    #[must_use]
    pub fn with_pepper(pepper: &[u8]) -> Self {
        Self {
            pepper: Hmac::new_from_slice(pepper).ok(),
        }
    }

    /// Whether there is a pepper.
    #[must_use]
    pub const fn is_peppered(&self) -> bool {
        self.pepper.is_some()
    }

    /// The digest of a plaintext of another system, from the plaintext.
    #[must_use]
    pub fn digest_foreign(&self, plaintext: &str) -> KeyDigest {
        self.of_sha256(&KeyDigest(Sha256::digest(plaintext.as_bytes()).into()))
    }

    /// The same, from the plaintext's SHA-256, which is all that an import has of it: with a
    /// pepper, the HMAC of that.
    #[must_use]
    pub fn of_sha256(&self, sha256: &KeyDigest) -> KeyDigest {
        match &self.pepper {
            None => *sha256,
            Some(keyed) => {
                let mac = keyed.clone().chain_update(sha256.0).finalize();
                KeyDigest(mac.into_bytes().into())
            }
        }
    }

    /// The digest of a plaintext.
    #[must_use]
    pub fn digest(&self, plaintext: &str) -> KeyDigest {
        let bytes = plaintext.as_bytes();
        KeyDigest(match &self.pepper {
            None => Sha256::digest(bytes).into(),
            Some(keyed) => keyed
                .clone()
                .chain_update(bytes)
                .finalize()
                .into_bytes()
                .into(),
        })
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("peppered", &self.pepper.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secret = Secret::new("sk_live_canary".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        let debug = format!("{:?}", Digester::with_pepper(b"canary"));
        assert_eq!(debug, "Digester { peppered: true }");
        let digest = KeyDigest::from_bytes([0xab; 32]);
        assert_eq!(format!("{digest:?}"), "KeyDigest(ababab…)");
    }

    #[test]
    fn a_foreign_plaintext_and_its_sha256_have_one_digest() {
        for digester in [Digester::sha256(), Digester::with_pepper(b"canary")] {
            let sha256 = Digester::sha256().digest("oldco_1");
            assert_eq!(
                digester.digest_foreign("oldco_1"),
                digester.of_sha256(&sha256)
            );
        }
        let sha256 = Digester::sha256().digest("oldco_1");
        let peppered = Digester::with_pepper(b"canary");
        // Who has the table of another system's digests cannot tell which are here.
        assert_ne!(peppered.of_sha256(&sha256), sha256);
    }

    #[test]
    fn a_digest_is_read_of_64_digits_and_nothing_else() {
        let good = "ba7816bf8f01cfea414140de5dae2223b00361A396177A9CB410FF61F20015AD";
        assert_eq!(good.parse(), Ok(Digester::sha256().digest("abc")));
        for bad in [
            "",
            &good[1..],
            &format!("{good}0"),
            &good.replace('b', "g"),
            "é",
        ] {
            let error = bad.parse::<KeyDigest>().unwrap_err().to_string();
            assert!(error.contains("is not 64 hexadecimal digits"), "{error}");
            assert!(!error.contains(&good[8..]), "{error}");
        }
    }

    #[test]
    fn digests_are_the_standard_ones() {
        let hex = |digest: KeyDigest| {
            use std::fmt::Write as _;
            digest
                .as_bytes()
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    write!(hex, "{byte:02x}").unwrap();
                    hex
                })
        };
        // FIPS 180-4 "abc", and RFC 4231 test case 2.
        assert_eq!(
            hex(Digester::sha256().digest("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(Digester::with_pepper(b"Jefe").digest("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
