//! Credits. Whatever many ask at once is decided in one transaction.
//!
//! | module | |
//! | --- | --- |
//! | `queue` | gathers what is asked, and answers when it is durable |
//! | `op` | an operation, and who is told of it |
//! | `batch` | decides a batch by the core's rules, in memory |
//! | `rows` | reads and writes what a batch needs, in a fixed number of statements |
//! | `repeats` | what is stored of requests that may come again |
//! | `books` | grants, refunds, what is forgotten: one transaction each |
//! | `sweeper` | ends holds that are due |

use tollgate_core::change::Change;
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Allowance, Balance, Entry, Extension, Grant, HoldAnswer, HoldRequest, Ledger, Refund, Settle,
    Settlement,
};
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::reply::Reply;

use crate::audit::Mutation;
use crate::session::{Backend, Transaction};
use crate::store::SqlStore;

mod batch;
mod books;
mod op;
mod queue;
mod repeats;
mod rows;
mod sweeper;

pub(crate) use queue::Queue;
pub(crate) use sweeper::Sweeper;

use op::Op;

/// Runs work that writes, and commits it.
macro_rules! in_transaction {
    ($store:ident, $change:ident, |$transaction:ident, $mutation:ident| $work:expr) => {{
        let audit = $store.audit.clone();
        in_transaction!($store.write, |$transaction| {
            let $mutation = Mutation::new(&$change, &audit);
            $work
        })
    }};
    ($store:ident.$begin:ident, |$transaction:ident| $work:expr) => {{
        let backend = $store.backend.clone();
        Reply::later(async move {
            let mut $transaction = backend.$begin().await?;
            let done = $work.await?;
            $transaction.commit().await?;
            Ok(done)
        })
    }};
}

impl<B: Backend> Ledger for SqlStore<B> {
    fn hold(&self, request: &HoldRequest) -> Reply<HoldAnswer> {
        let request = Box::new(request.clone());
        self.charges
            .ask(&self.backend, move |tell| Op::Hold(request, tell))
    }

    fn extend(&self, extension: Extension) -> Reply<HoldAnswer> {
        self.charges
            .ask(&self.backend, move |tell| Op::Extend(extension, tell))
    }

    fn settle(&self, settle: Settle) -> Reply<Settlement> {
        self.charges
            .ask(&self.backend, move |tell| Op::Settle(settle, tell))
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        let organization = organization.clone();
        self.charges.ask(&self.backend, move |tell| Op::Void {
            id,
            organization,
            at,
            tell,
        })
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        let (sweeper, backend) = (self.sweeper.clone(), self.backend.clone());
        Reply::later(async move { sweeper.expire(&backend, now, limit).await })
    }

    fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Reply<u64> {
        in_transaction!(self.count, |transaction| {
            books::forget(&mut transaction, ended_before, now, limit)
        })
    }

    fn grant(&self, grant: Grant, change: Change) -> Reply<Balance> {
        in_transaction!(self, change, |transaction, mutation| books::grant(
            &mut transaction,
            &grant,
            mutation
        ))
    }

    fn withdraw(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        let organization = organization.clone();
        in_transaction!(self, change, |transaction, mutation| books::withdraw(
            &mut transaction,
            &organization,
            credits,
            mutation
        ))
    }

    fn refund(&self, refund: Refund, change: Change) -> Reply<Balance> {
        in_transaction!(self, change, |transaction, mutation| books::refund(
            &mut transaction,
            &refund,
            mutation
        ))
    }

    fn balance(
        &self,
        organization: &OrgId,
        now: Timestamp,
        allowance: Option<Allowance>,
    ) -> Reply<Balance> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            let mut session = backend.read().await?;
            let mut account = rows::account(&mut session, &organization).await?;
            account.advance(now, allowance);
            Ok(account.balance)
        })
    }

    fn entries(&self, organization: &OrgId, before: Option<u64>, limit: u32) -> Reply<Vec<Entry>> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            let mut session = backend.read().await?;
            rows::entries(&mut session, &organization, before, limit).await
        })
    }
}
