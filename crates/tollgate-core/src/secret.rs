//! The secret of a key, and the digest that stands for it everywhere else.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

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
