//! The seam between the ports and a database.
//!
//! Everything above it, every statement and every rule, is written once for all databases; a
//! database is a [`Backend`] and its migrations. The seam is sealed: it may change with any
//! release.

use std::fmt::{self, Write as _};

use tollgate_core::change::Told;
use tollgate_core::error::{StoreError, StoreErrorKind};

pub(crate) mod sealed {
    /// Keeps the seam to this crate.
    #[expect(unnameable_types, reason = "that is what seals the seam")]
    pub trait Sealed {}
}

/// A database: gives sessions that read, and transactions that write.
pub trait Backend: Clone + fmt::Debug + Send + Sync + sealed::Sealed + 'static {
    /// A session that reads.
    type Read: Session;
    /// A transaction that writes.
    type Write: Transaction;

    /// Which of its statements it takes.
    fn dialect(&self) -> Dialect;

    /// Whose clock holds end by.
    fn time(&self) -> Time;

    /// Begins to read.
    fn read(&self) -> impl Future<Output = Result<Self::Read, StoreError>> + Send;

    /// Begins a transaction that changes what is managed. Such transactions, of all processes that
    /// share the database, wait for each other: nobody else's can fail one, and what they write
    /// down is in the order of their commits.
    fn write(&self) -> impl Future<Output = Result<Self::Write, StoreError>> + Send;

    /// Begins a transaction that charges: of a store, one at a time, in which all share. On a
    /// database whose writers are many it waits for nobody but those who want the same rows: it
    /// locks them as it reads them.
    fn charge(&self) -> impl Future<Output = Result<Self::Write, StoreError>> + Send;

    /// Begins a transaction that counts, or tidies up: quotas, usage, what is due and what is over.
    /// It locks rows as one that charges does, and never keeps that one waiting for a connection.
    fn count(&self) -> impl Future<Output = Result<Self::Write, StoreError>> + Send;

    /// Waits until another process told of a change, or until it may have: those who poll the
    /// feed do it then too. Never returns where nobody tells.
    fn told(&self) -> impl Future<Output = Told> + Send;
}

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite's, whose writers are alone.
    Sqlite,
    /// PostgreSQL's, whose writers lock rows.
    Postgres,
}

/// Whose clock holds end by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Time {
    /// That of whoever asks: all are on one machine.
    #[default]
    Callers,
    /// The database's, so that nodes whose clocks differ do not end each other's holds.
    Servers,
}

/// A text of this crate: one for all databases, or one for each.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    /// A text for each.
    #[must_use]
    pub const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }

    /// The text for one of them.
    #[must_use]
    pub const fn text(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
}

impl From<&'static str> for Sql {
    fn from(both: &'static str) -> Self {
        Self::each(both, both)
    }
}

/// Runs statements.
pub trait Session: Send {
    /// Which of its statements it takes.
    fn dialect(&self) -> Dialect;

    /// Runs a statement and says how many rows it changed.
    fn execute(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Runs a statement and gives its rows.
    fn fetch(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Runs a statement that was put together of parts of this crate, and gives its rows.
    fn fetch_composed(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// Runs statements one after another, and gives the rows of each. What follows one that fails
    /// is not run.
    fn run(
        &mut self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Vec<Row>>, StoreError>> + Send;

    /// Runs a statement that carries its values, and gives its rows.
    fn fetch_statement(
        &mut self,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        async move {
            match statement.sql {
                Text::Fixed(sql) => self.fetch(sql, statement.values).await,
                Text::Composed(sql) => self.fetch_composed(sql, statement.values).await,
            }
        }
    }

    /// Runs a statement that has one row or none.
    fn fetch_optional(
        &mut self,
        sql: impl Into<Sql> + Send,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        // All rows are fetched, so that a statement that also writes has run to its end.
        async move { Ok(self.fetch(sql, values).await?.into_iter().next()) }
    }
}

/// A session whose statements all happen or none. Dropping it is a rollback.
pub trait Transaction: Session {
    /// Makes everything happen.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Runs statements, and makes everything happen.
    fn commit_after(
        self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The same for statements none of which needs what another one writes: they may be run at
    /// once.
    fn commit_together(
        self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The same for statements that write much: what a database has to tidy up then goes on when
    /// this is done, while others may write.
    fn commit_much(
        self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A statement, and its values in the order of `$1`, `$2`, ….
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Statement {
    /// The text, which holds no `$` but those of its values.
    pub sql: Text,
    /// The values.
    pub values: Vec<Value>,
}

/// The text of a statement.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Text {
    /// One of this crate's.
    Fixed(Sql),
    /// One that was put together of parts of this crate.
    Composed(String),
}

impl Statement {
    /// This statement with these values.
    #[must_use]
    pub fn new(sql: impl Into<Sql>, values: Vec<Value>) -> Self {
        let sql = Text::Fixed(sql.into());
        Self { sql, values }
    }

    /// A statement that was put together of parts of this crate.
    #[must_use]
    pub const fn composed(sql: String, values: Vec<Value>) -> Self {
        let sql = Text::Composed(sql);
        Self { sql, values }
    }

    /// Its text for one of the databases.
    #[must_use]
    pub fn text(&self, dialect: Dialect) -> &str {
        match &self.sql {
            Text::Fixed(sql) => sql.text(dialect),
            Text::Composed(sql) => sql,
        }
    }
}

impl Statement {
    /// Adds it to a text of several. Its values are numbered on from those before.
    pub(crate) fn append_to(self, text: &mut String, values: &mut Vec<Value>, dialect: Dialect) {
        let mut rest = self.text(dialect);
        while let Some((before, after)) = rest.split_once('$') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = after.split_at(digits);
            let number = number
                .parse()
                .unwrap_or(0_usize)
                .saturating_add(values.len());
            let _ = write!(text, "{before}${number}");
            rest = after;
        }
        text.push_str(rest);
        values.extend(self.values);
    }
}

/// What a statement is given and gives back.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the schema has columns of these types only"
)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, or a point in time in microseconds.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A row of a result, read from left to right.
#[derive(Debug)]
pub struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// A row of these values.
    #[must_use]
    pub fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    /// All values that are left.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0.collect()
    }

    /// Takes the next value.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`] if there is none left, or it is not a `T`.
    pub fn take<T: FromValue>(&mut self) -> Result<T, StoreError> {
        self.0
            .next()
            .and_then(T::from_value)
            .ok_or_else(|| corrupt("a column is not of its type"))
    }
}

/// Made of a column.
pub trait FromValue: Sized {
    /// The value as this type, if it is one.
    fn from_value(value: Value) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).and_then(|number| number.try_into().ok())
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value) -> Option<Self> {
        Vec::from_value(value)?.try_into().ok()
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

/// Numbers beyond the largest that a column can have become that one.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, in the order of its `$1`, `$2`, ….
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::session::Value::from($value)),*] };
}
pub(crate) use values;

pub(crate) fn corrupt(message: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_another_type_is_corrupt() {
        let mut row = Row::new(values![-1_i64, "text", None::<i64>, &[0_u8; 3]]);
        assert!(row.take::<u64>().is_err());
        assert!(row.take::<Option<i64>>().is_err());
        assert_eq!(row.take::<Option<String>>().unwrap(), None);
        assert!(row.take::<[u8; 16]>().is_err());
        let error = row.take::<i64>().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}
