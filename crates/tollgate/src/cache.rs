//! Remembers look-ups: found keys, and digests that are known to be unknown.
//!
//! | | |
//! | --- | --- |
//! | hit | answered at once, from [one slot](hot) or the cache behind it, if it is not too old and [no change](self#freshness) was told since |
//! | miss | one read of the store for all who wait, under a deadline of our own |
//! | unknown | remembered in a second, bounded map, so that a flood of made-up keys evicts no good one |
//! | error | not remembered |
//!
//! # Freshness
//!
//! A read that began before a change never serves after it: copies carry the epoch from before
//! their read, changes raise it. See `cache/epochs.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tollgate_core::catalog::Catalog;
use tollgate_core::change::{ChangeKind, ChangeListener};
use tollgate_core::clock::{Clock, Steady};
use tollgate_core::deadline::within;
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::KeyRecord;
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::KeyStore;

use crate::cache::epochs::{Epoch, Epochs, Stripe};
use crate::cache::flights::Flights;
use crate::cache::hot::Hot;
use crate::telemetry::Telemetry;
use crate::verified::{Shared, VerifiedKey, age};

mod epochs;
mod flights;
mod hot;
#[cfg(test)]
mod tests;

/// How many reads of keys that nobody has found before are under way at once. The others wait for
/// their turn, so that a flood of made-up keys from everywhere leaves a pool of connections to the
/// keys that are known.
const GUESSES: usize = 64;

/// How often a read is repeated because something changed while it ran.
const REREADS: usize = 16;

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug)]
#[must_use = "pass it to the gate"]
pub struct CacheSettings {
    pub(crate) capacity: u64,
    pub(crate) unknown_capacity: u64,
    pub(crate) max_age: Duration,
    pub(crate) deadline: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            unknown_capacity: 40_000,
            max_age: Duration::from_secs(10),
            deadline: Duration::from_millis(500),
        }
    }
}

impl CacheSettings {
    /// A million keys, forty thousand unknown digests, ten seconds, half a second.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers up to so many keys.
    pub const fn with_capacity(mut self, keys: u64) -> Self {
        self.capacity = keys;
        self
    }

    /// Remembers up to so many digests that are known to be unknown.
    pub const fn with_unknown_capacity(mut self, digests: u64) -> Self {
        self.unknown_capacity = digests;
        self
    }

    /// Reads a key again when its copy is as old as this: the longest that a change made by
    /// another process can stay unseen, even if the change feed is dead.
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Gives up on a look-up after this long.
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// Finds keys by digest. Clones share everything.
#[derive(Clone)]
pub(crate) struct KeyCache(Arc<Inner>);

struct Inner {
    hot: Hot<Known>,
    known: Cache<KeyDigest, Known, RandomState>,
    unknown: Cache<KeyDigest, Unknown, RandomState>,
    shared: Shared,
    epochs: Epochs,
    flights: Flights,
    guesses: Arc<Semaphore>,
    store: Arc<dyn KeyStore>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    settings: CacheSettings,
    telemetry: Telemetry,
}

#[derive(Clone)]
struct Known {
    key: Arc<VerifiedKey>,
    epoch: Epoch,
    read_at: Steady,
    stripes: (Stripe, Stripe),
}

#[derive(Clone, Copy)]
struct Unknown {
    epoch: Epoch,
    read_at: Steady,
}

/// What one read of the store gave.
#[derive(Clone)]
enum Copy {
    Known(Known),
    Unknown(Unknown),
}

impl KeyCache {
    pub(crate) fn new(
        store: Arc<dyn KeyStore>,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        settings: CacheSettings,
        telemetry: Telemetry,
    ) -> Self {
        let sized = |capacity| {
            Cache::builder()
                .max_capacity(capacity)
                .build_with_hasher(RandomState::default())
        };
        Self(Arc::new(Inner {
            hot: Hot::new(),
            known: sized(settings.capacity),
            unknown: Cache::builder()
                .max_capacity(settings.unknown_capacity)
                .build_with_hasher(RandomState::default()),
            shared: Shared::default(),
            epochs: Epochs::new(),
            flights: Flights::default(),
            guesses: Arc::new(Semaphore::new(GUESSES)),
            store,
            catalog,
            clock,
            settings,
            telemetry,
        }))
    }

    /// What is remembered of a digest: a key, that it is unknown, or nothing to go by.
    pub(crate) fn recall(
        &self,
        digest: &KeyDigest,
        now: Steady,
    ) -> Option<Option<Arc<VerifiedKey>>> {
        let inner = &*self.0;
        let believed = |known: &Known| inner.believes(known, now);
        let known = inner.hot.get(digest).filter(believed).or_else(|| {
            let known = inner.known.get(digest).filter(believed)?;
            inner.hot.put(*digest, known.clone());
            Some(known)
        });
        if let Some(known) = known {
            inner.telemetry.hit.increment(1);
            return Some(Some(known.key));
        }
        let unknown = inner.unknown.get(digest)?;
        let believed = inner.epochs.believes_unknown(unknown.epoch)
            && now.since(unknown.read_at) < inner.settings.max_age;
        believed.then(|| {
            inner.telemetry.unknown.increment(1);
            None
        })
    }

