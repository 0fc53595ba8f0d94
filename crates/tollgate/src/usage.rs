//! Counts who used what: in memory, written in batches.
//!
//! A counter lives with each cached key. The first use since the last batch puts it on a list;
//! the list is written every second and at shutdown, so a crash loses at most the last second.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tollgate_core::clock::{Moment, Timestamp};
use tollgate_core::id::KeyId;
use tollgate_core::usage::{KeyUsage, UsageCount};

use self::unwritten::Unwritten;

mod unwritten;

const HOUR: i64 = 3_600_000_000;

/// One key's uses since the last batch; of most cached keys there are none, so that takes no room.
#[derive(Debug)]
pub(crate) struct UsageCounter {
    key: KeyId,
    counts: Mutex<Option<Box<Counts>>>,
}

#[derive(Debug, Default)]
struct Counts {
    last: (Timestamp, Option<IpAddr>),
    with_old_secret: u64,
    by_route: SmallVec<[Uses; 2]>,
}

#[derive(Debug)]
struct Uses {
    route: Arc<str>,
    outcome: &'static str,
    hour: i64,
    requests: u64,
}

/// One use of a key.
pub(crate) struct Use<'a> {
    pub(crate) route: &'a Arc<str>,
    pub(crate) outcome: &'static str,
    pub(crate) address: Option<IpAddr>,
    pub(crate) old_secret: bool,
    pub(crate) at: Moment,
}

impl UsageCounter {
    pub(crate) fn new(key: KeyId) -> Self {
        Self {
            key,
            counts: Mutex::default(),
        }
    }

    pub(crate) const fn key(&self) -> KeyId {
        self.key
    }

    /// Counts a use, and says whether it is the first since the last batch.
    fn add(&self, used: &Use<'_>) -> bool {
        let mut counts = self.counts.lock();
        let hour = used.at.wall.as_micros().div_euclid(HOUR);
        let first = counts.is_none();
        let counts = counts.get_or_insert_default();
        counts.last = (used.at.wall, used.address);
        counts.with_old_secret = counts
            .with_old_secret
            .saturating_add(used.old_secret.into());
        let same = |uses: &&mut Uses| {
            Arc::ptr_eq(&uses.route, used.route)
                && uses.outcome == used.outcome
                && uses.hour == hour
        };
        if let Some(uses) = counts.by_route.iter_mut().find(same) {
            uses.requests = uses.requests.saturating_add(1);
        } else {
            counts.by_route.push(Uses {
                route: Arc::clone(used.route),
                outcome: used.outcome,
                hour,
                requests: 1,
            });
        }
        first
    }

    fn drain(&self) -> Option<KeyUsage> {
        let counts = self.counts.lock().take()?;
        let (last_used_at, last_address) = counts.last;
        let count = |uses: Uses| UsageCount {
            route: uses.route,
            outcome: Arc::from(uses.outcome),
            hour: Timestamp::from_micros(uses.hour.saturating_mul(HOUR)),
            requests: uses.requests,
        };
        Some(KeyUsage {
            key: self.key,
            last_used_at,
            last_address,
            with_old_secret: counts.with_old_secret,
            counts: counts.by_route.into_iter().map(count).collect(),
        })
    }
}

/// The keys whose counters have something to write.
#[derive(Debug)]
pub(crate) struct UsageLog<K> {
    keys: Mutex<Vec<Arc<K>>>,
    unwritten: Mutex<Unwritten>,
}

impl<K: AsRef<UsageCounter>> UsageLog<K> {
    pub(crate) fn record(&self, key: &Arc<K>, used: &Use<'_>) {
        if (**key).as_ref().add(used) {
            self.keys.lock().push(Arc::clone(key));
        }
    }

    /// Adds what was counted to what is not written yet, as far as there is room.
    pub(crate) fn gather(&self) {
        let keys = std::mem::take(&mut *self.keys.lock());
        let mut unwritten = self.unwritten.lock();
        let mut lost = 0_usize;
        for usage in keys.iter().filter_map(|key| (**key).as_ref().drain()) {
            if unwritten.has_room_for(usage.key) {
                unwritten.add(usage);
            } else {
                lost = lost.saturating_add(1);
            }
        }
        drop(unwritten);
        if lost > 0 {
            tracing::error!(keys = lost, "too much unwritten usage; lost some");
        }
    }

