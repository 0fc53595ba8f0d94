//! Users, their memberships and their sessions.

use tollgate_core::accounts::trail::{Recorded, session_event, user_events};
use tollgate_core::accounts::{AccountStore, Email, Membership, PasswordHash, User, UserSession};
use tollgate_core::change::Change;
use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::id::{OrgId, SessionId, UserId};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;

use crate::audit::Mutation;
use crate::queries::accounts as sql;
use crate::rows::{exact, from_word, word};
use crate::session::{Backend, FromValue, Row, Session, Transaction, Value, corrupt, values};
use crate::store::SqlStore;

impl<B: Backend> AccountStore for SqlStore<B> {
    fn insert_user(&self, user: User, password: PasswordHash, change: Change) -> Reply<()> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let row = values![
                user.id.as_bytes(),
                user.email.as_str(),
                password.as_phc(),
                u32::from(user.disabled),
                user.created_at,
                exact(user.version)?,
            ];
            transaction.execute(sql::INSERT_USER, row).await?;
            insert_memberships(&mut transaction, &user).await?;
            let events = user_events(None, Some(&user), false);
            let mutation = Mutation::new(&change, &audit);
            record(&mut transaction, events, mutation).await?;
            transaction.commit().await
        })
    }

    fn user(&self, id: &UserId) -> Reply<Option<User>> {
        let (backend, id) = (self.backend.clone(), *id);
        Reply::later(async move { read_user(&mut backend.read().await?, &id).await })
    }

    fn user_by_email(&self, email: &Email) -> Reply<Option<(User, PasswordHash)>> {
        let (backend, email) = (self.backend.clone(), email.clone());
        Reply::later(async move {
            let mut session = backend.read().await?;
            let row = session.fetch_optional(sql::PASSWORD, values![email.as_str()]);
            let Some(mut row) = row.await? else {
                return Ok(None);
            };
            let password = PasswordHash::from_phc(row.take()?);
            Ok(Some((user(&mut row)?, password)))
        })
    }

    fn users(
        &self,
        organization: Option<&OrgId>,
        after: Option<UserId>,
        limit: u32,
    ) -> Reply<Vec<User>> {
        let backend = self.backend.clone();
        // No id is empty, so that all of them come after the empty one.
        let after = after.map_or(vec![], |id| id.as_bytes().to_vec());
        let (sql, row) = match organization {
            None => (sql::USERS, vec![Value::Blob(after), limit.into()]),
            Some(id) => (
                sql::MEMBERS,
                vec![Value::Blob(after), limit.into(), id.as_str().into()],
            ),
        };
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql, row).await?;
            rows.into_iter().map(|mut row| user(&mut row)).collect()
        })
    }

    fn update_user(
        &self,
        mut user: User,
        password: Option<PasswordHash>,
        change: Change,
    ) -> Reply<User> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let Some(before) = read_user(&mut transaction, &user.id).await? else {
                return Err(StoreError::not_found("there is no such user"));
            };
            let version = exact(user.version)?;
            user.version = user.version.saturating_add(1);
            let row = values![
                user.id.as_bytes(),
                user.email.as_str(),
                u32::from(user.disabled),
                exact(user.version)?,
                version,
                password.as_ref().map(PasswordHash::as_phc),
            ];
            if transaction.execute(sql::UPDATE_USER, row).await? == 0 {
                return Err(StoreError::conflict("the user was changed meanwhile"));
            }
            let id = values![user.id.as_bytes()];
            transaction
                .execute(sql::DELETE_MEMBERSHIPS, id.clone())
                .await?;
            insert_memberships(&mut transaction, &user).await?;
            if user.disabled || password.is_some() {
                transaction.execute(sql::END_SESSIONS, id).await?;
            }
            let events = user_events(Some(&before), Some(&user), password.is_some());
            let mutation = Mutation::new(&change, &audit);
            record(&mut transaction, events, mutation).await?;
            transaction.commit().await?;
            Ok(user)
        })
    }

    fn delete_user(&self, id: &UserId, change: Change) -> Reply<()> {
        let (backend, audit, id) = (self.backend.clone(), self.audit.clone(), *id);
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let Some(user) = read_user(&mut transaction, &id).await? else {
                return Err(StoreError::not_found("there is no such user"));
            };
            let row = values![id.as_bytes()];
            transaction.execute(sql::DELETE_USER, row).await?;
            let events = user_events(Some(&user), None, false);
            let mutation = Mutation::new(&change, &audit);
            record(&mut transaction, events, mutation).await?;
            transaction.commit().await
        })
    }

    fn insert_session(
        &self,
        session: UserSession,
        version: u64,
        token: KeyDigest,
        change: Change,
    ) -> Reply<()> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let Some(user) = read_user(&mut transaction, &session.user).await? else {
                return Err(StoreError::not_found("there is no such user"));
            };
            if user.version != version {
                return Err(StoreError::conflict("the user was changed meanwhile"));
            }
            let over = values![session.user.as_bytes(), change.at];
            transaction.execute(sql::FORGET_SESSIONS, over).await?;
            let row = values![
                session.id.as_bytes(),
                token.as_bytes(),
                session.user.as_bytes(),
                session.address.map(|address| address.to_string()),
                session.created_at,
                session.last_seen_at,
                session.expires_at,
            ];
            transaction.execute(sql::INSERT_SESSION, row).await?;
            let events = [session_event(&session, true)];
            let mutation = Mutation::new(&change, &audit);
            record(&mut transaction, events, mutation).await?;
            transaction.commit().await
        })
    }

    fn find_session(&self, token: &KeyDigest) -> Reply<Option<(UserSession, User)>> {
        let (backend, token) = (self.backend.clone(), *token);
        Reply::later(async move {
            let mut reader = backend.read().await?;
            let row = reader.fetch_optional(sql::FIND_SESSION, values![token.as_bytes()]);
            let Some(mut row) = row.await? else {
                return Ok(None);
            };
            let found = session(&mut row)?;
            Ok(Some((found, user(&mut row)?)))
        })
    }

    fn touch_session(&self, id: &SessionId, at: Timestamp) -> Reply<()> {
        let (backend, row) = (self.backend.clone(), values![id.as_bytes(), at]);
        Reply::later(async move {
            let mut transaction = backend.count().await?;
            transaction.execute(sql::TOUCH_SESSION, row).await?;
            transaction.commit().await
        })
    }

    fn sessions(&self, user: &UserId) -> Reply<Vec<UserSession>> {
        let (backend, row) = (self.backend.clone(), values![user.as_bytes()]);
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql::SESSIONS, row).await?;
            rows.into_iter().map(|mut row| session(&mut row)).collect()
        })
    }

    fn end_session(&self, id: &SessionId, change: Change) -> Reply<()> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        let row = values![id.as_bytes()];
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let ended = transaction.fetch_optional(sql::END_SESSION, row).await?;
            let Some(mut ended) = ended else {
                return Err(StoreError::not_found("there is no such session"));
            };
            let events = [session_event(&session(&mut ended)?, false)];
            let mutation = Mutation::new(&change, &audit);
            record(&mut transaction, events, mutation).await?;
            transaction.commit().await
        })
    }
}

