//! Keys and their secrets; and the port, which has organizations too.

use tollgate_core::audit::AuditEvent;
use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::error::StoreError;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::{ApiKey, KeyRecord, Organization};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{KeyInserted, KeyPage, KeyQuery, KeyRequest, KeyStore, Rotation};

use crate::audit::Mutation;
use crate::lists;
use crate::organizations;
use crate::queries::keys as sql;
use crate::rows::{exact, key_values, read_key, read_organization};
use crate::session::{Backend, Session, Transaction, Value, values};
use crate::store::SqlStore;

impl<B: Backend> KeyStore for SqlStore<B> {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let (backend, digest) = (self.backend.clone(), *digest);
        Reply::later(async move { find(&mut backend.read().await?, &digest).await })
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        let (backend, id) = (self.backend.clone(), *id);
        Reply::later(async move { read(&mut backend.read().await?, &id).await })
    }

    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage> {
        let backend = self.backend.clone();
        Reply::later(async move { lists::list(&mut backend.read().await?, &query).await })
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            insert(&mut transaction, &key, &digest, mutation).await?;
            transaction.commit().await
        })
    }

    fn insert_key_once(
        &self,
        key: ApiKey,
        digest: KeyDigest,
        request: KeyRequest,
        change: Change,
    ) -> Reply<KeyInserted> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let now = values![change.at];
            transaction.execute(sql::FORGET_REQUESTS, now).await?;
            let (organization, actor) = (key.organization.as_str(), change.actor.as_str());
            let place = values![organization, actor, &*request.name];
            let row = transaction.fetch_optional(sql::REQUEST, place);
            if let Some(mut row) = row.await? {
                return Ok(KeyInserted::Before {
                    key: KeyId::from_bytes(row.take()?),
                    fingerprint: row.take()?,
                });
            }
            let row = values![
                organization,
                actor,
                &*request.name,
                &request.fingerprint,
                key.id.as_bytes(),
                request.known_until,
            ];
            transaction.execute(sql::INSERT_REQUEST, row).await?;
            let mutation = Mutation::new(&change, &audit);
            insert(&mut transaction, &key, &digest, mutation).await?;
            transaction.commit().await?;
            Ok(KeyInserted::Now)
        })
    }

    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            let key = update(&mut transaction, key, rotation, mutation).await?;
            transaction.commit().await?;
            Ok(key)
        })
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        let (backend, audit, id) = (self.backend.clone(), self.audit.clone(), *id);
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            delete(&mut transaction, &id, mutation).await?;
            transaction.commit().await
        })
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        let (backend, id) = (self.backend.clone(), id.clone());
        Reply::later(async move { organizations::read(&mut backend.read().await?, &id).await })
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            organizations::list(&mut backend.read().await?, after.as_ref(), limit).await
        })
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            organizations::insert(&mut transaction, &organization, mutation).await?;
            transaction.commit().await
        })
    }

    fn update_organization(
        &self,
        organization: Organization,
        change: Change,
    ) -> Reply<Organization> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            let updated = organizations::update(&mut transaction, organization, mutation).await?;
            transaction.commit().await?;
            Ok(updated)
        })
    }
}

async fn find(
    session: &mut impl Session,
    digest: &KeyDigest,
) -> Result<Option<KeyRecord>, StoreError> {
    let row = session.fetch_optional(sql::FIND, values![digest.as_bytes()]);
    let Some(mut row) = row.await? else {
        return Ok(None);
    };
    let secret_valid_until = row.take()?;
    Ok(Some(KeyRecord {
        key: read_key(&mut row)?,
        organization: read_organization(&mut row)?,
        secret_valid_until,
    }))
}

async fn read(session: &mut impl Session, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    let row = session.fetch_optional(sql::READ, values![id.as_bytes()]);
    row.await?.map(|mut row| read_key(&mut row)).transpose()
}

async fn insert(
    session: &mut impl Session,
    key: &ApiKey,
    digest: &KeyDigest,
    mutation: Mutation<'_>,
) -> Result<(), StoreError> {
    exact(key.version)?;
    if !organizations::exists(session, &key.organization).await? {
        return Err(StoreError::not_found("there is no such organization"));
    }
    session.execute(sql::INSERT, key_values(key)?).await?;
    insert_secret(session, &key.id, digest).await?;
    let (kind, event) = (ChangeKind::KeyCreated, AuditEvent::key_created(key));
    mutation
        .log(session, kind, Some(&key.id), &key.organization, event)
        .await
}

async fn update(
    session: &mut impl Session,
    mut key: ApiKey,
    rotation: Option<Rotation>,
    mutation: Mutation<'_>,
) -> Result<ApiKey, StoreError> {
    let version = exact(key.version)?;
    let Some(before) = read(session, &key.id).await? else {
        return Err(StoreError::not_found("there is no such key"));
    };
    key.version = key.version.saturating_add(1);
    exact(key.version)?;
    let mut row = key_values(&key)?;
    row.push(Value::Int(version));
    if session.execute(sql::UPDATE, row).await? == 0 {
        return Err(StoreError::conflict("the key was changed meanwhile"));
    }
    let event = AuditEvent::key_changed(&before, &key, rotation.is_some());
    if let Some(rotation) = rotation {
        let now = mutation.change.at;
        let ends = values![key.id.as_bytes(), rotation.old_valid_until, now];
        session.execute(sql::END_SECRETS, ends).await?;
        insert_secret(session, &key.id, &rotation.digest).await?;
    }
    let kind = ChangeKind::KeyChanged;
    mutation
        .log(session, kind, Some(&key.id), &key.organization, event)
        .await?;
    Ok(key)
}

async fn delete(
    session: &mut impl Session,
    id: &KeyId,
    mutation: Mutation<'_>,
) -> Result<(), StoreError> {
    let Some(key) = read(session, id).await? else {
        return Err(StoreError::not_found("there is no such key"));
    };
    session.execute(sql::DELETE, values![id.as_bytes()]).await?;
    let (kind, event) = (ChangeKind::KeyChanged, AuditEvent::key_deleted(&key));
    mutation
        .log(session, kind, Some(id), &key.organization, event)
        .await
}

async fn insert_secret(
    session: &mut impl Session,
    id: &KeyId,
    digest: &KeyDigest,
) -> Result<(), StoreError> {
    let row = values![digest.as_bytes(), id.as_bytes()];
    session.execute(sql::INSERT_SECRET, row).await?;
    Ok(())
}
