//! Grants that lapse, refunds, what is owed, and the entries of it all.

use tollgate_core::credits::{
    Allowance, Entry, EntryKind, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Part, Price,
    Refund, Settle, Settlement,
};
use tollgate_core::error::StoreErrorKind;

use super::{MONTH, balance, ended, extending, granted, held, hold, settle, settling, void};
use crate::records::{at, change, hold_id, hold_request, key_id, org};

async fn grant<L: Ledger>(ledger: &L, grant: Grant) -> Result<u64, StoreErrorKind> {
    let granted = ledger.grant(grant, change(0)).await;
    let available = granted.map(tollgate_core::credits::Balance::available);
    available.map_err(|error| error.kind())
}

async fn available<L: Ledger>(ledger: &L, secs: u64) -> u64 {
    let read = ledger.balance(&org("acme"), at(secs), None).await;
    read.unwrap().available()
}

fn acme(credits: u64) -> Grant {
    Grant::new(org("acme"), credits)
}

/// A hold at a time, for as much as there is.
async fn hold_all<L: Ledger>(ledger: &L, n: u32, secs: u64) -> u64 {
    let request = HoldRequest {
        at: at(secs),
        deadline: at(secs + 60),
        ..hold_request(n, "acme", 0, 1_000)
    };
    let answer = ledger.hold(&request).await.unwrap();
    let HoldAnswer::Held { credits, .. } = answer else {
        unreachable!("nothing was asked for at least, but {answer:?}")
    };
    credits
}

/// Of two grants, the one that lapses first pays.
pub async fn what_expires_soonest_is_spent_first<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10)).await.unwrap();
    grant(ledger, acme(10).expires_at(at(100))).await.unwrap();
    grant(ledger, acme(1).priority(1)).await.unwrap();
    hold(ledger, 1, 9, 9).await;
    settle(ledger, 1, 9).await;
    // Of the 21, one went by its priority and eight by their expiry: two more lapse.
    assert_eq!(available(ledger, 99).await, 12);
    assert_eq!(available(ledger, 100).await, 10);
}

/// Credits lapse at their moment, whether or not anybody asks in between.
pub async fn what_has_expired_is_not_spent<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10).expires_at(at(100))).await.unwrap();
    grant(ledger, acme(3)).await.unwrap();
    assert_eq!(hold_all(ledger, 1, 100).await, 3);
    let balance = ledger.balance(&org("acme"), at(100), None).await.unwrap();
    assert_eq!((balance.withdrawn, balance.held), (10, 3));
}

/// A hold is a promise: it can be charged after what it lies on has expired.
pub async fn what_is_held_does_not_lapse<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10).expires_at(at(100))).await.unwrap();
    assert_eq!(hold(ledger, 1, 6, 6).await, held(6, 4));
    assert_eq!(available(ledger, 100).await, 0);
    let late = Settle {
        at: at(101),
        ..settling(1, 5)
    };
    let charged = Settlement::Settled { charged: 5 };
    assert_eq!(ledger.settle(late).await.unwrap(), charged);
    assert_eq!(available(ledger, 101).await, 0);
}

fn month(n: u32, secs: u64, credits: u64) -> HoldRequest {
    HoldRequest {
        at: at(secs),
        deadline: at(secs + 60),
        allowance: Some(Allowance {
            month: at(secs / MONTH * MONTH),
            credits,
            expires_at: Some(at((secs / MONTH + 1) * MONTH)),
        }),
        ..hold_request(n, "acme", 1, 1)
    }
}

/// What is left at the end of a month is gone, and the next month brings as much again.
pub async fn an_allowance_that_does_not_roll_over_lapses<L: Ledger>(ledger: &L) {
    for (n, secs, available) in [(1, 0, 9), (2, MONTH - 1, 8), (3, MONTH, 9)] {
        let answer = ledger.hold(&month(n, secs, 10)).await.unwrap();
        assert_eq!(answer, held(1, available));
        let settle = Settle {
            at: at(secs),
            ..settling(n, 1)
        };
        ledger.settle(settle).await.unwrap();
    }
}

