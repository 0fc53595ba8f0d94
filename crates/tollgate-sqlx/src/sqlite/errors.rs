//! What SQLite's errors mean to a port.

use sqlx::error::{DatabaseError, ErrorKind};
use tollgate_core::error::{StoreError, StoreErrorKind};

use crate::session::corrupt;

const ERROR: i32 = 1;
const BUSY: i32 = 5;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// The port's error, in words that name neither a statement nor a file.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let violation = error.as_database_error().map(DatabaseError::kind);
    match (violation, primary_code(&error)) {
        (Some(ErrorKind::UniqueViolation), _) => StoreError::conflict("the row exists already"),
        (Some(ErrorKind::ForeignKeyViolation), _) => {
            StoreError::not_found("there is no row that this one belongs to")
        }
        (Some(ErrorKind::CheckViolation | ErrorKind::NotNullViolation), _) => {
            corrupt("the database refused a row that breaks its rules")
        }
        (_, Some(CORRUPT | NOTADB)) => corrupt("the database is damaged"),
        _ if matches!(
            error,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }
        ) =>
        {
            StoreError::new(StoreErrorKind::Corrupt, "a column is not of its type")
        }
        _ => return StoreError::unavailable(error),
    }
    .with_source(error)
}

/// Whether the connection that met this error is better closed.
pub(super) fn breaks_connection(error: &sqlx::Error) -> bool {
    match primary_code(error) {
        Some(code) => matches!(code, IOERR | CORRUPT | FULL | CANTOPEN | NOTADB),
        None => !matches!(
            error,
            sqlx::Error::RowNotFound | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }
        ),
    }
}

/// Whether a rollback failed only because no transaction was open.
pub(super) fn nothing_to_roll_back(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(ERROR)
}

/// Whether somebody else has the lock.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(BUSY)
}

/// Whether the file is something else than a database.
pub(super) fn is_no_database(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(NOTADB)
}

/// SQLite's result code, without what extends it.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
