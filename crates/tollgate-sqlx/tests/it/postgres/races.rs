//! What two nodes do to each other at the worst moment.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tokio::task::spawn_blocking;
use tollgate_core::change::ChangeFeed;
use tollgate_core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Refund, Settle, Settlement};
use tollgate_core::error::{StoreError, StoreErrorKind};
use tollgate_core::record::KeyStatus;
use tollgate_core::store::KeyStore;
use tollgate_servers::Postgres;
use tollgate_sqlx::PostgresStore;
use tollgate_testkit::records::{
    api_key, at, change, digest, hold_id, hold_request, org, organization,
};

use super::open;

/// Completes once so many sessions of a database wait for a lock.
async fn wait_for_a_lock(url: &str, sessions: &str) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND datname = current_database()";
    loop {
        let url = url.to_owned();
        let asked = spawn_blocking(move || Postgres::shared().query(&url, waiting).unwrap());
        if asked.await.unwrap().trim() == sessions {
            return;
        }
    }
}

/// Somebody else's session, which does something in a transaction and leaves it open.
async fn in_transaction(url: &str, sql: &'static str) -> PgConnection {
    let mut session = PgConnection::connect(url).await.unwrap();
    session.execute("BEGIN").await.unwrap();
    session.execute(sql).await.unwrap();
    session
}

async fn two_wallets(node: &PostgresStore) {
    for name in ["acme", "other"] {
        let grant = Grant::new(org(name), 1_000);
        node.grant(grant, change(0)).await.unwrap();
    }
}

const LOCK_OTHER: &str = "SELECT FROM tollgate_wallets WHERE organization = 'other' FOR UPDATE";

fn held(answer: Result<HoldAnswer, StoreError>) {
    assert!(matches!(answer.unwrap(), HoldAnswer::Held { .. }));
}

/// A batch waits for one wallet, while a hold is committed that another of its operations ends: its
/// wallet was not there to be locked when the batch looked for those that it needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_begun_while_it_is_ended_harms_no_wallet() {
    let url = Postgres::shared().fresh();
    let (one, two) = (open(&url).await, open(&url).await);
    two_wallets(&one).await;
    let mut somebody = in_transaction(&url, LOCK_OTHER).await;
    let (x, other) = (
        hold_request(1, "acme", 10, 10),
        hold_request(2, "other", 1, 1),
    );
    let settle = Settle {
        id: x.id,
        credits: 4,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    let meanwhile = async {
        wait_for_a_lock(&url, "1").await;
        held(one.hold(&x).await);
        somebody.execute("COMMIT").await.unwrap();
    };
    // Both are in one batch: they are asked before the batch has a connection.
    let (other, settled, ()) = tokio::join!(two.hold(&other), two.settle(settle), meanwhile);
    held(other);
    assert_eq!(settled.unwrap(), Settlement::Settled { charged: 4 });
    let balance = one.balance(&org("acme"), at(1), None).await.unwrap();
    assert_eq!(
        (balance.granted, balance.settled, balance.held),
        (1_000, 4, 0)
    );
}

/// The same with a hold that is given up: it is voided, or it never begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_begun_while_it_is_given_up_harms_no_wallet() {
    let url = Postgres::shared().fresh();
    let (one, two) = (open(&url).await, open(&url).await);
    two_wallets(&one).await;
    for n in 0..100 {
        let x = HoldRequest {
            id: hold_id(n),
            ..hold_request(n, "acme", 10, 10)
        };
        let void = async {
            for _ in 0..n {
                tokio::task::yield_now().await;
            }
            two.void(x.id, &org("acme"), at(1)).await
        };
        let (begun, voided) = tokio::join!(one.hold(&x), void);
        voided.unwrap();
        if let Err(error) = begun {
            assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
        }
        let balance = one.balance(&org("acme"), at(1), None).await.unwrap();
        assert_eq!((balance.granted, balance.held), (1_000, 0), "{n}");
    }
}