/// Who moves to a larger plan has its credits at once; who moves back keeps them.
pub async fn a_larger_plan_brings_the_difference<L: Ledger>(ledger: &L) {
    for (n, credits, available) in [(1, 10, 9), (2, 30, 28), (3, 10, 27), (4, 30, 26)] {
        let answer = ledger.hold(&month(n, 0, credits)).await.unwrap();
        assert_eq!(answer, held(1, available));
    }
}

/// A payment that is told twice is granted once; without a reference each is another.
pub async fn credits_of_one_reference_are_granted_once<L: Ledger>(ledger: &L) {
    let payment = || acme(5).reference("payment-1");
    for _ in 0..3 {
        assert_eq!(grant(ledger, payment()).await, Ok(5));
    }
    let other = Grant::new(org("other"), 5).reference("payment-1");
    assert_eq!(grant(ledger, other).await, Ok(5));
    assert_eq!(grant(ledger, acme(5)).await, Ok(10));
    assert_eq!(grant(ledger, acme(5)).await, Ok(15));
}

/// Held credits stay for their holds.
pub async fn what_is_neither_spent_nor_held_is_withdrawn<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 4, 4).await;
    let withdraw = |credits| ledger.withdraw(&org("acme"), credits, change(1));
    let error = withdraw(7).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert_eq!(available(ledger, 1).await, 6);
    assert_eq!(withdraw(6).await.unwrap().available(), 0);
    settle(ledger, 1, 4).await;
    let last = balance(ledger).await;
    assert_eq!((last.withdrawn, last.settled, last.held), (6, 4, 0));
}

fn refunding(n: u32, credits: u64, reference: &str) -> Refund {
    Refund {
        organization: org("acme"),
        hold: hold_id(n),
        credits,
        reference: reference.to_owned(),
    }
}

async fn charged<L: Ledger>(ledger: &L, n: u32, credits: u64) {
    granted(ledger, credits).await;
    hold(ledger, n, credits, credits).await;
    settle(ledger, n, credits).await;
}

/// A refund whose answer was lost may be asked for again.
pub async fn a_charge_is_refunded_once_for_each_reference<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    for _ in 0..3 {
        let refund = ledger.refund(refunding(1, 4, "ticket-1"), change(2));
        assert_eq!(refund.await.unwrap().available(), 4);
    }
    let refund = ledger.refund(refunding(1, 4, "ticket-2"), change(2));
    assert_eq!(refund.await.unwrap().available(), 8);
    assert_eq!(balance(ledger).await.settled, 2);
}

/// Also when its hold is forgotten by then.
pub async fn a_refund_is_known_for_ever_by_its_reference<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    for _ in 0..2 {
        let refund = ledger.refund(refunding(1, 4, "ticket-1"), change(60));
        assert_eq!(refund.await.unwrap().available(), 4);
        ledger.forget(at(50), at(50), 10).await.unwrap();
    }
}

/// Or somebody would believe that credits were given which were not.
pub async fn a_reference_is_of_one_thing<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    charged(ledger, 2, 10).await;
    grant(ledger, acme(5).reference("grant")).await.unwrap();
    let refund = ledger.refund(refunding(1, 4, "refund"), change(2));
    refund.await.unwrap();
    let regranted = grant(ledger, acme(5).reference("refund")).await;
    assert_eq!(regranted, Err(StoreErrorKind::Conflict));
    for refund in [refunding(1, 4, "grant"), refunding(2, 4, "refund")] {
        let error = ledger.refund(refund, change(2)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Conflict);
    }
    assert_eq!(available(ledger, 2).await, 9);
}

/// C11: the sum counts, not each of them.
pub async fn no_more_is_refunded_than_was_charged<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    for (credits, reference, good) in [(11, "a", false), (6, "b", true), (5, "c", false)] {
        let refund = ledger.refund(refunding(1, credits, reference), change(2));
        assert_eq!(refund.await.is_ok(), good, "{reference}");
    }
    // A reference that was refused is not used up.
    let rest = ledger.refund(refunding(1, 4, "c"), change(2));
    assert_eq!(rest.await.unwrap().available(), 10);
}

