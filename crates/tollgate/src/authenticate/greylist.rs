//! Remembers which keys were told to come back.
//!
//! A flood takes the one look-up a second that goes to whoever comes first, every time. But each
//! of its keys is new, while a caller with a good key comes back with the same one. So a key that
//! was turned away is noted, and let in when it returns after its wait; mail servers call this
//! greylisting.
//!
//! The notes have a megabyte and never more. A flood can fill them; each is then kept for a second
//! after its key was due, so that a key which is in keeps its place, and the next that tries finds
//! one free with a chance of about 1 / (1 + 2 × keys a second / 131,072).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate_core::clock::Steady;
use tollgate_core::secret::KeyDigest;

const SLOTS: u64 = 1 << 17;

/// A note is the moment when its key is due, in milliseconds, and what is left of its digest.
const MOMENT: u64 = (1 << 40) - 1;

/// How long a key is to stay away.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// How long after that its place is kept against others.
const KEPT: u64 = 1000;

pub(super) struct Greylist(Box<[AtomicU64]>);

impl Greylist {
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether this key was turned away, and has waited since.
    pub(super) fn is_due(&self, digest: &KeyDigest, now: Steady) -> bool {
        let (at, mark) = place(digest);
        let note = self.0.get(at).map(|slot| slot.load(Ordering::Relaxed));
        note.is_some_and(|note| note != 0 && note & !MOMENT == mark && note & MOMENT <= millis(now))
    }

    /// Notes a key that is turned away now, if there is room; it keeps the place that it has.
    pub(super) fn note(&self, digest: &KeyDigest, now: Steady) {
        let (at, mark) = place(digest);
        let Some(slot) = self.0.get(at) else { return };
        let (note, now) = (slot.load(Ordering::Relaxed), millis(now));
        let due = note & MOMENT;
        let taken = if note & !MOMENT == mark {
            now < due
        } else {
            now < due.saturating_add(KEPT)
        };
        if note == 0 || !taken {
            // Whoever loses a race for the slot tries again with its next request.
            let due = now.saturating_add(whole_millis(WAIT)) & MOMENT;
            slot.store(mark | due, Ordering::Relaxed);
        }
    }
}

/// The slot of a digest, and the bits that tell it from others there.
fn place(digest: &KeyDigest) -> (usize, u64) {
    let first = digest.as_bytes().first_chunk().copied();
    let bits = u64::from_le_bytes(first.unwrap_or_default());
    let slot = bits.checked_rem(SLOTS).unwrap_or(0);
    (usize::try_from(slot).unwrap_or(0), bits & !MOMENT)
}

fn millis(at: Steady) -> u64 {
    at.as_nanos() / 1_000_000
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Greylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greylist").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(slot: u8, mark: u8) -> KeyDigest {
        let mut bytes = [0; 32];
        (bytes[0], bytes[7]) = (slot, mark);
        KeyDigest::from_bytes(bytes)
    }

    fn at(millis: u64) -> Steady {
        Steady::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_key_that_stayed_away_as_told_is_due() {
        let (list, key) = (Greylist::new(), digest(1, 1));
        assert!(!list.is_due(&key, at(5_000)));
        assert!(!list.is_due(&digest(1, 0), at(5_000)), "no note, no mark");
        list.note(&key, at(5_000));
        assert!(!list.is_due(&key, at(5_999)));
        assert!(list.is_due(&key, at(6_000)));
        assert!(list.is_due(&key, at(90_000)));
        assert!(!list.is_due(&digest(1, 2), at(6_000)), "another is not");
    }

    #[test]
    fn impatience_does_not_put_a_key_off() {
        let (list, key) = (Greylist::new(), digest(1, 1));
        for millis in (5_000..6_000).step_by(100) {
            list.note(&key, at(millis));
        }
        assert!(list.is_due(&key, at(6_000)));
    }

    #[test]
    fn a_key_that_is_turned_away_again_waits_again() {
        for back in [6_000, 6_500, 7_000, 60_000] {
            let (list, key) = (Greylist::new(), digest(1, 1));
            list.note(&key, at(5_000));
            list.note(&key, at(back));
            assert!(!list.is_due(&key, at(back + 999)), "{back}");
            assert!(list.is_due(&key, at(back + 1_000)), "{back}");
        }
    }

    #[test]
    fn a_place_is_kept_until_its_key_had_time_to_return() {
        let (list, key, other) = (Greylist::new(), digest(1, 1), digest(1, 2));
        list.note(&key, at(5_000));
        list.note(&other, at(6_999));
        assert!(list.is_due(&key, at(6_999)));
        list.note(&other, at(7_000));
        assert!(!list.is_due(&key, at(8_000)));
        assert!(list.is_due(&other, at(8_000)));
    }

    #[test]
    fn each_slot_can_be_reached() {
        let last = KeyDigest::from_bytes([0xff; 32]);
        assert_eq!(place(&last).0, usize::try_from(SLOTS - 1).unwrap());
    }
}
