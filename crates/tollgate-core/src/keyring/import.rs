//! Brings keys of another system by their digests, so that nobody has to change theirs.
//!
//! The records come in batches. Each is checked as a key that is issued would be; those that fail
//! are told and left out. The others are staged in short transactions, with pauses in which other
//! processes on the same database get their turn, and become good all at once.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::sync::Arc;
//!
//! use tollgate_core::catalog::{Catalog, KeyFormatSpec};
//! use tollgate_core::change::Actor;
//! use tollgate_core::clock::SystemClock;
//! use tollgate_core::id::OrgId;
//! use tollgate_core::keyring::{ForeignKey, Keyring, NewKey, NewOrganization};
//! use tollgate_core::memory::MemoryStore;
//! use tollgate_core::plan::Plan;
//! use tollgate_core::secret::Digester;
//!
//! let format = KeyFormatSpec::default().foreign("oldco_");
//! let catalog = Catalog::builder().key_format(format).plan(Plan::new("free")).build()?;
//! let store = Arc::new(MemoryStore::default());
//! let clock = Arc::new(SystemClock::default());
//! let keyring = Keyring::new(store.clone(), catalog, Digester::sha256(), clock);
//! let (actor, acme) = (Actor::named("cli:root"), OrgId::new("acme")?);
//! let organization = NewOrganization::new(acme.clone(), "free");
//! keyring.create_organization(organization, &actor).await?;
//!
//! let key = NewKey::new(acme, "production");
//! // The SHA-256 of its secret.
//! let digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".parse()?;
//! let mut import = keyring.importer(store).begin(&actor).await?;
//! let refused = import.add(vec![ForeignKey::new(key, digest)]).await?;
//! assert!(refused.is_empty());
//! assert_eq!(import.activate().await?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Keyring, KeyringError, NewKey};
use crate::change::{Actor, Change, ChangeKind};
use crate::clock::Timestamp;
use crate::deadline::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{KeyId, OrgId};
use crate::invalid::Invalid;
use crate::record::{ApiKey, KeyStatus};
use crate::reply::{BoxFuture, Reply};
use crate::secret::KeyDigest;
use crate::store::{Activation, ImportId, KeyImport};

/// An import that gave no sign of life for so long was left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// Longer than a writer waits for another process.
const DEADLINE: Duration = Duration::from_secs(30);
/// How many keys the first transaction has; the others are fitted to `STEP`.
const FIRST: usize = 2_000;
const FEWEST: usize = 1_000;
const MOST: usize = 5_000;
/// How long a step is to take, with the wait for its turn: somebody else's charge waits for so
/// long. A fast machine takes less for the most.
const STEP: Duration = Duration::from_millis(300);
const HALF_STEP: Duration = Duration::from_millis(150);
/// SQLite asks for its turn every 25 milliseconds, when it has waited for as long as a step.
const PAUSE: Duration = Duration::from_millis(26);
/// What takes less time than this leaves time enough.
const SHORT: Duration = Duration::from_millis(5);
const ORGANIZATIONS: u32 = 200;
const REMOVED: u32 = 2_000;

/// A key of another system: what it is to be here, and the SHA-256 of its secret.
#[derive(Clone, Debug)]
#[must_use = "a foreign key is imported by Import::add"]
pub struct ForeignKey {
    new: NewKey,
    sha256: KeyDigest,
    display_prefix: Option<String>,
}

impl ForeignKey {
    /// A key whose secret has this SHA-256.
    pub const fn new(new: NewKey, sha256: KeyDigest) -> Self {
        Self {
            new,
            sha256,
            display_prefix: None,
        }
    }

    /// The beginning of its secret, for lists, in place of the catalog's first foreign prefix.
    pub fn display_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.display_prefix = Some(prefix.into());
        self
    }
}

/// A record that was not imported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefusedKey {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub error: KeyringError,
}

/// Begins imports; made by [`Keyring::importer`].
#[derive(Debug)]
#[must_use = "an importer does nothing until begun"]
pub struct KeyImporter {
    keyring: Keyring,
    store: Arc<dyn KeyImport>,
    dry: bool,
}

/// An import under way. What was added is seen by nobody until it is activated; dropped before,
/// it is removed when the next one begins.
#[derive(Debug)]
#[must_use = "an import does nothing until activated"]
pub struct Import {
    keyring: Keyring,
    store: Arc<dyn KeyImport>,
    actor: Actor,
    /// None in a dry run, which remembers what it was given instead.
    id: Option<ImportId>,
    seen: HashSet<KeyDigest>,
    organizations: HashMap<OrgId, bool>,
    step: usize,
    /// How long the last step took.
    took: Duration,
}

impl Keyring {
    /// Imports keys of another system into this keyring's store, which is given once more as what
    /// can do that.
    pub fn importer(&self, store: Arc<dyn KeyImport>) -> KeyImporter {
        KeyImporter {
            keyring: self.clone(),
            store,
            dry: false,
        }
    }
}

