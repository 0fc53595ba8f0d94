use std::collections::BTreeSet;

use super::*;
use crate::session::Dialect;
use crate::sqlite::SqliteOptions;
use tables::Kind;

/// A row of each table, and more than a page of some; with all that a column may hold.
const FILL: &[&str] = &[
    "INSERT INTO tollgate_organizations WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
     SELECT i + 1 FROM n WHERE i < 3) SELECT 'org-' || i, 'free', 'active', '{\"ü\":\"\\\"'' $1\"}', \
     NULL, '', -1, 9223372036854775807 FROM n",
    "INSERT INTO tollgate_keys WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
     SELECT i + 1 FROM n WHERE i < 1201) SELECT CAST(printf('%016d', i) AS BLOB), \
     'org-' || (i % 3 + 1), 'name ' || i, 'x', 'live', 'sk_', '{}', '{}', NULL, 'l', NULL, i, \
     'active', i, NULL, NULL, 0, i, 1 FROM n",
    "INSERT INTO tollgate_secrets SELECT randomblob(32), id, NULL FROM tollgate_keys",
    "INSERT INTO tollgate_wallets VALUES ('org-1', 9223372036854775807, 5, 6, 7, 3, 4, '[]')",
    "INSERT INTO tollgate_wallets VALUES ('none', 0, 0, 0, 0, NULL, NULL, '[]')",
    "INSERT INTO tollgate_holds (id, organization, credits, state, created_at, deadline) \
     VALUES (zeroblob(16), 'org-1', 7, 'open', 1, 2)",
    "INSERT INTO tollgate_holds (id, organization, credits, state, created_at, ended_at) \
     VALUES (randomblob(16), 'org-1', 0, 'voided', 1, 2)",
    "INSERT INTO tollgate_entries WITH RECURSIVE n(i) AS (SELECT 5 UNION ALL \
     SELECT i + 1 FROM n WHERE i < 1205) SELECT i, 'org-1', i, 'grant', -i, i, randomblob(16), \
     NULL, NULL, NULL, NULL, 'a', 'b', 'c' || i FROM n",
    "INSERT INTO tollgate_repeats VALUES ('org-1', 'POST /x', '\"''\\ü', randomblob(32), \
     randomblob(16), 0, x'00ff', 9)",
    "INSERT INTO tollgate_quotas VALUES ('org:org-1', 'day', 1, 9)",
    "INSERT INTO tollgate_usage SELECT id, 1, 0, NULL, NULL FROM tollgate_keys",
    "INSERT INTO tollgate_usage_counts SELECT id, 1, 'GET /x', '2xx', 1 FROM tollgate_keys \
     UNION ALL SELECT id, 1, 'GET /x', '4xx', 2 FROM tollgate_keys",
    "INSERT INTO tollgate_changes (kind, actor, changed_at) VALUES ('k', 'a', 1), ('k', 'a', 2), \
     ('k', 'a', 3)",
    "DELETE FROM tollgate_changes WHERE seq = 3",
    "INSERT INTO tollgate_declarations (catalog, permissions) VALUES ('{}', '[]')",
    "INSERT INTO tollgate_audit SELECT organization, seq, at, kind, 't', 'a', NULL, NULL, NULL, \
     NULL, '{}', randomblob(32) FROM tollgate_entries",
    "INSERT INTO tollgate_imports (beat_at) VALUES (1)",
    "DELETE FROM tollgate_imports",
    "INSERT INTO tollgate_users VALUES (zeroblob(16), 'a@b.c', 'hash', 0, 1, 2)",
    "INSERT INTO tollgate_memberships VALUES (zeroblob(16), '', 'owner'), \
     (zeroblob(16), 'org-1', 'viewer')",
    "INSERT INTO tollgate_sessions VALUES (randomblob(16), randomblob(32), zeroblob(16), NULL, 1, \
     2, 3)",
    "INSERT INTO tollgate_key_requests VALUES ('org-1', 'a', 'b', randomblob(32), randomblob(16), \
     5)",
];

