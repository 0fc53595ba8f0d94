//! Usage counters, in batches.

use std::net::IpAddr;

use tollgate_core::error::StoreError;
use tollgate_core::id::KeyId;
use tollgate_core::reply::Reply;
use tollgate_core::usage::{
    KeyUsage, UsageCount, UsageOf, UsagePeriod, UsageQuery, UsageRow, UsageStore, UsageTotals,
};

use crate::lists::day;
use crate::queries::{keys, usage as sql};
use crate::session::{Backend, Dialect, Row, Session, Transaction, Value, corrupt, values};
use crate::store::SqlStore;

impl<B: Backend> UsageStore for SqlStore<B> {
    fn record_usage(&self, mut batch: Vec<KeyUsage>) -> Reply<()> {
        let backend = self.backend.clone();
        Reply::later(async move {
            if batch.is_empty() {
                return Ok(());
            }
            // In the order of ids, so that two batches cannot block each other. The sort is
            // stable: of two entries of one key the later one stays the later.
            batch.sort_by_key(|usage| usage.key);
            let mut transaction = backend.charge().await?;
            for usage in &batch {
                add(&mut transaction, usage).await?;
            }
            transaction.commit().await
        })
    }

    fn usage(&self, key: &KeyId) -> Reply<UsageTotals> {
        let (backend, key) = (self.backend.clone(), *key);
        Reply::later(async move {
            let mut session = backend.read().await?;
            let row = session.fetch_optional(sql::READ, values![key.as_bytes()]);
            row.await?.map_or_else(|| Ok(UsageTotals::default()), read)
        })
    }

    fn usage_counts(&self, query: UsageQuery) -> Reply<Vec<UsageRow>> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let (text, values) = counts(&query, backend.dialect());
            let mut session = backend.read().await?;
            let rows = session.fetch_composed(text, values).await?;
            rows.into_iter().map(read_count).collect()
        })
    }
}

/// The statement of a query, and its values.
fn counts(query: &UsageQuery, dialect: Dialect) -> (String, Vec<Value>) {
    let start = match query.per {
        UsagePeriod::Whole => "CAST($2 AS BIGINT)",
        UsagePeriod::Day => "c.hour - ((c.hour % 86400000000) + 86400000000) % 86400000000",
        UsagePeriod::Hour => "c.hour",
    };
    let told = |apart: bool, column: &'static str| if apart { column } else { "NULL" };
    let (of, join) = match &query.of {
        UsageOf::Key(id) => (Value::from(id.as_bytes()), "c.key_id"),
        UsageOf::Organization(id) => (id.as_str().into(), "k.organization"),
    };
    // A sum that is too large for a number would be an error; so it is the largest one.
    let sum = match dialect {
        Dialect::Sqlite => "CAST(total(c.requests) AS INTEGER)",
        Dialect::Postgres => "CAST(least(sum(c.requests), 9223372036854775807) AS BIGINT)",
    };
    let text = format!(
        "SELECT {start}, {}, {}, {}, {sum} \
         FROM tollgate_usage_counts c JOIN tollgate_keys k ON k.id = c.key_id \
         WHERE {join} = $1 AND c.hour >= $2 AND c.hour < $3 AND {} \
         GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $4",
        told(query.key, "c.key_id"),
        told(query.route, "c.route"),
        told(query.outcome, "c.outcome"),
        keys::VISIBLE,
    );
    let limit = query.limit.min(UsageQuery::MOST);
    (
        text,
        vec![of, query.from.into(), query.until.into(), limit.into()],
    )
}

fn read_count(mut row: Row) -> Result<UsageRow, StoreError> {
    Ok(UsageRow {
        start: row.take()?,
        key: row.take()?,
        route: row.take::<Option<String>>()?.map(Into::into),
        outcome: row.take::<Option<String>>()?.map(Into::into),
        requests: row.take()?,
    })
}

pub(crate) fn read(mut row: Row) -> Result<UsageTotals, StoreError> {
    Ok(UsageTotals {
        total_requests: row.take()?,
        with_old_secret: row.take()?,
        last_used_at: row.take()?,
        last_address: row
            .take::<Option<String>>()?
            .map(|text| text.parse::<IpAddr>())
            .transpose()
            .map_err(|error| corrupt("a stored address cannot be read").with_source(error))?,
    })
}

async fn add(session: &mut impl Session, usage: &KeyUsage) -> Result<(), StoreError> {
    let key = usage.key.as_bytes();
    let known = session.fetch_optional(keys::STAYS, values![key]).await?;
    if known.is_none() {
        return Ok(());
    }
    let row = session.fetch_optional(sql::LOCK, values![key]).await?;
    let mut totals = read(row.ok_or_else(|| corrupt("a usage row is missing"))?)?;
    let before = totals.last_used_at.map(day);
    let requests = usage.counts.iter().map(|count| count.requests);
    totals.total_requests = requests.fold(totals.total_requests, u64::saturating_add);
    totals.with_old_secret = totals.with_old_secret.saturating_add(usage.with_old_secret);
    if totals
        .last_used_at
        .is_none_or(|last| last <= usage.last_used_at)
    {
        totals.last_used_at = Some(usage.last_used_at);
        totals.last_address = usage.last_address.or(totals.last_address);
    }
    let row = values![
        key,
        totals.total_requests,
        totals.with_old_secret,
        totals.last_used_at,
        totals.last_address.map(|address| address.to_string()),
    ];
    session.execute(sql::WRITE, row).await?;
    let today = totals.last_used_at.map(day);
    if today != before {
        session.execute(keys::USED_ON, values![key, today]).await?;
    }
    for count in &usage.counts {
        add_count(session, &usage.key, count).await?;
    }
    Ok(())
}

async fn add_count(
    session: &mut impl Session,
    key: &KeyId,
    count: &UsageCount,
) -> Result<(), StoreError> {
    let room = i64::MAX.unsigned_abs().saturating_sub(count.requests);
    let row = values![
        key.as_bytes(),
        count.hour,
        &*count.route,
        &*count.outcome,
        count.requests,
        room,
    ];
    session.execute(sql::COUNT, row).await?;
    Ok(())
}