impl KeyImporter {
    /// Checks everything and writes nothing; remembers the digests of all records, 32 bytes each.
    pub const fn dry_run(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Removes what an import that ended early left behind, then begins.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if another import is under way, foreign keys could never be found, or the
    /// store fails.
    pub async fn begin(self, actor: &Actor) -> Result<Import, KeyringError> {
        let Self {
            keyring,
            store,
            dry,
        } = self;
        let foreign = &keyring.catalog.keys().format.foreign;
        if foreign.is_empty() && keyring.digester.is_peppered() {
            return Err(Invalid::new(
                "key import",
                "the digests have no pepper, so that keys would never be found; declare the \
                 prefix of the imported keys as `foreign` in the catalog",
            )
            .into());
        }
        let mut import = Import {
            keyring,
            store,
            actor: actor.clone(),
            id: None,
            seen: HashSet::new(),
            organizations: HashMap::new(),
            step: FIRST,
            took: Duration::ZERO,
        };
        if !dry {
            import.remove_left_behind().await?;
            let now = import.now();
            let begun = import.store.begin_import(now);
            import.id = Some(import.ask(begun).await?);
        }
        Ok(import)
    }
}

impl Import {
    /// Checks records and stages those that are good; says which are not, in their order. Digests
    /// come at random, so that large batches (a hundred thousand) are far faster than small ones.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails; then nothing is known of the batch, and the import is
    /// to be [abandoned](Self::abandon).
    pub async fn add(&mut self, records: Vec<ForeignKey>) -> Result<Vec<RefusedKey>, KeyringError> {
        let (mut refused, mut good) = (Vec::new(), Vec::with_capacity(records.len()));
        for (index, record) in records.into_iter().enumerate() {
            match self.check(&record).await? {
                Ok(()) => {
                    let digest = self.keyring.digester.of_sha256(&record.sha256);
                    good.push((digest, index, record));
                }
                Err(error) => refused.push(RefusedKey { index, error }),
            }
        }
        // Of two that are the same, the first is the one.
        good.sort_unstable_by_key(|(digest, index, _)| (*digest.as_bytes(), *index));
        let mut last = None;
        good.retain(|(digest, index, _)| {
            let is_new = last != Some(*digest) && !self.seen.contains(digest);
            last = Some(*digest);
            if !is_new {
                refused.push(RefusedKey::exists(*index));
            }
            is_new
        });
        let mut good = good.into_iter();
        loop {
            let step: Vec<_> = good.by_ref().take(self.step).collect();
            if step.is_empty() {
                break;
            }
            self.stage(step, &mut refused).await?;
        }
        refused.sort_by_key(|refused| refused.index);
        Ok(refused)
    }

    /// Makes all that was added good, and says how many keys that is; none in a dry run.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails.
    pub async fn activate(self) -> Result<u64, KeyringError> {
        let Some(id) = self.id else { return Ok(0) };
        loop {
            let began = self.keyring.now();
            let change = Change::by(&self.actor, began.wall);
            let told = self.keyring.tell(ChangeKind::KeyCreated, None, None);
            let activated = self.store.activate_import(id, ORGANIZATIONS, change);
            let activated = self.ask(activated).await;
            drop(told);
            if let Activation::Done(keys) = activated? {
                return Ok(keys);
            }
            let took = self.keyring.now().steady.since(began.steady);
            self.pause(took).await;
        }
    }

    /// Removes all that was added.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails; the next import removes the rest.
    pub async fn abandon(mut self) -> Result<(), KeyringError> {
        match self.id {
            Some(id) => self.remove(id).await,
            None => Ok(()),
        }
    }

    /// The outer result is the store's, the inner one the record's.
    async fn check(
        &mut self,
        record: &ForeignKey,
    ) -> Result<Result<(), KeyringError>, KeyringError> {
        let ForeignKey {
            new,
            display_prefix,
            ..
        } = record;
        let checked = new
            .check(&self.keyring.catalog, self.now())
            .and_then(|()| self.keyring.format.check_environment(&new.environment))
            .and_then(|()| check_display_prefix(display_prefix.as_deref()));
        let checked = checked.map_err(KeyringError::from);
        if let Err(refused) = checked.and_then(|()| self.keyring.may_grant(&new.permissions)) {
            return Ok(Err(refused));
        }
        let exists = if let Some(exists) = self.organizations.get(&new.organization) {
            *exists
        } else {
            let read = self.store.organization(&new.organization);
            let exists = self.ask(read).await?.is_some();
            self.organizations.insert(new.organization.clone(), exists);
            exists
        };
        if exists {
            return Ok(Ok(()));
        }
        let missing = KeyringError::not_found("organization", &new.organization);
        Ok(Err(missing))
    }