/// What is given back is given back of a charge that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_is_forgotten_while_it_is_refunded_is_not_refunded() {
    let url = Postgres::shared().fresh();
    let node = open(&url).await;
    two_wallets(&node).await;
    let x = hold_request(1, "acme", 10, 10);
    held(node.hold(&x).await);
    let settle = Settle {
        id: x.id,
        credits: 4,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    };
    node.settle(settle).await.unwrap();
    let mut somebody = in_transaction(&url, "DELETE FROM tollgate_holds").await;
    let refund = Refund {
        organization: org("acme"),
        hold: x.id,
        credits: 3,
        reference: "a mistake".to_owned(),
    };
    let meanwhile = async {
        wait_for_a_lock(&url, "1").await;
        somebody.execute("COMMIT").await.unwrap();
    };
    let refunded = node.refund(refund, change(2)).into_future();
    let (refunded, ()) = tokio::join!(refunded, meanwhile);
    let error = refunded.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound, "{error}");
    let balance = node.balance(&org("acme"), at(2), None).await.unwrap();
    assert_eq!((balance.granted, balance.settled), (1_000, 4));
}

/// By default the search path begins with a schema of the role's name, if there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_roles_with_other_search_paths_are_numbered_as_they_are_committed() {
    let server = Postgres::shared();
    let url = server.fresh();
    let one = open(&url).await;
    let role = "CREATE ROLE operator LOGIN SUPERUSER; CREATE SCHEMA operator";
    server.query(&url, role).unwrap();
    let two = open(&url.replacen("postgres@", "operator@", 1)).await;
    for name in ["acme", "other"] {
        let new = organization(name);
        one.insert_organization(new, change(0)).await.unwrap();
    }
    let new = one.insert_key(api_key(1, "acme"), digest(1), change(0));
    new.await.unwrap();
    let seen = one.newest().await.unwrap();
    // The revocation is numbered, and then it waits for somebody.
    let somebody = in_transaction(&url, "SELECT pg_advisory_xact_lock(7)").await;
    let wait = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                IF NEW.action LIKE 'key%' THEN PERFORM pg_advisory_xact_lock(7); END IF; \
                RETURN NEW; END $$; \
                CREATE TRIGGER wait AFTER INSERT ON tollgate_audit FOR EACH ROW EXECUTE FUNCTION wait()";
    server.query(&url, wait).unwrap();
    let mut key = api_key(1, "acme");
    key.status = KeyStatus::Revoked;
    let revoke = two.update_key(key, None, change(1));
    let grant = async {
        wait_for_a_lock(&url, "1").await;
        one.grant(Grant::new(org("other"), 1), change(0)).await
    };
    let meanwhile = async {
        // Who grants waits too, until the revocation is there for all.
        wait_for_a_lock(&url, "2").await;
        assert!(one.since(seen, 10).await.unwrap().is_empty());
        drop(somebody);
    };
    let all = async { tokio::join!(revoke, grant, meanwhile) };
    let (revoked, granted, ()) = tokio::time::timeout(Duration::from_secs(9), all)
        .await
        .unwrap();
    revoked.unwrap();
    granted.unwrap();
    let told = one.since(seen, 10).await.unwrap();
    assert!(
        told.iter()
            .map(|change| change.seq)
            .eq([seen + 1, seen + 2])
    );
}

/// Whoever may connect may lock numbers, and that holds up nobody who manages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_holds_up_nobody() {
    let server = Postgres::shared();
    let url = server.fresh();
    let node = open(&url).await;
    server.query(&url, "CREATE ROLE stranger LOGIN").unwrap();
    let strange = url.replacen("postgres@", "stranger@", 1);
    let lock = "SELECT pg_advisory_xact_lock(1953459308, hashtext('public'))";
    let _locked = in_transaction(&strange, lock).await;
    let refused = server.query(
        &strange,
        "BEGIN; SELECT FROM tollgate_migrations FOR UPDATE",
    );
    assert!(refused.unwrap_err().contains("permission denied"));
    let grant = node.grant(Grant::new(org("acme"), 1), change(0));
    assert_eq!(grant.await.unwrap().granted, 1);
    // Nor who opens tables that are up to date.
    open(&url).await.close().await;
}
