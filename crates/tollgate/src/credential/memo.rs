//! Remembers the digests of keys that were seen just now.
//!
//! SHA-256 is the dearest step of a cached request: 60 ns where the processor has instructions
//! for it, 400 and more where it has not. So the digest of each well-formed key is kept under a
//! fingerprint of the key's text, which is ten times cheaper: `SipHash-2-4` with 128 bits, keyed at
//! random for each process. It is a pseudo-random function, so nobody who lacks its key can aim
//! at a collision, and a chance one takes 2⁶⁴ keys. The text itself is not kept.

use std::fmt;
use std::hash::Hasher;

use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher24};
use tollgate_core::key_format::{KeyFormat, KeyOrigin, LONGEST};
use tollgate_core::secret::{Digester, KeyDigest};

/// A slot for each hot key, give or take; a key whose slot is taken is digested again.
const SLOTS: usize = 4096;

/// The fingerprint and digest of one key.
type Slot = Mutex<Option<(u128, KeyDigest)>>;

/// Turns what looks like a key into its digest.
pub(crate) struct Reader {
    format: KeyFormat,
    digester: Digester,
    fingerprint_key: [u8; 16],
    slots: Box<[Slot]>,
}

impl Reader {
    /// Without randomness from the system there is no safe fingerprint, so nothing is remembered.
    pub(crate) fn new(format: KeyFormat, digester: Digester) -> Self {
        let mut fingerprint_key = [0; 16];
        let slots = match getrandom::fill(&mut fingerprint_key) {
            Ok(()) => SLOTS,
            Err(_) => 0,
        };
        Self {
            format,
            digester,
            fingerprint_key,
            slots: (0..slots).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// The digest of a text that could be a key: length, prefix, alphabet and checksum fit.
    pub(super) fn read(&self, text: &[u8]) -> Option<KeyDigest> {
        if text.len() > LONGEST {
            return None;
        }
        let mut hasher = SipHasher24::new_with_key(&self.fingerprint_key);
        hasher.write(text);
        let fingerprint = hasher.finish128();
        let slot = self.slot(fingerprint.h1);
        let fingerprint = fingerprint.as_u128();
        // Whoever meets another request at a slot digests: nobody waits.
        if let Some(slot) = slot.and_then(Mutex::try_lock)
            && let Some((kept, digest)) = *slot
            && kept == fingerprint
        {
            return Some(digest);
        }
        let text = std::str::from_utf8(text).ok()?;
        let digest = match self.format.origin_of(text)? {
            KeyOrigin::Own => self.digester.digest(text),
            KeyOrigin::Foreign => self.digester.digest_foreign(text),
        };
        if let Some(mut slot) = slot.and_then(Mutex::try_lock) {
            *slot = Some((fingerprint, digest));
        }
        Some(digest)
    }

    fn slot(&self, fingerprint: u64) -> Option<&Slot> {
        let at = fingerprint.checked_rem(SLOTS as u64)?;
        self.slots.get(usize::try_from(at).ok()?)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("format", &self.format)
            .field("digester", &self.digester)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::catalog::Catalog;

    use super::*;

    #[test]
    fn a_digest_is_the_same_remembered_or_not() {
        let format = KeyFormat::new(&Catalog::builder().build().unwrap().keys().format);
        let reader = Reader::new(format.clone(), Digester::sha256());
        let keys: Vec<_> = (0..3 * SLOTS)
            .map(|_| format.generate("live").unwrap().secret)
            .collect();
        for _ in 0..2 {
            for key in &keys {
                let expected = Digester::sha256().digest(key.expose());
                assert_eq!(reader.read(key.expose().as_bytes()), Some(expected));
                assert_eq!(reader.read(key.expose().as_bytes()), Some(expected));
            }
        }
        assert_eq!(reader.read(b"sk_live_nonsense"), None);
        assert_eq!(reader.read(b"sk_live_nonsense"), None);
    }

    #[test]
    fn no_text_shows() {
        let format = KeyFormat::new(&Catalog::builder().build().unwrap().keys().format);
        let reader = Reader::new(format.clone(), Digester::sha256());
        let key = format.generate("live").unwrap().secret;
        reader.read(key.expose().as_bytes());
        assert!(!format!("{reader:?}").contains(key.expose()));
    }
}
