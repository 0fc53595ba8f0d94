//! What a batch reads and writes: so many statements, however many operations.
//!
//! Many rows go to the database as one JSON array, which the statement takes apart.

use serde::Serialize;
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Account, Advanced, Allowed, Balance, Entry, EntryKind, HoldRequest, Paid,
};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, KeyId, OrgId};

use crate::queries::{entries as entry_sql, holds as hold_sql, wallets};
use crate::rows::{from_json, json};
use crate::session::{Row, Session, corrupt, values};

/// A hold, as far as ending it needs it.
pub(super) struct Hold {
    pub(super) organization: OrgId,
    pub(super) credits: u64,
    pub(super) owed: u64,
    pub(super) state: State,
    pub(super) refunded: u64,
    pub(super) paid: Paid,
    pub(super) deadline: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) idempotent: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Open,
    Settled,
    Voided,
    Expired,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }

    fn from_text(text: &str) -> Result<Self, StoreError> {
        [Self::Open, Self::Settled, Self::Voided, Self::Expired]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| corrupt("a hold is in no known state"))
    }
}

impl Hold {
    pub(super) fn open(request: &HoldRequest, credits: u64) -> Self {
        Self {
            organization: request.organization.clone(),
            credits,
            owed: 0,
            state: State::Open,
            refunded: 0,
            paid: Paid::default(),
            deadline: Some(request.deadline),
            ended_at: None,
            idempotent: request.idempotency.is_some(),
        }
    }

    /// One that was voided before it was seen.
    pub(super) fn tombstone(organization: OrgId, at: Timestamp) -> Self {
        Self {
            organization,
            credits: 0,
            owed: 0,
            state: State::Voided,
            refunded: 0,
            paid: Paid::default(),
            deadline: None,
            ended_at: Some(at),
            idempotent: false,
        }
    }

    /// Ends it, and gives the account what it does not cost.
    pub(super) fn end(&mut self, account: &mut Account, at: Timestamp, how: State, charge: u64) {
        self.paid = account.end(self.credits, charge);
        self.state = how;
        self.ended_at = Some(at);
    }

    /// The line in the books, if it cost anything.
    pub(super) fn line(&self, id: HoldId, account: &Account, at: Timestamp) -> Option<Line> {
        (self.paid.credits > 0).then(|| Line::Charge {
            hold: id,
            at,
            credits: EntryKind::Charge.signed(self.paid.credits),
            balance: account.balance.funds(),
        })
    }
}

/// A line of the books, to be written.
pub(super) enum Line {
    Charge {
        hold: HoldId,
        at: Timestamp,
        credits: i64,
        balance: u64,
    },
    Other(Box<Entry>),
}

impl Line {
    /// The lines of what lapsed and of the allowance, which left this balance.
    pub(super) fn of(
        advanced: Advanced,
        organization: &OrgId,
        at: Timestamp,
        after: Balance,
    ) -> impl Iterator<Item = Self> {
        let entries = advanced.entries(organization, at, after.funds());
        entries.map(|entry| Self::Other(Box::new(entry)))
    }
}

pub(super) async fn holds(
    session: &mut impl Session,
    ids: impl Iterator<Item = HoldId>,
) -> Result<Vec<(HoldId, Hold)>, StoreError> {
    let ids: Vec<String> = ids.map(hex).collect();
    let rows = session.fetch(hold_sql::READ, values![json(&ids)?]).await?;
    rows.into_iter().map(read_hold).collect()
}

