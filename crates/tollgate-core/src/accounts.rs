//! The people who manage keys: users, what each may do in which organization, and their sessions.
//!
//! An app that has users of its own does not need this: it tells its sessions itself. For the
//! others, [`Accounts`] keeps the rules (passwords, roles, how long a session lasts), and an
//! [`AccountStore`] keeps the rows. Sessions are read from the store each time, so one that was
//! ended is refused by every process at once.
//!
//! ```
//! use std::sync::Arc;
//!
//! use tollgate_core::accounts::{Accounts, Email, NewUser, Password, Role};
//! use tollgate_core::change::Actor;
//! # use tollgate_core::clock::SystemClock;
//! use tollgate_core::id::OrgId;
//! use tollgate_core::memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let clock = Arc::new(SystemClock::default());
//! let accounts = Accounts::new(Arc::new(MemoryStore::default()), clock);
//! let ann = NewUser::new(Email::new("ann@acme.example")?, Password::new("correct horse battery".into())?)
//!     .member(OrgId::new("acme")?, Role::Admin);
//! let ann = accounts.create_user(ann, &Actor::system()).await?;
//! let begun = accounts.begin_session(&ann, &Actor::user("ann@acme.example")).await?;
//! let found = accounts.session(&begun.token).await?;
//! assert_eq!(found.map(|found| found.user), Some(ann));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::lock::Mutex;

use crate::change::{Actor, Change};
use crate::clock::{Clock, Timestamp};
use crate::deadline::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{OrgId, SessionId, UserId};
use crate::keyring::KeyringError;
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::turns::Turns;

pub use password::{Password, PasswordHash};
pub use session::{Begun, FoundSession, SessionToken, UserSession};
pub use user::{Email, Membership, NewUser, Role, User, role_in};

mod operators;
mod password;
mod session;
pub mod trail;
mod user;

/// How often an edit is tried again when somebody else's came first.
const RETRIES: usize = 16;

/// Keeps users and their sessions.
///
/// Errors are [`StoreErrorKind::Conflict`] where a version does not match or a row exists already,
/// [`StoreErrorKind::NotFound`] where there is nothing to change. A mutation is one transaction,
/// together with its audit records: what concerns a user or a session is in the chain of no
/// organization, a membership in the chain of its own.
pub trait AccountStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a user. There is no other with the same address.
    fn insert_user(&self, user: User, password: PasswordHash, change: Change) -> Reply<()>;

    /// Reads a user.
    fn user(&self, id: &UserId) -> Reply<Option<User>>;

    /// Finds the user who has this address, with the hash of the password.
    fn user_by_email(&self, email: &Email) -> Reply<Option<(User, PasswordHash)>>;

    /// Lists up to `limit` users by id, from after `after`: those of an organization, or all.
    fn users(
        &self,
        organization: Option<&OrgId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Reply<Vec<User>>;

    /// Replaces a user whose stored version is `user.version`, and counts the version up. A new
    /// password, and being disabled, end every session of theirs.
    fn update_user(
        &self,
        user: User,
        password: Option<PasswordHash>,
        change: Change,
    ) -> Reply<User>;

    /// Removes a user and their sessions.
    fn delete_user(&self, id: &UserId, change: Change) -> Reply<()>;

    /// Adds a session, and removes those of its user that are over at `change.at`. The stored
    /// version of its user is `version`: nobody signs in with what was good before a change.
    fn insert_session(
        &self,
        session: UserSession,
        version: u64,
        token: KeyDigest,
        change: Change,
    ) -> Reply<()>;

    /// Finds a session by the digest of its token, with its user, whether it is over or not.
    fn find_session(&self, token: &KeyDigest) -> Reply<Option<(UserSession, User)>>;

    /// Notes that a session was used. Nothing happens if it has ended.
    fn touch_session(&self, id: &SessionId, at: Timestamp) -> Reply<()>;

    /// The sessions of a user, the oldest first, at most a thousand.
    fn sessions(&self, user: &UserId) -> Reply<Vec<UserSession>>;

    /// Ends a session.
    fn end_session(&self, id: &SessionId, change: Change) -> Reply<()>;
}

/// Makes users, and begins and ends their sessions. Clones share everything.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn AccountStore>,
    clock: Arc<dyn Clock>,
    idle: Duration,
    longest: Duration,
    deadline: Duration,
    turns: Turns,
    /// Held by who takes an operator.
    operators: Arc<Mutex<()>>,
    forced: bool,
}

impl Accounts {
    /// The name of the cookie that holds a session's token, unless an app says otherwise. Browsers
    /// take a cookie of such a name only from this very host, over TLS.
    pub const COOKIE: &str = "__Host-tollgate_session";

