//! The port to which keys of another system are brought by their digests.

use std::fmt;

use crate::change::Change;
use crate::clock::Timestamp;
use crate::record::ApiKey;
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::KeyStore;

/// Takes many keys in short steps, and makes all of them good at once.
///
/// The keys of an import are staged: until it is activated, no other call of any port sees them,
/// and nothing may take their digests. Each call is one short transaction, so that a charge in
/// between waits for little. An import that was left behind is removed in steps too.
pub trait KeyImport: KeyStore {
    /// Begins an import.
    fn begin_import(&self, now: Timestamp) -> Reply<ImportId>;

    /// The imports that are under way or were left behind, the oldest first.
    fn pending_imports(&self) -> Reply<Vec<PendingImport>>;

    /// Stages keys, whose organizations must exist, and says which of the digests exist already:
    /// theirs are not staged. Fast if they are ordered by digest and by id. Notes `now` as the
    /// import's last sign of life.
    ///
    /// [`StoreErrorKind::NotFound`](crate::error::StoreErrorKind::NotFound) if there is no such
    /// import, or no more.
    fn stage_keys(
        &self,
        import: ImportId,
        keys: Vec<(ApiKey, KeyDigest)>,
        now: Timestamp,
    ) -> Reply<Vec<KeyDigest>>;

    /// Which of these digests exist already, staged ones too.
    fn known_digests(&self, digests: Vec<KeyDigest>) -> Reply<Vec<KeyDigest>>;

    /// Writes the audit records of up to `organizations` whose keys were staged; once all have
    /// theirs, makes the keys good, all at once. To be called until it is done.
    fn activate_import(
        &self,
        import: ImportId,
        organizations: u32,
        change: Change,
    ) -> Reply<Activation>;

    /// Removes up to `keys` staged keys of an import, and the import when none is left; says how
    /// many. To be called until it says none.
    fn remove_import(&self, import: ImportId, keys: u32, change: Change) -> Reply<u64>;
}

/// Names an import within its store.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ImportId(u64);

impl ImportId {
    /// The import of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An import that is not activated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct PendingImport {
    /// Which.
    pub id: ImportId,
    /// Its last sign of life.
    pub beat_at: Timestamp,
}

/// How far an activation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is done or it is not")]
pub enum Activation {
    /// There are audit records to be written yet.
    More,
    /// So many keys are good from now on.
    Done(u64),
}
