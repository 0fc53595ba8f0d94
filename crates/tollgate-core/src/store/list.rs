//! Which keys a list is to show, and a page of them.

use crate::clock::Timestamp;
use crate::id::{KeyId, OrgId};
use crate::record::{ApiKey, KeyStatus};
use crate::usage::UsageTotals;

/// Which keys are asked for: those that match every filter, the newest first.
///
/// ```
/// use tollgate_core::id::OrgId;
/// use tollgate_core::record::KeyStatus;
/// use tollgate_core::store::KeyQuery;
///
/// let query = KeyQuery::new()
///     .organization(OrgId::new("acme")?)
///     .status(KeyStatus::Active)
///     .search("mailer")
///     .limit(50)
///     .with_total();
/// assert_eq!(query.limit, 50);
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store reads every field")]
#[must_use = "a query is answered by KeyStore::list_keys"]
pub struct KeyQuery {
    /// Whose keys; those of all organizations, if none is named.
    pub organization: Option<OrgId>,
    /// In which status.
    pub status: Option<KeyStatus>,
    /// For which environment.
    pub environment: Option<String>,
    /// Made by whom.
    pub creator: Option<String>,
    /// What the name or the display prefix contains; ASCII letters in either case.
    pub search: Option<String>,
    /// Expiring after the first point and before the second, and not revoked.
    pub expiring: Option<(Timestamp, Timestamp)>,
    /// Not used since this point; one that was never used counts from its creation.
    pub unused_since: Option<Timestamp>,
    /// With a secret made before this point, by its creation or its last rotation.
    pub secret_before: Option<Timestamp>,
    /// Made before this key: where a page goes on after the last of the page before.
    pub before: Option<KeyId>,
    /// How many at most; a store gives no more than [`KeyQuery::MOST`].
    pub limit: u32,
    /// Whether to count all that match, on every page.
    pub total: bool,
}

impl KeyQuery {
    /// The longest page: a thousand, and one more to tell whether another page follows.
    pub const MOST: u32 = 1_001;

    /// The newest hundred keys of all organizations.
    pub const fn new() -> Self {
        Self {
            organization: None,
            status: None,
            environment: None,
            creator: None,
            search: None,
            expiring: None,
            unused_since: None,
            secret_before: None,
            before: None,
            limit: 100,
            total: false,
        }
    }

    /// One key, as a list shows it, if it is this organization's. If it is not, the newest that is
    /// older may be found in its place.
    pub fn one(organization: OrgId, id: KeyId) -> Self {
        let next = u128::from_be_bytes(*id.as_bytes()).saturating_add(1);
        let next = KeyId::from_bytes(next.to_be_bytes());
        Self::new().organization(organization).before(next).limit(1)
    }

    /// Those of an organization.
    pub fn organization(mut self, organization: OrgId) -> Self {
        self.organization = Some(organization);
        self
    }

    /// Those in a status.
    pub const fn status(mut self, status: KeyStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Those for an environment.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Those that somebody made, as [`ApiKey::creator`] has it.
    pub fn creator(mut self, creator: impl Into<String>) -> Self {
        self.creator = Some(creator.into());
        self
    }

    /// Those whose name or display prefix contains this.
    pub fn search(mut self, part: impl Into<String>) -> Self {
        self.search = Some(part.into());
        self
    }

    /// Those that are neither expired at `now` nor revoked, and expire before `end`.
    pub const fn expiring(mut self, now: Timestamp, end: Timestamp) -> Self {
        self.expiring = Some((now, end));
        self
    }

    /// Those that were not used since a point.
    pub const fn unused_since(mut self, start: Timestamp) -> Self {
        self.unused_since = Some(start);
        self
    }

    /// Those whose secret was made before a point.
    pub const fn secret_before(mut self, end: Timestamp) -> Self {
        self.secret_before = Some(end);
        self
    }

    /// Goes on after the last key of the page before.
    pub const fn before(mut self, last: KeyId) -> Self {
        self.before = Some(last);
        self
    }

    /// So many at most, in place of a hundred.
    pub const fn limit(mut self, keys: u32) -> Self {
        self.limit = keys;
        self
    }

    /// Counts all that match; worth asking for on the first page only.
    pub const fn with_total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Whether a key matches every filter; on which page it is, is another question.
    #[must_use]
    pub fn matches(&self, key: &ApiKey, last_used_at: Option<Timestamp>) -> bool {
        fn is<T: PartialEq<U>, U: ?Sized>(wanted: Option<&T>, found: &U) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let secret_since = key.rotated_at.unwrap_or(key.created_at);
        let used = last_used_at.unwrap_or(key.created_at);
        is(self.organization.as_ref(), &key.organization)
            && is(self.status.as_ref(), &key.status)
            && is(self.environment.as_ref(), &key.environment)
            && is(self.creator.as_ref(), &key.creator)
            && self
                .search
                .as_deref()
                .is_none_or(|part| contains(&key.name, part) || contains(&key.display_prefix, part))
            && self.expiring.is_none_or(|(now, end)| {
                key.status != KeyStatus::Revoked
                    && key.expires_at.is_some_and(|at| now < at && at < end)
            })
            && self.unused_since.is_none_or(|start| used < start)
            && self.secret_before.is_none_or(|end| secret_since < end)
    }
}

impl Default for KeyQuery {
    fn default() -> Self {
        Self::new()
    }
}

fn contains(text: &str, part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    text.to_ascii_lowercase().contains(&part)
}

/// A page of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct KeyPage {
    /// The keys, the newest first. A page that is not full is the last.
    pub keys: Vec<ListedKey>,
    /// How many match in all, if that was asked for.
    pub total: Option<u64>,
}

/// A key, as a list shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct ListedKey {
    /// The key.
    pub key: ApiKey,
    /// What it did.
    pub usage: UsageTotals,
    /// Until when the secret before the last rotation is good; the point may have passed.
    pub old_secret_valid_until: Option<Timestamp>,
}
