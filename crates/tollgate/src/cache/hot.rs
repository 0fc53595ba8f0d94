//! The copies of the last moment, in front of the cache: one slot for each digest.
//!
//! The cache keeps the books of who was used how often and how lately, on each read. A slot costs
//! a try-lock and a comparison, about a tenth of that. What it says is believed on the same terms:
//! a copy carries its own epoch and age.

use std::fmt;

use parking_lot::Mutex;
use tollgate_core::secret::KeyDigest;

/// As many as two bytes of a digest tell apart, less four bits.
const SLOTS: u16 = 4096;

/// One copy for each slot; the latest stays.
pub(super) struct Hot<T>(Box<[Slot<T>]>);

type Slot<T> = Mutex<Option<(KeyDigest, T)>>;

impl<T: Clone> Hot<T> {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| Mutex::new(None)).collect())
    }

    /// The copy, if its slot has it. Whoever meets another request there is told that it has not:
    /// nobody waits.
    pub(super) fn get(&self, digest: &KeyDigest) -> Option<T> {
        match &*self.slot(digest)?.try_lock()? {
            Some((kept, copy)) if kept == digest => Some(copy.clone()),
            _ => None,
        }
    }

    /// Keeps a copy, unless another request is at its slot.
    pub(super) fn put(&self, digest: KeyDigest, copy: T) {
        if let Some(mut slot) = self.slot(&digest).and_then(Mutex::try_lock) {
            let old = slot.replace((digest, copy));
            drop(slot);
            drop(old);
        }
    }

    /// A digest is as good as random, so its first bytes spread well.
    fn slot(&self, digest: &KeyDigest) -> Option<&Slot<T>> {
        let [first, second, ..] = *digest.as_bytes();
        let at = u16::from_le_bytes([first, second]).checked_rem(SLOTS)?;
        self.0.get(usize::from(at))
    }
}

impl<T> fmt::Debug for Hot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hot").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_one_slot_do_not_mix() {
        let hot = Hot::new();
        let mut bytes = [7; 32];
        let one = KeyDigest::from_bytes(bytes);
        bytes[31] = 8;
        let other = KeyDigest::from_bytes(bytes);
        assert_eq!(hot.get(&one), None);
        hot.put(one, 1);
        assert_eq!((hot.get(&one), hot.get(&other)), (Some(1), None));
        hot.put(other, 2);
        assert_eq!((hot.get(&one), hot.get(&other)), (None, Some(2)));
    }

    #[test]
    fn nobody_waits_for_a_slot() {
        let hot = Hot::new();
        let digest = KeyDigest::from_bytes([7; 32]);
        hot.put(digest, 1);
        let held = hot.slot(&digest).unwrap().lock();
        assert_eq!(hot.get(&digest), None);
        hot.put(digest, 2);
        drop(held);
        assert_eq!(hot.get(&digest), Some(1));
    }
}
