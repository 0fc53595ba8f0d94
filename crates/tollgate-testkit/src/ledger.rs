//! What every [`Ledger`] must do. Whatever happens: settled + held ≤ granted.
//!
//! [`ledger_contract!`](crate::ledger_contract) makes one test of each case; those of
//! [`allowances`], [`books`], [`deadlines`] and [`repeats`] are in it. [`sequences`] tries what no case thought of.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics when the store breaks its contract"
)]

use tollgate_core::credits::{
    Balance, Extension, Grant, HoldAnswer, Ledger, MAX_CREDITS, Settle, Settlement,
};
use tollgate_core::error::StoreErrorKind;

use crate::at_once::at_once;
use crate::records::{at, change, hold_id, hold_request, org};

pub mod allowances;
pub mod books;
pub mod deadlines;
mod model;
mod operation;
pub mod repeats;
pub mod sequences;

const MONTH: u64 = 31 * 86_400;

/// Makes a test of every case, with the ledger that `$make` builds.
#[macro_export]
macro_rules! ledger_contract {
    ($make:expr) => {
        $crate::__contract_tests! { ledger, $make;
            an_unknown_wallet_is_empty,
            grants_add_up,
            a_grant_that_overflows_changes_nothing,
            a_hold_sets_credits_aside,
            a_hold_takes_what_the_wallet_has_of_a_range,
            a_hold_of_nothing_needs_no_credits,
            too_few_credits_are_not_held,
            holding_twice_holds_once,
            a_settled_hold_is_charged_and_the_rest_is_free,
            no_more_is_charged_than_is_held,
            a_hold_is_settled_once,
            an_unknown_hold_is_not_settled,
            a_void_gives_all_back,
            a_void_after_a_settle_changes_nothing,
            a_settle_after_a_void_changes_nothing,
            a_void_before_its_hold_leaves_a_tombstone,
            a_tombstone_needs_no_wallet,
            a_hold_that_is_asked_for_by_another_organization_is_the_first_ones,
            wallets_are_apart,
            the_last_credits_are_charged_exactly_once,
            concurrent_calls_with_one_id_hold_once_and_charge_once,
        }
        $crate::__contract_tests! { ledger_deadlines, $make;
            an_extension_raises_a_hold_and_never_lowers_it,
            an_extension_beyond_the_wallet_changes_nothing,
            a_hold_that_has_ended_is_not_extended,
            holds_past_their_deadline_expire,
            no_more_holds_expire_than_asked,
            a_settle_after_the_expiry_is_fenced,
        }
        $crate::__contract_tests! { ledger_allowances, $make;
            an_allowance_is_granted_once_a_month,
            an_earlier_month_grants_nothing,
            an_allowance_serves_the_hold_that_brings_it,
            an_allowance_fills_a_wallet_at_most,
        }
        $crate::__contract_tests! { ledger_books, $make;
            what_expires_soonest_is_spent_first,
            what_has_expired_is_not_spent,
            what_is_held_does_not_lapse,
            an_allowance_that_does_not_roll_over_lapses,
            a_larger_plan_brings_the_difference,
            credits_of_one_reference_are_granted_once,
            what_is_neither_spent_nor_held_is_withdrawn,
            a_charge_is_refunded_once_for_each_reference,
            a_refund_is_known_for_ever_by_its_reference,
            a_reference_is_of_one_thing,
            no_more_is_refunded_than_was_charged,
            only_its_own_charges_are_refunded_to_an_organization,
            a_refund_lapses_as_the_credits_would_have,
            what_is_owed_is_charged_when_nobody_ends_a_hold,
            an_extension_puts_the_deadline_off,
            an_extension_that_fails_notes_nothing,
            what_has_expired_raises_no_hold,
            each_change_of_a_balance_is_an_entry,
            a_charge_in_parts_is_an_entry_for_each,
            entries_are_read_in_pages_the_newest_first,
            holds_and_voids_are_no_entries,
            what_ended_long_ago_is_forgotten_and_its_entries_are_not,
            every_entry_has_the_balance_of_its_time,
        }
        $crate::__contract_tests! { ledger_repeats, $make;
            a_request_that_comes_again_is_told_the_outcome,
            a_request_that_comes_again_meanwhile_is_told_so,
            another_request_with_the_same_key_is_told_so,
            a_charge_without_an_outcome_is_not_repeated,
            a_void_frees_the_key,
            an_expiry_frees_the_key_unless_something_was_owed,
            a_refusal_leaves_the_key_free,
            a_key_may_be_used_anew_when_its_time_is_over,
            keys_are_of_one_organization_and_one_route,
            an_outcome_is_forgotten_when_its_time_is_over,
            many_that_come_at_once_are_held_once,
        }
    };
}

