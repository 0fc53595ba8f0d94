use tollgate_core::audit::{AuditFault, AuditKey, AuditStore, AuditVerifier};
use tollgate_core::credits::{Grant, Ledger};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::secret::KeyDigest;
use tollgate_core::store::KeyStore;
use tollgate_testkit::records::{api_key, change, digest, org, organization};

use super::*;
use crate::session::{Session, Statement, Transaction, values};

pub(super) async fn on_file(
    options: fn(SqliteOptions) -> SqliteOptions,
) -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tollgate.db");
    let new = SqliteOptions::new(path.to_str().unwrap());
    (dir, options(new).open().await.unwrap())
}

pub(super) async fn number(session: &mut impl Session, sql: &'static str) -> i64 {
    let row = session.fetch_optional(sql, values![]).await.unwrap();
    row.unwrap().take().unwrap()
}

#[tokio::test]
async fn commits_wait_for_the_disk_and_readers_for_nobody() {
    let (_dir, store) = on_file(|options| options).await;
    let writer = &mut store.backend.write().await.unwrap();
    let mode = writer
        .fetch_optional("PRAGMA journal_mode", values![])
        .await;
    let mode: String = mode.unwrap().unwrap().take().unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(number(writer, "PRAGMA synchronous").await, 2);
    assert_eq!(number(writer, "PRAGMA foreign_keys").await, 1);
    assert_eq!(number(writer, "PRAGMA busy_timeout").await, 5_000);
    let reader = &mut store.backend.read().await.unwrap();
    assert_eq!(
        number(reader, "SELECT count(*) FROM tollgate_keys").await,
        0
    );
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let (_dir, store) = on_file(|options| options).await;
    let mut reader = store.backend.read().await.unwrap();
    let delete = reader.execute("DELETE FROM tollgate_keys", values![]);
    assert!(delete.await.is_err());
}

