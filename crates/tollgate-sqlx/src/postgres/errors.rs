//! What PostgreSQL's errors mean to a port.

use sqlx::error::{DatabaseError, ErrorKind};
use tollgate_core::error::{StoreError, StoreErrorKind};

use crate::session::corrupt;

/// The port's error, in words that name neither a statement nor a server.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let violation = error.as_database_error().map(DatabaseError::kind);
    match violation {
        Some(ErrorKind::UniqueViolation) => StoreError::conflict("the row exists already"),
        Some(ErrorKind::ForeignKeyViolation) => {
            StoreError::not_found("there is no row that this one belongs to")
        }
        Some(ErrorKind::CheckViolation | ErrorKind::NotNullViolation) => {
            corrupt("the database refused a row that breaks its rules")
        }
        // XX001 and XX002: a page or an index is damaged.
        _ if matches!(code(&error).as_deref(), Some("XX001" | "XX002")) => {
            corrupt("the database is damaged")
        }
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

/// Whether the connection that met this error is better closed: all but what a statement did
/// wrong.
pub(super) fn breaks_connection(error: &sqlx::Error) -> bool {
    // 08 is the connection, 57P the server that goes away, XX itself.
    code(error).map_or_else(
        || {
            !matches!(
                error,
                sqlx::Error::RowNotFound
                    | sqlx::Error::Decode(_)
                    | sqlx::Error::ColumnDecode { .. }
            )
        },
        |code| ["08", "57P", "XX"].iter().any(|it| code.starts_with(it)),
    )
}

/// The `SQLSTATE`.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
