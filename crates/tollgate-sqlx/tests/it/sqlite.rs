//! What is SQLite's own: files, processes that share one, and calls that are dropped.

use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;

use tempfile::TempDir;
use tollgate_core::change::{ChangeFeed, ChangeKind};
use tollgate_core::credits::{Grant, Ledger};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::store::{CatalogStore, Declaration, KeyStore};
use tollgate_sqlx::{SqliteOptions, SqliteStore};
use tollgate_testkit::records::{
    api_key, at, change, digest, hold_request, key_id, org, organization,
};

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.db");
    (dir, path)
}

async fn open(path: &Path) -> SqliteStore {
    let url = format!("sqlite://{}", path.display());
    SqliteStore::open(&url).await.unwrap()
}

async fn refusal(path: &Path) -> String {
    let error = SqliteStore::open(path.to_str().unwrap()).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let (_dir, path) = place();
    let store = open(&path).await;
    let acme = organization("acme");
    store
        .insert_organization(acme.clone(), change(0))
        .await
        .unwrap();
    store.close().await;
    let error = store.key(&key_id(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let store = open(&path).await;
    assert_eq!(store.organization(&acme.id).await.unwrap(), Some(acme));
}

#[tokio::test]
async fn another_process_on_the_file_sees_each_change() {
    let (_dir, path) = place();
    let (ours, theirs) = (open(&path).await, open(&path).await);
    let newest = theirs.newest().await.unwrap();
    ours.insert_organization(organization("acme"), change(0))
        .await
        .unwrap();
    ours.insert_key(api_key(1, "acme"), digest(1), change(0))
        .await
        .unwrap();
    let changes = theirs.since(newest, 10).await.unwrap();
    let kinds: Vec<_> = changes.iter().map(|it| it.kind).collect();
    assert_eq!(
        kinds,
        [ChangeKind::OrganizationChanged, ChangeKind::KeyCreated]
    );
    assert!(theirs.find(&digest(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_spend_the_last_credits_twice() {
    let (_dir, path) = place();
    let (ours, theirs) = (open(&path).await, open(&path).await);
    ours.grant(Grant::new(org("acme"), 20), change(0))
        .await
        .unwrap();
    let holds: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { &ours } else { &theirs };
            let request = hold_request(n, "acme", 1, 1);
            tokio::spawn(store.hold(&request).into_future())
        })
        .collect();
    for hold in holds {
        hold.await.unwrap().unwrap();
    }
    let balance = ours.balance(&org("acme"), at(0), None).await.unwrap();
    assert_eq!((balance.granted, balance.held), (20, 20));
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    let (dir, path) = place();
    let store = open(&path).await;
    store
        .grant(Grant::new(org("acme"), 1), change(0))
        .await
        .unwrap();
    let mut files = 0;
    for file in dir.path().read_dir().unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the log's index");
}

#[tokio::test]
async fn what_has_to_exist_is_not_made() {
    let (dir, path) = place();
    let shown = path.display();
    let existing = async || {
        let options = SqliteOptions::new(path.to_str().unwrap()).existing();
        options.open().await.map_err(|error| error.to_string())
    };
    assert_eq!(
        existing().await.unwrap_err(),
        format!("there is no database `{shown}`")
    );
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    std::fs::write(&path, "").unwrap();
    assert_eq!(
        existing().await.unwrap_err(),
        format!("`{shown}` is not a database of Tollgate: it has none of its tables")
    );
    open(&path).await.close().await;
    existing().await.unwrap().close().await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_in_one_sentence() {
    let (dir, path) = place();
    let shown = dir.path().display();
    assert_eq!(
        refusal(dir.path()).await,
        format!("`{shown}` is a directory, not a database file")
    );
    assert_eq!(
        refusal(&dir.path().join("missing/tollgate.db")).await,
        format!(
            "there is no directory `{shown}/missing` for the database file \
             `{shown}/missing/tollgate.db`"
        )
    );
    std::fs::write(&path, "dear diary, ".repeat(1_000)).unwrap();
    assert_eq!(
        refusal(&path).await,
        format!("`{}` is not an SQLite database", path.display())
    );
}

#[tokio::test]
async fn a_call_does_nothing_until_it_is_awaited() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    drop(store.grant(Grant::new(org("acme"), 5), change(0)));
    tokio::task::yield_now().await;
    assert_eq!(
        store
            .balance(&org("acme"), at(0), None)
            .await
            .unwrap()
            .granted,
        0
    );
}

/// Drops a call after every number of polls that it may take.
async fn drop_grants_everywhere(store: &SqliteStore) {
    let acme = org("acme");
    let mut finished = false;
    for polls in 1..200 {
        let mut grant = store
            .grant(Grant::new(acme.clone(), 1), change(0))
            .into_future();
        for _ in 0..polls {
            let ready = poll_fn(|cx| Poll::Ready(Pin::new(&mut grant).poll(cx).is_ready()));
            finished = ready.await;
            if finished {
                break;
            }
            tokio::task::yield_now().await;
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
        drop(grant);
        let balance = store.balance(&acme, at(0), None).await.unwrap();
        let after = store
            .grant(Grant::new(acme.clone(), 1), change(0))
            .await
            .unwrap();
        assert!(after.granted > balance.granted);
        let changes = store.since(0, 10_000).await.unwrap();
        assert_eq!(changes.len().to_string(), after.granted.to_string());
        if finished {
            break;
        }
    }
    assert!(finished, "a grant takes more polls than were tried");
}

#[tokio::test]
async fn a_dropped_call_happens_whole_or_not_at_all_and_spoils_nothing_on_a_file() {
    let (_dir, path) = place();
    drop_grants_everywhere(&open(&path).await).await;
}

#[tokio::test]
async fn a_dropped_call_happens_whole_or_not_at_all_and_spoils_nothing_in_memory() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    drop_grants_everywhere(&store).await;
}

#[tokio::test]
async fn a_declaration_is_kept_until_a_newer_one_comes() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    assert_eq!(store.declaration().await.unwrap(), None);
    for catalog in ["{}", "{}", "{\"scopes\": []}"] {
        let declaration = Declaration {
            catalog: catalog.to_owned(),
            permissions: "[]".to_owned(),
        };
        store.record_declaration(declaration.clone()).await.unwrap();
        assert_eq!(store.declaration().await.unwrap(), Some(declaration));
    }
}