async fn granted<L: Ledger>(ledger: &L, credits: u64) {
    let grant = Grant::new(org("acme"), credits);
    ledger.grant(grant, change(0)).await.unwrap();
}

async fn hold<L: Ledger>(ledger: &L, n: u32, least: u64, most: u64) -> HoldAnswer {
    let request = hold_request(n, "acme", least, most);
    ledger.hold(&request).await.unwrap()
}

async fn settle<L: Ledger>(ledger: &L, n: u32, credits: u64) -> Settlement {
    ledger.settle(settling(n, credits)).await.unwrap()
}

pub(crate) fn settling(n: u32, credits: u64) -> Settle {
    Settle {
        id: hold_id(n),
        credits,
        at: at(1),
        outcome: None,
        parts: Vec::new(),
    }
}

fn extending(n: u32, credits: u64) -> Extension {
    Extension {
        id: hold_id(n),
        credits,
        owed: 0,
        deadline: at(60),
        at: at(1),
    }
}

/// What a settle says that comes after another that charged so much.
const fn ended(charged: u64) -> Settlement {
    Settlement::AlreadyEnded { charged }
}

async fn void<L: Ledger>(ledger: &L, n: u32) {
    let acme = org("acme");
    ledger.void(hold_id(n), &acme, at(1)).await.unwrap();
}

async fn balance<L: Ledger>(ledger: &L) -> Balance {
    ledger.balance(&org("acme"), at(1), None).await.unwrap()
}

/// Asserts what the wallet says: granted, settled, held.
async fn wallet<L: Ledger>(ledger: &L, granted: u64, settled: u64, held: u64) {
    let expected = Balance {
        granted,
        withdrawn: 0,
        settled,
        held,
    };
    assert_eq!(balance(ledger).await, expected);
}

const fn held(credits: u64, available: u64) -> HoldAnswer {
    HoldAnswer::Held { credits, available }
}

/// Nobody is granted anything by being asked for.
pub async fn an_unknown_wallet_is_empty<L: Ledger>(ledger: &L) {
    wallet(ledger, 0, 0, 0).await;
}

/// A grant answers with the wallet as it is then.
pub async fn grants_add_up<L: Ledger>(ledger: &L) {
    for granted in [5, 10, 15] {
        let grant = Grant::new(org("acme"), 5);
        let balance = ledger.grant(grant, change(0)).await.unwrap();
        assert_eq!(balance.granted, granted);
    }
    wallet(ledger, 15, 0, 0).await;
}

/// A wallet never holds more than can be counted.
pub async fn a_grant_that_overflows_changes_nothing<L: Ledger>(ledger: &L) {
    granted(ledger, 5).await;
    for credits in [MAX_CREDITS - 4, MAX_CREDITS, MAX_CREDITS + 1, u64::MAX] {
        let grant = Grant::new(org("acme"), credits);
        let error = ledger.grant(grant, change(0)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
    }
    wallet(ledger, 5, 0, 0).await;
    granted(ledger, MAX_CREDITS - 5).await;
    wallet(ledger, MAX_CREDITS, 0, 0).await;
    assert_eq!(hold(ledger, 1, 1, u64::MAX).await, held(MAX_CREDITS, 0));
    wallet(ledger, MAX_CREDITS, 0, MAX_CREDITS).await;
}

/// What is held is no longer available.
pub async fn a_hold_sets_credits_aside<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    assert_eq!(hold(ledger, 1, 3, 3).await, held(3, 7));
    assert_eq!(hold(ledger, 2, 7, 7).await, held(7, 0));
    wallet(ledger, 10, 0, 10).await;
}

