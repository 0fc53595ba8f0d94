//! A store that knows every key, and keeps none: what is measured is the cache.

use tollgate::core::change::Change;
use tollgate::core::error::StoreError;
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::record::{ApiKey, KeyRecord, Organization};
use tollgate::core::reply::Reply;
use tollgate::core::secret::KeyDigest;
use tollgate::core::store::{KeyPage, KeyQuery, KeyStore, Rotation};

/// Finds the same record for each digest, under an id and a name of its own.
#[derive(Debug)]
pub(crate) struct AnyKey(pub(crate) KeyRecord);

impl KeyStore for AnyKey {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let mut record = self.0.clone();
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_bytes()[..16]);
        record.key.id = KeyId::from_bytes(id);
        record.key.name = format!("Production key {}", id[0]);
        Reply::ready(Some(record))
    }

    fn key(&self, _: &KeyId) -> Reply<Option<ApiKey>> {
        no()
    }

    fn list_keys(&self, _: KeyQuery) -> Reply<KeyPage> {
        no()
    }

    fn insert_key(&self, _: ApiKey, _: KeyDigest, _: Change) -> Reply<()> {
        no()
    }

    fn update_key(&self, _: ApiKey, _: Option<Rotation>, _: Change) -> Reply<ApiKey> {
        no()
    }

    fn delete_key(&self, _: &KeyId, _: Change) -> Reply<()> {
        no()
    }

    fn organization(&self, _: &OrgId) -> Reply<Option<Organization>> {
        no()
    }

    fn organizations(&self, _: Option<OrgId>, _: u32) -> Reply<Vec<Organization>> {
        no()
    }

    fn insert_organization(&self, _: Organization, _: Change) -> Reply<()> {
        no()
    }

    fn update_organization(&self, _: Organization, _: Change) -> Reply<Organization> {
        no()
    }
}

fn no<T>() -> Reply<T> {
    Reply::failed(StoreError::not_found("this store only finds"))
}
