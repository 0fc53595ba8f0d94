//! Moves everything from SQLite to PostgreSQL: from one machine to many.
//!
//! It is one transaction on either side. SQLite's holds the lock of whoever writes, so that nobody
//! charges a wallet that was copied already; PostgreSQL's locks the tables, so that nobody writes
//! to them meanwhile, and commits once every row was read back and is the same. Whatever ends it
//! before that leaves the target as it was: without a row.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tollgate_sqlx::{PostgresStore, SqliteOptions, Transfer};
//!
//! let from = SqliteOptions::new("keys.db").existing().open().await?;
//! let to = PostgresStore::open("postgres://app@db.example/app").await?;
//! let copied = Transfer::new(&from).run(&to, |_| {}).await?;
//! println!("{} rows", copied.rows());
//! # Ok(())
//! # }
//! ```

use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tollgate_core::error::StoreError;

use crate::session::{Backend, Row, Session, Statement, Transaction as _, Value, values};
use crate::sqlite::Sqlite;
use crate::store::{PostgresStore, SqliteStore};
use tables::{TABLES, Table};

mod tables;
#[cfg(test)]
mod tests;

/// How many rows are read at once of the source, and of the target, which may be far away.
const PAGE: u32 = 500;
const READ_BACK: u32 = 50;

/// Everything that a database on SQLite holds, on its way to PostgreSQL.
#[derive(Debug)]
#[must_use = "it moves nothing until it is run"]
pub struct Transfer<'a> {
    from: &'a SqliteStore,
}

/// How many rows there are of each table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transferred {
    tables: Vec<(&'static str, u64)>,
}

/// Why nothing was moved, in one sentence for whoever moves it.
#[derive(Debug)]
pub struct TransferError {
    message: String,
    source: Option<StoreError>,
}

impl<'a> Transfer<'a> {
    /// Out of this database, which is read and not written.
    pub const fn new(from: &'a SqliteStore) -> Self {
        Self { from }
    }

    /// Counts what there is to move.
    ///
    /// # Errors
    ///
    /// [`TransferError`] if it could not be moved as it is: an import is under way, or somebody
    /// else writes all the time.
    pub async fn count(&self) -> Result<Transferred, TransferError> {
        let mut source = self.source().await?;
        count(&mut source).await
    }

    /// Copies everything into the tables of another, which have to be empty, and tells how many
    /// rows are copied so far. The source stays as it is.
    ///
    /// # Errors
    ///
    /// [`TransferError`] if nothing was moved: the target has a row, or is written to by somebody
    /// else; an import is under way; or what was written is not what was read.
    pub async fn run(
        &self,
        to: &PostgresStore,
        mut copied: impl FnMut(u64),
    ) -> Result<Transferred, TransferError> {
        let mut source = self.source().await?;
        let counted = count(&mut source).await?;
        let begun = to.backend.write().await;
        let mut target = begun.map_err(at("the target cannot be written to"))?;
        let patient = target.execute(tables::PATIENT, values![]).await;
        patient.map_err(at("the target cannot be written to"))?;
        let locked = target.fetch_composed(tables::lock(), values![]).await;
        locked.map_err(at(
            "the tables of the target cannot be locked; stop every app that uses them, and let the \
             role of the URL write to all",
        ))?;
        refuse_rows(&mut target).await?;
        let mut so_far = 0_u64;
        for (table, (_, rows)) in TABLES.iter().zip(&counted.tables) {
            let mut sum = Sum::default();
            copy(table, &mut source, &mut target, &mut sum, |rows| {
                so_far = so_far.saturating_add(rows);
                copied(so_far);
            })
            .await?;
            go_on_counting(table, &mut source, &mut target).await?;
            if sum.rows != *rows || read_back(table, &mut target).await? != sum {
                return Err(TransferError::new(format!(
                    "what was written to `{}` is not what was read, so nothing was moved",
                    table.name
                )));
            }
        }
        target.commit().await.map_err(at(
            "the target did not say whether it kept what was copied; count its rows with \
             `--dry-run` before you try again",
        ))?;
        Ok(counted)
    }

    /// A transaction that keeps everybody else from writing.
    async fn source(&self) -> Result<<Sqlite as Backend>::Write, TransferError> {
        let begun = self.from.backend.write().await;
        let mut source = begun.map_err(at(
            "somebody else writes to the database that is to be moved; stop the app first",
        ))?;
        let pending = source.fetch(tables::PENDING_IMPORTS, values![]).await;
        if !pending
            .map_err(at("the imports cannot be read"))?
            .is_empty()
        {
            return Err(TransferError::new(
                "an import of keys is under way, or was left behind; let it end, or import a file \
                 once more, which removes what was left"
                    .to_owned(),
            ));
        }
        Ok(source)
    }
}

