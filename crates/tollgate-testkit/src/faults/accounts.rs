//! Users and sessions, each call with its fault.

use tollgate_core::accounts::{AccountStore, Email, PasswordHash, User, UserSession};
use tollgate_core::change::Change;
use tollgate_core::clock::Timestamp;
use tollgate_core::id::{OrgId, SessionId, UserId};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;

use super::{FaultyStore, Operation};

impl<S: AccountStore + ?Sized> AccountStore for FaultyStore<S> {
    fn insert_user(&self, user: User, password: PasswordHash, change: Change) -> Reply<()> {
        self.run(Operation::Accounts, move |store| {
            store.insert_user(user, password, change)
        })
    }

    fn user(&self, id: &UserId) -> Reply<Option<User>> {
        let id = *id;
        self.run(Operation::Accounts, move |store| store.user(&id))
    }

    fn user_by_email(&self, email: &Email) -> Reply<Option<(User, PasswordHash)>> {
        let email = email.clone();
        self.run(Operation::Accounts, move |store| {
            store.user_by_email(&email)
        })
    }

    fn users(
        &self,
        organization: Option<&OrgId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Reply<Vec<User>> {
        let organization = organization.cloned();
        self.run(Operation::Accounts, move |store| {
            store.users(organization.as_ref(), after, limit)
        })
    }

    fn update_user(
        &self,
        user: User,
        password: Option<PasswordHash>,
        change: Change,
    ) -> Reply<User> {
        self.run(Operation::Accounts, move |store| {
            store.update_user(user, password, change)
        })
    }

    fn delete_user(&self, id: &UserId, change: Change) -> Reply<()> {
        let id = *id;
        self.run(Operation::Accounts, move |store| {
            store.delete_user(&id, change)
        })
    }

    fn insert_session(
        &self,
        session: UserSession,
        version: u64,
        token: KeyDigest,
        change: Change,
    ) -> Reply<()> {
        self.run(Operation::Accounts, move |store| {
            store.insert_session(session, version, token, change)
        })
    }

    fn find_session(&self, token: &KeyDigest) -> Reply<Option<(UserSession, User)>> {
        let token = *token;
        self.run(Operation::Accounts, move |store| store.find_session(&token))
    }

    fn touch_session(&self, id: &SessionId, at: Timestamp) -> Reply<()> {
        let id = *id;
        self.run(Operation::Accounts, move |store| {
            store.touch_session(&id, at)
        })
    }

    fn sessions(&self, user: &UserId) -> Reply<Vec<UserSession>> {
        let user = *user;
        self.run(Operation::Accounts, move |store| store.sessions(&user))
    }

    fn end_session(&self, id: &SessionId, change: Change) -> Reply<()> {
        let id = *id;
        self.run(Operation::Accounts, move |store| {
            store.end_session(&id, change)
        })
    }
}