/// Of least to most, as much is held as there is.
pub async fn a_hold_takes_what_the_wallet_has_of_a_range<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    assert_eq!(hold(ledger, 1, 1, 6).await, held(6, 4));
    assert_eq!(hold(ledger, 2, 4, 6).await, held(4, 0));
    wallet(ledger, 10, 0, 10).await;
}

/// A range that begins at zero is served from an empty wallet.
pub async fn a_hold_of_nothing_needs_no_credits<L: Ledger>(ledger: &L) {
    assert_eq!(hold(ledger, 1, 0, 5).await, held(0, 0));
    let settled = Settlement::Settled { charged: 0 };
    assert_eq!(settle(ledger, 1, 5).await, settled);
    wallet(ledger, 0, 0, 0).await;
}

/// Less than the least is not set aside, and the same hold may be asked for again.
pub async fn too_few_credits_are_not_held<L: Ledger>(ledger: &L) {
    granted(ledger, 3).await;
    let refused = HoldAnswer::Insufficient { available: 3 };
    assert_eq!(hold(ledger, 1, 4, 9).await, refused);
    wallet(ledger, 3, 0, 0).await;
    granted(ledger, 1).await;
    assert_eq!(hold(ledger, 1, 4, 9).await, held(4, 0));
}

/// Asking again with the same id, after a lost answer, is answered as the first time.
pub async fn holding_twice_holds_once<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    assert_eq!(hold(ledger, 1, 3, 3).await, held(3, 7));
    assert_eq!(hold(ledger, 1, 3, 3).await, held(3, 7));
    wallet(ledger, 10, 0, 3).await;
}

/// The charge is spent, the rest of the hold is available again.
pub async fn a_settled_hold_is_charged_and_the_rest_is_free<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    let settled = Settlement::Settled { charged: 2 };
    assert_eq!(settle(ledger, 1, 2).await, settled);
    wallet(ledger, 10, 2, 0).await;
}

/// A charge beyond the hold is cut to it.
pub async fn no_more_is_charged_than_is_held<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    let settled = Settlement::Settled { charged: 5 };
    assert_eq!(settle(ledger, 1, u64::MAX).await, settled);
    wallet(ledger, 10, 5, 0).await;
}

/// The second settle changes nothing.
pub async fn a_hold_is_settled_once<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    settle(ledger, 1, 2).await;
    assert_eq!(settle(ledger, 1, 5).await, ended(2));
    wallet(ledger, 10, 2, 0).await;
}

/// Nothing is charged without a hold.
pub async fn an_unknown_hold_is_not_settled<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    assert_eq!(settle(ledger, 1, 5).await, ended(0));
    wallet(ledger, 10, 0, 0).await;
}

/// A voided hold costs nothing, once or twice.
pub async fn a_void_gives_all_back<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    hold(ledger, 2, 5, 5).await;
    void(ledger, 1).await;
    void(ledger, 1).await;
    wallet(ledger, 10, 0, 5).await;
}

/// What was charged stays charged.
pub async fn a_void_after_a_settle_changes_nothing<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    settle(ledger, 1, 4).await;
    void(ledger, 1).await;
    wallet(ledger, 10, 4, 0).await;
}

/// What was given back stays given back.
pub async fn a_settle_after_a_void_changes_nothing<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    void(ledger, 1).await;
    assert_eq!(settle(ledger, 1, 4).await, ended(0));
    wallet(ledger, 10, 0, 0).await;
}

