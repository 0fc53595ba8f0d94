//! How much of each calendar period is used.

use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::quota::{DebitRequest, Debited, QuotaPeriod, QuotaStore};
use tollgate_core::rate::Subject;
use tollgate_core::reply::Reply;

use crate::queries::quotas as sql;
use crate::session::{Backend, Session, Transaction, corrupt, values};
use crate::store::SqlStore;

impl<B: Backend> QuotaStore for SqlStore<B> {
    fn debit(&self, request: DebitRequest) -> Reply<Debited> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.count().await?;
            let debited = debit(&mut transaction, &request).await?;
            transaction.commit().await?;
            Ok(debited)
        })
    }

    fn give_back(
        &self,
        subject: Subject,
        period: QuotaPeriod,
        start: Timestamp,
        units: u64,
    ) -> Reply<()> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.count().await?;
            let row = values![subject.to_string(), period.as_str(), start, units];
            transaction.execute(sql::GIVE_BACK, row).await?;
            transaction.commit().await
        })
    }
}

async fn debit(session: &mut impl Session, request: &DebitRequest) -> Result<Debited, StoreError> {
    let (subject, period) = (request.subject.to_string(), request.period.as_str());
    let row = values![subject.as_str(), period, request.start];
    let row = session.fetch_optional(sql::LOCK, row).await?;
    let mut row = row.ok_or_else(|| corrupt("a quota is missing"))?;
    let (started_at, used) = (row.take::<Timestamp>()?, row.take::<u64>()?);
    // An earlier period than the newest counts on the newest: a clock set back reopens nothing.
    let start = started_at.max(request.start);
    let used = if start > started_at { 0 } else { used };
    let left = request.limit.saturating_sub(used);
    let granted = if left >= request.at_least {
        left.min(request.want)
    } else {
        0
    };
    let used = used.saturating_add(granted);
    let row = values![subject, period, start, used];
    session.execute(sql::WRITE, row).await?;
    Ok(Debited { granted, used })
}
