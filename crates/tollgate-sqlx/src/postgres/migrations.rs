//! Brings the tables of a database up to date.
//!
//! Tollgate may share a database with its app: every name begins with `tollgate_`, and it counts
//! its migrations in a table of its own.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{BEGIN, LOCK_CHANGES, cause, reason, rights};
use crate::open::OpenError;

/// Each is applied once, in order; one that was released is never edited.
const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "init",
    sql: include_str!("../../migrations/postgres/0001_init.sql"),
}];

const HISTORY: &str = "\
CREATE TABLE IF NOT EXISTS tollgate_migrations (
    version    BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// Alone among those who make tables in this schema, which may have none yet. The number is `toll`
/// in ASCII, so that the app's own locks are others.
const LOCK_TABLES: &str = "SELECT pg_advisory_xact_lock(1953459308, hashtext(current_schema()))";

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

/// Applies what is missing, in one transaction: of two processes that start together, one does.
///
/// A database that has to exist has had a migration before.
pub(super) async fn run(
    connection: &mut PgConnection,
    shown: &str,
    existing: bool,
) -> Result<(), OpenError> {
    let refused = |error: sqlx::Error| {
        let why = reason(&error);
        let message = format!("the tables of {shown} cannot be made or brought up to date: {why}");
        OpenError::new(message).with_cause(cause(error))
    };
    let begun = connection.begin_with(BEGIN).await;
    let mut transaction = begun.map_err(refused)?;
    let known = MIGRATIONS.last().map_or(0, |last| last.version);
    // Whoever has nothing to do waits for nobody.
    if version(&mut transaction).await.map_err(refused)? == Some(known) {
        return transaction.commit().await.map_err(refused);
    }
    transaction.execute(LOCK_TABLES).await.map_err(refused)?;
    if !is_made(&mut transaction).await.map_err(refused)? {
        if let Some(lack) = rights::to_make(&mut transaction).await.map_err(refused)? {
            return Err(OpenError::new(format!("{shown} {lack}")));
        }
        if existing {
            let message =
                format!("{shown} is not a database of Tollgate: it has none of its tables");
            return Err(OpenError::missing(message));
        }
    }
    let newest = migrate(&mut transaction).await.map_err(refused)?;
    if newest > known {
        let message = format!("{shown} was written by a newer version of Tollgate");
        return Err(OpenError::new(message));
    }
    transaction.commit().await.map_err(refused)
}

/// At which version the database is, if it has tables.
async fn version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    if !is_made(connection).await? {
        return Ok(None);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM tollgate_migrations";
    sqlx::query_scalar(newest)
        .fetch_one(connection)
        .await
        .map(Some)
}

async fn is_made(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass('tollgate_migrations') IS NOT NULL")
        .fetch_one(connection)
        .await
}

/// Applies what is missing, and says which version the database is at then.
async fn migrate(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    // To make a table that is there is a notice, which would be logged at each start.
    if !is_made(connection).await? {
        connection.execute(HISTORY).await?;
    }
    let mut at = version(connection).await?.unwrap_or_default();
    if at > 0 {
        // Nobody manages what changes.
        connection.execute(LOCK_CHANGES).await?;
    }
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
             VALUES ($1, $2, CAST(extract(epoch FROM now()) * 1000000 AS BIGINT))",
        )
        .bind(migration.version)
        .bind(migration.name)
        .execute(&mut *connection)
        .await?;
        at = migration.version;
    }
    Ok(at)
}
