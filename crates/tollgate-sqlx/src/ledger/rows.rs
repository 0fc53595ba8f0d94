//! What a batch reads and writes: so many statements, however many operations.
//!
//! Many rows go to the database as one JSON array, which the statement takes apart: on SQLite with
//! `jsonb_each`, which parses it once, where `json_each` would parse each row anew for each column.
//!
//! Whoever changes a wallet, its holds or their repeats locks the wallet first, and reads the rest
//! after: so nobody else changes any of it meanwhile.

use std::time::Duration;

use serde::Serialize;
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Account, Advanced, Balance, Entry, EntryKind, HoldRequest, Paid};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use crate::queries::{entries as entry_sql, holds as hold_sql};
use crate::rows::{hex_of, json, on_rows};
use crate::session::{Row, Session, Statement, Time, corrupt, values};

pub(super) use self::accounts::{
    account, let_go, lock_account, lock_accounts, make_many_missing, read_accounts,
    readable_accounts, without_wallet, write_accounts,
};

mod accounts;

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
    /// The hold that it is about.
    pub(super) const fn hold(&self) -> Option<HoldId> {
        match self {
            Self::Charge { hold, .. } => Some(*hold),
            Self::Other(entry) => entry.hold,
        }
    }

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

/// The holds of a batch.
pub(super) fn select_holds(ids: &[HoldId]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        hold_sql::READ,
        values![json(&hex_all(ids))?],
    ))
}

/// What time it is for the database.
pub(super) fn read_now(rows: Vec<Row>) -> Result<Timestamp, StoreError> {
    let row = rows.into_iter().next();
    row.map_or_else(
        || Err(corrupt("the database has no clock")),
        |mut row| row.take(),
    )
}

/// One hold, if there is one, to be changed though it has ended.
pub(super) async fn lock_hold(
    session: &mut impl Session,
    id: HoldId,
) -> Result<Option<Hold>, StoreError> {
    let row = values![json(&hex_all(&[id]))?];
    let found = session.fetch_optional(hold_sql::LOCK, row).await?;
    found.map(|row| Ok(read_hold(row)?.1)).transpose()
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

/// Writes new holds, with the credits that they have at first, and tombstones. By the server's clock, a
/// hold is written with how long it lasts from then on.
pub(super) fn insert_holds(
    time: Time,
    opened: &[(HoldRequest, u64)],
    buried: &[(HoldId, OrgId, Timestamp)],
) -> Result<Option<Statement>, StoreError> {
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
            (time == Time::Callers).then_some(request.deadline),
            None,
            u8::from(request.idempotency.is_some()),
            (time == Time::Servers).then(|| micros(request.deadline.since(request.at))),
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
            None,
        )
    });
    on_rows(hold_sql::INSERT, opened.chain(buried))
}

pub(super) fn update_holds<'a>(
    holds: impl Iterator<Item = (HoldId, &'a Hold)>,
) -> Result<Option<Statement>, StoreError> {
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
    on_rows(hold_sql::UPDATE, rows)
}

pub(super) fn read_holds(rows: Vec<Row>) -> Result<Vec<(HoldId, Hold)>, StoreError> {
    rows.into_iter().map(read_hold).collect()
}

/// Those that are not damaged.
pub(super) fn readable_holds(rows: Vec<Row>) -> Vec<(HoldId, Hold)> {
    rows.into_iter().flat_map(read_hold).collect()
}

/// A line as its statement takes it.
#[derive(Serialize)]
#[serde(untagged)]
enum LineRow<'a> {
    /// Its names are those of its hold.
    Charge(String, Timestamp, &'static str, i64, u64),
    Other(
        Option<String>,
        Timestamp,
        &'static str,
        i64,
        u64,
        &'a str,
        Option<&'a str>,
        Option<&'a str>,
        Option<&'a str>,
        Option<String>,
        Option<&'a str>,
        Option<&'a str>,
        Option<&'a str>,
    ),
}

/// Writes lines in their order.
pub(super) fn insert_lines(lines: &[Line]) -> Result<Option<Statement>, StoreError> {
    let rows = lines.iter().map(|line| match line {
        Line::Charge {
            hold,
            at,
            credits,
            balance,
        } => {
            let kind = EntryKind::Charge.as_str();
            LineRow::Charge(hex(*hold), *at, kind, *credits, *balance)
        }
        Line::Other(entry) => LineRow::Other(
            entry.hold.map(hex),
            entry.at,
            entry.kind.as_str(),
            entry.credits,
            entry.balance,
            entry.organization.as_str(),
            entry.actor.as_deref(),
            entry.reason.as_deref(),
            entry.reference.as_deref(),
            entry.key.map(|key| hex_of(key.as_bytes())),
            entry.route.as_deref(),
            entry.request_id.as_deref(),
            entry.price.as_deref(),
        ),
    });
    on_rows(entry_sql::INSERT, rows)
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

/// As long as can be added to any time that it may be.
fn micros(time: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 2;
    i64::try_from(time.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

pub(super) fn hex(id: HoldId) -> String {
    hex_of(id.as_bytes())
}

/// What a statement on holds is given.
fn hex_all(ids: &[HoldId]) -> Vec<String> {
    ids.iter().copied().map(hex).collect()
}
