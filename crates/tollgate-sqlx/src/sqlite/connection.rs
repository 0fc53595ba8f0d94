//! A borrowed connection, and a transaction on it.
//!
//! sqlx's own transaction counts its depth, and a rollback that SQLite did by itself, on a full
//! disk, leaves that count wrong for good. Here SQLite alone knows whether a transaction is open.

use std::fmt;

use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{Decode, Row as _, TypeInfo, ValueRef};
use tollgate_core::error::StoreError;

use super::errors::{breaks_connection, nothing_to_roll_back, store_error};
use crate::session::{Row, Session, Transaction, Value, corrupt};

/// A connection to SQLite, until dropped.
#[expect(unnameable_types, reason = "callers have ports, not connections")]
pub struct Connection {
    inner: Option<PoolConnection<Sqlite>>,
    broken: bool,
    in_memory: bool,
}

impl Connection {
    pub(super) const fn new(inner: PoolConnection<Sqlite>, in_memory: bool) -> Self {
        Self {
            inner: Some(inner),
            broken: false,
            in_memory,
        }
    }

    fn inner(&mut self) -> Result<&mut PoolConnection<Sqlite>, StoreError> {
        let gone = || StoreError::unavailable(sqlx::Error::PoolClosed);
        self.inner.as_mut().ok_or_else(gone)
    }

    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        self.broken |= breaks_connection(&error);
        store_error(error)
    }

    /// Begins, commits or rolls back; a connection on which that fails is not used again.
    async fn turn(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let result = sqlx::query(sql).execute(&mut **self.inner()?).await;
        result.map(|_| ()).map_err(|error| {
            self.broken = true;
            store_error(error)
        })
    }

    async fn roll_back(mut self) {
        let Ok(inner) = self.inner() else { return };
        if let Err(error) = sqlx::query("ROLLBACK").execute(&mut **inner).await {
            self.broken |= !nothing_to_roll_back(&error);
        }
    }
}

impl Session for Connection {
    async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        let result = bind(sql, values).execute(&mut **self.inner()?).await;
        result
            .map(|done| done.rows_affected())
            .map_err(|error| self.failed(error))
    }

    async fn fetch(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let result = bind(sql, values).fetch_all(&mut **self.inner()?).await;
        let rows = result.map_err(|error| self.failed(error))?;
        rows.iter().map(row).collect()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.broken
            && !self.in_memory
            && let Some(inner) = self.inner.take()
        {
            tracing::warn!("closing a connection to SQLite that is no longer sound");
            drop(inner.detach());
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
    async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        self.connection()?.execute(sql, values).await
    }

    async fn fetch(
        &mut self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.connection()?.fetch(sql, values).await
    }
}

impl Transaction for WriteTransaction {
    async fn commit(mut self) -> Result<(), StoreError> {
        self.connection()?.turn("COMMIT").await?;
        self.0 = None;
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
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(connection.roll_back())),
            // Closing is a rollback too, and needs no runtime.
            Err(_) => drop(connection.inner.take().map(PoolConnection::detach)),
        }
    }
}

fn bind(sql: &'static str, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    values
        .into_iter()
        .fold(sqlx::query(sql), |query, value| match value {
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
