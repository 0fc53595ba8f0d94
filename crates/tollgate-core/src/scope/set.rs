use std::fmt;
use std::hash::{Hash, Hasher};

/// Names a scope of one catalog: its place there.
///
/// Only a [`Catalog`](crate::catalog::Catalog) makes them, and another catalog counts differently.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScopeId(u32);

impl ScopeId {
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The place of the scope in its catalog.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn word(self) -> usize {
        (self.0 >> 6) as usize
    }

    const fn bit(self) -> u64 {
        1_u64.rotate_left(self.0)
    }
}

/// A set of scopes of one catalog: one bit each.
///
/// A set means nothing to a catalog other than the one that made it. When a catalog is replaced,
/// whoever holds sets asks the new one for new ones.
#[derive(Clone, Default)]
pub struct ScopeSet {
    words: Box<[u64]>,
}

impl ScopeSet {
    /// The set without a scope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every scope of `required` is in here. The empty set is in every set.
    #[must_use]
    pub fn contains_all(&self, required: &Self) -> bool {
        let mut pairs = self.words.iter().zip(&required.words);
        pairs.all(|(have, need)| need & !have == 0) && required.is_empty_from(self.words.len())
    }

    /// Whether some scope is in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let mut pairs = self.words.iter().zip(&other.words);
        pairs.any(|(one, two)| one & two != 0)
    }

    /// Adds every scope of `other`.
    pub fn union_with(&mut self, other: &Self) {
        self.grow(other.words.len());
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Adds a scope; tells whether it was new.
    pub fn insert(&mut self, scope: ScopeId) -> bool {
        self.grow(scope.word().saturating_add(1));
        self.words.get_mut(scope.word()).is_some_and(|word| {
            let new = *word & scope.bit() == 0;
            *word |= scope.bit();
            new
        })
    }

    /// Whether this scope is in the set.
    #[must_use]
    pub fn contains(&self, scope: ScopeId) -> bool {
        let word = self.words.get(scope.word());
        word.is_some_and(|word| word & scope.bit() != 0)
    }

    /// Whether there is no scope in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty_from(0)
    }

    /// How many scopes are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The scopes in it, in the catalog's order.
    pub fn iter(&self) -> impl Iterator<Item = ScopeId> + '_ {
        (0_u32..)
            .step_by(64)
            .zip(&self.words)
            .flat_map(|(start, word)| {
                // Each step clears the lowest bit, until none is left.
                let rests =
                    std::iter::successors(Some(*word), |rest| Some(rest & rest.wrapping_sub(1)));
                rests
                    .take_while(|rest| *rest != 0)
                    .map(move |rest| ScopeId(start | rest.trailing_zeros()))
            })
    }

    fn grow(&mut self, words: usize) {
        if self.words.len() < words {
            let mut longer = std::mem::take(&mut self.words).into_vec();
            longer.resize(words, 0);
            self.words = longer.into_boxed_slice();
        }
    }

    fn is_empty_from(&self, word: usize) -> bool {
        let rest = self.words.get(word..).unwrap_or_default();
        rest.iter().all(|word| *word == 0)
    }
}

impl FromIterator<ScopeId> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = ScopeId>>(scopes: I) -> Self {
        let mut set = Self::new();
        set.extend(scopes);
        set
    }
}

impl Extend<ScopeId> for ScopeSet {
    fn extend<I: IntoIterator<Item = ScopeId>>(&mut self, scopes: I) {
        for scope in scopes {
            self.insert(scope);
        }
    }
}

// Sets are equal by their scopes, whatever room they have for more.
impl PartialEq for ScopeSet {
    fn eq(&self, other: &Self) -> bool {
        self.contains_all(other) && other.contains_all(self)
    }
}

impl Eq for ScopeSet {}

impl Hash for ScopeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for scope in self.iter() {
            scope.hash(state);
        }
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(ScopeId::index))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(indices: &BTreeSet<u32>) -> ScopeSet {
        indices.iter().copied().map(ScopeId::new).collect()
    }

    fn indices() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(0_u32..300, 0..20)
    }

    proptest! {
        #[test]
        fn a_set_of_bits_is_a_set(one in indices(), two in indices()) {
            let (left, right) = (set(&one), set(&two));
            prop_assert_eq!(left.contains_all(&right), two.is_subset(&one));
            prop_assert_eq!(left.intersects(&right), !one.is_disjoint(&two));
            prop_assert_eq!(left == right, one == two);
            prop_assert_eq!(left.is_empty(), one.is_empty());
            prop_assert_eq!(left.len(), one.len());
            let listed: Vec<_> = left.iter().map(ScopeId::index).collect();
            let expected: Vec<_> = one.iter().map(|index| *index as usize).collect();
            prop_assert_eq!(listed, expected);
            let mut both = left;
            both.union_with(&right);
            prop_assert_eq!(both, set(&(&one | &two)));
        }
    }

    #[test]
    fn sets_of_different_lengths_compare() {
        let short = set(&BTreeSet::from([3]));
        let mut long = set(&BTreeSet::from([3, 200]));
        assert!(long.contains_all(&short));
        assert!(!short.contains_all(&long));
        assert!(!short.contains(ScopeId::new(200)));
        assert!(!long.insert(ScopeId::new(200)));
        assert!(long.insert(ScopeId::new(64)));
    }

    #[test]
    fn sets_hash_by_their_scopes_whatever_room_they_have() {
        use std::hash::BuildHasher;
        let hasher = foldhash::fast::FixedState::default();
        let mut roomy = set(&BTreeSet::from([3]));
        roomy.grow(9);
        let narrow = set(&BTreeSet::from([3]));
        assert_eq!(hasher.hash_one(&roomy), hasher.hash_one(&narrow));
        let other = set(&BTreeSet::from([4]));
        assert_ne!(hasher.hash_one(&narrow), hasher.hash_one(&other));
    }

    #[test]
    fn nothing_is_in_every_set_and_has_only_itself() {
        let nothing = ScopeSet::new();
        assert!(nothing.contains_all(&nothing));
        assert!(!nothing.contains_all(&set(&BTreeSet::from([0]))));
        assert!(!nothing.intersects(&nothing));
    }
}