    /// Takes as much as is written at once; nothing if nothing is left.
    pub(crate) fn take_piece(&self) -> Vec<KeyUsage> {
        self.unwritten.lock().take_piece()
    }

    /// Keeps a piece that could not be written for another try.
    pub(crate) fn put_back(&self, piece: Vec<KeyUsage>) {
        let mut unwritten = self.unwritten.lock();
        for usage in piece {
            unwritten.add(usage);
        }
    }
}

impl<K> Default for UsageLog<K> {
    fn default() -> Self {
        Self {
            keys: Mutex::default(),
            unwritten: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::clock::Steady;

    use super::*;

    impl AsRef<Self> for UsageCounter {
        fn as_ref(&self) -> &Self {
            self
        }
    }

    #[test]
    fn a_batch_has_each_route_outcome_and_hour_once() {
        let log = UsageLog::default();
        let key = KeyId::from_bytes([7; 16]);
        let counter = Arc::new(UsageCounter::new(key));
        let (get, put): (Arc<str>, Arc<str>) = ("GET /a".into(), "PUT /a".into());
        for (route, outcome, secs, old_secret) in [
            (&get, "2xx", 10, false),
            (&get, "2xx", 20, true),
            (&get, "4xx", 30, false),
            (&put, "2xx", 40, false),
            (&get, "2xx", 3700, false),
        ] {
            let at = Moment {
                wall: Timestamp::from_secs(secs),
                steady: Steady::default(),
            };
            let address = Some(IpAddr::from([1, 2, 3, 4]));
            log.record(
                &counter,
                &Use {
                    route,
                    outcome,
                    address,
                    old_secret,
                    at,
                },
            );
        }
        let batch = written(&log);
        assert_eq!(batch.len(), 1);
        assert_eq!(batch[0].last_used_at, Timestamp::from_secs(3700));
        assert_eq!(batch[0].with_old_secret, 1);
        let counts: Vec<_> = batch[0]
            .counts
            .iter()
            .map(|count| {
                (
                    &*count.route,
                    &*count.outcome,
                    count.hour.as_micros(),
                    count.requests,
                )
            })
            .collect();
        assert_eq!(
            counts,
            [
                ("GET /a", "2xx", 0, 2),
                ("GET /a", "4xx", 0, 1),
                ("PUT /a", "2xx", 0, 1),
                ("GET /a", "2xx", HOUR, 1)
            ]
        );
        assert!(written(&log).is_empty());
    }

    /// The next piece, with what was counted until now.
    fn written(log: &UsageLog<UsageCounter>) -> Vec<KeyUsage> {
        log.gather();
        log.take_piece()
    }

    fn key(n: u32) -> KeyId {
        KeyId::from_parts(Timestamp::from_secs(n.into()), &[7; 10])
    }

    fn used(log: &UsageLog<UsageCounter>, counter: &Arc<UsageCounter>, secs: i64) {
        let route = "GET /a".into();
        let at = Moment {
            wall: Timestamp::from_secs(secs),
            steady: Steady::default(),
        };
        let used = Use {
            route: &route,
            outcome: "2xx",
            address: None,
            old_secret: true,
            at,
        };
        log.record(counter, &used);
    }

    #[test]
    fn what_cannot_be_written_for_long_is_kept_once_for_each_key() {
        let log = UsageLog::default();
        // A key that was read anew has another counter.
        let counters = [1, 2, 1].map(|n| Arc::new(UsageCounter::new(key(n))));
        for secs in 0..100 {
            for counter in &counters {
                used(&log, counter, secs);
            }
            let piece = written(&log);
            let sums: Vec<_> = piece
                .iter()
                .map(|usage| (usage.key, usage.with_old_secret, usage.counts.len()))
                .collect();
            let tried = u64::try_from(secs).unwrap() + 1;
            assert_eq!(sums, [(key(1), 2 * tried, 1), (key(2), tried, 1)]);
            assert_eq!(piece[0].counts[0].requests, 2 * tried);
            assert_eq!(piece[0].last_used_at, Timestamp::from_secs(secs));
            log.put_back(piece);
        }
    }
}
