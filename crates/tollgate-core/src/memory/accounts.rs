//! Users and their sessions, in memory.

use std::collections::{BTreeMap, HashMap};

use super::{MemoryStore, Tables};
use crate::accounts::trail::{Recorded, session_event, user_events};
use crate::accounts::{AccountStore, Email, PasswordHash, User, UserSession};
use crate::change::Change;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::id::{OrgId, SessionId, UserId};
use crate::reply::Reply;
use crate::secret::KeyDigest;

/// The rows.
#[derive(Default)]
pub(super) struct Users {
    rows: BTreeMap<UserId, (User, PasswordHash)>,
    sessions: BTreeMap<SessionId, UserSession>,
    tokens: HashMap<KeyDigest, SessionId>,
}

impl Users {
    /// Ends the sessions that are meant.
    fn end(&mut self, meant: impl Fn(&UserSession) -> bool) {
        self.sessions.retain(|_, session| !meant(session));
        let sessions = &self.sessions;
        self.tokens.retain(|_, id| sessions.contains_key(id));
    }

    fn taken(&self, email: &Email, by_other_than: &UserId) -> bool {
        let mut users = self.rows.values().map(|(user, _)| user);
        users.any(|user| user.email == *email && user.id != *by_other_than)
    }
}

impl Tables {
    fn log_all(&mut self, events: impl IntoIterator<Item = Recorded>, change: &Change) {
        for (organization, event) in events {
            self.record(organization, event, change);
        }
    }
}

impl AccountStore for MemoryStore {
    fn insert_user(&self, user: User, password: PasswordHash, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        if tables.users.rows.contains_key(&user.id) || tables.users.taken(&user.email, &user.id) {
            return Reply::failed(StoreError::conflict("the user exists already"));
        }
        tables.log_all(user_events(None, Some(&user), false), &change);
        tables.users.rows.insert(user.id, (user, password));
        Reply::ready(())
    }

    fn user(&self, id: &UserId) -> Reply<Option<User>> {
        let tables = self.tables.lock();
        Reply::ready(tables.users.rows.get(id).map(|(user, _)| user.clone()))
    }

    fn user_by_email(&self, email: &Email) -> Reply<Option<(User, PasswordHash)>> {
        let tables = self.tables.lock();
        let mut users = tables.users.rows.values();
        Reply::ready(users.find(|(user, _)| user.email == *email).cloned())
    }

    fn users(
        &self,
        organization: Option<&OrgId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Reply<Vec<User>> {
        let tables = self.tables.lock();
        let users = tables.users.rows.values().map(|(user, _)| user);
        let here = |user: &&User| {
            let mut places = user.memberships.iter();
            organization.is_none_or(|id| places.any(|of| of.organization.as_ref() == Some(id)))
        };
        let users = users.filter(|user| after.is_none_or(|after| user.id > after));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Reply::ready(users.filter(here).take(limit).cloned().collect())
    }

    fn update_user(
        &self,
        mut user: User,
        password: Option<PasswordHash>,
        change: Change,
    ) -> Reply<User> {
        let tables = &mut *self.tables.lock();
        let taken = tables.users.taken(&user.email, &user.id);
        let Some((stored, hash)) = tables.users.rows.get_mut(&user.id) else {
            return Reply::failed(StoreError::not_found("there is no such user"));
        };
        if taken || stored.version != user.version {
            return Reply::failed(StoreError::conflict("the user was changed meanwhile"));
        }
        user.version = user.version.saturating_add(1);
        let events = user_events(Some(stored), Some(&user), password.is_some());
        stored.clone_from(&user);
        let ends = password.is_some() || user.disabled;
        if let Some(password) = password {
            *hash = password;
        }
        if ends {
            tables.users.end(|session| session.user == user.id);
        }
        tables.log_all(events, &change);
        Reply::ready(user)
    }

    fn delete_user(&self, id: &UserId, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        let Some((user, _)) = tables.users.rows.remove(id) else {
            return Reply::failed(StoreError::not_found("there is no such user"));
        };
        tables.users.end(|session| session.user == *id);
        tables.log_all(user_events(Some(&user), None, false), &change);
        Reply::ready(())
    }

    fn insert_session(
        &self,
        session: UserSession,
        version: u64,
        token: KeyDigest,
        change: Change,
    ) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        let users = &mut tables.users;
        let Some((user, _)) = users.rows.get(&session.user) else {
            return Reply::failed(StoreError::not_found("there is no such user"));
        };
        if user.version != version {
            return Reply::failed(StoreError::conflict("the user was changed meanwhile"));
        }
        if users.sessions.contains_key(&session.id) || users.tokens.contains_key(&token) {
            return Reply::failed(StoreError::conflict("the session exists already"));
        }
        users.end(|old| old.user == session.user && old.expires_at <= change.at);
        users.tokens.insert(token, session.id);
        users.sessions.insert(session.id, session.clone());
        tables.log_all([session_event(&session, true)], &change);
        Reply::ready(())
    }

    fn find_session(&self, token: &KeyDigest) -> Reply<Option<(UserSession, User)>> {
        let tables = self.tables.lock();
        let users = &tables.users;
        let session = users
            .tokens
            .get(token)
            .and_then(|id| users.sessions.get(id));
        Reply::ready(session.and_then(|session| {
            let (user, _) = users.rows.get(&session.user)?;
            Some((session.clone(), user.clone()))
        }))
    }

    fn touch_session(&self, id: &SessionId, at: Timestamp) -> Reply<()> {
        if let Some(session) = self.tables.lock().users.sessions.get_mut(id) {
            session.last_seen_at = session.last_seen_at.max(at);
        }
        Reply::ready(())
    }

    fn sessions(&self, user: &UserId) -> Reply<Vec<UserSession>> {
        let tables = self.tables.lock();
        let sessions = tables.users.sessions.values();
        let theirs = sessions.filter(|session| session.user == *user);
        Reply::ready(theirs.take(1_000).cloned().collect())
    }

    fn end_session(&self, id: &SessionId, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        let Some(session) = tables.users.sessions.get(id).cloned() else {
            return Reply::failed(StoreError::not_found("there is no such session"));
        };
        tables.users.end(|other| other.id == *id);
        tables.log_all([session_event(&session, false)], &change);
        Reply::ready(())
    }
}
