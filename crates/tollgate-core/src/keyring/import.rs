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

use futures_util::future::join;

use super::{Keyring, KeyringError, NewKey};
use crate::change::{Actor, Change, ChangeKind};
use crate::clock::{Steady, Timestamp};
use crate::deadline::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::OrgId;
use crate::invalid::Invalid;
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::{Activation, ImportId, KeyImport};
use batch::{Batch, Part};
use pace::Pace;

mod batch;
mod pace;

/// An import that gave no sign of life for so long was left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// Longer than a writer waits for another process.
const DEADLINE: Duration = Duration::from_secs(30);
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
    pace: Pace,
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
            pace: Pace::new(),
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
        let mut batch = Batch::new(records, &self.keyring.digester);
        let mut refused = Vec::new();
        let mut part = self.part(&mut batch, &mut refused).await?;
        while let Some(Part { digests, known }) = part {
            self.pause().await;
            let known = self.timed(known);
            // The next is made ready while this one is written.
            let (known, next) = join(known, self.part(&mut batch, &mut refused)).await;
            let (known, ended, took) = known?;
            if self.id.is_some() {
                self.pace.fit(took);
                self.pace.leave(ended, took);
            }
            let known: HashSet<_> = known.into_iter().collect();
            let existing = digests.iter().filter(|(digest, _)| known.contains(digest));
            refused.extend(existing.map(|(_, index)| RefusedKey::exists(*index)));
            part = next?;
        }
        refused.sort_by_key(|refused| refused.index);
        Ok(refused)
    }

    /// Makes all that was added good, and says how many keys that is; none in a dry run.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails.
    pub async fn activate(mut self) -> Result<u64, KeyringError> {
        let Some(id) = self.id else { return Ok(0) };
        loop {
            self.pause().await;
            let change = Change::by(&self.actor, self.now());
            let told = self.keyring.tell(ChangeKind::KeyCreated, None, None);
            let activated = self.store.activate_import(id, ORGANIZATIONS, change);
            let activated = self.timed(activated).await;
            drop(told);
            let (activated, ended, took) = activated?;
            if let Activation::Done(keys) = activated {
                return Ok(keys);
            }
            self.pace.leave(ended, took);
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
            self.pause().await;
            let change = Change::by(&self.actor, self.now());
            let removed = self.store.remove_import(id, REMOVED, change);
            let (removed, ended, took) = self.timed(removed).await?;
            if removed == 0 {
                return Ok(());
            }
            self.pace.leave(ended, took);
        }
    }

    /// Leaves the database to others, for as long as it was to be left since it was last taken.
    async fn pause(&self) {
        let left = self.pace.left(self.keyring.now().steady);
        if !left.is_zero() {
            self.keyring.clock.sleep(left).await;
        }
    }

    fn now(&self) -> Timestamp {
        self.keyring.now().wall
    }

    fn ask<T: Send + 'static>(
        &self,
        reply: Reply<T>,
    ) -> impl Future<Output = Result<T, KeyringError>> + use<T> {
        let answer = within(&*self.keyring.clock, DEADLINE, "the key store", reply);
        async move { answer.await.map_err(told) }
    }

    /// Also says when the answer came, and after how long.
    fn timed<T: Send + 'static>(
        &self,
        reply: Reply<T>,
    ) -> impl Future<Output = Result<(T, Steady, Duration), KeyringError>> + use<T> {
        let clock = Arc::clone(&self.keyring.clock);
        let began = clock.now().steady;
        let answer = self.ask(reply);
        async move {
            let answer = answer.await?;
            let ended = clock.now().steady;
            Ok((answer, ended, ended.since(began)))
        }
    }
}

fn told(error: StoreError) -> KeyringError {
    match error.kind() {
        StoreErrorKind::NotFound => KeyringError::NotFound(
            "the import is no more: it gave no sign of life for a minute, and another began; \
             begin again"
                .to_owned(),
        ),
        _ => error.into(),
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
