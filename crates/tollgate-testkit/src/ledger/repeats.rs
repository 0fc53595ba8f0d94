//! Requests that come again with the same idempotency key.

use std::sync::Arc;

use tollgate_core::credits::{
    Extension, Grant, HoldAnswer, HoldRequest, Idempotency, Ledger, Repeat, Settle,
};

use super::{balance, extending, granted, settling, void};
use crate::at_once::at_once;
use crate::records::{at, change, hold_request, org};

/// A request with a key, of one body or another.
fn request(n: u32, key: &str, body: u8) -> HoldRequest {
    HoldRequest {
        idempotency: Some(Arc::new(Idempotency {
            key: key.to_owned(),
            fingerprint: [body; 32],
            expires_at: at(1_000),
        })),
        ..hold_request(n, "acme", 3, 3)
    }
}

async fn ask<L: Ledger>(ledger: &L, request: HoldRequest) -> HoldAnswer {
    ledger.hold(&request).await.unwrap()
}

async fn done<L: Ledger>(ledger: &L, n: u32, outcome: Option<&[u8]>) {
    let settle = Settle {
        outcome: outcome.map(Arc::from),
        ..settling(n, 3)
    };
    ledger.settle(settle).await.unwrap();
}

fn is_held(answer: &HoldAnswer) -> bool {
    matches!(answer, HoldAnswer::Held { .. })
}

/// C5: it is charged once, and answered as often as it comes.
pub async fn a_request_that_comes_again_is_told_the_outcome<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    assert!(is_held(&ask(ledger, request(1, "k", 1)).await));
    let outcome = [0, 255, 7];
    done(ledger, 1, Some(&outcome)).await;
    for n in 2..5 {
        let told = HoldAnswer::Repeated(Repeat::Done(outcome.into()));
        assert_eq!(ask(ledger, request(n, "k", 1)).await, told);
    }
    let after = balance(ledger).await;
    assert_eq!((after.settled, after.held), (3, 0));
}

/// It neither waits nor works twice.
pub async fn a_request_that_comes_again_meanwhile_is_told_so<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "k", 1)).await;
    let told = HoldAnswer::Repeated(Repeat::Running);
    assert_eq!(ask(ledger, request(2, "k", 1)).await, told);
    // The same hold, asked for again, is no repetition.
    assert!(is_held(&ask(ledger, request(1, "k", 1)).await));
    assert_eq!(balance(ledger).await.held, 3);
}

/// A key that is used for something else is a mistake, before and after the outcome.
pub async fn another_request_with_the_same_key_is_told_so<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "k", 1)).await;
    let told = HoldAnswer::Repeated(Repeat::Different);
    assert_eq!(ask(ledger, request(2, "k", 2)).await, told);
    done(ledger, 1, Some(&[])).await;
    assert_eq!(ask(ledger, request(3, "k", 2)).await, told);
}

/// An outcome that was too large is not worked for again.
pub async fn a_charge_without_an_outcome_is_not_repeated<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "k", 1)).await;
    done(ledger, 1, None).await;
    let told = HoldAnswer::Repeated(Repeat::NotStored);
    assert_eq!(ask(ledger, request(2, "k", 1)).await, told);
}

/// What failed may be tried again.
pub async fn a_void_frees_the_key<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "k", 1)).await;
    void(ledger, 1).await;
    assert!(is_held(&ask(ledger, request(2, "k", 2)).await));
}

/// What was charged in part is not tried again.
pub async fn an_expiry_frees_the_key_unless_something_was_owed<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "free", 1)).await;
    ask(ledger, request(2, "owed", 1)).await;
    let extension = Extension {
        owed: 1,
        ..extending(2, 3)
    };
    ledger.extend(extension).await.unwrap();
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 2);
    assert!(is_held(&ask(ledger, request(3, "free", 1)).await));
    let told = HoldAnswer::Repeated(Repeat::NotStored);
    assert_eq!(ask(ledger, request(4, "owed", 1)).await, told);
}

/// A 402 is no outcome.
pub async fn a_refusal_leaves_the_key_free<L: Ledger>(ledger: &L) {
    let refused = HoldAnswer::Insufficient { available: 0 };
    assert_eq!(ask(ledger, request(1, "k", 1)).await, refused);
    granted(ledger, 10).await;
    assert!(is_held(&ask(ledger, request(2, "k", 2)).await));
}

/// Nobody remembers for ever.
pub async fn a_key_may_be_used_anew_when_its_time_is_over<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "k", 1)).await;
    done(ledger, 1, Some(&[1])).await;
    let later = |n, secs| HoldRequest {
        at: at(secs),
        deadline: at(secs + 60),
        ..request(n, "k", 1)
    };
    let told = HoldAnswer::Repeated(Repeat::Done([1].into()));
    assert_eq!(ask(ledger, later(2, 999)).await, told);
    assert!(is_held(&ask(ledger, later(3, 1_000)).await));
    done(ledger, 3, Some(&[2])).await;
    assert_eq!(balance(ledger).await.settled, 6);
}

/// Nobody sees another's outcome.
pub async fn keys_are_of_one_organization_and_one_route<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    let other = Grant::new(org("other"), 10);
    ledger.grant(other, change(0)).await.unwrap();
    ask(ledger, request(1, "k", 1)).await;
    done(ledger, 1, Some(&[1])).await;
    let other = HoldRequest {
        organization: org("other"),
        ..request(2, "k", 1)
    };
    assert!(is_held(&ask(ledger, other).await));
    let elsewhere = HoldRequest {
        route: "POST /elsewhere".into(),
        ..request(3, "k", 1)
    };
    assert!(is_held(&ask(ledger, elsewhere).await));
}

/// What is running is not.
pub async fn an_outcome_is_forgotten_when_its_time_is_over<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    ask(ledger, request(1, "done", 1)).await;
    done(ledger, 1, Some(&[1])).await;
    ask(ledger, request(2, "running", 1)).await;
    assert_eq!(ledger.forget(at(0), at(999), 10).await.unwrap(), 0);
    assert_eq!(ledger.forget(at(0), at(1_000), 10).await.unwrap(), 1);
    assert!(is_held(&ask(ledger, request(3, "done", 1)).await));
    let told = HoldAnswer::Repeated(Repeat::Running);
    assert_eq!(ask(ledger, request(4, "running", 1)).await, told);
}

/// C5 under contention.
pub async fn many_that_come_at_once_are_held_once<L: Ledger>(ledger: &L) {
    granted(ledger, 100).await;
    let answers = at_once(32, |n| ledger.hold(&request(n, "k", 1))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| is_held(answer)).count(), 1);
    let told = HoldAnswer::Repeated(Repeat::Running);
    let running = answers.iter().filter(|answer| **answer == told).count();
    assert_eq!(running, 31);
    assert_eq!(balance(ledger).await.held, 3);
}
