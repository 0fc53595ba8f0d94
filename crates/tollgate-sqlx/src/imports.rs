//! Keys of another system, by their digests: staged where keys are, and unseen until activated.
//!
//! The keys of a batch are ordered by their digests, which come at random: so a batch touches each
//! page of the table of secrets once, and not one page for each key.

use std::collections::HashSet;

use tollgate_core::audit::AuditEvent;
use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::record::ApiKey;
use tollgate_core::reply::Reply;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::{Activation, ImportId, KeyImport, PendingImport};

use crate::audit::Mutation;
use crate::changes;
use crate::queries::imports as sql;
use crate::session::{Backend, Session, Transaction, values};
use crate::store::SqlStore;
use staged::{Staged, hex_of};

mod staged;

impl<B: Backend> KeyImport for SqlStore<B> {
    fn begin_import(&self, now: Timestamp) -> Reply<ImportId> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let row = transaction.fetch_optional(sql::BEGIN, values![now]).await?;
            let number = row.ok_or_else(gone)?.take()?;
            transaction.commit().await?;
            Ok(ImportId::new(number))
        })
    }

    fn pending_imports(&self) -> Reply<Vec<PendingImport>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql::PENDING, values![]).await?;
            let pending = rows.into_iter().map(|mut row| {
                Ok(PendingImport {
                    id: ImportId::new(row.take()?),
                    beat_at: row.take()?,
                })
            });
            pending.collect()
        })
    }

    fn stage_keys(
        &self,
        import: ImportId,
        keys: Vec<(ApiKey, KeyDigest)>,
        now: Timestamp,
    ) -> Reply<Vec<KeyDigest>> {
        let (backend, number) = (self.backend.clone(), import.number());
        // All that can be made ready before anybody has to wait is made ready before.
        let ready = hex_of(keys.iter().map(|(_, digest)| digest)).and_then(|digests| {
            let all = Staged::new(&keys.iter().collect::<Vec<_>>(), import)?;
            Ok((digests, all))
        });
        Reply::later(async move {
            let (digests, mut staged) = ready?;
            let mut transaction = backend.write().await?;
            let beat = transaction.execute(sql::BEAT, values![number, now]);
            if beat.await? == 0 {
                return Err(gone());
            }
            let known = known(&mut transaction, digests).await?;
            if !known.is_empty() {
                let taken: HashSet<KeyDigest> = known.iter().copied().collect();
                let new = keys.iter().filter(|(_, digest)| !taken.contains(digest));
                staged = Staged::new(&new.collect::<Vec<_>>(), import)?;
            }
            let Some(Staged { insert, then }) = staged else {
                transaction.commit().await?;
                return Ok(known);
            };
            let (sql, values) = insert;
            transaction.fetch_composed(sql, values).await?;
            transaction.commit_much(then).await?;
            Ok(known)
        })
    }

    fn known_digests(&self, digests: Vec<KeyDigest>) -> Reply<Vec<KeyDigest>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let digests = hex_of(digests.iter())?;
            known(&mut backend.read().await?, digests).await
        })
    }

    fn activate_import(
        &self,
        import: ImportId,
        organizations: u32,
        change: Change,
    ) -> Reply<Activation> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            let done = activate(&mut transaction, import, organizations, mutation).await?;
            transaction.commit().await?;
            Ok(done)
        })
    }

    fn remove_import(&self, import: ImportId, keys: u32, change: Change) -> Reply<u64> {
        let (backend, audit) = (self.backend.clone(), self.audit.clone());
        Reply::later(async move {
            let mutation = Mutation::new(&change, &audit);
            let mut transaction = backend.write().await?;
            let removed = remove(&mut transaction, import, keys, mutation).await?;
            transaction.commit().await?;
            Ok(removed)
        })
    }
}

fn gone() -> StoreError {
    StoreError::not_found("there is no such import")
}

async fn known(session: &mut impl Session, digests: String) -> Result<Vec<KeyDigest>, StoreError> {
    let rows = session.fetch(sql::KNOWN, values![digests]).await?;
    let digests = rows.into_iter().map(|mut row| row.take());
    digests
        .map(|digest| Ok(KeyDigest::from_bytes(digest?)))
        .collect()
}

async fn activate(
    session: &mut impl Session,
    import: ImportId,
    organizations: u32,
    mutation: Mutation<'_>,
) -> Result<Activation, StoreError> {
    let number = import.number();
    let at = mutation.change.at;
    if session.execute(sql::BEAT, values![number, at]).await? == 0 {
        return Err(gone());
    }
    let untold = session.fetch(sql::UNTOLD, values![number, organizations]);
    let untold = untold.await?;
    if !untold.is_empty() {
        for mut row in untold {
            let organization: OrgId = row.take()?;
            let name = organization.as_str();
            session.execute(sql::TOLD, values![number, name]).await?;
            let event = AuditEvent::keys_imported(import, row.take()?);
            mutation.record(session, Some(organization), event).await?;
        }
        return Ok(Activation::More);
    }
    let sums = session.fetch_optional(sql::SUMS, values![number]).await?;
    let mut sums = sums.ok_or_else(gone)?;
    let (organizations, keys) = (sums.take()?, sums.take()?);
    session.execute(sql::DELETE, values![number]).await?;
    // It clears what is remembered of digests that were unknown, and nothing else.
    changes::log(session, ChangeKind::KeyCreated, None, None, mutation.change).await?;
    let event = AuditEvent::import_activated(import, keys, organizations);
    mutation.record(session, None, event).await?;
    Ok(Activation::Done(keys))
}

async fn remove(
    session: &mut impl Session,
    import: ImportId,
    keys: u32,
    mutation: Mutation<'_>,
) -> Result<u64, StoreError> {
    let number = import.number();
    loop {
        let of = session.fetch_optional(sql::ORGANIZATION, values![number]);
        let Some(mut row) = of.await? else { break };
        let organization: String = row.take()?;
        let some = values![organization.as_str(), number, keys];
        let removed = session.execute(sql::REMOVE, some).await?;
        if removed > 0 {
            return Ok(removed);
        }
        let left = values![number, organization];
        session.execute(sql::FORGET, left).await?;
    }
    if session.execute(sql::DELETE, values![number]).await? > 0 {
        let event = AuditEvent::import_removed(import);
        mutation.record(session, None, event).await?;
    }
    Ok(0)
}
