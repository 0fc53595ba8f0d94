//! Keys of another system, by their digests: staged where keys are, and unseen until activated.
//!
//! The keys of a batch are ordered by their digests, which come at random: so a batch touches each
//! page of the table of secrets once, and not one page for each key.

use tokio::runtime::Handle;
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
use crate::session::{Backend, Row, Session, Statement, Transaction, values};
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
        // All that can be made ready before anybody has to wait is made ready before, and freed.
        let dialect = backend.dialect();
        let ready = beside(move || Staged::new(&keys, import, dialect));
        Reply::later(async move {
            let ready = ready.await??;
            let mut transaction = backend.write().await?;
            let beat = transaction.execute(sql::BEAT, values![number, now]);
            if beat.await? == 0 {
                return Err(gone());
            }
            let Some(staged) = ready else {
                transaction.commit().await?;
                return Ok(Vec::new());
            };
            stage(transaction, number, staged).await
        })
    }

    fn known_digests(&self, digests: Vec<KeyDigest>) -> Reply<Vec<KeyDigest>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let digests = hex_of(digests.iter())?;
            let mut session = backend.read().await?;
            taken(session.fetch(sql::KNOWN, values![digests]).await?)
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

/// Does work on a thread of its own, from now on.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Reply<T> {
    let Ok(runtime) = Handle::try_current() else {
        return Reply::ready(work());
    };
    let work = runtime.spawn_blocking(work);
    Reply::later(async { work.await.map_err(StoreError::unavailable) })
}

fn gone() -> StoreError {
    StoreError::not_found("there is no such import")
}

fn taken(rows: Vec<Row>) -> Result<Vec<KeyDigest>, StoreError> {
    let digests = rows.into_iter().map(|mut row| row.take());
    digests
        .map(|digest| Ok(KeyDigest::from_bytes(digest?)))
        .collect()
}

/// Writes keys, whose digests are hardly ever known: nobody asks before, and a key whose digest
/// another has is taken out again.
async fn stage(
    mut transaction: impl Transaction,
    number: u64,
    staged: Staged,
) -> Result<Vec<KeyDigest>, StoreError> {
    let Staged {
        keys,
        insert,
        secrets,
        count,
    } = staged;
    let text = secrets.as_str();
    transaction.run(vec![insert]).await?;
    let inserted = transaction.execute(sql::INSERT_SECRETS, values![text]);
    if inserted.await? == keys {
        transaction.commit_much(vec![count]).await?;
        return Ok(Vec::new());
    }
    let known = taken(transaction.fetch(sql::OF_OTHERS, values![text]).await?)?;
    let statements = vec![
        Statement::new(sql::REMOVE_WITHOUT_SECRET, values![text]),
        Statement::new(sql::COUNT_STAGED, values![number, text]),
    ];
    transaction.commit_much(statements).await?;
    Ok(known)
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