#[tokio::test]
async fn statements_that_go_together_stop_at_the_first_that_fails() {
    let (_dir, store) = on_file(|options| options).await;
    let one = |sql| Statement::new(sql, values![1_i64]);
    let mut reader = store.backend.read().await.unwrap();
    let found = reader
        .run(vec![
            one("SELECT $1 WHERE false"),
            one("SELECT $1 UNION ALL SELECT 2"),
        ])
        .await
        .unwrap();
    let rows = found.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(rows, [0, 2]);

    let twice = || {
        vec![
            one("INSERT INTO tollgate_wallets VALUES ('acme', $1, 0, 0, 0, NULL, NULL, '[]')"),
            one("INSERT INTO tollgate_wallets VALUES ('acme', $1, 0, 0, 0, NULL, NULL, '[]')"),
        ]
    };
    let writer = store.backend.write().await.unwrap();
    let error = writer.commit_after(twice()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    let wallets = "SELECT count(*) FROM tollgate_wallets";
    assert_eq!(number(&mut reader, wallets).await, 0);
    let writer = store.backend.write().await.unwrap();
    writer.commit_after(twice().split_off(1)).await.unwrap();
    assert_eq!(number(&mut reader, wallets).await, 1);
}

#[tokio::test]
async fn what_is_written_in_bulk_moves_into_the_file_after_its_commit() {
    let (dir, store) = on_file(|options| options).await;
    let file = || {
        std::fs::metadata(dir.path().join("tollgate.db"))
            .unwrap()
            .len()
    };
    let checkpoint = "PRAGMA wal_autocheckpoint";
    let bulk = "INSERT INTO tollgate_wallets SELECT value, 1, 0, 0, 0, NULL, NULL, \
         '[\"' || hex(zeroblob(4500)) || '\"]' FROM json_each('[1,2,3,4,5,6,7,8,9]')";
    let before = file();
    let writer = store.backend.write().await.unwrap();
    let statements = vec![Statement::new(bulk, values![])];
    writer.commit_much(statements.clone()).await.unwrap();
    // Whoever writes next waits for that.
    let writer = &mut store.backend.write().await.unwrap();
    assert!(file() > before, "{before}");
    assert_eq!(number(writer, checkpoint).await, 1000);
    assert_eq!(
        number(writer, "SELECT count(*) FROM tollgate_wallets").await,
        9
    );
}

#[tokio::test]
async fn a_bulk_that_fails_leaves_no_connection_without_checkpoints() {
    let (_dir, store) = on_file(|options| options).await;
    let bad = vec![Statement::new("INSERT INTO nowhere VALUES (1)", values![])];
    let writer = store.backend.write().await.unwrap();
    writer.commit_much(bad).await.unwrap_err();
    let writer = &mut store.backend.write().await.unwrap();
    assert_eq!(number(writer, "PRAGMA wal_autocheckpoint").await, 1000);
}

#[tokio::test]
async fn a_store_that_was_closed_stays_closed() {
    let (_dir, store) = on_file(|options| options).await;
    store.close().await;
    let error = store.backend.write().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn waiting_for_the_disk_can_be_given_up() {
    let (_dir, store) = on_file(SqliteOptions::synchronous_normal).await;
    let writer = &mut store.backend.write().await.unwrap();
    assert_eq!(number(writer, "PRAGMA synchronous").await, 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let (dir, store) = on_file(|options| options).await;
    let mut writer = store.backend.write().await.unwrap();
    let newer = "INSERT INTO tollgate_migrations (version, name, applied_at) VALUES (99, 'x', 0)";
    writer.execute(newer, values![]).await.unwrap();
    writer.commit().await.unwrap();
    store.close().await;
    let path = dir.path().join("tollgate.db");
    let error = SqliteStore::open(path.to_str().unwrap()).await.unwrap_err();
    let expected = "was written by a newer version of Tollgate";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_an_error_once_and_not_for_ever() {
    let (_dir, store) = on_file(|options| options).await;
    store
        .grant(Grant::new(org("acme"), 1), change(0))
        .await
        .unwrap();
    let mut writer = store.backend.write().await.unwrap();
    let pages = number(&mut writer, "PRAGMA page_count").await;
    assert!(pages > 10);
    // The limit is the connection's own: it is gone with it.
    writer
        .execute("PRAGMA max_page_count = 1", values![])
        .await
        .unwrap();
    writer.commit().await.unwrap();
    let mut full = change(1);
    full.reason = Some("x".repeat(1_000_000));
    let error = store
        .grant(Grant::new(org("acme"), 1), full)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(error.to_string(), "the store is unavailable");
    for granted in 2..10 {
        let balance = store
            .grant(Grant::new(org("acme"), 1), change(2))
            .await
            .unwrap();
        assert_eq!(balance.granted, granted);
    }
    let writer = &mut store.backend.write().await.unwrap();
    assert!(number(writer, "PRAGMA max_page_count").await > pages);
}

#[tokio::test]
async fn a_wallet_that_is_edited_by_hand_keeps_its_rules() {
    let (_dir, store) = on_file(|options| options).await;
    store
        .grant(Grant::new(org("acme"), 5), change(0))
        .await
        .unwrap();
    let mut writer = store.backend.write().await.unwrap();
    for sql in [
        "UPDATE tollgate_wallets SET held = 6",
        "UPDATE tollgate_wallets SET settled = 6",
        "UPDATE tollgate_wallets SET granted = -1",
        "UPDATE tollgate_wallets SET held = -1",
    ] {
        let error = writer.execute(sql, values![]).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{sql}");
    }
}

/// A digest of nothing, or a part of one, would be a key that nobody was given.
#[tokio::test]
async fn a_secret_that_is_edited_by_hand_has_a_whole_digest() {
    let (_dir, store) = on_file(|options| options).await;
    let acme = organization("acme");
    store.insert_organization(acme, change(0)).await.unwrap();
    let key = api_key(1, "acme");
    store.insert_key(key, digest(1), change(0)).await.unwrap();
    let mut writer = store.backend.write().await.unwrap();
    for sql in [
        "UPDATE tollgate_secrets SET digest = NULL",
        "UPDATE tollgate_secrets SET digest = x''",
        "UPDATE tollgate_secrets SET digest = zeroblob(8)",
        "UPDATE tollgate_secrets SET digest = zeroblob(31)",
        "UPDATE tollgate_secrets SET digest = zeroblob(33)",
        "UPDATE tollgate_secrets SET digest = hex(zeroblob(16))",
        "INSERT INTO tollgate_secrets (digest, key_id) SELECT NULL, id FROM tollgate_keys",
        "INSERT INTO tollgate_secrets (digest, key_id) SELECT x'', id FROM tollgate_keys",
        "INSERT INTO tollgate_secrets (digest, key_id) VALUES (zeroblob(32), zeroblob(16))",
    ] {
        assert!(writer.execute(sql, values![]).await.is_err(), "{sql}");
    }
    drop(writer);
    assert!(store.find(&digest(1)).await.unwrap().is_some());
    let nothing = KeyDigest::from_bytes([0; 32]);
    assert!(store.find(&nothing).await.unwrap().is_none());
}

/// Not even somebody with a shell on the database, unless they take the triggers away; the chain
/// tells then.
#[tokio::test]
async fn the_audit_trail_is_neither_changed_nor_deleted() {
    let sealed = |options: SqliteOptions| options.audit_key(AuditKey::new(b"outside"));
    let (_dir, store) = on_file(sealed).await;
    for granted in 1..=3 {
        let grant = Grant::new(org("acme"), granted);
        store.grant(grant, change(granted)).await.unwrap();
    }
    let acme = org("acme");
    let verify = async || {
        let records = store.audit_after(Some(&acme), 0, 9).await.unwrap();
        let key = AuditKey::new(b"outside");
        let mut chain = AuditVerifier::new(&key, Some(acme.clone()), None);
        records.iter().try_for_each(|record| chain.follow(record))
    };
    let mut writer = store.backend.write().await.unwrap();
    let tamper = "UPDATE tollgate_audit SET actor = 'nobody' WHERE seq = 2";
    for sql in [tamper, "DELETE FROM tollgate_audit WHERE seq = 2"] {
        assert!(writer.execute(sql, values![]).await.is_err(), "{sql}");
    }
    drop(writer);
    assert_eq!(verify().await, Ok(()));
    let mut writer = store.backend.write().await.unwrap();
    for sql in ["DROP TRIGGER tollgate_audit_stays", tamper] {
        writer.execute(sql, values![]).await.unwrap();
    }
    writer.commit().await.unwrap();
    assert_eq!(verify().await, Err(AuditFault::Changed { seq: 2 }));
}
