//! What plans grant by the month.

use tollgate_core::credits::{Allowance, HoldAnswer, HoldRequest, Ledger, MAX_CREDITS};

use super::{MONTH, balance, granted, held, wallet};
use crate::records::{at, hold_request};

fn with_allowance(n: u32, secs: u64, credits: u64) -> HoldRequest {
    HoldRequest {
        allowance: Some(Allowance {
            month: at(secs),
            credits,
            expires_at: None,
        }),
        at: at(secs),
        ..hold_request(n, "acme", 1, 1)
    }
}

/// The first hold of a month brings the plan's credits, the others do not.
pub async fn an_allowance_is_granted_once_a_month<L: Ledger>(ledger: &L) {
    for (n, secs, granted) in [(1, 0, 100), (2, 0, 100), (3, MONTH, 200), (4, MONTH, 200)] {
        ledger.hold(&with_allowance(n, secs, 100)).await.unwrap();
        wallet(ledger, granted, 0, n.into()).await;
    }
}

/// A clock that is set back grants nothing again.
pub async fn an_earlier_month_grants_nothing<L: Ledger>(ledger: &L) {
    for (n, secs) in [(1, MONTH), (2, 0), (3, MONTH)] {
        ledger.hold(&with_allowance(n, secs, 100)).await.unwrap();
    }
    wallet(ledger, 100, 0, 3).await;
}

/// The allowance is there before its hold is decided, and stays where that is refused.
pub async fn an_allowance_serves_the_hold_that_brings_it<L: Ledger>(ledger: &L) {
    let request = with_allowance(1, 0, 1);
    assert_eq!(ledger.hold(&request).await.unwrap(), held(1, 0));
    let greedy = HoldRequest {
        least: 60,
        most: 60,
        ..with_allowance(2, MONTH, 50)
    };
    let refused = HoldAnswer::Insufficient { available: 50 };
    assert_eq!(ledger.hold(&greedy).await.unwrap(), refused);
    wallet(ledger, 51, 0, 1).await;
}

/// An allowance that a wallet has no room for is cut, and locks nobody out.
pub async fn an_allowance_fills_a_wallet_at_most<L: Ledger>(ledger: &L) {
    granted(ledger, MAX_CREDITS).await;
    let answer = ledger.hold(&with_allowance(1, 0, 1)).await.unwrap();
    assert!(matches!(answer, HoldAnswer::Held { .. }), "{answer:?}");
    let balance = balance(ledger).await;
    assert_eq!(balance.granted, MAX_CREDITS);
}