/// Nor is what was voided, or never held.
pub async fn only_its_own_charges_are_refunded_to_an_organization<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    granted(ledger, 5).await;
    hold(ledger, 2, 5, 5).await;
    let foreign = Refund {
        organization: org("other"),
        ..refunding(1, 1, "a")
    };
    let open = refunding(2, 1, "b");
    for refund in [foreign, open, refunding(3, 1, "c")] {
        let error = ledger.refund(refund, change(2)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
    }
    void(ledger, 2).await;
    let voided = ledger.refund(refunding(2, 1, "d"), change(2)).await;
    assert_eq!(voided.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(balance(ledger).await.settled, 10);
}

/// Who is given back what had an end is given it with that end.
pub async fn a_refund_lapses_as_the_credits_would_have<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10).expires_at(at(100))).await.unwrap();
    hold(ledger, 1, 10, 10).await;
    settle(ledger, 1, 10).await;
    let refund = ledger.refund(refunding(1, 10, "a"), change(2));
    refund.await.unwrap();
    assert_eq!(available(ledger, 99).await, 10);
    assert_eq!(available(ledger, 100).await, 0);
}

/// What was delivered of a stream is charged, also if the process dies.
pub async fn what_is_owed_is_charged_when_nobody_ends_a_hold<L: Ledger>(ledger: &L) {
    granted(ledger, 20).await;
    hold(ledger, 1, 10, 10).await;
    for owed in [3, 7, 5] {
        let extension = Extension {
            owed,
            ..extending(1, 12)
        };
        assert_eq!(ledger.extend(extension).await.unwrap(), held(12, 8));
    }
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 1);
    let after = balance(ledger).await;
    assert_eq!((after.settled, after.held), (7, 0));
    assert_eq!(settle(ledger, 1, 12).await, ended(7));
    // Who ends it in time says what it costs.
    hold(ledger, 2, 5, 5).await;
    let extension = Extension {
        owed: u64::MAX,
        ..extending(2, 5)
    };
    ledger.extend(extension).await.unwrap();
    let charged = Settlement::Settled { charged: 1 };
    assert_eq!(settle(ledger, 2, 1).await, charged);
}

/// A renewed hold outlives its first deadline; one that is extended to an earlier one keeps its.
pub async fn an_extension_puts_the_deadline_off<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    for deadline in [at(90), at(30)] {
        let extension = Extension {
            deadline,
            ..extending(1, 0)
        };
        assert_eq!(ledger.extend(extension).await.unwrap(), held(5, 5));
    }
    assert_eq!(ledger.expire(at(89), 10).await.unwrap(), 0);
    assert_eq!(ledger.expire(at(90), 10).await.unwrap(), 1);
}

/// Neither the deadline nor what is owed.
pub async fn an_extension_that_fails_notes_nothing<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    let greedy = Extension {
        owed: 5,
        deadline: at(90),
        ..extending(1, 11)
    };
    let refused = HoldAnswer::Insufficient { available: 5 };
    assert_eq!(ledger.extend(greedy).await.unwrap(), refused);
    assert_eq!(ledger.expire(at(60), 10).await.unwrap(), 1);
    assert_eq!(balance(ledger).await.settled, 0);
}

/// A hold keeps what it has; more of it comes from what is still good.
pub async fn what_has_expired_raises_no_hold<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10).expires_at(at(50))).await.unwrap();
    hold(ledger, 1, 2, 2).await;
    let late = |credits| Extension {
        at: at(50),
        ..extending(1, credits)
    };
    let refused = HoldAnswer::Insufficient { available: 0 };
    assert_eq!(ledger.extend(late(3)).await.unwrap(), refused);
    assert_eq!(ledger.extend(late(2)).await.unwrap(), held(2, 0));
    // Of the new five, four cover the hold; then nothing needs the expired two any more.
    grant(ledger, acme(5)).await.unwrap();
    assert_eq!(ledger.extend(late(4)).await.unwrap(), held(4, 1));
}

