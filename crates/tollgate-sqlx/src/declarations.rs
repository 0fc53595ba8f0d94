//! What apps declared at their start.

use tollgate_core::error::StoreError;
use tollgate_core::reply::Reply;
use tollgate_core::store::{CatalogStore, Declaration};

use crate::queries::declarations as sql;
use crate::session::{Backend, Session, Transaction, values};
use crate::store::SqlStore;

impl<B: Backend> CatalogStore for SqlStore<B> {
    fn record_declaration(&self, declaration: Declaration) -> Reply<()> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            if newest(&mut transaction).await?.as_ref() == Some(&declaration) {
                return transaction.commit().await;
            }
            let row = values![declaration.catalog, declaration.permissions];
            transaction.execute(sql::INSERT, row).await?;
            transaction.commit().await
        })
    }

    fn declaration(&self) -> Reply<Option<Declaration>> {
        let backend = self.backend.clone();
        Reply::later(async move { newest(&mut backend.read().await?).await })
    }
}

async fn newest(session: &mut impl Session) -> Result<Option<Declaration>, StoreError> {
    let Some(mut row) = session.fetch_optional(sql::NEWEST, values![]).await? else {
        return Ok(None);
    };
    Ok(Some(Declaration {
        catalog: row.take()?,
        permissions: row.take()?,
    }))
}
