//! The port to the store of keys and organizations.
//!
//! A store keeps records and finds them; it has no rules. Who may change what, and how, is the
//! [`Keyring`](crate::keyring::Keyring)'s business. The contract that every store keeps is in
//! `tollgate-testkit`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accounts::AccountStore;
use crate::audit::AuditStore;
use crate::change::{Change, ChangeFeed};
use crate::clock::Timestamp;
use crate::credits::Ledger;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{KeyId, OrgId};
use crate::quota::QuotaStore;
use crate::record::{ApiKey, KeyRecord, Organization};
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::usage::UsageStore;

pub use import::{Activation, ImportId, KeyImport, PendingImport};
pub use list::{KeyPage, KeyQuery, ListedKey};
pub use once::{KeyInserted, KeyRequest};

mod import;
mod list;
mod once;

/// Everything that a gate keeps, in one place.
///
/// Implemented for whatever implements its parts; an app may also give each part a store of its
/// own.
pub trait Store:
    KeyStore + Ledger + QuotaStore + UsageStore + ChangeFeed + CatalogStore + AuditStore + AccountStore
{
}

impl<T> Store for T where
    T: KeyStore
        + Ledger
        + QuotaStore
        + UsageStore
        + ChangeFeed
        + CatalogStore
        + AuditStore
        + AccountStore
{
}

/// Keeps keys and organizations.
///
/// Errors are [`StoreErrorKind::Conflict`] where a version does not match or a row exists
/// already, [`StoreErrorKind::NotFound`] where there is nothing to change. A mutation is one
/// transaction, together with its row of the change feed. Futures may be dropped at any time;
/// then the mutation happened whole or not at all.
///
/// [`StoreErrorKind::Conflict`]: crate::error::StoreErrorKind::Conflict
/// [`StoreErrorKind::NotFound`]: crate::error::StoreErrorKind::NotFound
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Finds the key that has this secret, with its organization, in one consistent read.
    ///
    /// Revoked, disabled and expired keys are found too.
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>>;

    /// Reads a key.
    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>>;

    /// Lists keys that match a query, by id, the newest first. Revoked keys are listed too.
    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage>;

    /// Adds a key with its secret's digest. Its organization must exist.
    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()>;

    /// Adds a key as [`insert_key`](Self::insert_key), unless a request of this name by this actor
    /// in the key's organization is known at `change.at`. The request is written in the same
    /// transaction, and those whose time is over are forgotten.
    ///
    /// A store that does not know requests refuses.
    fn insert_key_once(
        &self,
        key: ApiKey,
        digest: KeyDigest,
        request: KeyRequest,
        change: Change,
    ) -> Reply<KeyInserted> {
        let _ = (key, digest, request, change);
        let message = "the store does not know requests that come again";
        Reply::failed(StoreError::new(StoreErrorKind::Unavailable, message))
    }

    /// Replaces a key whose stored version is `key.version`, and counts the version up.
    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey>;

    /// Removes a key and its secrets.
    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()>;

    /// Reads an organization.
    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>>;

    /// Lists up to `limit` organizations by id, from after `after`.
    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>>;

    /// Adds an organization.
    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()>;

    /// Replaces an organization whose stored version is `organization.version`, and counts the
    /// version up.
    fn update_organization(
        &self,
        organization: Organization,
        change: Change,
    ) -> Reply<Organization>;
}

/// A new secret for a key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store reads every field")]
pub struct Rotation {
    /// The digest of the new secret.
    pub digest: KeyDigest,
    /// Until when the secret it replaces stays good. Older ones end now.
    pub old_valid_until: Timestamp,
}

/// Keeps what apps declared at their start, so that the command line and the management API
/// know it without the app's code.
pub trait CatalogStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a version, unless it equals the newest.
    fn record_declaration(&self, declaration: Declaration) -> Reply<()>;

    /// The newest version, if any app has started on this store.
    fn declaration(&self) -> Reply<Option<Declaration>>;
}

/// What an app declared at its start.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a store writes and reads every field"
)]
pub struct Declaration {
    /// The catalog, as JSON ([`Catalog::to_json`](crate::catalog::Catalog::to_json)).
    pub catalog: String,
    /// The permission map, as JSON.
    pub permissions: String,
}
