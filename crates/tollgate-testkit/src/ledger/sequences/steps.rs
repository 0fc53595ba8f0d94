//! What a sequence is made of. Names are few, so that they meet often.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tollgate_core::change::{Actor, Change};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Extension, Grant, HoldRequest, Idempotency, MAX_CREDITS, Refund, Settle,
};
use tollgate_core::id::{HoldId, OrgId};

use super::super::operation::Operation;
use crate::records::{at, hold_id, hold_request, org};

/// Whose wallets there are.
pub(super) const ORGANIZATIONS: [&str; 2] = ["acme", "other"];
/// A hold that nobody asks for.
pub(super) const NO_HOLD: u32 = 1_000_000;

const MONTH: u64 = 31 * 86_400;
/// Where the clock begins: it may go back from there.
const BEGIN: u64 = 10 * MONTH;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The clock goes on by so many seconds, or back.
    Clock(i64),
    One(Move),
    AtOnce(Vec<Move>),
    /// Asks, and goes away.
    HangUp(Vec<Move>, Cut),
    /// Asks, and dies.
    Crash(Vec<Move>, Cut),
    /// Reads the books of one in pages of this size.
    Page(Who, u32),
}

/// How far calls come before they are dropped: so often they are polled, and so many turns the
/// runtime takes after each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) polls: u8,
    pub(super) turns: u16,
}

/// Acme, mostly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Acme,
    Other,
}

/// A hold: 1 is the next, 0 the newest, -1 the one before.
type Which = i32;

/// An operation, but for the point in time and the names that depend on what came before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Hold {
        which: Which,
        who: Who,
        least: u64,
        most: u64,
        lasts: u64,
        allowance: Option<Monthly>,
        /// Key, body, and for how long it is remembered.
        key: Option<(bool, bool, u64)>,
        elsewhere: bool,
    },
    Extend(Which, u64, u64, u64),
    Settle(Which, u64, Option<u8>),
    Void(Which, Who),
    Expire(u32),
    Forget(u64, u32),
    Grant(Who, u64, u8, Option<u64>, Option<u8>),
    Withdraw(Who, u64),
    Refund(Which, Who, u64, u8),
    Balance(Who, Option<Monthly>),
    /// The same as so many operations before, as when an answer was lost.
    Again(usize),
}

/// An allowance: so many months ago, so many credits, and whether they roll over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Monthly(u64, u64, bool);

/// What moves need to become operations.
#[derive(Debug)]
pub(super) struct Scene {
    /// Seconds since the start.
    clock: u64,
    newest: u32,
    /// The oldest first.
    asked: Vec<Operation>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            clock: BEGIN,
            newest: 3,
            asked: Vec::new(),
        }
    }
}

impl Scene {
    pub(super) fn now(&self) -> Timestamp {
        at(self.clock)
    }

    /// It never goes back to where the months begin.
    pub(super) fn jump(&mut self, secs: i64) {
        self.clock = self.clock.saturating_add_signed(secs).max(MONTH);
    }

    fn after(&self, secs: u64) -> Timestamp {
        self.now().after(Duration::from_secs(secs))
    }

    fn hold(&self, which: Which) -> HoldId {
        hold_id(self.newest.saturating_add_signed(which))
    }

    fn change(&self) -> Change {
        Change {
            actor: Actor::system(),
            at: self.now(),
            reason: None,
        }
    }

    fn allowance(&self, Monthly(ago, credits, rolls_over): Monthly) -> Allowance {
        let month = (self.clock / MONTH).saturating_sub(ago);
        Allowance {
            month: at(month * MONTH),
            credits,
            expires_at: (!rolls_over).then(|| at((month + 1) * MONTH)),
        }
    }

    /// The operation that a move is now.
    pub(super) fn operation(&mut self, step: &Move) -> Operation {
        let operation = self.of(step);
        self.asked.push(operation.clone());
        operation
    }

    fn of(&mut self, step: &Move) -> Operation {
        match *step {
            Move::Hold {
                which,
                who,
                least,
                most,
                lasts,
                allowance,
                key,
                elsewhere,
            } => {
                let id = self.newest.saturating_add_signed(which);
                self.newest = self.newest.max(id);
                // Who makes ids never uses one for two keys, not even after it was forgotten.
                let key = key.filter(|_| which == 1);
                let idempotency = key.map(|(key, body, lasts)| {
                    Arc::new(Idempotency {
                        key: if key { "k1" } else { "k2" }.to_owned(),
                        fingerprint: [u8::from(body); 32],
                        expires_at: self.after(lasts),
                    })
                });
                let mut request = HoldRequest {
                    at: self.now(),
                    deadline: self.after(lasts),
                    allowance: allowance.map(|monthly| self.allowance(monthly)),
                    idempotency,
                    ..hold_request(id, who.name(), least, most.max(least))
                };
                if elsewhere {
                    request.route = "POST /elsewhere".into();
                }
                Operation::Hold(Box::new(request))
            }
            Move::Extend(which, credits, owed, lasts) => Operation::Extend(Extension {
                id: self.hold(which),
                credits,
                owed,
                deadline: self.after(lasts),
                at: self.now(),
            }),
            Move::Settle(which, credits, outcome) => Operation::Settle(Settle {
                id: self.hold(which),
                credits,
                at: self.now(),
                outcome: outcome.map(|byte| Arc::from([byte])),
                parts: Vec::new(),
            }),
            Move::Void(which, who) => Operation::Void(self.hold(which), who.id(), self.now()),
            Move::Expire(limit) => Operation::Expire {
                now: self.now(),
                limit,
            },
            Move::Forget(ago, limit) => Operation::Forget {
                ended_before: self.now().before(Duration::from_secs(ago)),
                now: self.now(),
                limit,
            },
            Move::Grant(who, credits, priority, lasts, reference) => {
                let grant = Grant {
                    organization: who.id(),
                    credits,
                    priority,
                    expires_at: lasts.map(|secs| self.after(secs)),
                    reference: reference.map(named),
                };
                Operation::Grant(grant, self.change())
            }
            Move::Withdraw(who, credits) => Operation::Withdraw(who.id(), credits, self.change()),
            Move::Refund(which, who, credits, reference) => {
                let refund = Refund {
                    organization: who.id(),
                    hold: self.hold(which),
                    credits,
                    reference: named(reference),
                };
                Operation::Refund(refund, self.change())
            }
            Move::Balance(who, allowance) => {
                let allowance = allowance.map(|monthly| self.allowance(monthly));
                Operation::Balance(who.id(), self.now(), allowance)
            }
            Move::Again(back) => {
                let before = self.asked.iter().rev().nth(back);
                let nothing = || Operation::Balance(Who::Acme.id(), self.now(), None);
                before.cloned().unwrap_or_else(nothing)
            }
        }
    }
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Other => "other",
        }
    }

    pub(super) fn id(self) -> OrgId {
        org(self.name())
    }
}

