//! Which copies are too old to be believed.
//!
//! A copy carries the epoch that was current *before* it was read from the store. Whoever
//! changes something raises the epoch *after* the change is stored, and marks the key and its
//! organization with it. So a copy that counts as fresh was read after every change of its key
//! and organization that anybody was told of, however long the read took.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

/// A collision only makes a copy be read again.
const STRIPES: u16 = 4096;

/// A point in the order of changes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Epoch(u64);

#[derive(Debug)]
pub(super) struct Epochs {
    current: AtomicU64,
    floor: AtomicU64,
    unknown_floor: AtomicU64,
    stripes: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The stripe of a key or an organization, found once and kept with the copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stripe(u16);

impl Epochs {
    pub(super) fn new() -> Self {
        Self {
            current: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            unknown_floor: AtomicU64::new(0),
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }

    /// To be read before a copy is read from the store.
    pub(super) fn current(&self) -> Epoch {
        Epoch(self.current.load(Ordering::SeqCst))
    }

    pub(super) fn stripe(&self, of: &impl Hash) -> Stripe {
        let hash = self.hasher.hash_one(of);
        let stripe = hash.checked_rem(STRIPES.into()).unwrap_or(0);
        Stripe(u16::try_from(stripe).unwrap_or(0))
    }

    /// No copy of this that was read before now is believed from now on.
    pub(super) fn raise(&self, of: &impl Hash) {
        let epoch = self.next();
        if let Some(mark) = self.stripes.get(usize::from(self.stripe(of).0)) {
            mark.fetch_max(epoch, Ordering::SeqCst);
        }
    }

    /// No copy at all that was read before now is believed from now on.
    pub(super) fn raise_floor(&self) {
        let epoch = self.next();
        self.floor.fetch_max(epoch, Ordering::SeqCst);
        self.unknown_floor.fetch_max(epoch, Ordering::SeqCst);
    }

    /// A digest that was unknown before now may be known from now on.
    pub(super) fn forget_unknown(&self) {
        let epoch = self.next();
        self.unknown_floor.fetch_max(epoch, Ordering::SeqCst);
    }

    /// Whether a copy, read at this epoch, is still believed.
    pub(super) fn believes(&self, read_at: Epoch, key: Stripe, organization: Stripe) -> bool {
        let mark = |stripe: Stripe| {
            self.stripes
                .get(usize::from(stripe.0))
                .map_or(u64::MAX, |mark| mark.load(Ordering::SeqCst))
        };
        let oldest = self
            .floor
            .load(Ordering::SeqCst)
            .max(mark(key))
            .max(mark(organization));
        read_at.0 >= oldest
    }

    /// Whether it is still believed that a digest was unknown at this epoch.
    pub(super) fn believes_unknown(&self, read_at: Epoch) -> bool {
        read_at.0 >= self.unknown_floor.load(Ordering::SeqCst)
    }

    fn next(&self) -> u64 {
        self.current
            .fetch_add(1, Ordering::SeqCst)
            .saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_read_before_a_change_is_not_believed_after_it() {
        let epochs = Epochs::new();
        let (key, org) = (epochs.stripe(&"key"), epochs.stripe(&"org"));
        let before = epochs.current();
        assert!(epochs.believes(before, key, org));
        epochs.raise(&"org");
        assert!(!epochs.believes(before, key, org));
        assert!(epochs.believes(epochs.current(), key, org));
        assert!(epochs.believes_unknown(before));
    }

    #[test]
    fn what_was_unknown_may_be_known_after_a_creation() {
        let epochs = Epochs::new();
        let before = epochs.current();
        epochs.forget_unknown();
        assert!(!epochs.believes_unknown(before));
        assert!(epochs.believes(before, epochs.stripe(&"key"), epochs.stripe(&"org")));
        epochs.raise_floor();
        assert!(!epochs.believes(before, epochs.stripe(&"key"), epochs.stripe(&"org")));
    }
}
