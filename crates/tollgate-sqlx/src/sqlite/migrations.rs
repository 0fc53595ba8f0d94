//! Brings the tables of a database up to date.
//!
//! Tollgate may share a database with its app, so it counts its migrations in a table of its own.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::errors::is_no_database;
use super::writer::Writer;
use crate::open::OpenError;

/// Each is applied once, in order; one that was released is never edited.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "init",
        sql: include_str!("../../migrations/sqlite/0001_init.sql"),
    },
    Migration {
        version: 2,
        name: "credits",
        sql: include_str!("../../migrations/sqlite/0002_credits.sql"),
    },
    Migration {
        version: 3,
        name: "audit",
        sql: include_str!("../../migrations/sqlite/0003_audit.sql"),
    },
    Migration {
        version: 4,
        name: "lists",
        sql: include_str!("../../migrations/sqlite/0004_lists.sql"),
    },
    Migration {
        version: 5,
        name: "accounts",
        sql: include_str!("../../migrations/sqlite/0005_accounts.sql"),
    },
    Migration {
        version: 6,
        name: "key_requests",
        sql: include_str!("../../migrations/sqlite/0006_key_requests.sql"),
    },
    Migration {
        version: 7,
        name: "one_list_index",
        sql: include_str!("../../migrations/sqlite/0007_one_list_index.sql"),
    },
];

const HISTORY: &str = "\
CREATE TABLE IF NOT EXISTS tollgate_migrations (
    version    INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// Applies what is missing, in one transaction: of two processes that start together, one does.
///
/// A database that has to exist has had a migration before.
pub(super) async fn run(writer: &Writer, shown: &str, existing: bool) -> Result<(), OpenError> {
    let refused = |error: sqlx::Error| {
        let message = if is_no_database(&error) {
            format!("{shown} is not an SQLite database")
        } else {
            format!("{shown} cannot be opened as a database")
        };
        OpenError::new(message).with_source(error)
    };
    let mut turn = writer.acquire().await.map_err(refused)?;
    let connection = turn.connection().map_err(refused)?;
    let begun = sqlx::Connection::begin_with(connection, "BEGIN IMMEDIATE");
    let mut transaction = begun.await.map_err(refused)?;
    let applied = applied(&mut transaction).await.map_err(refused)?;
    if existing && applied == 0 {
        let message = format!("{shown} is not a database of Tollgate: it has none of its tables");
        return Err(OpenError::new(message));
    }
    let newest = migrate(&mut transaction, applied).await.map_err(refused)?;
    let known = MIGRATIONS.last().map_or(0, |last| last.version);
    if newest > known {
        let message = format!("{shown} was written by a newer version of Tollgate");
        return Err(OpenError::new(message));
    }
    transaction.commit().await.map_err(refused)
}

/// The version that the database is at; 0 if it was not made by Tollgate.
async fn applied(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query(HISTORY).execute(&mut *connection).await?;
    let newest = "SELECT coalesce(max(version), 0) FROM tollgate_migrations";
    sqlx::query_scalar(newest).fetch_one(connection).await
}

/// Applies what is missing since a version, and says which one the database is at then.
async fn migrate(connection: &mut SqliteConnection, mut at: i64) -> Result<i64, sqlx::Error> {
    for migration in MIGRATIONS {
        if migration.version <= at {
            continue;
        }
        sqlx::raw_sql(AssertSqlSafe(migration.sql))
            .execute(&mut *connection)
            .await?;
        // The database's own clock: a note for people, which nothing reads.
        sqlx::query(
            "INSERT INTO tollgate_migrations (version, name, applied_at) \
             VALUES ($1, $2, CAST(unixepoch('subsec') * 1000000 AS INTEGER))",
        )
        .bind(migration.version)
        .bind(migration.name)
        .execute(&mut *connection)
        .await?;
        at = migration.version;
    }
    Ok(at)
}
