//! Holds that last longer, and holds whose time is up.

use tollgate_core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, MAX_CREDITS, Settlement};
use tollgate_core::error::StoreErrorKind;

use super::{ended, extending, granted, held, hold, settle, void, wallet};
use crate::records::{at, change, hold_request, org};

/// `to` is what the hold has in all.
pub async fn an_extension_raises_a_hold_and_never_lowers_it<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 2, 2).await;
    let extend = |to| ledger.extend(extending(1, to));
    assert_eq!(extend(6).await.unwrap(), held(6, 4));
    assert_eq!(extend(6).await.unwrap(), held(6, 4));
    assert_eq!(extend(1).await.unwrap(), held(6, 4));
    wallet(ledger, 10, 0, 6).await;
    let settled = Settlement::Settled { charged: 6 };
    assert_eq!(settle(ledger, 1, 9).await, settled);
    wallet(ledger, 10, 6, 0).await;
}

/// An extension is held whole or not at all.
pub async fn an_extension_beyond_the_wallet_changes_nothing<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 2, 2).await;
    let refused = HoldAnswer::Insufficient { available: 8 };
    for to in [11, MAX_CREDITS + 1, u64::MAX] {
        assert_eq!(ledger.extend(extending(1, to)).await.unwrap(), refused);
    }
    wallet(ledger, 10, 0, 2).await;
}

/// There is nothing to raise.
pub async fn a_hold_that_has_ended_is_not_extended<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 2, 2).await;
    settle(ledger, 1, 1).await;
    for n in [1, 2] {
        let error = ledger.extend(extending(n, 5)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
    }
    wallet(ledger, 10, 1, 0).await;
}

/// A hold whose deadline is not after now ends without a charge.
pub async fn holds_past_their_deadline_expire<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 2, 2).await;
    let later = HoldRequest {
        deadline: at(120),
        ..hold_request(2, "acme", 3, 3)
    };
    ledger.hold(&later).await.unwrap();
    assert_eq!(ledger.expire(at(59), 10).await.unwrap(), 0);
    wallet(ledger, 10, 0, 5).await;
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 1);
    wallet(ledger, 10, 0, 3).await;
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 0);
}

/// The sweeper decides how much it takes on at once.
pub async fn no_more_holds_expire_than_asked<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    let other = Grant::new(org("other"), 10);
    ledger.grant(other, change(0)).await.unwrap();
    for n in 0..5 {
        hold(ledger, n, 1, 1).await;
        let other = hold_request(n + 10, "other", 1, 1);
        ledger.hold(&other).await.unwrap();
    }
    assert_eq!(ledger.expire(at(60), 0).await.unwrap(), 0);
    for ended in [4, 4, 2, 0] {
        assert_eq!(ledger.expire(at(60), 4).await.unwrap(), ended);
    }
    wallet(ledger, 10, 0, 0).await;
    assert_eq!(
        ledger
            .balance(&org("other"), at(1), None)
            .await
            .unwrap()
            .held,
        0
    );
}

/// A settle that comes too late charges nothing.
pub async fn a_settle_after_the_expiry_is_fenced<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 1);
    assert_eq!(settle(ledger, 1, 5).await, ended(0));
    void(ledger, 1).await;
    wallet(ledger, 10, 0, 0).await;
}
