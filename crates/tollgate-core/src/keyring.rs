//! The one place where keys and organizations change.
//!
//! A [`Keyring`] knows the rules (what may be granted, what a revoked key allows) and tells
//! everybody in this process who holds copies, before it answers. So a caller who was told that a
//! key is revoked will not see it work again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Role;
use crate::catalog::Catalog;
use crate::change::{Actor, Change, ChangeKind, ChangeListener};
use crate::clock::{Clock, Moment, Timestamp};
use crate::deadline::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{KeyId, OrgId};
use crate::invalid::Invalid;
use crate::key_format::KeyFormat;
use crate::record::{ApiKey, KeyStatus, Permissions};
use crate::reply::Reply;
use crate::secret::{Digester, Secret};
use crate::store::{KeyPage, KeyQuery, KeyStore, ListedKey, Rotation};
use crate::turns::Turns;
use edit::check_to_come;

pub use edit::{EditKey, NewKey};
pub use error::KeyringError;
pub use import::{ForeignKey, Import, KeyImporter, RefusedKey};
pub use issue::IssuedOnce;
pub use organizations::NewOrganization;

mod edit;
mod error;
mod import;
mod issue;
mod organizations;

/// How often an edit is tried again when somebody else's came first.
const RETRIES: usize = 16;

/// The longest that an old secret may stay good.
const LONGEST_GRACE: Duration = Duration::from_hours(100 * 365 * 24);

/// Issues, edits, rotates and revokes keys.
///
/// Clones share everything.
#[derive(Clone)]
pub struct Keyring {
    store: Arc<dyn KeyStore>,
    catalog: Catalog,
    format: KeyFormat,
    digester: Digester,
    clock: Arc<dyn Clock>,
    listeners: Vec<Arc<dyn ChangeListener>>,
    deadline: Duration,
    granting: Option<Role>,
    turns: Turns,
}

/// A key and its secret, which is shown this once.
#[derive(Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The key.
    pub key: ApiKey,
    /// Its secret.
    pub secret: Secret,
}

