//! Keys that are imported: kept apart until they are good.

use std::collections::{BTreeSet, HashMap};

use super::{MemoryStore, Tables, count};
use crate::audit::AuditEvent;
use crate::change::{Change, ChangeKind};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::id::OrgId;
use crate::record::ApiKey;
use crate::reply::Reply;
use crate::secret::KeyDigest;
use crate::store::{Activation, ImportId, KeyImport, PendingImport};

/// An import that is not activated.
#[derive(Default)]
pub(super) struct Import {
    beat_at: Timestamp,
    keys: HashMap<KeyDigest, ApiKey>,
    /// The organizations that have their audit records.
    told: BTreeSet<OrgId>,
}

fn gone() -> StoreError {
    StoreError::not_found("there is no such import")
}

impl Tables {
    /// Whether a key has this digest, or a staged one.
    pub(super) fn knows(&self, digest: &KeyDigest) -> bool {
        let staged = |import: &Import| import.keys.contains_key(digest);
        self.secrets.contains_key(digest) || self.imports.values().any(staged)
    }
}

impl KeyImport for MemoryStore {
    fn begin_import(&self, now: Timestamp) -> Reply<ImportId> {
        let tables = &mut *self.tables.lock();
        tables.newest_import = tables.newest_import.saturating_add(1);
        let id = ImportId::new(tables.newest_import);
        let import = Import {
            beat_at: now,
            ..Import::default()
        };
        tables.imports.insert(id, import);
        Reply::ready(id)
    }

    fn pending_imports(&self) -> Reply<Vec<PendingImport>> {
        let tables = self.tables.lock();
        let pending = tables.imports.iter().map(|(id, import)| PendingImport {
            id: *id,
            beat_at: import.beat_at,
        });
        Reply::ready(pending.collect())
    }

    fn stage_keys(
        &self,
        import: ImportId,
        keys: Vec<(ApiKey, KeyDigest)>,
        now: Timestamp,
    ) -> Reply<Vec<KeyDigest>> {
        let tables = &mut *self.tables.lock();
        let (known, new): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|(_, digest)| tables.knows(digest));
        let Some(import) = tables.imports.get_mut(&import) else {
            return Reply::failed(gone());
        };
        import.beat_at = now;
        import
            .keys
            .extend(new.into_iter().map(|(key, digest)| (digest, key)));
        Reply::ready(known.into_iter().map(|(_, digest)| digest).collect())
    }

    fn known_digests(&self, digests: Vec<KeyDigest>) -> Reply<Vec<KeyDigest>> {
        let tables = self.tables.lock();
        let known = digests.into_iter().filter(|digest| tables.knows(digest));
        Reply::ready(known.collect())
    }

    fn activate_import(
        &self,
        import: ImportId,
        organizations: u32,
        change: Change,
    ) -> Reply<Activation> {
        let tables = &mut *self.tables.lock();
        let Some(staged) = tables.imports.get_mut(&import) else {
            return Reply::failed(gone());
        };
        let mut keys_of: HashMap<OrgId, u64> = HashMap::new();
        for key in staged.keys.values() {
            let keys = keys_of.entry(key.organization.clone()).or_default();
            *keys = keys.saturating_add(1);
        }
        let all = keys_of.len();
        let mut untold: Vec<_> = keys_of
            .into_iter()
            .filter(|(organization, _)| !staged.told.contains(organization))
            .collect();
        untold.sort();
        untold.truncate(count(organizations));
        if !untold.is_empty() {
            staged
                .told
                .extend(untold.iter().map(|(organization, _)| organization.clone()));
            for (organization, keys) in untold {
                let event = AuditEvent::keys_imported(import, keys);
                tables.record(Some(organization), event, &change);
            }
            return Reply::ready(Activation::More);
        }
        let keys = tables.imports.remove(&import).unwrap_or_default().keys;
        let number = keys.len().try_into().unwrap_or(u64::MAX);
        for (digest, key) in keys {
            tables.secrets.insert(digest, (key.id, None));
            tables.keys.insert(key.id, key);
        }
        tables.feed(ChangeKind::KeyCreated, None, None);
        let all = all.try_into().unwrap_or(u64::MAX);
        let event = AuditEvent::import_activated(import, number, all);
        tables.record(None, event, &change);
        Reply::ready(Activation::Done(number))
    }

    fn remove_import(&self, import: ImportId, keys: u32, change: Change) -> Reply<u64> {
        let tables = &mut *self.tables.lock();
        let Some(staged) = tables.imports.get_mut(&import) else {
            return Reply::ready(0);
        };
        let some: Vec<KeyDigest> = staged.keys.keys().take(count(keys)).copied().collect();
        for digest in &some {
            staged.keys.remove(digest);
        }
        if staged.keys.is_empty() {
            tables.imports.remove(&import);
            let event = AuditEvent::import_removed(import);
            tables.record(None, event, &change);
        }
        Reply::ready(some.len().try_into().unwrap_or(u64::MAX))
    }
}