    /// Accounts on a store. A session ends half an hour after its last use, and after twelve hours.
    #[must_use]
    pub fn new(store: Arc<dyn AccountStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            idle: Duration::from_mins(30),
            longest: Duration::from_hours(12),
            deadline: Duration::from_secs(5),
            turns: Turns::default(),
            operators: Arc::default(),
            forced: false,
        }
    }

    /// Ends sessions that were not used for `idle`, and all `longest` after they began.
    #[must_use]
    pub const fn with_session_life(mut self, idle: Duration, longest: Duration) -> Self {
        self.idle = idle;
        self.longest = longest;
        self
    }

    /// Gives up on the store after `deadline`; five seconds unless said otherwise.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes a user.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is one with the same address, the password cannot be hashed, or
    /// the store fails.
    pub async fn create_user(&self, new: NewUser, actor: &Actor) -> Result<User, KeyringError> {
        let now = self.clock.now().wall;
        let (user, password) = new.made(now)?;
        let change = Change::by(actor, now);
        match self
            .ask(self.store.insert_user(user.clone(), password, change))
            .await
        {
            Err(error) if error.kind() == StoreErrorKind::Conflict => {
                Err(KeyringError::already_exists("user", &user.email))
            }
            other => Ok(other.map(|()| user)?),
        }
    }

    /// Reads a user.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, or the store fails.
    pub async fn user(&self, id: &UserId) -> Result<User, KeyringError> {
        self.ask(self.store.user(id))
            .await?
            .ok_or_else(|| KeyringError::not_found("user", id))
    }

    /// Finds a user by address.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, or the store fails.
    pub async fn user_by_email(&self, email: &Email) -> Result<User, KeyringError> {
        let found = self.ask(self.store.user_by_email(email)).await?;
        found.map_or_else(
            || Err(KeyringError::not_found("user", email)),
            |(user, _)| Ok(user),
        )
    }

    /// Lists up to `limit` users, the oldest first, from after `after`: those of an organization,
    /// or all.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the store fails.
    pub async fn users(
        &self,
        organization: Option<&OrgId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>, KeyringError> {
        Ok(self
            .ask(self.store.users(organization, after, limit))
            .await?)
    }

    /// Gives a user a role in an organization, or in all, in place of the one they have there;
    /// takes it away, if none is given.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, they are the last operator, or the store fails.
    pub async fn set_role(
        &self,
        id: &UserId,
        organization: Option<&OrgId>,
        role: Option<Role>,
        actor: &Actor,
    ) -> Result<User, KeyringError> {
        self.update(id, None, actor, |user| {
            user.set_role(organization, role);
            Ok(())
        })
        .await
    }

    /// Gives a user another role where they have this one, or takes it away; refuses if they do not
    /// have it any more.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user or they have another role there, they are the last
    /// operator, or the store fails.
    pub async fn change_role(
        &self,
        id: &UserId,
        organization: Option<&OrgId>,
        (from, to): (Role, Option<Role>),
        actor: &Actor,
    ) -> Result<User, KeyringError> {
        self.update(id, None, actor, |user| {
            let mut places = user.memberships.iter();
            let here = places.find(|of| of.organization.as_ref() == organization);
            if here.map(|of| of.role) != Some(from) {
                return Err(KeyringError::not_found("user", id));
            }
            user.set_role(organization, to);
            Ok(())
        })
        .await
    }

    /// Gives a user another password, and ends all of their sessions.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, the password cannot be hashed, or the store
    /// fails.
    pub async fn set_password(
        &self,
        id: &UserId,
        password: &Password,
        actor: &Actor,
    ) -> Result<User, KeyringError> {
        let hash = password.hash()?;
        self.update(id, Some(hash), actor, |_| Ok(())).await
    }

    /// Lets a user sign in no more, and ends all of their sessions; or lets them again.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, they are the last operator, or the store fails.
    pub async fn set_disabled(
        &self,
        id: &UserId,
        disabled: bool,
        actor: &Actor,
    ) -> Result<User, KeyringError> {
        self.update(id, None, actor, |user| {
            user.disabled = disabled;
            Ok(())
        })
        .await
    }

    /// Removes a user and their sessions for ever.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such user, they are the last operator, or the store fails.
    pub async fn delete_user(&self, id: &UserId, actor: &Actor) -> Result<(), KeyringError> {
        let user = self.user(id).await?;
        let _turn = self.keep_an_operator(&user, None).await?;
        let change = Change::by(actor, self.clock.now().wall);
        let deleted = self.ask(self.store.delete_user(id, change)).await;
        deleted.map_err(|error| KeyringError::missing_or(error, "user", id))
    }

    /// The user who has this address, and the hash that their password is to be compared with. If
    /// there is none, the hash is one that takes as long, so that time does not tell.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn credentials(
        &self,
        email: &Email,
    ) -> Result<(Option<User>, PasswordHash), StoreError> {
        let found = self.ask(self.store.user_by_email(email)).await?;
        Ok(found.map_or_else(
            || (None, PasswordHash::of_nobody()),
            |(user, hash)| (Some(user), hash),
        ))
    }

    async fn update(
        &self,
        id: &UserId,
        password: Option<PasswordHash>,
        actor: &Actor,
        edit: impl Fn(&mut User) -> Result<(), KeyringError>,
    ) -> Result<User, KeyringError> {
        // In this process one after another, so that nobody can keep another from being stopped.
        let _turn = self.turns.take(id.as_bytes()).await;
        for _ in 0..RETRIES {
            let before = self.user(id).await?;
            let mut user = before.clone();
            edit(&mut user)?;
            if password.is_none() && user == before {
                return Ok(user);
            }
            let _turn = self.keep_an_operator(&before, Some(&user)).await?;
            let change = Change::by(actor, self.clock.now().wall);
            let updated = self.store.update_user(user, password.clone(), change);
            match self.ask(updated).await {
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                other => return other.map_err(|error| KeyringError::missing_or(error, "user", id)),
            }
        }
        let message = format!("user {id} is being changed by others all the time");
        Err(StoreError::conflict(message).into())
    }

    fn ask<T: Send + 'static>(&self, reply: Reply<T>) -> Reply<T> {
        within(&*self.clock, self.deadline, "the store of users", reply)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
