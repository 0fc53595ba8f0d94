//! What is refused when a database is opened, each in one sentence that holds no secret; and what
//! is beside it in the database.

use std::error::Error;
use std::fs;
use std::net::TcpListener;

use tollgate_core::change::ChangeFeed;
use tollgate_core::credits::{Grant, Ledger};
use tollgate_servers::Postgres;
use tollgate_sqlx::{AnyStore, OpenError, PostgresOptions, PostgresStore};
use tollgate_testkit::records::{change, org};

use super::open;

const PASSWORD: &str = "hunter2-correct-horse";

/// The sentence of an error, which has no password in it, nor has anything that it came from.
fn sentence(error: &OpenError) -> String {
    let mut told = vec![
        error.to_string(),
        format!("{error:?}"),
        format!("{error:#?}"),
    ];
    let mut source = error.source();
    while let Some(error) = source {
        told.extend([error.to_string(), format!("{error:?}")]);
        source = error.source();
    }
    for text in told {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let sentence = error.to_string();
    assert!(
        !sentence.contains('\n') && !sentence.ends_with('.'),
        "{sentence}"
    );
    sentence
}

async fn refusal(url: &str) -> String {
    let error = AnyStore::open(url).await.unwrap_err();
    let sentence = sentence(&error);
    let options = PostgresOptions::new(url);
    assert!(!format!("{options:?}").contains("hunter2"));
    sentence
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in [
        format!("postgres://app:{PASSWORD}@host:port/name"),
        format!("postgres://app:{PASSWORD}@/name?sslmode=perhaps"),
        format!("postgres://app:{PASSWORD}@[::1/name"),
        format!("postgres://app:{PASSWORD}@host/name?statement-cache-capacity=many"),
        format!("postgresql://app:{PASSWORD}@:5432:5432/"),
    ] {
        assert_eq!(
            refusal(&url).await,
            "the URL of the database is not `postgres://user:password@host/name`",
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let refusal = refusal(&format!("postgres://app:{PASSWORD}@127.0.0.1:{port}/keys")).await;
    let begins = format!("the database `keys` on 127.0.0.1:{port} cannot be opened: ");
    assert!(refusal.starts_with(&begins), "{refusal}");
    assert!(refusal.contains("Connection refused"), "{refusal}");
}

#[tokio::test]
async fn a_server_that_does_not_keep_what_it_wrote_is_refused_unless_that_is_allowed() {
    let server = Postgres::shared();
    let url = server.fresh();
    let (port, name) = (server.port(), name_of(&url));
    assert_eq!(
        refusal(&url).await,
        format!(
            "the database `{name}` on 127.0.0.1:{port} runs with `fsync = off` and may lose \
             charges that were made; turn it on, or allow lost commits"
        )
    );
    let made = server.query(&url, "SELECT to_regclass('tollgate_migrations') IS NULL");
    assert_eq!(made.unwrap().trim(), "t");
    open(&url).await.close().await;
}

/// On a server of its own, which asks one of its users for a password.
#[tokio::test]
async fn whatever_a_server_says_is_told_without_the_password() {
    let server = Postgres::durable();
    let url = server.url();
    let port = server.port();
    ask_for_password(&server);
    let of =
        |password: &str, name: &str| format!("postgres://app:{password}@127.0.0.1:{port}/{name}");
    let right = of(PASSWORD, "postgres");
    let shown = format!("the database `postgres` on 127.0.0.1:{port}");
    assert_eq!(
        refusal(&of("hunter2-wrong", "postgres")).await,
        format!("{shown} cannot be opened: password authentication failed for user \"app\"")
    );
    assert_eq!(
        refusal(&of(PASSWORD, "missing")).await,
        format!(
            "the database `missing` on 127.0.0.1:{port} cannot be opened: database \"missing\" \
             does not exist"
        )
    );
    // Nobody but its owner may make tables.
    let refused = refusal(&right).await;
    assert!(
        refused.starts_with(&format!("{shown} does not let `app` make tables")),
        "{refused}"
    );
    server
        .query(&url, "ALTER SCHEMA public OWNER TO app")
        .unwrap();
    server
        .query(&url, "ALTER ROLE app SET synchronous_commit = off")
        .unwrap();
    assert_eq!(
        refusal(&right).await,
        format!(
            "{shown} runs with `synchronous_commit = off` and may lose charges that were made; \
             turn it on, or allow lost commits"
        )
    );
    server
        .query(&url, "ALTER ROLE app RESET synchronous_commit")
        .unwrap();
    let store = PostgresStore::open(&right).await.unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
    store.close().await;
    let error = store.grant(Grant::new(org("acme"), 1), change(0)).await;
    assert!(!format!("{:?}", error.unwrap_err()).contains("hunter2"));
}

/// Makes a user `app` who is asked for a password.
fn ask_for_password(server: &Postgres) {
    let url = server.url();
    let file = server.query(&url, "SHOW hba_file").unwrap();
    let rules = fs::read_to_string(file.trim()).unwrap();
    let rules = format!("host all app 127.0.0.1/32 scram-sha-256\n{rules}");
    fs::write(file.trim(), rules).unwrap();
    let user = format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'");
    server.query(&url, &user).unwrap();
    server.query(&url, "SELECT pg_reload_conf()").unwrap();
    // It reads its files anew when it gets to it.
    let wrong = format!("postgres://app:wrong@127.0.0.1:{}/postgres", server.port());
    while server.query(&wrong, "SELECT 1").is_ok() {}
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let server = Postgres::shared();
    let url = server.fresh();
    open(&url).await.close().await;
    let newer = "INSERT INTO tollgate_migrations SELECT max(version) + 1, 'newer', 0 \
         FROM tollgate_migrations";
    server.query(&url, newer).unwrap();
    let options = PostgresOptions::new(&url).allow_lost_commits();
    assert_eq!(
        sentence(&options.open().await.unwrap_err()),
        format!(
            "the database `{}` on 127.0.0.1:{} was written by a newer version of Tollgate",
            name_of(&url),
            server.port()
        )
    );
}

#[tokio::test]
async fn what_has_to_exist_is_not_made() {
    let server = Postgres::shared();
    let url = server.fresh();
    let existing = || PostgresOptions::new(&url).allow_lost_commits().existing();
    let error = existing().open().await.unwrap_err();
    assert!(error.is_missing());
    assert_eq!(
        sentence(&error),
        format!(
            "the database `{}` on 127.0.0.1:{} is not a database of Tollgate: it has none of its \
             tables",
            name_of(&url),
            server.port()
        )
    );
    assert_eq!(tables(server, &url, "public"), Vec::<String>::new());
    open(&url).await.close().await;
    existing().open().await.unwrap().close().await;
}

/// Whether its tables are to be made, or are only looked for.
#[tokio::test]
async fn a_place_where_no_tables_can_be_made_is_told_with_its_remedy() {
    let server = Postgres::shared();
    let url = server.fresh();
    server.query(&url, "CREATE ROLE guest LOGIN").unwrap();
    let guest = url.replacen("postgres@", "guest@", 1);
    let elsewhere = format!("{url}?options[search_path]=tg");
    for (url, told) in [
        (
            guest,
            "does not let `guest` make tables in the schema `public`; `GRANT CREATE ON SCHEMA \
             public TO guest` does",
        ),
        (
            elsewhere,
            "has no schema of the search path `tg`; make one with `CREATE SCHEMA`, let \
             `postgres` use it with `GRANT USAGE ON SCHEMA`, or name another in the URL: `?options[search_path]=…`",
        ),
    ] {
        let options = || PostgresOptions::new(&url).allow_lost_commits();
        for options in [options(), options().existing()] {
            let error = options.open().await.unwrap_err();
            let sentence = sentence(&error);
            assert!(sentence.ends_with(told), "{sentence}");
            assert!(!error.is_missing() && error.source().is_none());
        }
    }
}

/// Before the first charge finds it out. What the sentence says to do is enough.
#[tokio::test]
async fn a_role_that_may_not_write_is_refused_until_it_may() {
    let server = Postgres::shared();
    let url = server.fresh();
    open(&url).await.close().await;
    let role = "CREATE ROLE clerk LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk; \
         GRANT INSERT, UPDATE, DELETE ON tollgate_audit TO clerk";
    server.query(&url, role).unwrap();
    let clerk = url.replacen("postgres@", "clerk@", 1);
    let options = || PostgresOptions::new(&clerk).allow_lost_commits();
    let told = sentence(&options().open().await.unwrap_err());
    // All but the two that it names or was given.
    let more = tables(server, &url, "public").len() - 2;
    let (lack, remedy) = told.split_once("; `").unwrap();
    assert!(
        lack.ends_with(&format!(
            "does not let `clerk` read and write `tollgate_changes` and {more} more of its tables"
        )),
        "{lack}"
    );
    // Who only looks may.
    let reads = options().existing().open().await.unwrap();
    assert_eq!(reads.newest().await.unwrap(), 0);
    server
        .query(&url, remedy.strip_suffix("` does").unwrap())
        .unwrap();
    let works = options().open().await.unwrap();
    let grant = Grant::new(org("acme"), 1);
    assert_eq!(works.grant(grant, change(0)).await.unwrap().granted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_open_an_empty_database_at_once_find_the_same_tables() {
    for _ in 0..5 {
        open_by_many(&Postgres::shared().fresh()).await;
    }
}

/// Whoever waited for the one that made them would see none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_find_them_where_transactions_see_what_was_there_when_they_began() {
    let server = Postgres::shared();
    for isolation in ["repeatable read", "serializable"] {
        let url = server.fresh();
        let name = name_of(&url);
        let isolated =
            format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'");
        server.query(&url, &isolated).unwrap();
        open_by_many(&url).await;
    }
}

async fn open_by_many(url: &str) {
    let opens = std::iter::repeat_with(|| {
        let url = url.to_owned();
        tokio::spawn(async move { open(&url).await })
    });
    let opens: Vec<_> = opens.take(6).collect();
    for (n, opened) in opens.into_iter().enumerate() {
        let store = opened.await.unwrap();
        let grant = Grant::new(org("acme"), 1);
        let balance = store.grant(grant, change(0)).await.unwrap();
        assert_eq!(balance.granted, n as u64 + 1);
        store.close().await;
    }
}

#[tokio::test]
async fn tables_may_be_in_a_schema_of_their_own() {
    let server = Postgres::shared();
    let url = server.fresh();
    server
        .query(&url, "CREATE SCHEMA ours; CREATE SCHEMA theirs")
        .unwrap();
    let ours = open(&format!("{url}?options[search_path]=ours")).await;
    let theirs = open(&format!("{url}?options[search_path]=theirs")).await;
    for (store, credits) in [(&ours, 5), (&theirs, 7)] {
        let grant = Grant::new(org("acme"), credits);
        let balance = store.grant(grant, change(0)).await.unwrap();
        assert_eq!(balance.granted, credits);
    }
    assert_eq!(tables(server, &url, "public"), Vec::<String>::new());
    let of_ours = tables(server, &url, "ours");
    assert!(
        of_ours.contains(&"tollgate_wallets".to_owned()),
        "{of_ours:?}"
    );
    assert_eq!(of_ours, tables(server, &url, "theirs"));
}

#[tokio::test]
async fn an_apps_own_tables_and_migrations_are_left_alone() {
    const APP: &str = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, \
         description TEXT NOT NULL, checksum BYTEA NOT NULL); \
         INSERT INTO _sqlx_migrations VALUES (1, 'the app''s', '\\x01'); \
         CREATE TABLE keys (id BIGINT); CREATE TABLE wallets (id BIGINT)";
    let server = Postgres::shared();
    let url = server.fresh();
    server.query(&url, APP).unwrap();
    open(&url).await.close().await;
    open(&url).await.close().await;
    let app = server
        .query(&url, "SELECT * FROM _sqlx_migrations")
        .unwrap();
    assert_eq!(app.trim(), "1|the app's|\\x01");
    let mut tables = tables(server, &url, "public");
    tables.retain(|name| !name.starts_with("tollgate_"));
    assert_eq!(tables, ["_sqlx_migrations", "keys", "wallets"]);
    let others = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace \
         AND proname NOT LIKE 'tollgate\\_%'";
    assert_eq!(server.query(&url, others).unwrap(), "");
}

fn tables(server: &Postgres, url: &str, schema: &str) -> Vec<String> {
    let sql =
        format!("SELECT tablename FROM pg_tables WHERE schemaname = '{schema}' ORDER BY tablename");
    let tables = server.query(url, &sql).unwrap();
    tables.lines().map(str::to_owned).collect()
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}
