//! A borrowed connection, and a transaction on it.
//!
//! A connection on which something is under way when it is given up, by a deadline or because
//! whoever asked has gone away, is closed and not used again: what it would say next answers a
//! question that nobody asks any more.

use std::fmt::{self, Write as _};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Decode, Encode, Executor as _, Row as _, Type, TypeInfo, ValueRef};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tollgate_core::error::{StoreError, StoreErrorKind};

use super::errors::{breaks_connection, store_error};
use crate::session::{Dialect, Row, Session, Sql, Statement, Transaction, Value, corrupt};

type Postgres = sqlx::Postgres;

/// How long a rollback, or the pool's try of a connection that comes back, may take before it is closed.
pub(super) const ROLLBACK: Duration = Duration::from_secs(1);

/// A connection to PostgreSQL, until dropped.
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub struct Connection {
    inner: Option<PoolConnection<Postgres>>,
    /// How long a statement is waited for.
    patience: Duration,
    /// Whether something is under way, or went wrong with the connection itself.
    unsound: bool,
}

impl Connection {
    pub(super) const fn new(inner: PoolConnection<Postgres>, patience: Duration) -> Self {
        Self {
            inner: Some(inner),
            patience,
            unsound: false,
        }
    }

    /// Does something with the connection, which is unsound until it is done.
    async fn run_on<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let Some(inner) = &mut self.inner else {
            return Err(StoreError::unavailable(sqlx::Error::PoolClosed));
        };
        self.unsound = true;
        match timeout(self.patience, work(inner)).await {
            Ok(Ok(done)) => {
                self.unsound = false;
                Ok(done)
            }
            Ok(Err(error)) => {
                self.unsound = breaks_connection(&error);
                Err(store_error(error))
            }
            Err(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "the database did not answer in time",
            )),
        }
    }

    async fn rows(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = bind(query, values);
        let rows = self.run_on(async |inner| query.fetch_all(inner).await);
        rows.await?.iter().map(row).collect()
    }

    /// Statements without values, in one message.
    pub(super) async fn simple(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.run_on(async |inner| inner.execute(sqlx::raw_sql(sql)).await.map(|_| ()))
            .await
    }
}

impl Session for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn execute(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let query = bind(sqlx::query(sql.into().text(Dialect::Postgres)), values);
        let done = self.run_on(async |inner| query.execute(inner).await);
        done.await.map(|done| done.rows_affected())
    }

    async fn fetch(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query(sql.into().text(Dialect::Postgres));
        self.rows(query, values).await
    }

    async fn fetch_composed(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(sqlx::query(AssertSqlSafe(sql)), values).await
    }

    async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut results = Vec::with_capacity(statements.len());
        for statement in statements {
            results.push(self.fetch_statement(statement).await?);
        }
        Ok(results)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else {
            return;
        };
        if self.unsound {
            tracing::warn!("closing a connection to PostgreSQL that is no longer sound");
            drop(inner.detach());
            return;
        }
        // The pool tries it once more, for as long as TCP does. Given up, it is closed, and its place
        // is free.
        match Handle::try_current() {
            Ok(runtime) => {
                let returned = timeout(ROLLBACK, inner.return_to_pool());
                drop(runtime.spawn(returned));
            }
            Err(_) => drop(inner.detach()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction.
#[derive(Debug)]
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub struct WriteTransaction(Option<Connection>);

impl WriteTransaction {
    /// Begins one with statements that have no values.
    pub(super) async fn begin(
        connection: Connection,
        sql: &'static str,
    ) -> Result<Self, StoreError> {
        // It is whole before the first await: dropped from there on, it rolls back.
        let mut this = Self(Some(connection));
        this.connection()?.simple(sql).await?;
        Ok(this)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let gone = || StoreError::unavailable(sqlx::Error::PoolClosed);
        self.0.as_mut().ok_or_else(gone)
    }
}

impl Session for WriteTransaction {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn execute(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        self.connection()?.execute(sql, values).await
    }

    async fn fetch(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.connection()?.fetch(sql, values).await
    }

    async fn fetch_composed(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.connection()?.fetch_composed(sql, values).await
    }

    async fn run(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.connection()?.run(statements).await
    }
}

impl Transaction for WriteTransaction {
    async fn commit(mut self) -> Result<(), StoreError> {
        self.connection()?.simple("COMMIT").await?;
        self.0 = None;
        Ok(())
    }

    async fn commit_after(mut self, statements: Vec<Statement>) -> Result<(), StoreError> {
        self.run(statements).await?;
        self.commit().await
    }

    async fn commit_together(mut self, statements: Vec<Statement>) -> Result<(), StoreError> {
        if let Some((text, values)) = together(statements) {
            self.fetch_composed(text, values).await?;
        }
        self.commit().await
    }

    async fn commit_much(self, statements: Vec<Statement>) -> Result<(), StoreError> {
        self.commit_after(statements).await
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        if connection.unsound {
            return;
        }
        // Until the rollback is done, the connection counts as broken: its runtime may end before.
        connection.unsound = true;
        connection.patience = ROLLBACK;
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(async move {
                // What cannot be rolled back is closed, which is a rollback too.
                let _ = connection.simple("ROLLBACK").await;
            }));
        }
    }
}

