//! A borrowed connection, and a transaction on it.
//!
//! sqlx's own transaction counts its depth, and a rollback that SQLite did by itself, on a full
//! disk, leaves that count wrong for good. Here SQLite alone knows whether a transaction is open.

use std::fmt;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Either, Executor as _, Row as _, TypeInfo, ValueRef};
use tokio::runtime::Handle;
use tollgate_core::error::StoreError;

use super::errors::{breaks_connection, nothing_to_roll_back, store_error};
use super::writer::Turn;
use crate::session::{Dialect, Row, Session, Sql, Statement, Transaction, Value, corrupt};

const NO_CHECKPOINT: &str = "PRAGMA wal_autocheckpoint = 0";
/// As often as SQLite does unless told otherwise.
const CHECKPOINTS: &str = "PRAGMA wal_autocheckpoint = 1000";

/// A connection to SQLite, until dropped.
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub struct Connection {
    inner: Option<Borrowed>,
    broken: bool,
    in_memory: bool,
}

/// Whose connection it is.
pub(super) enum Borrowed {
    Reader(PoolConnection<Sqlite>),
    Writer(Turn),
}

impl Borrowed {
    fn discard(self) {
        match self {
            Self::Reader(connection) => drop(connection.detach()),
            Self::Writer(turn) => turn.discard(),
        }
    }
}

impl Connection {
    pub(super) const fn new(inner: Borrowed, in_memory: bool) -> Self {
        Self {
            inner: Some(inner),
            broken: false,
            in_memory,
        }
    }

    fn inner(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match &mut self.inner {
            Some(Borrowed::Reader(connection)) => Ok(&mut **connection),
            Some(Borrowed::Writer(turn)) => turn.connection(),
            None => Err(sqlx::Error::PoolClosed),
        };
        connection.map_err(StoreError::unavailable)
    }

    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        self.broken |= breaks_connection(&error);
        store_error(error)
    }

    async fn rows(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let result = bind(query, values).fetch_all(self.inner()?).await;
        let rows = result.map_err(|error| self.failed(error))?;
        rows.iter().map(row).collect()
    }

    /// Begins, commits or rolls back; a connection on which that fails is not used again.
    async fn turn(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let result = sqlx::query(sql).execute(self.inner()?).await;
        result.map(|_| ()).map_err(|error| {
            self.broken = true;
            store_error(error)
        })
    }

    /// Until this is done the connection counts as broken: its runtime may end before.
    fn roll_back(mut self) -> impl Future<Output = ()> {
        let was_broken = std::mem::replace(&mut self.broken, true);
        self.roll_back_from(was_broken)
    }

    /// Moves the log into the file. Others may write meanwhile, but not on this connection.
    async fn checkpoint(mut self) {
        let statements = [CHECKPOINTS, "PRAGMA wal_checkpoint(PASSIVE)"];
        let statements = statements.map(|sql| Statement::new(sql, Vec::new()));
        self.broken = self.run(statements.into()).await.is_err();
    }

    async fn roll_back_from(mut self, was_broken: bool) {
        let Ok(inner) = self.inner() else { return };
        let rolled_back = sqlx::query("ROLLBACK").execute(inner).await;
        let is_sound = rolled_back.map_or_else(|error| nothing_to_roll_back(&error), |_| true);
        self.broken = was_broken || !is_sound;
    }
}

