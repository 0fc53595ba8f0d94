//! Usage counters, in batches: so many statements, however many keys.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use tollgate_core::clock::Timestamp;
use tollgate_core::error::StoreError;
use tollgate_core::id::KeyId;
use tollgate_core::reply::Reply;
use tollgate_core::usage::{
    KeyUsage, UsageOf, UsagePeriod, UsageQuery, UsageRow, UsageStore, UsageTotals,
};

use crate::lists::day;
use crate::queries::{keys, usage as sql};
use crate::rows::{hex_of, json, on_rows};
use crate::session::{
    Backend, Dialect, Row, Session, Statement, Transaction, Value, corrupt, values,
};
use crate::store::SqlStore;

impl<B: Backend> UsageStore for SqlStore<B> {
    fn record_usage(&self, mut batch: Vec<KeyUsage>) -> Reply<()> {
        let backend = self.backend.clone();
        Reply::later(async move {
            if batch.is_empty() {
                return Ok(());
            }
            // The sort is stable: of two entries of one key the later one stays the later.
            batch.sort_by_key(|usage| usage.key);
            batch.dedup_by(|later, one| {
                let same = later.key == one.key;
                if same {
                    one.merge(later.clone());
                }
                same
            });
            let mut transaction = backend.count().await?;
            let totals = json(&batch.iter().map(total).collect::<Vec<_>>())?;
            let rows = transaction.fetch(sql::ADD, values![totals]).await?;
            let known = rows.into_iter().map(|mut row| row.take());
            let known: HashSet<KeyId> = known.collect::<Result<_, _>>()?;
            batch.retain(|usage| known.contains(&usage.key));
            let rest = [days(&batch)?, hours(&batch)?];
            let rest = rest.into_iter().flatten().collect();
            transaction.commit_together(rest).await
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

/// What one key's row is raised by, as the statement takes it.
fn total(usage: &KeyUsage) -> (String, u64, u64, Timestamp, Option<IpAddr>) {
    let requests = usage.counts.iter().map(|count| count.requests);
    (
        hex_of(usage.key.as_bytes()),
        stored(requests.fold(0, u64::saturating_add)),
        stored(usage.with_old_secret),
        usage.last_used_at,
        usage.last_address,
    )
}

/// The days on which these keys were used last.
fn days(batch: &[KeyUsage]) -> Result<Option<Statement>, StoreError> {
    let days = batch
        .iter()
        .map(|usage| (hex_of(usage.key.as_bytes()), day(usage.last_used_at)));
    on_rows(sql::USED_ON, days)
}

/// Their counters, each once, since a statement writes no row twice.
fn hours(batch: &[KeyUsage]) -> Result<Option<Statement>, StoreError> {
    let mut hours: BTreeMap<_, u64> = BTreeMap::new();
    for usage in batch {
        for count in &usage.counts {
            let counter = (usage.key, count.hour, &*count.route, &*count.outcome);
            let sum = hours.entry(counter).or_default();
            *sum = sum.saturating_add(count.requests);
        }
    }
    let rows = hours.into_iter().map(|((key, hour, route, outcome), sum)| {
        let key = hex_of(key.as_bytes());
        (key, hour, route, outcome, stored(sum))
    });
    on_rows(sql::COUNT, rows)
}

/// As large as a column can have it.
fn stored(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}
