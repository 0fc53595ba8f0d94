//! The change feed: a row in the transaction of each mutation.

use tollgate_core::change::{Change, ChangeFeed, ChangeKind, Changed, Told};
use tollgate_core::error::StoreError;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::reply::Reply;

use crate::queries::changes as sql;
use crate::session::{Backend, Row, Session, values};
use crate::store::SqlStore;

pub(crate) async fn log(
    session: &mut impl Session,
    kind: ChangeKind,
    key: Option<&KeyId>,
    organization: Option<&OrgId>,
    change: &Change,
) -> Result<(), StoreError> {
    let row = values![
        kind.as_str(),
        key.map(KeyId::as_bytes),
        organization.map(OrgId::as_str),
        change.actor.as_str(),
        change.at,
        change.reason.as_deref(),
    ];
    session.execute(sql::INSERT, row).await?;
    Ok(())
}

impl<B: Backend> ChangeFeed for SqlStore<B> {
    fn newest(&self) -> Reply<u64> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut session = backend.read().await?;
            let row = session.fetch_optional(sql::NEWEST, values![]).await?;
            row.map_or(Ok(0), |mut row| row.take())
        })
    }

    fn since(&self, after: u64, limit: u32) -> Reply<Vec<Changed>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut session = backend.read().await?;
            let rows = session.fetch(sql::SINCE, values![after, limit]).await?;
            rows.into_iter().map(read).collect()
        })
    }

    fn told(&self) -> Reply<Told> {
        let backend = self.backend.clone();
        Reply::later(async move { Ok(backend.told().await) })
    }
}

fn read(mut row: Row) -> Result<Changed, StoreError> {
    Ok(Changed {
        seq: row.take()?,
        kind: ChangeKind::from_text(&row.take::<String>()?),
        key: row.take()?,
        organization: row.take()?,
    })
}
