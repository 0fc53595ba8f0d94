//! The accounts of organizations: who changes one has its row locked.

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Account, Allowed, Balance};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::{Hold, State, hex_all};
use crate::queries::wallets;
use crate::rows::{from_json, json, on_rows};
use crate::session::{Dialect, Row, Session, Statement, corrupt, values};

/// Locks and reads the accounts of organizations, and of the organizations of holds.
pub(in crate::ledger) fn lock_accounts(
    organizations: &[&OrgId],
    holds: &[HoldId],
) -> Result<Statement, StoreError> {
    let values = values![json(&organizations)?, json(&hex_all(holds))?];
    Ok(Statement::new(wallets::LOCK, values))
}

/// Makes the wallet of an organization if it is not among those found, where that is needed to lock
/// it. Says whether it did: then it has to be locked anew.
async fn make_missing(
    session: &mut impl Session,
    organization: &OrgId,
    found: &[(OrgId, Account)],
) -> Result<bool, StoreError> {
    let missing = missing(session.dialect(), &[organization], found);
    if missing.is_empty() {
        return Ok(false);
    }
    session
        .execute(wallets::MAKE, values![json(&missing)?])
        .await?;
    Ok(true)
}

/// The same for many, in a transaction that has done nothing else yet.
///
/// Who makes a wallet waits for others who make it, and in no order with those who lock one. So
/// what was locked is let go before, and what was made is there for all before anything is locked
/// again: nobody waits who has what another waits for.
pub(in crate::ledger) async fn make_many_missing(
    session: &mut impl Session,
    organizations: &[&OrgId],
    found: &[(OrgId, Account)],
) -> Result<bool, StoreError> {
    let missing = missing(session.dialect(), organizations, found);
    if missing.is_empty() {
        return Ok(false);
    }
    let_go(session).await?;
    session
        .execute(wallets::MAKE, values![json(&missing)?])
        .await?;
    session.execute(wallets::SHOW, values![]).await?;
    Ok(true)
}

/// Lets go of whatever a transaction of PostgreSQL has locked.
pub(in crate::ledger) async fn let_go(session: &mut impl Session) -> Result<(), StoreError> {
    session.execute(wallets::LET_GO, values![]).await.map(drop)
}

/// A hold that may be changed and whose wallet is not among those that were locked. One that was
/// committed after wallets were looked for has a wallet that nobody here has read, and which is not
/// empty. One that has ended changes no more, and may be of an organization without a wallet.
pub(in crate::ledger) fn without_wallet(
    changed: &[HoldId],
    holds: &[(HoldId, Hold)],
    found: &[(OrgId, Account)],
) -> Option<HoldId> {
    let is_found = |name: &OrgId| found.iter().any(|(found, _)| found == name);
    let open = holds.iter().filter(|(_, hold)| hold.state == State::Open);
    let mut unread = open.filter(|(_, hold)| !is_found(&hold.organization));
    unread
        .find(|(id, _)| changed.contains(id))
        .map(|(id, _)| *id)
}

/// Those whose wallets have to be made before they can be locked.
fn missing<'a>(
    dialect: Dialect,
    organizations: &[&'a OrgId],
    found: &[(OrgId, Account)],
) -> Vec<&'a OrgId> {
    if dialect == Dialect::Sqlite {
        return Vec::new();
    }
    let is_found = |name: &OrgId| found.iter().any(|(found, _)| found == name);
    let missing = organizations.iter().filter(|name| !is_found(name));
    missing.copied().collect()
}

/// One account; an empty one if there is none.
pub(in crate::ledger) async fn account(
    session: &mut impl Session,
    organization: &OrgId,
) -> Result<Account, StoreError> {
    let row = values![json(&[organization])?, "[]"];
    let found = session.fetch_optional(wallets::READ, row).await?;
    found.map_or_else(|| Ok(Account::default()), |row| Ok(read_account(row)?.1))
}

/// One account, to be changed.
pub(in crate::ledger) async fn lock_account(
    session: &mut impl Session,
    organization: &OrgId,
) -> Result<Account, StoreError> {
    let lock = lock_accounts(&[organization], &[])?;
    let mut found = read_accounts(session.fetch_statement(lock.clone()).await?)?;
    if make_missing(session, organization, &found).await? {
        found = read_accounts(session.fetch_statement(lock).await?)?;
    }
    Ok(found.pop().map(|(_, account)| account).unwrap_or_default())
}

pub(in crate::ledger) fn read_accounts(
    rows: Vec<Row>,
) -> Result<Vec<(OrgId, Account)>, StoreError> {
    rows.into_iter().map(read_account).collect()
}

/// Those that are not damaged.
pub(in crate::ledger) fn readable_accounts(rows: Vec<Row>) -> Vec<(OrgId, Account)> {
    rows.into_iter().flat_map(read_account).collect()
}

fn read_account(mut row: Row) -> Result<(OrgId, Account), StoreError> {
    let organization = row.take()?;
    let balance = Balance {
        granted: row.take()?,
        withdrawn: row.take()?,
        settled: row.take()?,
        held: row.take()?,
    };
    let (month, credits) = (row.take::<Option<Timestamp>>()?, row.take::<Option<u64>>()?);
    let allowance = month.zip(credits);
    let account = Account {
        balance,
        allowance: allowance.map(|(month, credits)| Allowed { month, credits }),
        pools: from_json(&row.take::<String>()?)?,
    };
    if !account.is_sound() {
        return Err(corrupt("the sums of a wallet do not agree"));
    }
    Ok((organization, account))
}

pub(in crate::ledger) fn write_accounts<'a>(
    accounts: impl Iterator<Item = (&'a OrgId, &'a Account)>,
) -> Result<Option<Statement>, StoreError> {
    let rows = accounts.map(|(organization, account)| {
        let Balance {
            granted,
            withdrawn,
            settled,
            held,
        } = account.balance;
        let allowance = account.allowance;
        Ok((
            organization.as_str(),
            granted,
            withdrawn,
            settled,
            held,
            allowance.map(|allowed| allowed.month),
            allowance.map(|allowed| allowed.credits),
            json(&account.pools)?,
        ))
    });
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    on_rows(wallets::WRITE, rows.into_iter())
}