impl Keyring {
    /// A keyring on a store, with the rules of a catalog.
    #[must_use]
    pub fn new(
        store: Arc<dyn KeyStore>,
        catalog: Catalog,
        digester: Digester,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            format: KeyFormat::new(&catalog.keys().format),
            store,
            catalog,
            digester,
            clock,
            listeners: Vec::new(),
            deadline: Duration::from_secs(5),
            granting: None,
            turns: Turns::default(),
        }
    }

    /// Tells `listener` of every change before the change is reported as done.
    #[must_use]
    pub fn with_listener(mut self, listener: Arc<dyn ChangeListener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Gives up on the store after `deadline`; five seconds unless said otherwise.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same keyring in the hands of somebody of this role: no key gets, by issue, edit, rotation
    /// or being enabled, what the role [may not grant](Catalog::may_grant). Without one, whoever
    /// has the keyring may grant everything.
    #[must_use]
    pub fn granting(&self, role: Role) -> Self {
        Self {
            granting: Some(role),
            ..self.clone()
        }
    }

    /// The catalog whose rules this keyring keeps.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Issues a key. The answer holds its secret, which cannot be had again.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the organization does not exist, a scope, preset, plan or environment
    /// is not declared, its end is over, the scopes are not this [role](Self::granting)'s to give,
    /// or the store fails.
    pub async fn issue(&self, new: NewKey, actor: &Actor) -> Result<Issued, KeyringError> {
        let now = self.now().wall;
        let (issued, digest) = self.made(new, actor, now).await?;
        let key = &issued.key;
        let told = self.tell(
            ChangeKind::KeyCreated,
            Some(key.id),
            Some(&key.organization),
        );
        let change = Change::by(actor, now);
        self.ask(self.store.insert_key(key.clone(), digest, change))
            .await?;
        drop(told);
        Ok(issued)
    }

    /// Changes what is named in `edit`, leaves the rest. The secret stays.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, it is revoked, the edit names something that is
    /// not declared or an end that is over, or the store fails.
    pub async fn edit(
        &self,
        id: &KeyId,
        edit: EditKey,
        actor: &Actor,
    ) -> Result<ApiKey, KeyringError> {
        let now = self.now().wall;
        edit.check(&self.catalog, now)?;
        self.update(id, actor, |key| {
            refuse_revoked(key)?;
            let end = key.expires_at;
            edit.apply(key);
            if key.expires_at != end {
                check_to_come(key.expires_at, now)?;
            }
            if edit.makes_usable() {
                self.may_grant(&key.permissions)?;
            }
            Ok(None)
        })
        .await
    }

    /// Gives a key a new secret. The old one stays good for `grace`, which may be zero, and a hundred
    /// years at most; one that was old already ends now.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, it is revoked, the grace is longer, the key has what
    /// this [role](Self::granting) may not give, or the store fails.
    pub async fn rotate(
        &self,
        id: &KeyId,
        grace: Duration,
        actor: &Actor,
    ) -> Result<Issued, KeyringError> {
        if grace > LONGEST_GRACE {
            let reason =
                "it is longer than 100 years; take what it takes to roll the new secret out";
            return Err(Invalid::new("grace", reason).into());
        }
        let environment = self.key(id).await?.environment;
        let generated = self.format.generate(&environment)?;
        let digest = self.digester.digest(generated.secret.expose());
        let now = self.now().wall;
        let key = self
            .update(id, actor, |key| {
                refuse_revoked(key)?;
                self.may_grant(&key.permissions)?;
                key.display_prefix.clone_from(&generated.display_prefix);
                key.rotated_at = Some(now);
                Ok(Some(Rotation {
                    digest,
                    old_valid_until: now.after(grace),
                }))
            })
            .await?;
        Ok(Issued {
            key,
            secret: generated.secret,
        })
    }

    /// Revokes a key for ever. Revoking it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, or the store fails.
    pub async fn revoke(&self, id: &KeyId, actor: &Actor) -> Result<ApiKey, KeyringError> {
        let now = self.now().wall;
        self.update(id, actor, |key| {
            key.status = KeyStatus::Revoked;
            key.revoked_at.get_or_insert(now);
            Ok(None)
        })
        .await
    }

    /// Switches a key off for now.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, it is revoked, or the store fails.
    pub async fn disable(&self, id: &KeyId, actor: &Actor) -> Result<ApiKey, KeyringError> {
        self.set_status(id, KeyStatus::Disabled, actor).await
    }

    /// Switches a disabled key on again.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, it is revoked, or the store fails.
    pub async fn enable(&self, id: &KeyId, actor: &Actor) -> Result<ApiKey, KeyringError> {
        self.set_status(id, KeyStatus::Active, actor).await
    }

    /// Removes a key and its secrets for ever.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, or the store fails.
    pub async fn delete(&self, id: &KeyId, actor: &Actor) -> Result<(), KeyringError> {
        let told = self.tell(ChangeKind::KeyChanged, Some(*id), None);
        let now = self.now().wall;
        let deleted = self
            .ask(self.store.delete_key(id, Change::by(actor, now)))
            .await;
        drop(told);
        deleted.map_err(|error| KeyringError::missing_or(error, "key", id))
    }

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such key, or the store fails.
    pub async fn key(&self, id: &KeyId) -> Result<ApiKey, KeyringError> {
        self.ask(self.store.key(id))
            .await?
            .ok_or_else(|| KeyringError::not_found("key", id))
    }

    /// Lists keys that match a query, the newest first. Revoked keys are listed too.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails.
    pub async fn list_keys(&self, query: KeyQuery) -> Result<KeyPage, KeyringError> {
        Ok(self.ask(self.store.list_keys(query)).await?)
    }

    /// Reads a key of an organization, as a list shows it.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the organization has no such key, or the store fails.
    pub async fn listed_key(
        &self,
        organization: &OrgId,
        id: &KeyId,
    ) -> Result<ListedKey, KeyringError> {
        let found = self.list_keys(KeyQuery::one(organization.clone(), *id));
        let found = found.await?.keys.into_iter().next();
        found
            .filter(|listed| listed.key.id == *id)
            .ok_or_else(|| KeyringError::not_found("key", id))
    }

    async fn set_status(
        &self,
        id: &KeyId,
        status: KeyStatus,
        actor: &Actor,
    ) -> Result<ApiKey, KeyringError> {
        self.update(id, actor, |key| {
            refuse_revoked(key)?;
            if status == KeyStatus::Active {
                self.may_grant(&key.permissions)?;
            }
            key.status = status;
            Ok(None)
        })
        .await
    }

    /// Reads, changes and writes a key; reads again if somebody else wrote in between. What changes
    /// nothing is not written, and so leaves no trace.
    async fn update(
        &self,
        id: &KeyId,
        actor: &Actor,
        edit: impl Fn(&mut ApiKey) -> Result<Option<Rotation>, KeyringError>,
    ) -> Result<ApiKey, KeyringError> {
        // In this process one after another, so that nobody can keep a key from being revoked.
        let _turn = self.turns.take(id.as_bytes()).await;
        for _ in 0..RETRIES {
            let before = self.key(id).await?;
            let mut key = before.clone();
            let rotation = edit(&mut key)?;
            // Also of what stays: another process may have made it so, and copies here be older.
            let told = self.tell(ChangeKind::KeyChanged, Some(*id), Some(&key.organization));
            if rotation.is_none() && key == before {
                return Ok(key);
            }
            let change = Change::by(actor, self.now().wall);
            let updated = self.ask(self.store.update_key(key, rotation, change)).await;
            drop(told);
            match updated {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                other => return other.map_err(|error| KeyringError::missing_or(error, "key", id)),
            }
        }
        Err(
            StoreError::conflict(format!("key {id} is being changed by others all the time"))
                .into(),
        )
    }

    /// When a key expires whose maker does not say.
    fn default_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let keys = self.catalog.keys();
        let life = keys.default_lifetime.or(keys.max_lifetime);
        life.map(|life| now.after(life))
    }

    fn may_grant(&self, permissions: &Permissions) -> Result<(), KeyringError> {
        let refused = match self.granting {
            Some(role) => self.catalog.may_grant(role, permissions),
            None => Ok(()),
        };
        refused.map_err(KeyringError::NotGrantable)
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    async fn ask<T: Send + 'static>(&self, reply: Reply<T>) -> Result<T, StoreError> {
        within(&*self.clock, self.deadline, "the key store", reply).await
    }

    /// Tells the listeners when it is dropped: after success, after an error that may hide a
    /// commit, and when the caller went away in between.
    fn tell(&self, kind: ChangeKind, key: Option<KeyId>, org: Option<&OrgId>) -> Told<'_> {
        Told {
            listeners: &self.listeners,
            kind,
            key,
            organization: org.cloned(),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

struct Told<'a> {
    listeners: &'a [Arc<dyn ChangeListener>],
    kind: ChangeKind,
    key: Option<KeyId>,
    organization: Option<OrgId>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        for listener in self.listeners {
            listener.changed(self.kind, self.key.as_ref(), self.organization.as_ref());
        }
    }
}

fn refuse_revoked(key: &ApiKey) -> Result<(), KeyringError> {
    if key.status == KeyStatus::Revoked {
        return Err(KeyringError::revoked(&key.id));
    }
    Ok(())
}

fn check_permissions(
    permissions: &Permissions,
    catalog: &Catalog,
    forced: bool,
) -> Result<(), Invalid> {
    match permissions {
        Permissions::Preset(name) if catalog.preset(name).is_none() => {
            Err(catalog.unknown_preset(name))
        }
        Permissions::Preset(_) => Ok(()),
        Permissions::Scopes(scopes) => {
            let names = || scopes.iter().map(String::as_str);
            if forced {
                catalog.set_of(names()).map(drop)
            } else {
                catalog.assignable(names())
            }
        }
    }
}

fn check_plan(plan: &str, catalog: &Catalog) -> Result<(), Invalid> {
    if catalog.plan(plan).is_none() {
        return Err(catalog.unknown_plan(plan));
    }
    Ok(())
}
