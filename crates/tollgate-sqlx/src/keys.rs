//! Keys and their secrets; and the port, which has organizations too.

use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::error::StoreError;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::{ApiKey, KeyRecord, Organization};
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{KeyStore, Rotation};

use crate::changes::log;
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
        Reply::later(async move {
            let mut session = backend.read().await?;
            let row = session.fetch_optional(sql::READ, values![id.as_bytes()]);
            row.await?.map(|mut row| read_key(&mut row)).transpose()
        })
    }

    fn keys(&self, organization: &OrgId, after: Option<KeyId>, limit: u32) -> Reply<Vec<ApiKey>> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            // No id is empty, so that all of them come after the empty one.
            let after = after.map_or(vec![], |id| id.as_bytes().to_vec());
            let page = vec![
                organization.as_str().into(),
                Value::Blob(after),
                limit.into(),
            ];
            let rows = backend.read().await?.fetch(sql::LIST, page).await?;
            rows.into_iter().map(|mut row| read_key(&mut row)).collect()
        })
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            insert(&mut transaction, &key, &digest, &change).await?;
            transaction.commit().await
        })
    }

    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let key = update(&mut transaction, key, rotation, &change).await?;
            transaction.commit().await?;
            Ok(key)
        })
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        let (backend, id) = (self.backend.clone(), *id);
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            delete(&mut transaction, &id, &change).await?;
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
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            organizations::insert(&mut transaction, &organization, &change).await?;
            transaction.commit().await
        })
    }

    fn update_organization(
        &self,
        organization: Organization,
        change: Change,
    ) -> Reply<Organization> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let updated = organizations::update(&mut transaction, organization, &change).await?;
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

async fn insert(
    session: &mut impl Session,
    key: &ApiKey,
    digest: &KeyDigest,
    change: &Change,
) -> Result<(), StoreError> {
    exact(key.version)?;
    if !organizations::exists(session, &key.organization).await? {
        return Err(StoreError::not_found("there is no such organization"));
    }
    session.execute(sql::INSERT, key_values(key)?).await?;
    insert_secret(session, &key.id, digest).await?;
    let (kind, id) = (ChangeKind::KeyCreated, Some(&key.id));
    log(session, kind, id, &key.organization, change).await
}

async fn update(
    session: &mut impl Session,
    mut key: ApiKey,
    rotation: Option<Rotation>,
    change: &Change,
) -> Result<ApiKey, StoreError> {
    let read = exact(key.version)?;
    key.version = key.version.saturating_add(1);
    exact(key.version)?;
    let mut row = key_values(&key)?;
    row.push(Value::Int(read));
    if session.execute(sql::UPDATE, row).await? == 0 {
        let id = values![key.id.as_bytes()];
        return Err(
            if session.fetch_optional(sql::EXISTS, id).await?.is_some() {
                StoreError::conflict("the key was changed meanwhile")
            } else {
                StoreError::not_found("there is no such key")
            },
        );
    }
    if let Some(rotation) = rotation {
        let ends = values![key.id.as_bytes(), rotation.old_valid_until, change.at];
        session.execute(sql::END_SECRETS, ends).await?;
        insert_secret(session, &key.id, &rotation.digest).await?;
    }
    let (kind, id) = (ChangeKind::KeyChanged, Some(&key.id));
    log(session, kind, id, &key.organization, change).await?;
    Ok(key)
}

async fn delete(session: &mut impl Session, id: &KeyId, change: &Change) -> Result<(), StoreError> {
    let row = session.fetch_optional(sql::DELETE, values![id.as_bytes()]);
    let Some(mut row) = row.await? else {
        return Err(StoreError::not_found("there is no such key"));
    };
    let organization = row.take()?;
    log(
        session,
        ChangeKind::KeyChanged,
        Some(id),
        &organization,
        change,
    )
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