async fn record(
    session: &mut impl Session,
    events: impl IntoIterator<Item = Recorded>,
    mutation: Mutation<'_>,
) -> Result<(), StoreError> {
    for (organization, event) in events {
        mutation.record(session, organization, event).await?;
    }
    Ok(())
}

async fn read_user(session: &mut impl Session, id: &UserId) -> Result<Option<User>, StoreError> {
    let row = session.fetch_optional(sql::READ_USER, values![id.as_bytes()]);
    row.await?.map(|mut row| user(&mut row)).transpose()
}

async fn insert_memberships(session: &mut impl Session, user: &User) -> Result<(), StoreError> {
    for Membership { organization, role } in &user.memberships {
        let row = values![
            user.id.as_bytes(),
            organization.as_ref().map_or("", OrgId::as_str),
            word(role)?,
        ];
        session.execute(sql::INSERT_MEMBERSHIP, row).await?;
    }
    Ok(())
}

fn user(row: &mut Row) -> Result<User, StoreError> {
    let mut user = User {
        id: row.take()?,
        email: Email::new(&row.take::<String>()?).map_err(|_| corrupt("an e-mail is none"))?,
        disabled: row.take::<u64>()? != 0,
        created_at: row.take()?,
        version: row.take()?,
        memberships: Vec::new(),
    };
    // Names and roles have no blanks: `acme=admin other=viewer`; `=owner` is everywhere.
    let memberships: Option<String> = row.take()?;
    for membership in memberships.iter().flat_map(|list| list.split(' ')) {
        let (name, role) = membership
            .split_once('=')
            .ok_or_else(|| corrupt("a membership is none"))?;
        let organization = match name {
            "" => None,
            name => Some(OrgId::new(name).map_err(|_| corrupt("an organization's name is none"))?),
        };
        user.memberships.push(Membership {
            organization,
            role: from_word(role.to_owned())?,
        });
    }
    user.memberships.sort();
    Ok(user)
}

fn session(row: &mut Row) -> Result<UserSession, StoreError> {
    let address = |text: Option<String>| text.map(|text| text.parse()).transpose();
    Ok(UserSession {
        id: row.take()?,
        user: row.take()?,
        address: address(row.take()?).map_err(|_| corrupt("an address is none"))?,
        created_at: row.take()?,
        last_seen_at: row.take()?,
        expires_at: row.take()?,
    })
}

impl FromValue for UserId {
    fn from_value(value: Value) -> Option<Self> {
        FromValue::from_value(value).map(Self::from_bytes)
    }
}

impl FromValue for SessionId {
    fn from_value(value: Value) -> Option<Self> {
        FromValue::from_value(value).map(Self::from_bytes)
    }
}
