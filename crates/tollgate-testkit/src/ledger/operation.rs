//! What can be asked of a ledger, and what it answers, as values.

use tollgate_core::change::Change;
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Balance, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Refund, Settle,
    Settlement,
};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::reply::Reply;

/// An operation of the port, with all that it is given.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Hold(Box<HoldRequest>),
    Extend(Extension),
    Settle(Settle),
    Void(HoldId, OrgId, Timestamp),
    Expire {
        now: Timestamp,
        limit: u32,
    },
    Forget {
        ended_before: Timestamp,
        now: Timestamp,
        limit: u32,
    },
    Grant(Grant, Change),
    Withdraw(OrgId, u64, Change),
    Refund(Refund, Change),
    Balance(OrgId, Timestamp, Option<Allowance>),
}

/// What it was answered with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Hold(HoldAnswer),
    Settlement(Settlement),
    Done,
    Count(u64),
    Balance(Balance),
    Failed(StoreErrorKind),
}

impl Operation {
    /// Asks a ledger. As with every port, nothing needs to happen before the reply is polled.
    pub(super) fn ask<L: Ledger>(&self, ledger: &L) -> Reply<Answer, StoreErrorKind> {
        match self.clone() {
            Self::Hold(request) => said(ledger.hold(&request), Answer::Hold),
            Self::Extend(extension) => said(ledger.extend(extension), Answer::Hold),
            Self::Settle(settle) => said(ledger.settle(settle), Answer::Settlement),
            Self::Void(id, organization, at) => {
                said(ledger.void(id, &organization, at), |()| Answer::Done)
            }
            Self::Expire { now, limit } => said(ledger.expire(now, limit), Answer::Count),
            Self::Forget {
                ended_before,
                now,
                limit,
            } => said(ledger.forget(ended_before, now, limit), Answer::Count),
            Self::Grant(grant, change) => said(ledger.grant(grant, change), Answer::Balance),
            Self::Withdraw(organization, credits, change) => said(
                ledger.withdraw(&organization, credits, change),
                Answer::Balance,
            ),
            Self::Refund(refund, change) => said(ledger.refund(refund, change), Answer::Balance),
            Self::Balance(organization, now, allowance) => said(
                ledger.balance(&organization, now, allowance),
                Answer::Balance,
            ),
        }
    }
}

/// A failure is an answer too.
fn said<T: Send + 'static>(
    reply: Reply<T>,
    answer: fn(T) -> Answer,
) -> Reply<Answer, StoreErrorKind> {
    reply.map_result(move |result| {
        Ok(result.map_or_else(|error| Answer::Failed(error.kind()), answer))
    })
}