impl Session for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn execute(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(sql.into().text(Dialect::Sqlite));
        let result = bind(query, values).execute(self.inner()?).await;
        result
            .map(|done| done.rows_affected())
            .map_err(|error| self.failed(error))
    }

    async fn fetch(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query(sql.into().text(Dialect::Sqlite));
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
        // All go to the connection's thread at once, as one text.
        let (sql, values) = joined(statements);
        let query = bind(sqlx::query(AssertSqlSafe(sql)), values);
        let mut results = vec![Vec::new()];
        let mut stream = self.inner()?.fetch_many(query);
        let done = loop {
            match stream.try_next().await {
                Ok(Some(Either::Right(found))) => {
                    if let Some(rows) = results.last_mut() {
                        rows.push(row(&found)?);
                    }
                }
                Ok(Some(Either::Left(_))) => results.push(Vec::new()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(stream);
        // After the last statement nothing follows.
        results.pop();
        done.map(|()| results).map_err(|error| self.failed(error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.broken
            && !self.in_memory
            && let Some(inner) = self.inner.take()
        {
            tracing::warn!("closing a connection to SQLite that is no longer sound");
            inner.discard();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A transaction that has the right to write from its beginning.
#[derive(Debug)]
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub struct WriteTransaction(Option<Connection>);

impl WriteTransaction {
    pub(super) async fn begin(connection: Connection) -> Result<Self, StoreError> {
        // It is whole before the first await: dropped from there on, it rolls back.
        let mut this = Self(Some(connection));
        this.connection()?.turn("BEGIN IMMEDIATE").await?;
        Ok(this)
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let gone = || StoreError::unavailable(sqlx::Error::PoolClosed);
        self.0.as_mut().ok_or_else(gone)
    }
}

impl Session for WriteTransaction {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
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
        self.connection()?.turn("COMMIT").await?;
        self.0 = None;
        Ok(())
    }

    async fn commit_after(mut self, mut statements: Vec<Statement>) -> Result<(), StoreError> {
        statements.push(Statement::new("COMMIT", Vec::new()));
        let connection = self.connection()?;
        let done = connection.run(statements).await;
        // Which of them failed is not known: it may have been the commit.
        connection.broken |= done.is_err();
        done?;
        self.0 = None;
        Ok(())
    }

    async fn commit_together(self, statements: Vec<Statement>) -> Result<(), StoreError> {
        self.commit_after(statements).await
    }

    async fn commit_much(mut self, mut statements: Vec<Statement>) -> Result<(), StoreError> {
        statements.insert(0, Statement::new(NO_CHECKPOINT, Vec::new()));
        statements.push(Statement::new("COMMIT", Vec::new()));
        let connection = self.connection()?;
        // Left here, it would never move its log into the file: then it is not used again.
        connection.broken = true;
        connection.run(statements).await?;
        if let (Some(connection), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn(connection.checkpoint()));
        }
        Ok(())
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        // Whether the transaction is open is not known here: BEGIN or COMMIT may be under way.
        if connection.broken && !connection.in_memory {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(connection.roll_back())),
            // Closing is a rollback too, and needs no runtime.
            Err(_) => drop(connection.inner.take().map(Borrowed::discard)),
        }
    }
}

/// Statements as one text.
fn joined(statements: Vec<Statement>) -> (String, Vec<Value>) {
    let (mut text, mut values) = (String::new(), Vec::new());
    for statement in statements {
        statement.append_to(&mut text, &mut values, Dialect::Sqlite);
        text.push(';');
    }
    (text, values)
}

fn bind(
    query: Query<'_, Sqlite, SqliteArguments>,
    values: Vec<Value>,
) -> Query<'_, Sqlite, SqliteArguments> {
    values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Blob(bytes) => query.bind(bytes),
    })
}

fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    let values = (0..row.len()).map(|column| {
        let value = row.try_get_raw(column).map_err(store_error)?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        let decoded = match value.type_info().name() {
            "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(Value::Int),
            "TEXT" => <String as Decode<Sqlite>>::decode(value).map(Value::Text),
            "BLOB" => <Vec<u8> as Decode<Sqlite>>::decode(value).map(Value::Blob),
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
    fn each_statement_keeps_its_values() {
        let statements = vec![
            Statement::new("SELECT $2, $1", values![1_i64, 2_i64]),
            Statement::new("BEGIN", values![]),
            Statement::new("SELECT $1 || $12", values![3_i64]),
        ];
        let (sql, values) = joined(statements);
        assert_eq!(sql, "SELECT $2, $1;BEGIN;SELECT $3 || $14;");
        assert_eq!(values, values![1_i64, 2_i64, 3_i64]);
    }
}