async fn entries<L: Ledger>(ledger: &L) -> Vec<Entry> {
    ledger.entries(&org("acme"), None, 100).await.unwrap()
}

/// Who, what, when, how much, and what was left.
pub async fn each_change_of_a_balance_is_an_entry<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10).expires_at(at(100)).reference("p"))
        .await
        .unwrap();
    ledger.hold(&month(1, 0, 5)).await.unwrap();
    settle(ledger, 1, 1).await;
    ledger
        .refund(refunding(1, 1, "r"), change(2))
        .await
        .unwrap();
    ledger.withdraw(&org("acme"), 2, change(3)).await.unwrap();
    hold_all(ledger, 2, 100).await;
    let mut all = entries(ledger).await;
    all.reverse();
    let said: Vec<_> = all
        .iter()
        .map(|entry| (entry.kind, entry.credits, entry.balance))
        .collect();
    let expected = [
        (EntryKind::Grant, 10, 10),
        (EntryKind::Allowance, 5, 15),
        (EntryKind::Charge, -1, 14),
        (EntryKind::Refund, 1, 15),
        (EntryKind::Withdrawal, -2, 13),
        (EntryKind::Lapse, -8, 5),
    ];
    assert_eq!(said, expected);
    let [grant, allowance, charge, refund, withdrawal, lapse] = all.try_into().unwrap();
    assert_eq!(grant.reference.as_deref(), Some("p"));
    assert_eq!(grant.actor.as_deref(), Some("user:alice"));
    assert_eq!(grant.reason, change(0).reason);
    assert_eq!(allowance.actor, None);
    assert_eq!(charge.hold, Some(hold_id(1)));
    assert_eq!(charge.key, Some(key_id(1)));
    assert_eq!(charge.route.as_deref(), Some("POST /enrichment/lookup"));
    assert_eq!(charge.request_id.as_deref(), Some("req_1"));
    assert_eq!(charge.price.as_deref(), Some("3/item"));
    assert_eq!(charge.at, at(1));
    assert_eq!(
        (refund.hold, refund.reference.as_deref()),
        (Some(hold_id(1)), Some("r"))
    );
    assert_eq!(
        (refund.key, refund.route, refund.request_id, refund.price),
        (charge.key, charge.route, charge.request_id, charge.price)
    );
    assert_eq!(withdrawal.at, at(3));
    assert_eq!((lapse.at, lapse.hold), (at(100), None));
}

/// A hold of many requests: an entry for each key and route, and no more than is held.
pub async fn a_charge_in_parts_is_an_entry_for_each<L: Ledger>(ledger: &L) {
    grant(ledger, acme(10)).await.unwrap();
    hold(ledger, 1, 7, 7).await;
    let part = |key, route: &str, credits, requests| Part {
        key: key_id(key),
        route: route.into(),
        price: Price::Fixed(2),
        credits,
        requests,
    };
    let parts = vec![
        part(1, "GET /a", 4, 2),
        part(2, "GET /a", 2, 1),
        part(2, "GET /b", 4, 2),
    ];
    let settle = Settle {
        parts,
        ..settling(1, 10)
    };
    let settled = Settlement::Settled { charged: 7 };
    assert_eq!(ledger.settle(settle.clone()).await.unwrap(), settled);
    let again = Settlement::AlreadyEnded { charged: 7 };
    assert_eq!(ledger.settle(settle).await.unwrap(), again);
    let charges = entries(ledger).await.into_iter().rev().skip(1);
    let said: Vec<_> = charges
        .map(|entry| {
            assert_eq!(
                (entry.kind, entry.hold),
                (EntryKind::Charge, Some(hold_id(1)))
            );
            assert_eq!(
                (entry.request_id, entry.price.as_deref()),
                (None, Some("2"))
            );
            let route = entry.route.unwrap().to_string();
            let of = (entry.key.unwrap(), route, entry.reason.unwrap());
            (of, entry.credits, entry.balance)
        })
        .collect();
    let of = |key, route: &str, requests: &str| (key_id(key), route.into(), requests.into());
    let expected = [
        (of(1, "GET /a", "2 requests"), -4, 6),
        (of(2, "GET /a", "1 request"), -2, 4),
        (of(2, "GET /b", "2 requests"), -1, 3),
    ];
    assert_eq!(said, expected);
    let refund = ledger.refund(refunding(1, 7, "r"), change(2)).await;
    assert_eq!(refund.unwrap().available(), 10);
}

