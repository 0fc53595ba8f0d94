//! Passwords, and what is kept of them.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use zeroize::Zeroize;

use crate::audit::hex;
use crate::invalid::Invalid;
use crate::secret::Secret;

/// Those of 8 characters and more among the most frequent in zxcvbn's list, sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password, as somebody typed it.
///
/// It cannot be printed or serialized, and its memory is wiped when it is dropped.
pub struct Password(String);

impl Password {
    /// Takes a password of at least 8 characters and at most 1,000 bytes, of any characters, that is
    /// none of the most common ones.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is shorter, longer or common (NIST SP 800-63B §3.1.1.2), without repeating
    /// it.
    pub fn new(text: String) -> Result<Self, Invalid> {
        let password = Self(text);
        if password.0.chars().count() < 8 {
            let reason = "it has fewer than 8 characters; take a phrase of 15 or more";
            return Err(Invalid::new("password", reason));
        }
        if password.0.len() > 1_000 {
            return Err(Invalid::new("password", "it has more than 1000 bytes"));
        }
        let common: Vec<&str> = COMMON.lines().collect();
        if common.binary_search(&&*password.0.to_lowercase()).is_ok() {
            let reason = "it is among those that are tried first; take a phrase of 15 or more";
            return Err(Invalid::new("password", reason));
        }
        Ok(password)
    }

    /// A password that nobody can guess, to be shown once: 32 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the system gives no randomness.
    pub fn generate() -> Result<Secret, Invalid> {
        let mut bytes = [0_u8; 32];
        fill(&mut bytes)?;
        let mut text = hex::text(&bytes);
        bytes.zeroize();
        text.truncate(32);
        Ok(Secret::new(text))
    }

    /// What is kept of it: Argon2id with a random salt, which takes some 20 ms and 19 MiB.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the system gives no randomness.
    pub fn hash(&self) -> Result<PasswordHash, Invalid> {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(|error| {
            Invalid::new(
                "password",
                format!("the system gave no randomness: {error}"),
            )
        })?;
        let hash = Argon2::default().hash_password_with_salt(self.0.as_bytes(), &salt);
        let hash = hash.map_err(|error| Invalid::new("password", error.to_string()))?;
        Ok(PasswordHash(hash.to_string()))
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), Invalid> {
    getrandom::fill(bytes).map_err(|error| {
        Invalid::new(
            "password",
            format!("the system gave no randomness: {error}"),
        )
    })
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What is kept of a password, as a PHC string: `$argon2id$…`. It is not printed.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes what a store kept.
    #[must_use]
    pub const fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// What a store keeps.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. It takes as long as hashing it: not a thing to do on a thread
    /// that others wait for.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let Ok(hash) = argon2::PasswordHash::new(&self.0) else {
            return false;
        };
        let verified = Argon2::default().verify_password(password.as_bytes(), &hash);
        verified.is_ok()
    }

    /// A hash of no password, which takes as long to compare as any.
    pub(super) fn of_nobody() -> Self {
        const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        Self(HASH.to_owned())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let password = Password::new("correct horse".to_owned()).unwrap();
        let hash = password.hash().unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hash.verify("correct horse"));
        assert!(!hash.verify("correct horsf"));
        assert_ne!(hash, password.hash().unwrap(), "the salt is random");
        assert!(!PasswordHash::from_phc("nonsense".to_owned()).verify("correct horse"));
    }

    #[test]
    fn nobodys_hash_can_be_compared_and_fits_nothing() {
        let hash = PasswordHash::of_nobody();
        assert!(argon2::PasswordHash::new(hash.as_phc()).is_ok());
        assert!(!hash.verify(""));
    }

    #[test]
    fn a_short_password_is_refused_without_being_repeated() {
        let error = Password::new("canary7".to_owned()).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
        assert!(Password::new("x".repeat(1_001)).is_err());
        assert!(Password::new("ä".repeat(8)).is_ok());
    }

    #[test]
    fn a_common_password_is_refused_in_any_case() {
        assert!(COMMON.lines().is_sorted());
        for common in COMMON.lines().chain(["PassWord", "Sunshine"]) {
            assert!(Password::new(common.to_owned()).is_err(), "{common}");
        }
        assert!(Password::new("sunshine and rain".to_owned()).is_ok());
    }

    #[test]
    fn debug_shows_nothing() {
        let password = Password::new("canary canary".to_owned()).unwrap();
        let shown = format!("{password:?} {:?}", password.hash().unwrap());
        assert_eq!(shown, "Password(..) PasswordHash(..)");
    }
}