/// A hold that overtakes its own void is not opened: nobody would end it.
pub async fn a_void_before_its_hold_leaves_a_tombstone<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    void(ledger, 1).await;
    let late = ledger.hold(&hold_request(1, "acme", 5, 5)).await;
    assert_eq!(late.unwrap_err().kind(), StoreErrorKind::Conflict);
    assert_eq!(settle(ledger, 1, 5).await, ended(0));
    let extended = ledger.extend(extending(1, 5)).await;
    assert_eq!(extended.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 0);
    wallet(ledger, 10, 0, 0).await;
}

/// Who never had a credit may void all the same.
pub async fn a_tombstone_needs_no_wallet<L: Ledger>(ledger: &L) {
    void(ledger, 1).await;
    void(ledger, 1).await;
    assert_eq!(settle(ledger, 1, 0).await, ended(0));
    let extended = ledger.extend(extending(1, 0)).await;
    assert_eq!(extended.unwrap_err().kind(), StoreErrorKind::NotFound);
    let late = ledger.hold(&hold_request(1, "other", 0, 0)).await;
    assert_eq!(late.unwrap_err().kind(), StoreErrorKind::Conflict);
    wallet(ledger, 0, 0, 0).await;
}

/// An id is of one hold, whoever asks.
pub async fn a_hold_that_is_asked_for_by_another_organization_is_the_first_ones<L: Ledger>(
    ledger: &L,
) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    let again = ledger.hold(&hold_request(1, "other", 3, 3)).await.unwrap();
    assert_eq!(again, held(5, 0));
    let charged = Settlement::Settled { charged: 4 };
    assert_eq!(settle(ledger, 1, 4).await, charged);
    wallet(ledger, 10, 4, 0).await;
}

/// Nobody pays for another.
pub async fn wallets_are_apart<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    let other = ledger.hold(&hold_request(1, "other", 1, 1)).await.unwrap();
    assert_eq!(other, HoldAnswer::Insufficient { available: 0 });
    wallet(ledger, 10, 0, 0).await;
}

/// C1 under contention: 32 tasks over the last credits charge them all, and none twice.
pub async fn the_last_credits_are_charged_exactly_once<L: Ledger>(ledger: &L) {
    const GRANTED: u64 = 100;
    granted(ledger, GRANTED).await;
    let (mut charged, mut round) = (0, 0);
    while charged < GRANTED {
        assert!(round < 100, "only {charged} were charged");
        let id = |task: u32| round * 32 + task;
        let holds = at_once(32, |task| {
            ledger.hold(&hold_request(id(task), "acme", 1, 3))
        })
        .await;
        bounded(ledger).await;
        let held = holds.into_iter().filter(|answer| {
            let answer = answer.as_ref().unwrap();
            matches!(answer, HoldAnswer::Held { .. })
        });
        assert!(held.count() > 0, "no hold of round {round} was answered");
        let ends = at_once(32, |task| ledger.settle(settling(id(task), 2))).await;
        for end in ends {
            if let Settlement::Settled { charged: credits } = end.unwrap() {
                charged += credits;
            }
        }
        bounded(ledger).await;
        round += 1;
    }
    assert_eq!(charged, GRANTED);
    wallet(ledger, GRANTED, GRANTED, 0).await;
}

async fn bounded<L: Ledger>(ledger: &L) {
    let balance = balance(ledger).await;
    assert!(
        balance.settled + balance.held <= balance.granted,
        "{balance:?}"
    );
}

/// A request that was sent 32 times over is held once and charged once.
pub async fn concurrent_calls_with_one_id_hold_once_and_charge_once<L: Ledger>(ledger: &L) {
    granted(ledger, 100).await;
    let holds = at_once(32, |_| ledger.hold(&hold_request(1, "acme", 3, 3))).await;
    for answer in holds {
        assert_eq!(answer.unwrap(), held(3, 97));
    }
    wallet(ledger, 100, 0, 3).await;
    let ends = at_once(32, |_| ledger.settle(settling(1, 2))).await;
    let all = ends.into_iter().map(Result::unwrap);
    let once = all.filter(|end| *end != ended(2)).count();
    assert_eq!(once, 1);
    wallet(ledger, 100, 2, 0).await;
}