async fn write(store: &SqliteStore, statements: &[&'static str]) {
    let mut transaction = store.backend.write().await.unwrap();
    for sql in statements {
        let done = transaction.execute(*sql, values![]).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    transaction.commit().await.unwrap();
}

async fn filled() -> SqliteStore {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    write(&store, FILL).await;
    store
}

/// The tables that a database has, and the columns of each, with their types.
async fn columns(session: &mut impl Session) -> BTreeSet<(String, String, String)> {
    let sql = match session.dialect() {
        Dialect::Sqlite => {
            "SELECT t.name, c.name, c.type FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table' AND t.name LIKE 'tollgate_%'"
        }
        Dialect::Postgres => {
            "SELECT table_name::text, column_name::text, data_type::text \
             FROM information_schema.columns WHERE table_schema = current_schema()"
        }
    };
    let rows = session.fetch(sql, values![]).await.unwrap();
    rows.into_iter()
        .map(|mut row| {
            let mut text = || row.take::<String>().unwrap();
            (text(), text(), text())
        })
        .filter(|(table, _, _)| table != "tollgate_migrations")
        .collect()
}

fn listed(name: impl Fn(Kind) -> &'static str) -> BTreeSet<(String, String, String)> {
    TABLES
        .iter()
        .chain(&tables::MUST_BE_EMPTY)
        .flat_map(|table| {
            let columns = table.columns.iter();
            columns.map(|(column, kind)| (table.name.into(), (*column).into(), name(*kind).into()))
        })
        .collect()
}

#[tokio::test]
async fn the_list_has_every_table_and_column_of_sqlite() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    let mut session = store.backend.read().await.unwrap();
    let kinds = |kind| match kind {
        Kind::Text => "TEXT",
        Kind::Int => "INTEGER",
        Kind::Blob => "BLOB",
    };
    assert_eq!(columns(&mut session).await, listed(kinds));
    for table in TABLES {
        let sql = format!(
            "SELECT name FROM pragma_table_info('{}') WHERE pk > 0 ORDER BY pk",
            table.name
        );
        let rows = session.fetch_composed(sql, values![]).await.unwrap();
        let key: Vec<String> = rows
            .into_iter()
            .map(|mut row| row.take().unwrap())
            .collect();
        let first: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(key, first[..table.key], "{}", table.name);
    }
}

#[tokio::test]
async fn nobody_else_writes_to_what_is_moved() {
    use sqlx::Connection as _;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    let store = SqliteOptions::new(path.to_str().unwrap())
        .open()
        .await
        .unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let options = options.busy_timeout(std::time::Duration::ZERO);
    let mut other = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let mut write = async || {
        sqlx::query("DELETE FROM tollgate_keys")
            .execute(&mut other)
            .await
    };
    let transfer = Transfer::new(&store);
    let source = transfer.source().await.unwrap();
    let told = write().await.unwrap_err().to_string();
    assert!(told.contains("locked"), "{told}");
    drop(source);
    store.close().await;
    write().await.unwrap();
}

mod postgres {
    use tollgate_core::clock::Timestamp;
    use tollgate_core::store::KeyImport as _;
    use tollgate_servers::Postgres;

    use super::*;
    use crate::postgres::PostgresOptions;

    async fn target(url: &str) -> PostgresStore {
        let options = PostgresOptions::new(url).allow_lost_commits();
        options.open().await.unwrap()
    }

    async fn rows(session: &mut impl Session, table: &Table) -> Vec<Vec<Value>> {
        let sql = table.declare_cursor();
        let (_, sql) = sql.split_once("CURSOR FOR ").unwrap();
        let rows = session.fetch_composed(sql.to_owned(), values![]).await;
        let mut rows: Vec<_> = rows.unwrap().into_iter().map(Row::into_values).collect();
        rows.sort_by_cached_key(|row| format!("{row:?}"));
        rows
    }

    #[tokio::test]
    async fn the_list_has_every_table_and_column() {
        let store = target(&Postgres::shared().fresh()).await;
        let kinds = |kind| match kind {
            Kind::Text => "text",
            Kind::Int => "bigint",
            Kind::Blob => "bytea",
        };
        let mut session = store.backend.read().await.unwrap();
        assert_eq!(columns(&mut session).await, listed(kinds));
    }

    #[tokio::test]
    async fn every_row_of_every_table_is_moved() {
        let (from, to) = (filled().await, target(&Postgres::shared().fresh()).await);
        to.check_empty().await.unwrap();
        let mut steps = Vec::new();
        let transfer = Transfer::new(&from);
        let counted = transfer.count().await.unwrap();
        let moved = transfer.run(&to, |rows| steps.push(rows)).await.unwrap();
        assert_eq!(moved, counted);
        assert_eq!(steps.last(), Some(&moved.rows()));
        assert!(steps.len() > TABLES.len() && steps.is_sorted());
        {
            let mut source = from.backend.read().await.unwrap();
            let mut session = to.backend.read().await.unwrap();
            for (table, (name, number)) in TABLES.iter().zip(moved.tables()) {
                let read = rows(&mut source, table).await;
                assert_eq!(number, u64::try_from(read.len()).unwrap());
                assert!(number > 0 || name == "tollgate_imports", "{name}");
                assert!(read == rows(&mut session, table).await, "{name}");
            }
        }
        // The first import is gone, and its keys remember its number.
        let import = to.begin_import(Timestamp::default()).await.unwrap();
        assert_eq!(import.number(), 2);
        let mut changes = to.backend.write().await.unwrap();
        for (sql, next) in [
            (
                "INSERT INTO tollgate_changes (kind, actor, changed_at) VALUES ('k', 'a', 1) \
                 RETURNING seq",
                4_i64,
            ),
            (
                "INSERT INTO tollgate_entries (organization, at, kind, credits, balance) VALUES \
                 ('org-1', 1, 'grant', 1, 1) RETURNING seq",
                1_206,
            ),
        ] {
            let row = changes.fetch_optional(sql, values![]).await.unwrap();
            assert_eq!(row.unwrap().take::<i64>().unwrap(), next);
        }
    }

    #[tokio::test]
    async fn a_target_with_any_row_is_refused() {
        let from = filled().await;
        for table in ["tollgate_quotas", "tollgate_declarations"] {
            let url = Postgres::shared().fresh();
            let to = target(&url).await;
            let columns = match table {
                "tollgate_quotas" => "(subject, period, started_at, used) VALUES ('a', 'b', 1, 1)",
                _ => "(catalog, permissions) VALUES ('', '')",
            };
            let insert = format!("INSERT INTO {table} {columns}");
            Postgres::shared().query(&url, &insert).unwrap();
            let told = format!("the target is in use: `{table}` has rows; name a database");
            for error in [
                Transfer::new(&from).run(&to, |_| {}).await.unwrap_err(),
                to.check_empty().await.unwrap_err(),
            ] {
                assert!(error.to_string().starts_with(&told), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn what_ends_it_half_way_leaves_the_target_without_a_row() {
        let (from, to) = (filled().await, target(&Postgres::shared().fresh()).await);
        let transfer = Transfer::new(&from);
        // In the last table there is what PostgreSQL has no text for.
        write(&from, &["UPDATE tollgate_key_requests SET name = char(0)"]).await;
        let error = transfer.run(&to, |_| {}).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`tollgate_key_requests` has a row, (organization, actor, name) = \
             [\"org-1\",\"a\",\"\\u0000\"], whose `name` has a NUL, for which PostgreSQL has no text; correct it in the old database"
        );
        to.check_empty().await.unwrap();
        write(&from, &["UPDATE tollgate_key_requests SET name = 'b'"]).await;
        transfer.run(&to, |_| {}).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_written_otherwise_than_it_was_read_is_found() {
        let url = Postgres::shared().fresh();
        let (from, to) = (filled().await, target(&url).await);
        let meddle = "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             NEW.granted = NEW.granted + 1; RETURN NEW; END $$; \
             CREATE TRIGGER meddle BEFORE INSERT ON tollgate_wallets FOR EACH ROW \
             WHEN (NEW.organization = 'none') EXECUTE FUNCTION meddle()";
        Postgres::shared().query(&url, meddle).unwrap();
        let error = Transfer::new(&from).run(&to, |_| {}).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "what was written to `tollgate_wallets` is not what was read, so nothing was moved"
        );
        to.check_empty().await.unwrap();
    }

    #[tokio::test]
    async fn an_import_under_way_is_not_moved() {
        let (from, to) = (filled().await, target(&Postgres::shared().fresh()).await);
        from.begin_import(Timestamp::default()).await.unwrap();
        let error = Transfer::new(&from).run(&to, |_| {}).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("an import of keys is under way")
        );
        to.check_empty().await.unwrap();
    }
}
