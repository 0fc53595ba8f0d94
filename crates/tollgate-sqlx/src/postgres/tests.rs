use connection::ROLLBACK;
use tollgate_core::accounts::AccountStore;
use tollgate_core::credits::{Grant, HoldAnswer, Ledger};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::SessionId;
use tollgate_core::quota::{DebitRequest, QuotaPeriod, QuotaStore};
use tollgate_core::rate::Subject;
use tollgate_core::usage::{KeyUsage, UsageStore};
use tollgate_servers::Proxy;
use tollgate_testkit::records::{at, change, hold_request, key_id, org};

use super::*;

/// As at midnight, when the quotas of many begin anew, and their rows are locked by others.
#[tokio::test]
async fn whatever_counts_and_hangs_keeps_no_charge_waiting() {
    let server = tollgate_servers::Postgres::shared();
    let options = PostgresOptions::new(server.fresh())
        .allow_lost_commits()
        .by_the_callers_time();
    let store = options.open().await.unwrap();
    let grant = Grant::new(org("acme"), 10);
    store.grant(grant, change(0)).await.unwrap();
    let mut hanging = Vec::new();
    for _ in 0..COUNTS {
        hanging.push(store.backend.count().await.unwrap());
    }
    let subject = || Subject::organization(org("acme"));
    let start = at(0).start_of_day();
    let debit = DebitRequest {
        subject: subject(),
        period: QuotaPeriod::Day,
        start,
        limit: 10,
        want: 1,
        at_least: 1,
    };
    let usage = KeyUsage {
        key: key_id(1),
        last_used_at: at(0),
        last_address: None,
        with_old_secret: 0,
        counts: Vec::new(),
    };
    let session = SessionId::from_parts(at(0), &[1; 10]);
    let request = hold_request(1, "acme", 3, 3);
    let (held, debited, given_back, used, touched, expired, forgotten) = tokio::join!(
        store.hold(&request).into_future(),
        store.debit(debit).into_future(),
        store
            .give_back(subject(), QuotaPeriod::Day, start, 1)
            .into_future(),
        store.record_usage(vec![usage]).into_future(),
        store.touch_session(&session, at(0)).into_future(),
        store.expire(at(0), 10).into_future(),
        store.forget(at(0), at(0), 10).into_future(),
    );
    assert!(matches!(held.unwrap(), HoldAnswer::Held { .. }));
    let counted = [
        debited.err(),
        given_back.err(),
        used.err(),
        touched.err(),
        expired.err(),
        forgotten.err(),
    ];
    for waited in counted {
        let kind = waited.map(|error| error.kind());
        assert_eq!(kind, Some(StoreErrorKind::Unavailable));
    }
    drop(hanging);
    assert_eq!(store.expire(at(60), 10).await.unwrap(), 1);
    store.close().await;
}

/// A server, or the way to it, may fall silent just when a connection is no longer needed.
#[tokio::test]
async fn a_connection_that_hangs_on_its_way_back_frees_its_place() {
    let server = tollgate_servers::Postgres::shared();
    let proxy = Proxy::before(server.port()).await;
    let options = PostgresOptions::new(proxy.url_for(&server.fresh())).allow_lost_commits();
    let store = options.open().await.unwrap();
    let connection = store.backend.read().await.unwrap();
    let lookups = &store.backend.lookups;
    assert_eq!(lookups.size(), 1);
    proxy.black_hole();
    drop(connection);
    let freed = async {
        while lookups.size() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(10 * ROLLBACK, freed).await.unwrap();
}
