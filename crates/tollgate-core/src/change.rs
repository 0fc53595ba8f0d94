//! Who changed what: carried by every mutation, and read by every other process.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{KeyId, OrgId};
use crate::reply::Reply;

/// Who makes a change: `user:alice`, `system`, `cli:root`; in which session, from where, and why.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Actor {
    name: String,
    session: Option<String>,
    address: Option<IpAddr>,
    reason: Option<String>,
}

impl Actor {
    /// A person who is signed in.
    #[must_use]
    pub fn user(id: &str) -> Self {
        Self::named(format!("user:{id}"))
    }

    /// The app itself.
    #[must_use]
    pub fn system() -> Self {
        Self::named("system")
    }

    /// Anybody else, in words: `cli:root`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            session: None,
            address: None,
            reason: None,
        }
    }

    /// Says in which session; its id, and not what opens it.
    #[must_use]
    pub fn in_session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    /// Says from where.
    #[must_use]
    pub const fn from_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Says why, in their words: the reason of every change that is made in this name.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The actor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The id of the session, if it was in one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// From where, if that is known.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Why, if they said so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Who changes something, when and why. Every mutation of a port carries one, and writes a row
/// of the change feed in its own transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store writes every field")]
pub struct Change {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why, in the actor's words.
    pub reason: Option<String>,
}

impl Change {
    /// A change that an actor makes now, for the reason that they gave.
    ///
    /// ```
    /// use tollgate_core::change::{Actor, Change};
    /// use tollgate_core::clock::Timestamp;
    ///
    /// let actor = Actor::named("cli:root").because("ticket 4711");
    /// let change = Change::by(&actor, Timestamp::from_secs(1));
    /// assert_eq!(change.reason.as_deref(), Some("ticket 4711"));
    /// ```
    #[must_use]
    pub fn by(actor: &Actor, at: Timestamp) -> Self {
        Self {
            actor: actor.clone(),
            at,
            reason: actor.reason.clone(),
        }
    }
}

/// What a row of the change feed is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// A key was made: it may have been asked for before it existed.
    KeyCreated,
    /// A key was edited, rotated, revoked, disabled, enabled or deleted.
    KeyChanged,
    /// An organization was made or changed.
    OrganizationChanged,
    /// Credits were granted.
    CreditsGranted,
    /// Credits were taken back.
    CreditsWithdrawn,
    /// A charge was given back.
    CreditsRefunded,
    /// Something that a newer version of Tollgate writes: whatever is copied may be stale.
    Other,
}

impl ChangeKind {
    /// The kind as stores write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "key_created",
            Self::KeyChanged => "key_changed",
            Self::OrganizationChanged => "organization_changed",
            Self::CreditsGranted => "credits_granted",
            Self::CreditsWithdrawn => "credits_withdrawn",
            Self::CreditsRefunded => "credits_refunded",
            Self::Other => "other",
        }
    }

    /// The kind that a store wrote so; [`Other`](Self::Other) if this version does not know it.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        [
            Self::KeyCreated,
            Self::KeyChanged,
            Self::OrganizationChanged,
            Self::CreditsGranted,
            Self::CreditsWithdrawn,
            Self::CreditsRefunded,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .unwrap_or(Self::Other)
    }
}

/// What changed, for those who hold a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a store fills every field")]
pub struct Changed {
    /// Grows with every change of a store, in the order of commits.
    pub seq: u64,
    /// What sort of thing changed.
    pub kind: ChangeKind,
    /// The key, if it was one.
    pub key: Option<KeyId>,
    /// The organization that it belongs to.
    pub organization: Option<OrgId>,
}

/// Tells what changed since a point: how processes that share a store learn of each other.
pub trait ChangeFeed: fmt::Debug + Send + Sync + 'static {
    /// The `seq` of the newest change; 0 if there was none.
    fn newest(&self) -> Reply<u64>;

    /// Up to `limit` changes with a `seq` above `after`, the oldest first.
    fn since(&self, after: u64, limit: u32) -> Reply<Vec<Changed>>;

    /// Waits until it is worth asking again, for those who would not wait until they ask anyway.
    ///
    /// A feed that cannot tell never answers, which is what this does unless it is written anew.
    fn told(&self) -> Reply<Told> {
        Reply::later(std::future::pending())
    }
}

/// What a feed tells of its own accord.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever is told does either")]
pub enum Told {
    /// Something changed.
    Changed,
    /// For a while it could not have told, and can again: whatever is copied may be stale, and the
    /// numbers of the changes may have begun anew.
    Again,
}

/// Somebody in this process who holds copies, and must drop them before a change is reported
/// as done.
pub trait ChangeListener: fmt::Debug + Send + Sync + 'static {
    /// Something changed, or may have.
    fn changed(&self, kind: ChangeKind, key: Option<&KeyId>, organization: Option<&OrgId>);
}