/// Open holds that are due, the oldest first.
pub(super) async fn due(
    session: &mut impl Session,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(HoldId, Hold)>, StoreError> {
    let rows = session.fetch(hold_sql::DUE, values![now, limit]).await?;
    rows.into_iter().map(read_hold).collect()
}

fn read_hold(mut row: Row) -> Result<(HoldId, Hold), StoreError> {
    let id = HoldId::from_bytes(row.take()?);
    let (organization, credits, owed) = (row.take()?, row.take()?, row.take()?);
    let state = State::from_text(&row.take::<String>()?)?;
    let (charged, refunded) = (row.take()?, row.take()?);
    let priority: Option<u64> = row.take()?;
    let priority = priority.map_or(Ok(0), u8::try_from);
    let paid = Paid {
        credits: charged,
        from: (
            priority.map_err(|_| corrupt("a priority is too large"))?,
            row.take()?,
        ),
    };
    let hold = Hold {
        organization,
        credits,
        owed,
        state,
        refunded,
        paid,
        deadline: row.take()?,
        ended_at: row.take()?,
        idempotent: row.take::<u64>()? != 0,
    };
    Ok((id, hold))
}

/// Writes new holds, with the credits that they have at first, and tombstones.
pub(super) async fn insert_holds(
    session: &mut impl Session,
    opened: &[(HoldRequest, u64)],
    buried: &[(HoldId, OrgId, Timestamp)],
) -> Result<(), StoreError> {
    let opened = opened.iter().map(|(request, credits)| {
        (
            hex(request.id),
            request.organization.as_str(),
            Some(hex_of(request.key.as_bytes())),
            Some(&*request.route),
            Some(request.request_id.to_string()),
            Some(request.price.to_string()),
            *credits,
            State::Open.as_str(),
            request.at,
            Some(request.deadline),
            None,
            u8::from(request.idempotency.is_some()),
        )
    });
    let buried = buried.iter().map(|(id, organization, at)| {
        (
            hex(*id),
            organization.as_str(),
            None,
            None,
            None,
            None,
            0,
            State::Voided.as_str(),
            *at,
            None,
            Some(*at),
            0,
        )
    });
    execute(session, hold_sql::INSERT, opened.chain(buried)).await
}

pub(super) async fn update_holds(
    session: &mut impl Session,
    holds: impl Iterator<Item = (HoldId, &Hold)>,
) -> Result<(), StoreError> {
    let rows = holds.map(|(id, hold)| {
        let settled = hold.state == State::Settled;
        (
            hex(id),
            hold.credits,
            hold.owed,
            hold.state.as_str(),
            hold.paid.credits,
            hold.refunded,
            settled.then_some(hold.paid.from.0),
            settled.then_some(hold.paid.from.1).flatten(),
            hold.deadline,
            hold.ended_at,
        )
    });
    execute(session, hold_sql::UPDATE, rows).await
}

pub(super) async fn accounts(
    session: &mut impl Session,
    organizations: &[OrgId],
) -> Result<Vec<(OrgId, Account)>, StoreError> {
    let rows = session.fetch(wallets::READ, values![json(&organizations)?]);
    rows.await?.into_iter().map(read_account).collect()
}

/// One account; an empty one if there is none.
pub(super) async fn account(
    session: &mut impl Session,
    organization: &OrgId,
) -> Result<Account, StoreError> {
    let found = accounts(session, std::slice::from_ref(organization)).await?;
    Ok(found
        .into_iter()
        .next()
        .map(|(_, account)| account)
        .unwrap_or_default())
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

pub(super) async fn write_accounts(
    session: &mut impl Session,
    accounts: impl Iterator<Item = (&OrgId, &Account)>,
) -> Result<(), StoreError> {
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
    execute(session, wallets::WRITE, rows.into_iter()).await
}

/// Writes lines in their order.
pub(super) async fn insert_lines(
    session: &mut impl Session,
    lines: &[Line],
) -> Result<(), StoreError> {
    let mut charges = Vec::new();
    for line in lines {
        match line {
            Line::Charge {
                hold,
                at,
                credits,
                balance,
            } => charges.push((hex(*hold), *at, *credits, *balance)),
            Line::Other(entry) => {
                execute(session, entry_sql::CHARGE, charges.drain(..)).await?;
                insert_entry(session, entry).await?;
            }
        }
    }
    execute(session, entry_sql::CHARGE, charges.into_iter()).await
}

pub(super) async fn insert_entry(
    session: &mut impl Session,
    entry: &Entry,
) -> Result<(), StoreError> {
    let row = values![
        entry.organization.as_str(),
        entry.at,
        entry.kind.as_str(),
        entry.credits,
        entry.balance,
        entry.hold.as_ref().map(HoldId::as_bytes),
        entry.key.as_ref().map(KeyId::as_bytes),
        entry.route.as_deref(),
        entry.request_id.as_deref(),
        entry.price.as_deref(),
        entry.actor.as_deref(),
        entry.reason.as_deref(),
        entry.reference.as_deref(),
    ];
    session.execute(entry_sql::INSERT, row).await?;
    Ok(())
}

pub(super) async fn entries(
    session: &mut impl Session,
    organization: &OrgId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let before = before.unwrap_or(u64::MAX);
    let row = values![organization.as_str(), before, limit];
    let rows = session.fetch(entry_sql::LIST, row).await?;
    rows.into_iter().map(read_entry).collect()
}

fn read_entry(mut row: Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: row.take()?,
        organization: row.take()?,
        at: row.take()?,
        kind: EntryKind::from_text(&row.take::<String>()?)
            .ok_or_else(|| corrupt("an entry is of no known kind"))?,
        credits: row.take()?,
        balance: row.take()?,
        hold: row.take::<Option<[u8; 16]>>()?.map(HoldId::from_bytes),
        key: row.take()?,
        route: row.take::<Option<String>>()?.map(Into::into),
        request_id: row.take()?,
        price: row.take()?,
        actor: row.take()?,
        reason: row.take()?,
        reference: row.take()?,
    })
}

/// Runs a statement on many rows, or not at all if there are none.
pub(super) async fn execute<T: Serialize>(
    session: &mut impl Session,
    sql: &'static str,
    rows: impl Iterator<Item = T>,
) -> Result<(), StoreError> {
    let rows: Vec<T> = rows.collect();
    if !rows.is_empty() {
        session.execute(sql, values![json(&rows)?]).await?;
    }
    Ok(())
}

pub(super) fn hex(id: HoldId) -> String {
    hex_of(id.as_bytes())
}

fn hex_of(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
