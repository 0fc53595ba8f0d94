//! What the role of a connection may not do, told with its remedy before somebody needs it.

use sqlx::postgres::PgConnection;

use crate::open::OpenError;

/// Why no tables can be made, if that is known before.
pub(super) async fn to_make(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let asked = "SELECT current_schema()::text, current_setting('search_path'), current_user::text, \
         coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let (schema, path, user, may): (Option<String>, String, String, bool) =
        sqlx::query_as(asked).fetch_one(connection).await?;
    Ok(match schema {
        None => Some(format!(
            "has no schema of the search path `{path}`; make one with `CREATE SCHEMA`, let \
             `{user}` use it with `GRANT USAGE ON SCHEMA`, or name another in the URL: `?options[search_path]=…`"
        )),
        Some(schema) if !may => Some(format!(
            "does not let `{user}` make tables in the schema `{schema}`; `GRANT CREATE ON SCHEMA \
             {schema} TO {user}` does"
        )),
        Some(_) => None,
    })
}

/// Refuses a role that may not write what is there: it would be found out by the first charge.
pub(super) async fn check(connection: &mut PgConnection, shown: &str) -> Result<(), OpenError> {
    let refused = |error: sqlx::Error| {
        let message = format!("{shown} does not say what its tables may be used for");
        OpenError::new(message).with_source(error)
    };
    let asked = "SELECT current_user::text, schema.nspname::text, min(lacking.relname::text), count(*) \
         FROM pg_class known JOIN pg_namespace schema ON schema.oid = known.relnamespace \
         JOIN pg_class lacking ON lacking.relnamespace = schema.oid \
         WHERE known.oid = to_regclass('tollgate_migrations') \
         AND lacking.relkind = 'r' AND starts_with(lacking.relname, 'tollgate_') \
         AND NOT (has_table_privilege(lacking.oid, 'SELECT') \
                  AND has_table_privilege(lacking.oid, 'INSERT') \
                  AND has_table_privilege(lacking.oid, 'UPDATE') \
                  AND has_table_privilege(lacking.oid, 'DELETE')) \
         GROUP BY schema.nspname";
    let lacking = sqlx::query_as(asked).fetch_optional(connection).await;
    let lacking: Option<(String, String, String, i64)> = lacking.map_err(refused)?;
    let Some((user, schema, table, tables)) = lacking else {
        return Ok(());
    };
    let others = match tables {
        ..=1 => String::new(),
        _ => format!(" and {} more of its tables", tables.saturating_sub(1)),
    };
    Err(OpenError::new(format!(
        "{shown} does not let `{user}` read and write `{table}`{others}; `GRANT SELECT, INSERT, \
         UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}` does"
    )))
}
