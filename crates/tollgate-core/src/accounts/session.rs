//! Sessions: begun at sign-in, found by their token, over after a while.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::{Accounts, User};
use crate::change::{Actor, Change};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::id::{SessionId, UserId};
use crate::invalid::Invalid;
use crate::keyring::KeyringError;
use crate::secret::KeyDigest;

/// How long a use of a session goes unnoted after another, so that not each request writes.
const NOTED_EACH: Duration = Duration::from_mins(1);

/// A session, as a store keeps it. What opens it is its token, of which there is a digest only.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a store writes and reads every field"
)]
pub struct UserSession {
    /// Names it, in lists and in the audit trail.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// From where it was begun.
    pub address: Option<IpAddr>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// It is over at this point, whatever happens.
    pub expires_at: Timestamp,
}

/// What opens a session: 256 random bits, shown once, kept by a browser.
///
/// It cannot be printed or serialized, and its memory is wiped when it is dropped.
pub struct SessionToken(String);

impl SessionToken {
    /// Takes what a browser sent.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    fn random() -> Result<Self, Invalid> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| {
            Invalid::new("session", format!("the system gave no randomness: {error}"))
        })?;
        let token = crate::audit::hex::text(&bytes);
        bytes.zeroize();
        Ok(Self(token))
    }

    /// The text, to be given to its owner this once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a store keeps of it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::from_bytes(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl Drop for SessionToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// A session that has begun.
#[derive(Debug)]
#[non_exhaustive]
pub struct Begun {
    /// The session.
    pub session: UserSession,
    /// What opens it.
    pub token: SessionToken,
}

/// A good session, and whose it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundSession {
    /// The session.
    pub session: UserSession,
    /// Its user.
    pub user: User,
}

impl Accounts {
    /// Begins a session for a user whom the caller trusts to be them, from the actor's address.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if they are disabled, or were changed since they were read, another
    /// password included; if the system gives no randomness, or the store fails.
    pub async fn begin_session(&self, user: &User, actor: &Actor) -> Result<Begun, KeyringError> {
        if user.disabled {
            let reason = format!("`{}` is disabled; enable them first", user.email);
            return Err(Invalid::new("user", reason).into());
        }
        let now = self.clock.now().wall;
        let session = UserSession {
            id: SessionId::new(now)?,
            user: user.id,
            address: actor.address(),
            created_at: now,
            last_seen_at: now,
            expires_at: now.after(self.longest),
        };
        let token = SessionToken::random()?;
        let (row, change) = (session.clone(), Change::by(actor, now));
        let digest = token.digest();
        let inserted = self.store.insert_session(row, user.version, digest, change);
        let inserted = self.ask(inserted).await;
        inserted.map_err(|error| KeyringError::missing_or(error, "user", &user.id))?;
        Ok(Begun { session, token })
    }

    /// The session that this token opens, if it is good: not over, not idle for too long, and its
    /// user not disabled.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn session(&self, token: &SessionToken) -> Result<Option<FoundSession>, StoreError> {
        let digest = token.digest();
        let Some((mut session, user)) = self.ask(self.store.find_session(&digest)).await? else {
            return Ok(None);
        };
        let now = self.clock.now().wall;
        let idle_end = session.last_seen_at.after(self.idle);
        if user.disabled || now >= session.expires_at || now >= idle_end {
            return Ok(None);
        }
        if now
            >= session
                .last_seen_at
                .after(NOTED_EACH.min(self.idle.div_f32(2.0)))
        {
            self.ask(self.store.touch_session(&session.id, now)).await?;
            session.last_seen_at = now;
        }
        Ok(Some(FoundSession { session, user }))
    }

    /// The sessions of a user that are not over, the oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn sessions(&self, user: &UserId) -> Result<Vec<UserSession>, StoreError> {
        let now = self.clock.now().wall;
        let mut sessions = self.ask(self.store.sessions(user)).await?;
        sessions.retain(|session| {
            now < session.expires_at && now < session.last_seen_at.after(self.idle)
        });
        Ok(sessions)
    }

    /// Ends a session: the next request with its token is refused, in every process.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such session, or the store fails.
    pub async fn end_session(&self, id: &SessionId, actor: &Actor) -> Result<(), KeyringError> {
        let change = Change::by(actor, self.clock.now().wall);
        let ended = self.ask(self.store.end_session(id, change)).await;
        ended.map_err(|error| KeyringError::missing_or(error, "session", id))
    }
}