/// A page ends where the next begins.
pub async fn entries_are_read_in_pages_the_newest_first<L: Ledger>(ledger: &L) {
    for credits in 1..=5 {
        granted(ledger, credits).await;
    }
    ledger
        .grant(Grant::new(org("other"), 1), change(0))
        .await
        .unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = ledger.entries(&org("acme"), before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        seen.extend(page.iter().map(|entry| entry.credits));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert_eq!(ledger.entries(&org("acme"), None, 0).await.unwrap(), []);
    assert_eq!(ledger.entries(&org("nobody"), None, 9).await.unwrap(), []);
}

/// What changes no balance is in no book.
pub async fn holds_and_voids_are_no_entries<L: Ledger>(ledger: &L) {
    granted(ledger, 10).await;
    hold(ledger, 1, 5, 5).await;
    void(ledger, 1).await;
    hold(ledger, 2, 5, 5).await;
    settle(ledger, 2, 0).await;
    assert_eq!(entries(ledger).await.len(), 1);
}

/// So that the tables do not grow with each request for ever.
pub async fn what_ended_long_ago_is_forgotten_and_its_entries_are_not<L: Ledger>(ledger: &L) {
    charged(ledger, 1, 10).await;
    granted(ledger, 10).await;
    hold(ledger, 2, 5, 5).await;
    hold(ledger, 3, 5, 5).await;
    void(ledger, 3).await;
    assert_eq!(ledger.forget(at(1), at(1), 10).await.unwrap(), 0);
    assert_eq!(ledger.forget(at(50), at(50), 1).await.unwrap(), 1);
    assert_eq!(ledger.forget(at(50), at(50), 10).await.unwrap(), 1);
    let refund = ledger.refund(refunding(1, 1, "late"), change(60)).await;
    assert_eq!(refund.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(
        settle(ledger, 2, 5).await,
        Settlement::Settled { charged: 5 }
    );
    let after = balance(ledger).await;
    assert_eq!((after.settled, after.held), (15, 0));
    let entries = ledger.entries(&org("acme"), None, 10).await.unwrap();
    let credits: Vec<_> = entries.iter().rev().map(|entry| entry.credits).collect();
    assert_eq!(credits, [10, -10, 10, -5]);
}

/// C2: the lines add up to the sums, whatever happened in between.
pub async fn every_entry_has_the_balance_of_its_time<L: Ledger>(ledger: &L) {
    for n in 0..40 {
        grant(ledger, acme(7).expires_at(at(u64::from(n % 5) * 10)))
            .await
            .unwrap();
        let request = HoldRequest {
            at: at(n.into()),
            ..month(n, 0, 20)
        };
        ledger.hold(&request).await.unwrap();
        let end = Settle {
            at: at(n.into()),
            ..settling(n, u64::from(n % 2))
        };
        ledger.settle(end).await.unwrap();
    }
    let (mut sum, mut all) = (0, entries(ledger).await);
    all.reverse();
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
    for entry in &all {
        sum += entry.credits;
        assert_eq!(Ok(entry.balance), u64::try_from(sum), "{entry:?}");
    }
    let last = ledger.balance(&org("acme"), at(39), None).await.unwrap();
    assert_eq!(last.funds(), all.last().unwrap().balance);
}
