//! What was counted and is not written yet: once for each key, however often that was tried.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tollgate_core::id::KeyId;
use tollgate_core::usage::KeyUsage;

/// How many keys' usage is kept for another try while its store is down, and how many counters of
/// theirs: one for each route, outcome and hour.
const MOST_KEYS: usize = 100_000;
const MOST_COUNTERS: usize = 1_000_000;
/// How much is written in one transaction: as much as a store on a network writes well within its
/// deadline, so that charges on the same database get their turn in between.
const PIECE_KEYS: usize = 200;
const PIECE_COUNTERS: usize = 2_000;

/// The usage of each key, and how many counters they have in all.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    by_key: BTreeMap<KeyId, KeyUsage>,
    counters: usize,
}

impl Unwritten {
    /// Whether more of this key can be kept.
    pub(super) fn has_room_for(&self, key: KeyId) -> bool {
        let is_known = || self.by_key.contains_key(&key);
        self.counters < MOST_COUNTERS && (self.by_key.len() < MOST_KEYS || is_known())
    }

    pub(super) fn add(&mut self, usage: KeyUsage) {
        let (before, after) = match self.by_key.entry(usage.key) {
            Entry::Vacant(vacant) => (0, vacant.insert(usage).counts.len()),
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let before = known.counts.len();
                known.merge(usage);
                (before, known.counts.len())
            }
        };
        let more = after.saturating_sub(before);
        self.counters = self.counters.saturating_add(more);
    }

    /// Takes as much as is written at once.
    pub(super) fn take_piece(&mut self) -> Vec<KeyUsage> {
        let mut piece = Vec::new();
        let mut room = PIECE_COUNTERS;
        while piece.len() < PIECE_KEYS
            && room > 0
            && let Some(mut first) = self.by_key.first_entry()
        {
            let usage = first.get_mut();
            let usage = if usage.counts.len() > room {
                // The rest comes with the next piece.
                let rest = usage.counts.split_off(room);
                let part = usage.clone();
                usage.counts = rest;
                usage.with_old_secret = 0;
                part
            } else {
                first.remove()
            };
            room = room.saturating_sub(usage.counts.len());
            piece.push(usage);
        }
        let taken = PIECE_COUNTERS.saturating_sub(room);
        self.counters = self.counters.saturating_sub(taken);
        piece
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::clock::Timestamp;
    use tollgate_core::usage::UsageCount;

    use super::*;

    fn key(n: u32) -> KeyId {
        KeyId::from_parts(Timestamp::from_secs(n.into()), &[7; 10])
    }

    fn usage(n: u32, counters: usize) -> KeyUsage {
        let hour = |n: usize| Timestamp::from_secs(3_600 * i64::try_from(n).unwrap());
        KeyUsage {
            key: key(n),
            last_used_at: Timestamp::from_secs(1),
            last_address: None,
            with_old_secret: 1,
            counts: (0..counters)
                .map(|n| UsageCount {
                    route: "GET /a".into(),
                    outcome: "2xx".into(),
                    hour: hour(n),
                    requests: 1,
                })
                .collect(),
        }
    }

    #[test]
    fn a_piece_has_an_end_in_keys_and_in_counters() {
        let mut unwritten = Unwritten::default();
        for n in 0..450 {
            unwritten.add(usage(n, 1));
        }
        // A long outage: of these, three times as many counters as a piece has.
        unwritten.add(usage(0, 3 * PIECE_COUNTERS));
        let mut pieces = Vec::new();
        let mut sums = (0, 0, 0);
        loop {
            let piece = unwritten.take_piece();
            if piece.is_empty() {
                break;
            }
            let counts = piece.iter().map(|usage| usage.counts.len()).sum::<usize>();
            pieces.push((piece.len(), counts));
            let counts = piece.iter().flat_map(|usage| &usage.counts);
            sums.0 += counts.map(|count| count.requests).sum::<u64>();
            sums.1 += piece.iter().map(|usage| usage.with_old_secret).sum::<u64>();
            sums.2 += piece.iter().filter(|usage| usage.key == key(0)).count();
        }
        assert_eq!(pieces[..3], [(1, 2_000), (1, 2_000), (1, 2_000)]);
        assert_eq!(pieces[3..], [(200, 200), (200, 200), (49, 49)]);
        assert_eq!(sums, (6_450, 451, 3));
        assert_eq!(unwritten.counters, 0);
    }

    #[test]
    fn what_is_kept_has_an_end_and_known_keys_go_on_counting() {
        let mut unwritten = Unwritten::default();
        for n in 0..MOST_KEYS {
            unwritten.add(usage(n.try_into().unwrap(), 0));
        }
        let stranger = key(MOST_KEYS.try_into().unwrap());
        assert!(unwritten.has_room_for(key(7)));
        assert!(!unwritten.has_room_for(stranger));
        assert_eq!(unwritten.take_piece().len(), PIECE_KEYS);
        assert!(unwritten.has_room_for(stranger));
        unwritten.counters = MOST_COUNTERS;
        assert!(!unwritten.has_room_for(key(7)));
    }
}
