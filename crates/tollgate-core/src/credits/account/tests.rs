use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn pool(priority: u8, expires: Option<i64>, credits: u64) -> Pool {
    Pool {
        priority,
        expires_at: expires.map(at),
        credits,
    }
}

fn account(pools: &[Pool]) -> Account {
    let mut account = Account::default();
    for pool in pools {
        let Pool {
            priority,
            expires_at,
            credits,
        } = *pool;
        account.grant(credits, priority, expires_at).unwrap();
    }
    account
}

fn charge(account: &mut Account, credits: u64) -> Paid {
    let held = account.hold(credits, credits).unwrap();
    account.end(held, credits)
}

#[test]
fn what_expires_soonest_is_spent_first() {
    let mut account = account(&[
        pool(50, None, 10),
        pool(50, Some(9), 10),
        pool(50, Some(3), 10),
    ]);
    assert_eq!(charge(&mut account, 15).from, (50, Some(at(9))));
    assert_eq!(account.pools, [pool(50, Some(9), 5), pool(50, None, 10)]);
}

#[test]
fn a_priority_comes_before_an_expiry() {
    let mut account = account(&[pool(50, Some(3), 10), pool(1, None, 10)]);
    charge(&mut account, 5);
    assert_eq!(account.pools, [pool(1, None, 5), pool(50, Some(3), 10)]);
}

#[test]
fn grants_of_one_kind_share_a_pool() {
    let account = account(&[pool(50, None, 1), pool(50, None, 2), pool(50, Some(3), 4)]);
    assert_eq!(account.pools, [pool(50, Some(3), 4), pool(50, None, 3)]);
}

#[test]
fn what_has_expired_lapses_and_what_is_held_of_it_does_not() {
    let mut account = account(&[pool(50, Some(3), 10)]);
    let held = account.hold(4, 4).unwrap();
    assert_eq!(account.advance(at(2), None).lapsed, 0);
    assert_eq!(account.advance(at(3), None).lapsed, 6);
    assert_eq!(account.balance.available(), 0);
    // The hold costs three; what it gives back lapses too.
    account.end(held, 3);
    assert_eq!(account.balance.available(), 1);
    assert_eq!(account.advance(at(3), None).lapsed, 1);
    let expected = Balance {
        granted: 10,
        withdrawn: 7,
        settled: 3,
        held: 0,
    };
    assert_eq!(account.balance, expected);
    assert_eq!(account.pools, []);
}

#[test]
fn a_refund_lapses_as_the_credits_would_have() {
    let mut account = account(&[pool(50, Some(3), 10)]);
    let paid = charge(&mut account, 10);
    account.refund(paid);
    assert_eq!(account.balance.available(), 10);
    assert_eq!(account.advance(at(3), None).lapsed, 10);
}

#[test]
fn an_allowance_lapses_with_its_month_or_rolls_over() {
    for (expires, later) in [(Some(at(100)), 10), (None, 20)] {
        let mut account = Account::default();
        for (now, month) in [(0, 0), (50, 0), (100, 100)] {
            let allowance = Allowance {
                month: at(month),
                credits: 10,
                expires_at: expires.map(|_| at(month + 100)),
            };
            account.advance(at(now), Some(allowance));
        }
        assert_eq!(account.balance.available(), later);
    }
}

#[test]
fn a_larger_plan_brings_the_difference_and_a_smaller_one_takes_nothing() {
    let mut account = Account::default();
    let allow = |credits| {
        Some(Allowance {
            month: at(0),
            credits,
            expires_at: None,
        })
    };
    for (credits, allowed) in [(10, 10), (30, 20), (10, 0), (30, 0), (31, 1)] {
        assert_eq!(account.advance(at(0), allow(credits)).allowed, allowed);
    }
}

#[test]
fn more_than_is_available_is_not_withdrawn() {
    let mut account = account(&[pool(50, None, 10)]);
    account.hold(4, 4).unwrap();
    assert_eq!(account.withdraw(7), Err(6));
    assert_eq!(account.withdraw(6), Ok(()));
    assert_eq!(account.hold(1, 1), Err(0));
    assert!(account.is_sound());
}

#[derive(Clone, Debug)]
enum Step {
    Advance(i64, u64, bool),
    Grant(u64, u8, Option<i64>),
    Withdraw(u64),
    Hold(u64, u64),
    End(usize, u64),
    Refund(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let credits = || prop_oneof![4 => 0..50_u64, 1 => Just(MAX_CREDITS), 1 => any::<u64>()];
    let step = prop_oneof![
        (-5..40_i64, credits(), any::<bool>()).prop_map(|(by, n, roll)| Step::Advance(by, n, roll)),
        (credits(), 0..3_u8, proptest::option::of(0..200_i64))
            .prop_map(|(n, p, e)| Step::Grant(n, p, e)),
        credits().prop_map(Step::Withdraw),
        (credits(), credits()).prop_map(|(a, b)| Step::Hold(a.min(b), a.max(b))),
        (any::<usize>(), credits()).prop_map(|(at, n)| Step::End(at, n)),
        any::<usize>().prop_map(Step::Refund),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    /// C1, C2, C3, C10 and C11, whatever happens in whatever order.
    #[test]
    fn the_books_agree(steps in steps()) {
        let mut account = Account::default();
        let (mut now, mut holds, mut paid): (i64, Vec<u64>, Vec<Paid>) = (0, vec![], vec![]);
        let (mut charged, mut refunded) = (0_u128, 0_u128);
        for step in steps {
            let before = account.clone();
            match step {
                Step::Advance(by, credits, roll) => {
                    now = (now + by).max(0);
                    let month = now / 100 * 100;
                    let allowance = Allowance {
                        month: at(month),
                        credits: credits.min(MAX_CREDITS),
                        expires_at: (!roll).then(|| at(month + 100)),
                    };
                    account.advance(at(now), Some(allowance));
                }
                Step::Grant(credits, priority, expires) => {
                    if account.grant(credits, priority, expires.map(at)).is_err() {
                        prop_assert_eq!(&account, &before);
                    }
                }
                Step::Withdraw(credits) => {
                    if account.withdraw(credits).is_err() {
                        prop_assert_eq!(&account, &before);
                    }
                }
                Step::Hold(least, most) => match account.hold(least, most) {
                    Ok(credits) => {
                        prop_assert!((least..=most).contains(&credits));
                        holds.push(credits);
                    }
                    Err(available) => {
                        prop_assert!(available < least);
                        prop_assert_eq!(&account, &before);
                    }
                },
                Step::End(at, credits) if !holds.is_empty() => {
                    let held = holds.swap_remove(at % holds.len());
                    let end = account.end(held, credits);
                    prop_assert_eq!(end.credits, credits.min(held));
                    charged += u128::from(end.credits);
                    paid.push(end);
                }
                Step::Refund(at) if !paid.is_empty() => {
                    let back = paid.swap_remove(at % paid.len());
                    account.refund(back);
                    refunded += u128::from(back.credits);
                }
                Step::End(..) | Step::Refund(_) => {}
            }
            prop_assert!(account.is_sound(), "{:?}", account);
            let held: u128 = holds.iter().copied().map(u128::from).sum();
            prop_assert_eq!(u128::from(account.balance.held), held);
            prop_assert_eq!(u128::from(account.balance.settled), charged - refunded);
        }
    }
}