    /// Stages records that are ordered by their digests.
    async fn stage(
        &mut self,
        step: Vec<(KeyDigest, usize, ForeignKey)>,
        refused: &mut Vec<RefusedKey>,
    ) -> Result<(), KeyringError> {
        let digests: Vec<_> = step
            .iter()
            .map(|(digest, index, _)| (*digest, *index))
            .collect();
        let known = if let Some(id) = self.id {
            // Made ready while the others have their turn.
            let pause = self.pause(self.took);
            let keys = self.keys(step)?;
            let staged = self.store.stage_keys(id, keys, self.now());
            pause.await;
            let began = self.keyring.now();
            let known = self.ask(staged).await?;
            self.took = self.keyring.now().steady.since(began.steady);
            self.step = fitted(self.step, self.took);
            known
        } else {
            self.seen.extend(digests.iter().map(|(digest, _)| *digest));
            let digests = digests.iter().map(|(digest, _)| *digest).collect();
            let known = self.store.known_digests(digests);
            self.ask(known).await?
        };
        let known: HashSet<_> = known.into_iter().collect();
        let known = digests
            .into_iter()
            .filter(|(digest, _)| known.contains(digest));
        refused.extend(known.map(|(_, index)| RefusedKey::exists(index)));
        Ok(())
    }

    /// The keys of records, with ids in the order of their digests.
    fn keys(
        &self,
        step: Vec<(KeyDigest, usize, ForeignKey)>,
    ) -> Result<Vec<(ApiKey, KeyDigest)>, KeyringError> {
        let now = self.now();
        let ids: Result<Vec<_>, _> = step.iter().map(|_| KeyId::new(now)).collect();
        let mut ids = ids?;
        ids.sort_unstable();
        let prefix = self.keyring.catalog.keys().format.foreign.first();
        let keys = ids.into_iter().zip(step).map(|(id, (digest, _, record))| {
            let new = record.new;
            let key = ApiKey {
                id,
                organization: new.organization,
                name: new.name,
                creator: self.actor.as_str().to_owned(),
                environment: new.environment,
                display_prefix: record
                    .display_prefix
                    .or_else(|| prefix.cloned())
                    .unwrap_or_default(),
                permissions: new.permissions,
                ip_rules: new.ip_rules,
                plan: new.plan,
                limits: new.limits,
                not_before: new.not_before,
                expires_at: new.expires_at.or_else(|| self.keyring.default_expiry(now)),
                status: KeyStatus::Active,
                created_at: now,
                rotated_at: None,
                revoked_at: None,
                version: 1,
            };
            (key, digest)
        });
        Ok(keys.collect())
    }

    async fn remove_left_behind(&mut self) -> Result<(), KeyringError> {
        let pending = self.store.pending_imports();
        for import in self.ask(pending).await? {
            if self.now() < import.beat_at.after(LEFT_BEHIND) {
                let (id, beat_at) = (import.id, import.beat_at);
                let message = format!(
                    "import {id} was at work at {beat_at}; wait until it is done, or for a \
                     minute if it was ended"
                );
                return Err(StoreError::conflict(message).into());
            }
            self.remove(import.id).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, id: ImportId) -> Result<(), KeyringError> {
        loop {
            let began = self.keyring.now();
            let change = Change::by(&self.actor, began.wall);
            let removed = self.store.remove_import(id, REMOVED, change);
            if self.ask(removed).await? == 0 {
                return Ok(());
            }
            let took = self.keyring.now().steady.since(began.steady);
            self.pause(took).await;
        }
    }

    /// Leaves the database to others, from now on, after it was taken for so long.
    fn pause(&self, took: Duration) -> BoxFuture<()> {
        if took >= SHORT {
            self.keyring.clock.sleep(PAUSE)
        } else {
            Box::pin(std::future::ready(()))
        }
    }

    fn now(&self) -> Timestamp {
        self.keyring.now().wall
    }

    async fn ask<T: Send + 'static>(&self, reply: Reply<T>) -> Result<T, KeyringError> {
        let answer = within(&*self.keyring.clock, DEADLINE, "the key store", reply).await;
        answer.map_err(|error| match error.kind() {
            StoreErrorKind::NotFound => KeyringError::NotFound(
                "the import is no more: it gave no sign of life for a minute, and another began; \
                 begin again"
                    .to_owned(),
            ),
            _ => error.into(),
        })
    }
}

impl RefusedKey {
    fn exists(index: usize) -> Self {
        let error = "a key of this digest exists already, in the store or before in the import";
        Self {
            index,
            error: KeyringError::AlreadyExists(error.to_owned()),
        }
    }
}

/// How many keys the next step is to have.
fn fitted(step: usize, took: Duration) -> usize {
    let next = if took > STEP {
        step.checked_div(4)
            .map_or(step, |part| step.saturating_sub(part))
    } else if took < HALF_STEP {
        step.saturating_mul(2)
    } else {
        step
    };
    next.clamp(FEWEST, MOST)
}

fn check_display_prefix(prefix: Option<&str>) -> Result<(), Invalid> {
    let Some(prefix) = prefix else { return Ok(()) };
    if prefix.len() > 32 || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!(
            "`{}` is not at most 32 visible ASCII characters",
            prefix.escape_debug()
        );
        return Err(Invalid::new("display prefix", reason));
    }
    Ok(())
}
