//! Keys and organizations.

use std::collections::HashMap;
use std::ops::Bound;

use super::{MemoryStore, Tables, count};
use crate::audit::AuditEvent;
use crate::change::{Change, ChangeKind};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::id::{KeyId, OrgId};
use crate::record::{ApiKey, KeyRecord, Organization};
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::{KeyInserted, KeyPage, KeyQuery, KeyRequest, KeyStore, ListedKey, Rotation};

/// The requests that made keys, by organization, actor and name.
pub(super) type Requests = HashMap<(OrgId, String, String), (KeyRequest, KeyId)>;

impl KeyStore for MemoryStore {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let tables = self.tables.lock();
        let found = tables.secrets.get(digest).and_then(|(id, valid_until)| {
            let key = tables.keys.get(id)?;
            Some(KeyRecord {
                organization: tables.organizations.get(&key.organization)?.clone(),
                key: key.clone(),
                secret_valid_until: *valid_until,
            })
        });
        Reply::ready(found)
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        Reply::ready(self.tables.lock().keys.get(id).cloned())
    }

    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage> {
        let tables = self.tables.lock();
        let used = |id: &KeyId| tables.usage.get(id).and_then(|usage| usage.last_used_at);
        let matches = |key: &&ApiKey| query.matches(key, used(&key.id));
        let total = query
            .total
            .then(|| tables.keys.values().filter(matches).count())
            .map(|total| total.try_into().unwrap_or(u64::MAX));
        let until = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = tables.keys.range((Bound::Unbounded, until)).rev();
        let keys = keys.map(|(_, key)| key).filter(matches);
        let keys = keys.take(count(query.limit.min(KeyQuery::MOST)));
        let keys = keys.map(|key| ListedKey {
            key: key.clone(),
            usage: tables.usage.get(&key.id).cloned().unwrap_or_default(),
            old_secret_valid_until: tables.old_secret_valid_until(&key.id),
        });
        Reply::ready(KeyPage {
            keys: keys.collect(),
            total,
        })
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        self.tables.lock().insert_key(key, digest, &change).into()
    }

    fn insert_key_once(
        &self,
        key: ApiKey,
        digest: KeyDigest,
        request: KeyRequest,
        change: Change,
    ) -> Reply<KeyInserted> {
        let tables = &mut *self.tables.lock();
        let requests = &mut tables.key_requests;
        requests.retain(|_, (known, _)| known.known_until > change.at);
        let actor = change.actor.as_str().to_owned();
        let place = (key.organization.clone(), actor, request.name.clone());
        if let Some((known, made)) = requests.get(&place) {
            return Reply::ready(KeyInserted::Before {
                key: *made,
                fingerprint: known.fingerprint,
            });
        }
        let id = key.id;
        let inserted = tables.insert_key(key, digest, &change);
        if inserted.is_ok() {
            tables.key_requests.insert(place, (request, id));
        }
        inserted.map(|()| KeyInserted::Now).into()
    }

    fn update_key(
        &self,
        mut key: ApiKey,
        rotation: Option<Rotation>,
        change: Change,
    ) -> Reply<ApiKey> {
        let tables = &mut *self.tables.lock();
        let taken = rotation.as_ref().is_some_and(|it| tables.knows(&it.digest));
        let Some(stored) = tables.keys.get_mut(&key.id) else {
            return Reply::failed(StoreError::not_found("there is no such key"));
        };
        if stored.version != key.version {
            return Reply::failed(StoreError::conflict("the key was changed meanwhile"));
        }
        let rotated = rotation.is_some();
        if let Some(rotation) = rotation {
            if taken {
                return Reply::failed(StoreError::conflict("the secret exists already"));
            }
            let old = tables.secrets.values_mut().filter(|(id, _)| *id == key.id);
            for (_, valid_until) in old {
                let end = match *valid_until {
                    None => rotation.old_valid_until,
                    Some(end) => end.min(change.at),
                };
                *valid_until = Some(end);
            }
            tables.secrets.insert(rotation.digest, (key.id, None));
        }
        key.version = key.version.saturating_add(1);
        let event = (AuditEvent::key_changed(stored, &key, rotated), &change);
        stored.clone_from(&key);
        tables.log(
            ChangeKind::KeyChanged,
            Some(key.id),
            &key.organization,
            event,
        );
        Reply::ready(key)
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        let Some(key) = tables.keys.remove(id) else {
            return Reply::failed(StoreError::not_found("there is no such key"));
        };
        tables.secrets.retain(|_, (owner, _)| owner != id);
        tables.usage.remove(id);
        tables.usage_counts.retain(|(owner, ..), _| owner != id);
        let event = (AuditEvent::key_deleted(&key), &change);
        tables.log(ChangeKind::KeyChanged, Some(*id), &key.organization, event);
        Reply::ready(())
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        Reply::ready(self.tables.lock().organizations.get(id).cloned())
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables.lock();
        Reply::ready(
            tables
                .organizations
                .range((from, Bound::Unbounded))
                .map(|(_, organization)| organization.clone())
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .collect(),
        )
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        let tables = &mut *self.tables.lock();
        if tables.organizations.contains_key(&organization.id) {
            return Reply::failed(StoreError::conflict("the organization exists already"));
        }
        let event = (AuditEvent::organization_created(&organization), &change);
        tables.log(
            ChangeKind::OrganizationChanged,
            None,
            &organization.id,
            event,
        );
        tables
            .organizations
            .insert(organization.id.clone(), organization);
        Reply::ready(())
    }

    fn update_organization(
        &self,
        mut organization: Organization,
        change: Change,
    ) -> Reply<Organization> {
        let tables = &mut *self.tables.lock();
        let Some(stored) = tables.organizations.get_mut(&organization.id) else {
            return Reply::failed(StoreError::not_found("there is no such organization"));
        };
        if stored.version != organization.version {
            return Reply::failed(StoreError::conflict(
                "the organization was changed meanwhile",
            ));
        }
        organization.version = organization.version.saturating_add(1);
        let event = AuditEvent::organization_changed(stored, &organization);
        stored.clone_from(&organization);
        let (kind, event) = (ChangeKind::OrganizationChanged, (event, &change));
        tables.log(kind, None, &organization.id, event);
        Reply::ready(organization)
    }
}

impl Tables {
    fn old_secret_valid_until(&self, key: &KeyId) -> Option<Timestamp> {
        let secrets = self.secrets.values().filter(|(owner, _)| owner == key);
        secrets.filter_map(|(_, until)| *until).max()
    }
}

impl Tables {
    fn insert_key(
        &mut self,
        key: ApiKey,
        digest: KeyDigest,
        change: &Change,
    ) -> Result<(), StoreError> {
        if !self.organizations.contains_key(&key.organization) {
            return Err(StoreError::not_found("there is no such organization"));
        }
        if self.keys.contains_key(&key.id) || self.knows(&digest) {
            return Err(StoreError::conflict("the key exists already"));
        }
        self.secrets.insert(digest, (key.id, None));
        let event = (AuditEvent::key_created(&key), change);
        let kind = ChangeKind::KeyCreated;
        self.log(kind, Some(key.id), &key.organization, event);
        self.keys.insert(key.id, key);
        Ok(())
    }
}