    /// Whether there is a copy of a key, be it too old to go by.
    pub(crate) fn has_copy(&self, digest: &KeyDigest) -> bool {
        self.0.has_copy(digest)
    }

    /// Whether a read of this digest is under way.
    pub(crate) fn is_being_read(&self, digest: &KeyDigest) -> bool {
        self.0.flights.has(digest)
    }

    /// Reads a digest's key from the store, sharing the read with whoever else waits for it.
    pub(crate) fn read(&self, digest: KeyDigest) -> Reply<Option<Arc<VerifiedKey>>> {
        self.0.telemetry.miss.increment(1);
        let this = self.clone();
        match this.fly(digest) {
            Reply::Now(Ok(copy)) => Reply::ready(copy.into_key()),
            Reply::Now(Err(error)) => Reply::failed(error),
            first @ Reply::Later(_) => Reply::later(async move {
                let mut copy = first.await?;
                for _ in 0..REREADS {
                    if this.0.still_believes(&copy) {
                        return Ok(copy.into_key());
                    }
                    // Something changed while we read, so what we read may be what it was before.
                    copy = this.fly(digest).await?;
                }
                Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the key changes faster than it can be read",
                ))
            }),
        }
    }

    fn fly(&self, digest: KeyDigest) -> Reply<Copy> {
        self.0.flights.join(digest, || {
            let inner = Arc::clone(&self.0);
            let started = inner.clock.now().steady;
            let epoch = inner.epochs.current();
            let found = within(
                &*inner.clock,
                inner.settings.deadline,
                "the key store",
                inner.find(digest),
            );
            found.map_result(move |found| {
                inner
                    .telemetry
                    .store_took("lookup", age(started, inner.clock.now()));
                inner.keep(digest, found?, epoch, started)
            })
        })
    }
}

impl Copy {
    fn into_key(self) -> Option<Arc<VerifiedKey>> {
        match self {
            Self::Known(known) => Some(known.key),
            Self::Unknown(_) => None,
        }
    }
}

impl Inner {
    /// Asks the store, a guess when it is its turn. The wait is part of the answer, so it has the
    /// same deadline.
    fn find(self: &Arc<Self>, digest: KeyDigest) -> Reply<Option<KeyRecord>> {
        if self.has_copy(&digest) {
            return self.store.find(&digest);
        }
        let inner = Arc::clone(self);
        let Ok(turn) = Arc::clone(&self.guesses).try_acquire_owned() else {
            return Reply::later(async move {
                let _turn = inner.guesses.acquire().await;
                inner.store.find(&digest).await
            });
        };
        match self.store.find(&digest) {
            Reply::Later(answer) => Reply::later(async move {
                let _turn = turn;
                answer.await
            }),
            found @ Reply::Now(_) => found,
        }
    }

    /// The busiest keys are asked for in their slot, and may look idle to the cache behind it.
    fn has_copy(&self, digest: &KeyDigest) -> bool {
        self.hot.get(digest).is_some() || self.known.contains_key(digest)
    }

    fn believes(&self, known: &Known, now: Steady) -> bool {
        let (key, organization) = known.stripes;
        now.since(known.read_at) < self.settings.max_age
            && self.epochs.believes(known.epoch, key, organization)
    }

    fn still_believes(&self, copy: &Copy) -> bool {
        match copy {
            Copy::Known(known) => {
                let (key, organization) = known.stripes;
                self.epochs.believes(known.epoch, key, organization)
            }
            Copy::Unknown(unknown) => self.epochs.believes_unknown(unknown.epoch),
        }
    }

    fn keep(
        &self,
        digest: KeyDigest,
        found: Option<KeyRecord>,
        epoch: Epoch,
        read_at: Steady,
    ) -> Result<Copy, StoreError> {
        let Some(record) = found else {
            self.known.invalidate(&digest);
            let unknown = Unknown { epoch, read_at };
            self.unknown.insert(digest, unknown);
            return Ok(Copy::Unknown(unknown));
        };
        let stripes = (
            self.epochs.stripe(&record.key.id),
            self.epochs.stripe(&record.organization.id),
        );
        let key = VerifiedKey::resolve(record, &self.catalog, &self.shared, self.clock.now())?;
        let known = Known {
            key: Arc::new(key),
            epoch,
            read_at,
            stripes,
        };
        self.known.insert(digest, known.clone());
        self.hot.put(digest, known.clone());
        Ok(Copy::Known(known))
    }
}

/// Drops what a change makes doubtful.
impl ChangeListener for KeyCache {
    fn changed(&self, kind: ChangeKind, key: Option<&KeyId>, organization: Option<&OrgId>) {
        let epochs = &self.0.epochs;
        match (kind, key, organization) {
            (ChangeKind::CreditsGranted, ..) => {}
            (ChangeKind::Other, ..) => epochs.raise_floor(),
            (ChangeKind::KeyCreated, ..) => epochs.forget_unknown(),
            (_, Some(key), _) => {
                epochs.raise(key);
                epochs.forget_unknown();
            }
            (_, None, Some(organization)) => epochs.raise(organization),
            (_, None, None) => epochs.raise_floor(),
        }
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