impl PostgresStore {
    /// Passes if no table of Tollgate has a row, as a [`Transfer`] wants it.
    ///
    /// # Errors
    ///
    /// [`TransferError`] names the first that has one.
    pub async fn check_empty(&self) -> Result<(), TransferError> {
        let session = self.backend.read().await;
        refuse_rows(&mut session.map_err(at("the target cannot be read"))?).await
    }
}

impl Transferred {
    /// The tables, and how many rows each has.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.tables.iter().copied()
    }

    /// How many rows there are of all.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let rows = self.tables.iter().map(|(_, rows)| *rows);
        rows.fold(0, u64::saturating_add)
    }
}

/// What rows are, whatever their order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sum {
    rows: u64,
    hashes: u64,
}

impl Sum {
    fn add(&mut self, row: &[Value]) {
        // The same in every process of one version, and more is not asked of it.
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.rows = self.rows.saturating_add(1);
        self.hashes = self.hashes.wrapping_add(hasher.finish());
    }
}

async fn count(source: &mut impl Session) -> Result<Transferred, TransferError> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        tables.push((table.name, number(source, table, table.count()).await?));
    }
    Ok(Transferred { tables })
}

async fn refuse_rows(target: &mut impl Session) -> Result<(), TransferError> {
    for table in TABLES.iter().chain(&tables::MUST_BE_EMPTY) {
        let rows = number(target, table, table.any()).await?;
        if rows > 0 {
            return Err(TransferError::new(format!(
                "the target is in use: `{}` has rows; name a database in which no app has started",
                table.name
            )));
        }
    }
    Ok(())
}

/// Copies a table, a page at a time, and says how many rows each had.
async fn copy(
    table: &Table,
    source: &mut impl Session,
    target: &mut impl Session,
    sum: &mut Sum,
    mut copied: impl FnMut(u64),
) -> Result<(), TransferError> {
    let failed = || at(format!("`{}` cannot be copied", table.name));
    let mut after: Option<Vec<Value>> = None;
    loop {
        let (sql, mut values) = match after.take() {
            None => (table.first_page(), Vec::new()),
            Some(key) => (table.next_page(), key),
        };
        values.push(PAGE.into());
        let read = source.fetch_composed(sql, values).await.map_err(failed())?;
        let rows: Vec<Vec<Value>> = read.into_iter().map(Row::into_values).collect();
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = Some(last.iter().take(table.key).cloned().collect());
        for row in &rows {
            if let Some(refused) = table.refuses(row) {
                return Err(TransferError::new(refused));
            }
            sum.add(row);
        }
        for rows in tables::loads(&rows) {
            let json = tables::json(rows);
            let statement = Statement::composed(table.insert(), values![json]);
            target.fetch_statement(statement).await.map_err(failed())?;
            copied(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        }
    }
}

/// Reads what was written, as it is there now.
async fn read_back(table: &Table, target: &mut impl Session) -> Result<Sum, TransferError> {
    let failed = || at(format!("`{}` cannot be read back", table.name));
    let declared = target.fetch_composed(table.declare_cursor(), values![]);
    declared.await.map_err(failed())?;
    let mut sum = Sum::default();
    loop {
        let read = target.fetch_composed(table.fetch(READ_BACK), values![]);
        let read = read.await.map_err(failed())?;
        if read.is_empty() {
            break;
        }
        for row in read {
            sum.add(&row.into_values());
        }
    }
    Ok(sum)
}

/// Lets a table that numbers its rows go on after the last number that was ever given, also to a
/// row that is gone: keys remember the number of the import that brought them.
async fn go_on_counting(
    table: &Table,
    source: &mut impl Session,
    target: &mut impl Session,
) -> Result<(), TransferError> {
    let Some(last) = table.last_number() else {
        return Ok(());
    };
    let last = number(source, table, last).await?;
    if last > 0 {
        let set = target.fetch_composed(table.set_number(), values![last]);
        set.await
            .map_err(at(format!("`{}` cannot be numbered", table.name)))?;
    }
    Ok(())
}

async fn number(
    session: &mut impl Session,
    table: &Table,
    sql: String,
) -> Result<u64, TransferError> {
    let failed = || at(format!("`{}` cannot be read", table.name));
    let rows = session.fetch_composed(sql, values![]).await;
    let row = rows.map_err(failed())?.into_iter().next();
    let number = row.map_or(Ok(0), |mut row| row.take());
    number.map_err(failed())
}

/// What was tried, before what came in between.
fn at(message: impl Into<String>) -> impl FnOnce(StoreError) -> TransferError {
    let message = message.into();
    move |error| TransferError {
        message,
        source: Some(error),
    }
}

impl TransferError {
    const fn new(message: String) -> Self {
        Self {
            message,
            source: None,
        }
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TransferError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
