//! Credits. Each call is one transaction, which keeps settled + held ≤ granted.

use std::collections::BTreeMap;

use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Balance, HoldAnswer, HoldRequest, Ledger, MAX_CREDITS, Settlement};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};
use tollgate_core::reply::Reply;

use crate::changes::log;
use crate::queries::{holds, wallets};
use crate::session::{Backend, Session, Transaction, corrupt, values};
use crate::store::SqlStore;

impl<B: Backend> Ledger for SqlStore<B> {
    fn hold(&self, request: HoldRequest) -> Reply<HoldAnswer> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let answer = hold(&mut transaction, &request).await?;
            transaction.commit().await?;
            Ok(answer)
        })
    }

    fn extend(&self, id: HoldId, to: u64) -> Reply<HoldAnswer> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let answer = extend(&mut transaction, id, to).await?;
            transaction.commit().await?;
            Ok(answer)
        })
    }

    fn settle(&self, id: HoldId, credits: u64, at: Timestamp) -> Reply<Settlement> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let settlement = settle(&mut transaction, id, credits, at).await?;
            transaction.commit().await?;
            Ok(settlement)
        })
    }

    fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Reply<()> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            void(&mut transaction, id, &organization, at).await?;
            transaction.commit().await
        })
    }

    fn expire(&self, now: Timestamp, limit: u32) -> Reply<u64> {
        let backend = self.backend.clone();
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let ended = expire(&mut transaction, now, limit).await?;
            transaction.commit().await?;
            Ok(ended)
        })
    }

    fn grant(&self, organization: &OrgId, credits: u64, change: Change) -> Reply<Balance> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            let mut transaction = backend.write().await?;
            let mut wallet = Wallet::lock(&mut transaction, &organization).await?;
            wallet.grant(credits)?;
            wallet.write(&mut transaction, &organization).await?;
            let kind = ChangeKind::CreditsGranted;
            log(&mut transaction, kind, None, &organization, &change).await?;
            transaction.commit().await?;
            Ok(wallet.balance)
        })
    }

    fn balance(&self, organization: &OrgId) -> Reply<Balance> {
        let (backend, organization) = (self.backend.clone(), organization.clone());
        Reply::later(async move {
            let mut session = backend.read().await?;
            let row = session.fetch_optional(wallets::READ, values![organization.as_str()]);
            let Some(mut row) = row.await? else {
                return Ok(Balance::default());
            };
            Ok(Balance {
                granted: row.take()?,
                settled: row.take()?,
                held: row.take()?,
            })
        })
    }
}

/// A wallet that nobody else changes until the transaction ends.
struct Wallet {
    balance: Balance,
    allowance_month: Option<Timestamp>,
}

impl Wallet {
    async fn lock(session: &mut impl Session, organization: &OrgId) -> Result<Self, StoreError> {
        let row = session.fetch_optional(wallets::LOCK, values![organization.as_str()]);
        let mut row = row.await?.ok_or_else(|| corrupt("a wallet is missing"))?;
        Ok(Self {
            balance: Balance {
                granted: row.take()?,
                settled: row.take()?,
                held: row.take()?,
            },
            allowance_month: row.take()?,
        })
    }

    fn grant(&mut self, credits: u64) -> Result<(), StoreError> {
        let sum = self.balance.granted.checked_add(credits);
        self.balance.granted = sum
            .filter(|sum| *sum <= MAX_CREDITS)
            .ok_or_else(|| StoreError::conflict("the grant would overflow the wallet"))?;
        Ok(())
    }

    async fn write(
        &self,
        session: &mut impl Session,
        organization: &OrgId,
    ) -> Result<(), StoreError> {
        let row = values![
            organization.as_str(),
            self.balance.granted,
            self.balance.held,
            self.allowance_month,
        ];
        session.execute(wallets::WRITE, row).await?;
        Ok(())
    }
}