/// Grants and refunds share their references.
fn named(reference: u8) -> String {
    format!("reference {reference}")
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = |range| prop::collection::vec(moves(), range);
    let step = prop_oneof![
        24 => moves().prop_map(Step::One),
        5 => clock().prop_map(Step::Clock),
        3 => some(1..5).prop_map(Step::AtOnce),
        1 => some(1..9).prop_map(Step::AtOnce),
        3 => (some(1..4), cut()).prop_map(|(moves, cut)| Step::HangUp(moves, cut)),
        1 => (some(0..4), cut()).prop_map(|(moves, cut)| Step::Crash(moves, cut)),
        1 => (who(), 1..5_u32).prop_map(|(who, limit)| Step::Page(who, limit)),
    ];
    prop::collection::vec(step, 1..48)
}

fn clock() -> impl Strategy<Value = i64> {
    let month = MONTH.cast_signed();
    prop_oneof![
        4 => 1..40_i64,
        2 => 40..200_i64,
        1 => Just(month),
        1 => -100..0_i64,
        1 => Just(-month),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    let turns = prop_oneof![0..8_u16, 0..256_u16, 0..4096_u16];
    (1..4_u8, turns).prop_map(|(polls, turns)| Cut { polls, turns })
}

fn moves() -> impl Strategy<Value = Move> {
    let key = prop::option::weighted(0.4, (any::<bool>(), prop::bool::weighted(0.1), lasts()));
    let fresh = prop_oneof![4 => Just(1), 1 => which()];
    let range = (credits(0..8), credits(0..20));
    let hold = (
        fresh,
        who(),
        range,
        lasts(),
        monthly(),
        key,
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(which, who, (least, most), lasts, allowance, key, elsewhere)| Move::Hold {
                which,
                who,
                least,
                most,
                lasts,
                allowance,
                key,
                elsewhere,
            },
        );
    let limit = || prop_oneof![0..4_u32, Just(1_000), Just(u32::MAX)];
    let expires = prop::option::of(lasts());
    let reference = prop::option::of(0..4_u8);
    prop_oneof![
        8 => hold,
        3 => (which(), credits(0..24), credits(0..12), lasts())
            .prop_map(|(which, credits, owed, lasts)| Move::Extend(which, credits, owed, lasts)),
        5 => (which(), credits(0..16), prop::option::of(any::<u8>()))
            .prop_map(|(which, credits, outcome)| Move::Settle(which, credits, outcome)),
        2 => (which(), who()).prop_map(|(which, who)| Move::Void(which, who)),
        2 => limit().prop_map(Move::Expire),
        2 => (0..20_u64, limit()).prop_map(|(ago, limit)| Move::Forget(ago, limit)),
        4 => (who(), credits(0..40), 49..52_u8, expires, reference).prop_map(
            |(who, credits, priority, expires, reference)| {
                Move::Grant(who, credits, priority, expires, reference)
            }
        ),
        1 => (who(), credits(0..12)).prop_map(|(who, credits)| Move::Withdraw(who, credits)),
        3 => (which(), who(), credits(0..6), 0..4_u8).prop_map(
            |(which, who, credits, reference)| Move::Refund(which, who, credits, reference)
        ),
        1 => (who(), monthly()).prop_map(|(who, monthly)| Move::Balance(who, monthly)),
        4 => (0..5_usize).prop_map(Move::Again),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![4 => Just(Who::Acme), 1 => Just(Who::Other)]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![6 => -2..1_i32, 2 => -6..-2_i32, 1 => Just(1)]
}

fn lasts() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..120_u64, 1 => Just(MONTH)]
}

fn monthly() -> impl Strategy<Value = Option<Monthly>> {
    let ago = prop_oneof![4 => Just(0), 1 => Just(1)];
    let credits = prop_oneof![12 => 0..30_u64, 1 => Just(MAX_CREDITS)];
    let monthly = (ago, credits, any::<bool>());
    let monthly = monthly.prop_map(|(ago, credits, rolls)| Monthly(ago, credits, rolls));
    prop::option::weighted(0.2, monthly)
}

/// A few, or more than there can be.
fn credits(few: std::ops::Range<u64>) -> impl Strategy<Value = u64> {
    let too_many = vec![MAX_CREDITS - 20, MAX_CREDITS, MAX_CREDITS + 1, u64::MAX];
    prop_oneof![40 => few, 1 => prop::sample::select(too_many)]
}