/// Statements as one, which costs one round trip. Each sees what was there before all of them.
fn together(statements: Vec<Statement>) -> Option<(String, Vec<Value>)> {
    let (mut text, mut values) = (String::new(), Vec::new());
    for (n, statement) in statements.into_iter().enumerate() {
        text.push_str(if n == 0 { "WITH " } else { ", " });
        let _ = write!(text, "s{n} AS (");
        statement.append_to(&mut text, &mut values, Dialect::Postgres);
        text.push(')');
    }
    text.push_str(" SELECT 1");
    text.starts_with('W').then_some((text, values))
}

/// Nothing, of whatever type the statement wants.
struct Nothing;

impl Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(
        &self,
        _buffer: &mut PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Ok(sqlx::encode::IsNull::Yes)
    }
}

fn bind(
    query: Query<'_, Postgres, PgArguments>,
    values: Vec<Value>,
) -> Query<'_, Postgres, PgArguments> {
    values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(Nothing),
        Value::Int(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Blob(bytes) => query.bind(bytes),
    })
}

fn row(row: &PgRow) -> Result<Row, StoreError> {
    let values = (0..row.len()).map(|column| {
        let value = row.try_get_raw(column).map_err(store_error)?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        let decoded = match value.type_info().name() {
            "INT8" => <i64 as Decode<Postgres>>::decode(value).map(Value::Int),
            "INT4" => <i32 as Decode<Postgres>>::decode(value).map(|n| Value::Int(n.into())),
            "TEXT" => <String as Decode<Postgres>>::decode(value).map(Value::Text),
            "BYTEA" => <Vec<u8> as Decode<Postgres>>::decode(value).map(Value::Blob),
            _ => return Err(corrupt("a column is not of its type")),
        };
        decoded.map_err(|error| store_error(sqlx::Error::Decode(error)))
    });
    values.collect::<Result<_, _>>().map(Row::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::values;

    #[test]
    fn statements_that_go_together_keep_their_values() {
        let statements = vec![
            Statement::new("INSERT INTO a SELECT $2, $1", values![1_i64, 2_i64]),
            Statement::new("DELETE FROM b WHERE c = $1::text", values!["d"]),
        ];
        let (sql, values) = together(statements).unwrap();
        assert_eq!(
            sql,
            "WITH s0 AS (INSERT INTO a SELECT $2, $1), \
             s1 AS (DELETE FROM b WHERE c = $3::text) SELECT 1"
        );
        assert_eq!(values, values![1_i64, 2_i64, "d"]);
        assert!(together(Vec::new()).is_none());
    }
}