async fn hold(session: &mut impl Session, request: &HoldRequest) -> Result<HoldAnswer, StoreError> {
    let mut wallet = Wallet::lock(session, &request.organization).await?;
    let allowance = request
        .allowance
        .filter(|it| wallet.allowance_month.is_none_or(|last| last < it.month));
    if let Some(allowance) = allowance {
        // A wallet that is full already takes what fits.
        let room = MAX_CREDITS.saturating_sub(wallet.balance.granted);
        wallet.grant(allowance.credits.min(room))?;
        wallet.allowance_month = Some(allowance.month);
    }
    let available = wallet.balance.available();
    let seen = session.fetch_optional(holds::READ, values![request.id.as_bytes()]);
    let answer = if let Some(mut seen) = seen.await? {
        if seen.take::<String>()? != "open" {
            return Err(StoreError::conflict("the hold has ended"));
        }
        HoldAnswer::Held {
            credits: seen.take()?,
            available,
        }
    } else if available < request.least {
        HoldAnswer::Insufficient { available }
    } else {
        let credits = available.min(request.most);
        insert(session, request, credits).await?;
        wallet.balance.held = wallet.balance.held.saturating_add(credits);
        HoldAnswer::Held {
            credits,
            available: available.saturating_sub(credits),
        }
    };
    wallet.write(session, &request.organization).await?;
    Ok(answer)
}

async fn insert(
    session: &mut impl Session,
    request: &HoldRequest,
    credits: u64,
) -> Result<(), StoreError> {
    let row = values![
        request.id.as_bytes(),
        request.organization.as_str(),
        request.key.as_bytes(),
        &*request.route,
        credits,
        request.at,
        request.deadline,
    ];
    session.execute(holds::INSERT, row).await?;
    Ok(())
}

async fn extend(session: &mut impl Session, id: HoldId, to: u64) -> Result<HoldAnswer, StoreError> {
    let row = session.fetch_optional(holds::LOCK, values![id.as_bytes()]);
    let Some(mut row) = row.await? else {
        return Err(StoreError::not_found("the hold has ended"));
    };
    let (organization, credits) = (row.take::<OrgId>()?, row.take::<u64>()?);
    let mut wallet = Wallet::lock(session, &organization).await?;
    let available = wallet.balance.available();
    let more = to.saturating_sub(credits);
    if available < more {
        return Ok(HoldAnswer::Insufficient { available });
    }
    let credits = credits.saturating_add(more);
    wallet.balance.held = wallet.balance.held.saturating_add(more);
    let raised = values![id.as_bytes(), credits];
    session.execute(holds::EXTEND, raised).await?;
    wallet.write(session, &organization).await?;
    Ok(HoldAnswer::Held {
        credits,
        available: available.saturating_sub(more),
    })
}

async fn settle(
    session: &mut impl Session,
    id: HoldId,
    credits: u64,
    at: Timestamp,
) -> Result<Settlement, StoreError> {
    let end = values![id.as_bytes(), at, credits];
    let Some(mut row) = session.fetch_optional(holds::SETTLE, end).await? else {
        return Ok(Settlement::AlreadyEnded);
    };
    let (organization, held, charged) = (row.take()?, row.take()?, row.take()?);
    release(session, &organization, held, charged).await?;
    Ok(Settlement::Settled { charged })
}

async fn void(
    session: &mut impl Session,
    id: HoldId,
    organization: &OrgId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let end = values![id.as_bytes(), at];
    if let Some(mut row) = session.fetch_optional(holds::VOID, end).await? {
        let (owner, held) = (row.take()?, row.take()?);
        return release(session, &owner, held, 0).await;
    }
    let tombstone = values![id.as_bytes(), organization.as_str(), at];
    session.execute(holds::BURY, tombstone).await?;
    Ok(())
}

async fn expire(session: &mut impl Session, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let rows = session.fetch(holds::EXPIRE, values![now, limit]).await?;
    let ended = rows.len().try_into().unwrap_or(u64::MAX);
    // One update a wallet, in the order of names, so that two sweepers cannot block each other.
    let mut freed: BTreeMap<OrgId, u64> = BTreeMap::new();
    for mut row in rows {
        let sum = freed.entry(row.take()?).or_default();
        *sum = sum.saturating_add(row.take()?);
    }
    for (organization, held) in freed {
        release(session, &organization, held, 0).await?;
    }
    Ok(ended)
}

async fn release(
    session: &mut impl Session,
    organization: &OrgId,
    held: u64,
    charged: u64,
) -> Result<(), StoreError> {
    let row = values![organization.as_str(), held, charged];
    session.execute(wallets::RELEASE, row).await?;
    Ok(())
}
