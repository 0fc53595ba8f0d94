//! What every [`KeyStore`] must do with requests that make a key once.
//!
//! [`key_requests_contract!`](crate::key_requests_contract) makes one test of each case.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::audit::AuditStore;
use tollgate_core::change::{Actor, Change};
use tollgate_core::store::{KeyInserted, KeyRequest, KeyStore};

use crate::at_once::at_once;
use crate::records::{api_key, at, change, digest, key_id, org, organization};

/// Makes a test of every case, with the store that `$make` builds.
#[macro_export]
macro_rules! key_requests_contract {
    ($make:expr) => {
        $crate::__contract_tests! { key_requests, $make;
            a_request_makes_one_key_and_says_which,
            a_request_is_known_until_its_time_is_over,
            a_name_is_of_one_actor_in_one_organization,
            a_refused_key_leaves_no_request,
            of_concurrent_requests_one_makes_a_key,
        }
    };
}

fn request(name: &str, said: u8) -> KeyRequest {
    KeyRequest {
        name: name.to_owned(),
        fingerprint: [said; 32],
        known_until: at(100),
    }
}

async fn with_organizations<S: KeyStore>(store: &S) {
    for name in ["acme", "umbra"] {
        let made = store.insert_organization(organization(name), change(0));
        made.await.unwrap();
    }
}

/// A request that makes key `n` is known, says which, and makes no other.
pub async fn a_request_makes_one_key_and_says_which<S: KeyStore + AuditStore>(store: &S) {
    with_organizations(store).await;
    let made = store.insert_key_once(api_key(1, "acme"), digest(1), request("a", 7), change(1));
    assert_eq!(made.await.unwrap(), KeyInserted::Now);
    let trail = store.audit_after(Some(&org("acme")), 0, 100).await.unwrap();
    let again = store.insert_key_once(api_key(2, "acme"), digest(2), request("a", 8), change(2));
    let before = KeyInserted::Before {
        key: key_id(1),
        fingerprint: [7; 32],
    };
    assert_eq!(again.await.unwrap(), before);
    assert_eq!(store.key(&key_id(2)).await.unwrap(), None);
    assert_eq!(store.find(&digest(2)).await.unwrap(), None);
    let since = store.audit_after(Some(&org("acme")), 0, 100).await.unwrap();
    assert_eq!(since, trail);
    // A key that is gone was made all the same.
    store.delete_key(&key_id(1), change(3)).await.unwrap();
    let late = store.insert_key_once(api_key(3, "acme"), digest(3), request("a", 7), change(4));
    assert_eq!(late.await.unwrap(), before);
}

/// From its end on, a name is free again.
pub async fn a_request_is_known_until_its_time_is_over<S: KeyStore>(store: &S) {
    with_organizations(store).await;
    for (n, when, known) in [(1_u8, 1, false), (2, 99, true), (3, 100, false)] {
        let mut asked = request("a", 7);
        asked.known_until = at(when + 99);
        let made = store.insert_key_once(api_key(n.into(), "acme"), digest(n), asked, change(when));
        assert_eq!(made.await.unwrap() != KeyInserted::Now, known, "{when}");
    }
}

/// Others may use the same name.
pub async fn a_name_is_of_one_actor_in_one_organization<S: KeyStore>(store: &S) {
    with_organizations(store).await;
    for (n, organization, actor) in [
        (1_u8, "acme", "ann"),
        (2, "acme", "ben"),
        (3, "umbra", "ann"),
    ] {
        let change = Change::by(&Actor::user(actor), at(1));
        let key = api_key(n.into(), organization);
        let made = store.insert_key_once(key, digest(n), request("a", 7), change);
        assert_eq!(
            made.await.unwrap(),
            KeyInserted::Now,
            "{organization} {actor}"
        );
    }
}

/// Where no key was added, the request may come again.
pub async fn a_refused_key_leaves_no_request<S: KeyStore>(store: &S) {
    with_organizations(store).await;
    let nowhere =
        store.insert_key_once(api_key(1, "nowhere"), digest(1), request("a", 7), change(1));
    nowhere.await.unwrap_err();
    store
        .insert_key(api_key(1, "acme"), digest(1), change(1))
        .await
        .unwrap();
    let taken = store.insert_key_once(api_key(2, "acme"), digest(1), request("a", 7), change(1));
    taken.await.unwrap_err();
    let made = store.insert_key_once(api_key(2, "acme"), digest(2), request("a", 7), change(1));
    assert_eq!(made.await.unwrap(), KeyInserted::Now);
}

/// Of many at once, one makes a key, and the others are told which.
pub async fn of_concurrent_requests_one_makes_a_key<S: KeyStore>(store: &S) {
    with_organizations(store).await;
    let answers = at_once(32, |task| {
        let n = u8::try_from(task).unwrap() + 1;
        let key = api_key(n.into(), "acme");
        store.insert_key_once(key, digest(n), request("a", 7), change(1))
    })
    .await;
    let answers: Vec<KeyInserted> = answers.into_iter().map(Result::unwrap).collect();
    let made = answers.iter().filter(|answer| **answer == KeyInserted::Now);
    assert_eq!(made.count(), 1, "{answers:?}");
}
