//! Decides many operations at once: in memory, in their order, by the rules of the core.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{
    Account, Advanced, Extension, HoldAnswer, HoldRequest, Outcome, Repeat, Settle, Settlement,
};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::op::{Answer, Op};
use super::repeats::{self, StoredRepeat};
use super::rows::{self, Hold, Line, State};
use crate::queries::holds as hold_sql;
use crate::session::{Dialect, Session, Statement, Time, corrupt, values};

#[cfg(test)]
mod tests;

/// All that a batch of operations needs, and what becomes of it.
#[derive(Default)]
pub(super) struct Batch {
    accounts: HashMap<OrgId, Touched<Account>>,
    holds: HashMap<HoldId, Touched<Hold>>,
    /// New holds, in order.
    opened: Vec<(HoldRequest, u64)>,
    buried: Vec<(HoldId, OrgId, Timestamp)>,
    repeats: HashMap<repeats::RepeatName, StoredRepeat>,
    ended_repeats: Vec<(HoldId, Option<Outcome>)>,
    freed_repeats: Vec<HoldId>,
    lines: Vec<Line>,
    answers: Vec<Result<Answer, StoreError>>,
    time: Time,
    /// What time it is for the database, where it is needed and holds end by its clock.
    now: Option<Timestamp>,
}

/// How often a batch is read whose holds were begun meanwhile.
const READS: u32 = 3;

fn sorted<'a>(organizations: impl Iterator<Item = &'a OrgId>) -> Vec<&'a OrgId> {
    let mut all: Vec<&OrgId> = organizations.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A row, and whether it is to be written.
#[derive(Default)]
struct Touched<T> {
    row: T,
    touched: bool,
}

impl<T> Touched<T> {
    const fn read(row: T) -> Self {
        Self {
            row,
            touched: false,
        }
    }

    const fn touch(&mut self) -> &mut T {
        self.touched = true;
        &mut self.row
    }
}

impl Batch {
    /// Reads what the operations are about.
    pub(super) async fn read(
        session: &mut impl Session,
        time: Time,
        ops: &[Op],
    ) -> Result<Self, StoreError> {
        let ids: Vec<HoldId> = ops.iter().map(Op::hold_id).collect();
        let requests = ops.iter().filter_map(Op::request);
        let charged = sorted(requests.map(|request| &request.organization));
        let organizations = sorted(ops.iter().filter_map(Op::organization));
        let requests = ops.iter().filter_map(Op::request);
        let names: Vec<_> = requests.filter_map(repeats::repeat_name).collect();
        // Who holds names the organization; the holds of the others know theirs.
        let others = ops.iter().filter(|op| op.request().is_none());
        let others: Vec<HoldId> = others.map(Op::hold_id).collect();
        let mut reads = vec![
            rows::lock_accounts(&organizations, &others)?,
            rows::select_holds(&ids)?,
        ];
        // A new hold has its deadline from the statement that writes it.
        let needs_now = time == Time::Servers && ops.iter().any(Op::extends);
        if needs_now {
            reads.push(Statement::new(hold_sql::NOW, values![]));
        }
        reads.extend(repeats::select(&names)?);
        let mut unread = None;
        for _ in 0..READS {
            let mut found = session.run(reads.clone()).await?.into_iter();
            let mut accounts = rows::read_accounts(found.next().unwrap_or_default())?;
            if rows::make_many_missing(session, &charged, &accounts).await? {
                found = session.run(reads.clone()).await?.into_iter();
                accounts = rows::read_accounts(found.next().unwrap_or_default())?;
            }
            let holds = rows::read_holds(found.next().unwrap_or_default())?;
            if let Some(hold) = rows::without_wallet(&others, &holds, &accounts) {
                // One that was there already when its wallet was looked for has none. SQLite's
                // writer is alone: nothing is begun meanwhile.
                if unread == Some(hold) || session.dialect() == Dialect::Sqlite {
                    return Err(corrupt("a hold has no wallet"));
                }
                unread = Some(hold);
                rows::let_go(session).await?;
                continue;
            }
            let mut this = Self::of(holds, accounts);
            this.time = time;
            if needs_now {
                this.now = Some(rows::read_now(found.next().unwrap_or_default())?);
            }
            for row in found.next().unwrap_or_default() {
                let (name, repeat) = repeats::read(row, &names)?;
                this.repeats.insert(name, repeat);
            }
            return Ok(this);
        }
        Err(StoreError::conflict("a hold was begun while it was ended"))
    }

    /// These rows.
    pub(super) fn of(holds: Vec<(HoldId, Hold)>, accounts: Vec<(OrgId, Account)>) -> Self {
        let holds = holds.into_iter();
        let accounts = accounts.into_iter();
        Self {
            holds: holds.map(|(id, hold)| (id, Touched::read(hold))).collect(),
            accounts: accounts
                .map(|(name, account)| (name, Touched::read(account)))
                .collect(),
            ..Self::default()
        }
    }

    /// Decides the operations, in their order.
    pub(super) fn decide(&mut self, ops: &[Op]) {
        for op in ops {
            let answer = match op {
                Op::Hold(request, _) => self.hold(request).map(Answer::Hold),
                Op::Extend(extension, _) => self.extend(extension).map(Answer::Hold),
                Op::Settle(settle, _) => Ok(Answer::Settlement(self.settle(settle))),
                Op::Void {
                    id,
                    organization,
                    at,
                    ..
                } => {
                    self.void(*id, organization, *at);
                    Ok(Answer::Done)
                }
            };
            self.answers.push(answer);
        }
    }

    /// What has changed, to be written.
    pub(super) fn writes(&self) -> Result<Vec<Statement>, StoreError> {
        let holds = self.holds.iter().filter(|(_, hold)| hold.touched);
        let accounts = self.accounts.iter().filter(|(_, account)| account.touched);
        let writes = [
            rows::insert_holds(self.time, &self.opened, &self.buried)?,
            rows::update_holds(holds.map(|(id, hold)| (*id, &hold.row)))?,
            rows::write_accounts(accounts.map(|(name, account)| (name, &account.row)))?,
            rows::insert_lines(&self.lines)?,
            repeats::begin(self.opened.iter().map(|(request, _)| request))?,
            repeats::end(&self.ended_repeats)?,
            repeats::free(&self.freed_repeats)?,
        ];
        Ok(writes.into_iter().flatten().collect())
    }

    /// Whether nothing that it writes is about a hold that it opens, or about two ends of one
    /// repeat: then no statement needs what another writes.
    pub(super) fn is_flat(&self) -> bool {
        let ended = self.ended_repeats.iter().map(|(id, _)| id);
        let ended = ended.chain(&self.freed_repeats);
        let lines = self.lines.iter().filter_map(Line::hold);
        let mut about = self.touched_holds().chain(ended.copied()).chain(lines);
        let opened: HashSet<HoldId> = self.opened.iter().map(|(request, _)| request.id).collect();
        let begins = self.opened.iter().any(|(it, _)| it.idempotency.is_some());
        let ends = !self.ended_repeats.is_empty() || !self.freed_repeats.is_empty();
        let reads_on = begins && ends || about.any(|id| opened.contains(&id));
        !reads_on
    }

    fn touched_holds(&self) -> impl Iterator<Item = HoldId> {
        let touched = self.holds.iter().filter(|(_, hold)| hold.touched);
        touched.map(|(id, _)| *id)
    }

    /// Tells everybody, now that it is durable.
    pub(super) fn tell(self, ops: Vec<Op>) {
        for (op, answer) in ops.into_iter().zip(self.answers) {
            op.tell(answer);
        }
    }

    fn hold(&mut self, request: &HoldRequest) -> Result<HoldAnswer, StoreError> {
        let account = self
            .accounts
            .entry(request.organization.clone())
            .or_default();
        let mut after = account.row.clone();
        let advanced = after.advance(request.at, request.allowance);
        if let Some(seen) = self.holds.get(&request.id) {
            return match seen.row.state {
                State::Open => Ok(HoldAnswer::Held {
                    credits: seen.row.credits,
                    available: after.balance.available(),
                }),
                _ => Err(StoreError::conflict("the hold has ended")),
            };
        }
        if let Some(repeat) = self.repeat(request) {
            return Ok(HoldAnswer::Repeated(repeat));
        }
        let account = self
            .accounts
            .entry(request.organization.clone())
            .or_default();
        let credits = match after.hold(request.least, request.most) {
            Ok(credits) => credits,
            Err(available) => {
                // An allowance that came with a refusal is there all the same; without one there
                // is nothing to write, however often somebody asks.
                if advanced != Advanced::default() {
                    let (at, balance) = (request.at, after.balance);
                    self.lines
                        .extend(Line::of(advanced, &request.organization, at, balance));
                    *account.touch() = after;
                }
                return Ok(HoldAnswer::Insufficient { available });
            }
        };
        let lines = Line::of(advanced, &request.organization, request.at, after.balance);
        self.lines.extend(lines);
        let available = after.balance.available();
        *account.touch() = after;
        let mut request = request.clone();
        request.deadline = self.deadline(request.deadline, request.at);
        self.holds
            .insert(request.id, Touched::read(Hold::open(&request, credits)));
        if let Some(name) = repeats::repeat_name(&request)
            && let Some(idempotency) = &request.idempotency
        {
            let running = StoredRepeat::running(idempotency);
            self.repeats.insert(name, running);
        }
        self.opened.push((request, credits));
        Ok(HoldAnswer::Held { credits, available })
    }

    fn repeat(&self, request: &HoldRequest) -> Option<Repeat> {
        let asked = request.idempotency.as_ref()?;
        let first = self.repeats.get(&repeats::repeat_name(request)?)?;
        if !first.running && first.expires_at <= request.at {
            return None;
        }
        Some(if first.fingerprint != asked.fingerprint {
            Repeat::Different
        } else if first.running {
            Repeat::Running
        } else {
            first.outcome.as_ref().map_or(Repeat::NotStored, |outcome| {
                Repeat::Done(Arc::clone(outcome))
            })
        })
    }

    /// The end of a hold by the clock that all go by, of one that was asked for at this point.
    fn deadline(&self, deadline: Timestamp, asked: Timestamp) -> Timestamp {
        let now = self.now.map(|now| now.after(deadline.since(asked)));
        now.unwrap_or(deadline)
    }

    fn extend(&mut self, extension: &Extension) -> Result<HoldAnswer, StoreError> {
        let deadline = self.deadline(extension.deadline, extension.at);
        let open = self.holds.get_mut(&extension.id);
        let Some(hold) = open.filter(|hold| hold.row.state == State::Open) else {
            return Err(StoreError::not_found("the hold has ended"));
        };
        let account = self
            .accounts
            .entry(hold.row.organization.clone())
            .or_default();
        let more = extension.credits.saturating_sub(hold.row.credits);
        let mut after = account.row.clone();
        // What has expired meanwhile raises no hold.
        let advanced = after.advance(extension.at, None);
        if let Err(available) = after.hold(more, more) {
            return Ok(HoldAnswer::Insufficient { available });
        }
        let (available, balance) = (after.balance.available(), after.balance);
        let lines = Line::of(advanced, &hold.row.organization, extension.at, balance);
        self.lines.extend(lines);
        if after != account.row {
            *account.touch() = after;
        }
        let hold = hold.touch();
        hold.credits = hold.credits.saturating_add(more);
        hold.owed = hold.owed.max(extension.owed).min(hold.credits);
        hold.deadline = hold.deadline.max(Some(deadline));
        Ok(HoldAnswer::Held {
            credits: hold.credits,
            available,
        })
    }

    fn settle(&mut self, settle: &Settle) -> Settlement {
        let own_line = self.lines.len();
        let charged = self.end(settle.id, settle.at, State::Settled, settle.credits);
        if let (Some((charged, _)), [_, ..]) = (charged, settle.parts.as_slice()) {
            self.lines.truncate(own_line);
            self.write_parts(settle, charged);
        }
        if charged.is_some_and(|(_, idempotent)| idempotent) {
            self.ended_repeats.push((settle.id, settle.outcome.clone()));
        }
        match charged {
            Some((charged, _)) => Settlement::Settled { charged },
            None => Settlement::AlreadyEnded {
                charged: self
                    .holds
                    .get(&settle.id)
                    .map_or(0, |hold| hold.row.paid.credits),
            },
        }
    }

    /// Writes down what a hold of many requests was charged for.
    fn write_parts(&mut self, settle: &Settle, charged: u64) {
        let Some(hold) = self.holds.get(&settle.id) else {
            return;
        };
        let organization = &hold.row.organization;
        let account = self.accounts.get(organization);
        let funds = account.map_or(0, |account| account.row.balance.funds());
        let entries = settle.entries(organization, charged, funds).into_iter();
        self.lines
            .extend(entries.map(|entry| Line::Other(Box::new(entry))));
    }

    fn void(&mut self, id: HoldId, organization: &OrgId, at: Timestamp) {
        match self.end(id, at, State::Voided, 0) {
            Some((_, true)) => self.freed_repeats.push(id),
            Some(_) => {}
            None if self.holds.contains_key(&id) => {}
            None => {
                let hold = Hold::tombstone(organization.clone(), at);
                self.holds.insert(id, Touched::read(hold));
                self.buried.push((id, organization.clone(), at));
            }
        }
    }

    /// Ends a hold whose time is up, charging what is owed of it. Says whether it was open still.
    pub(super) fn expire(&mut self, id: HoldId, now: Timestamp) -> bool {
        let hold = self.holds.get(&id).map(|hold| &hold.row);
        // It may have been extended since it was found.
        let due = hold.filter(|hold| hold.deadline <= Some(now));
        // From a wallet that was not read, or has not set it aside, nothing can be taken.
        let is_held = |hold: &&Hold| {
            let account = self.accounts.get(&hold.organization);
            account.is_some_and(|account| hold.credits <= account.row.balance.held)
        };
        let Some(hold) = due.filter(is_held) else {
            return false;
        };
        let owed = hold.owed;
        let (how, charge) = if owed > 0 {
            (State::Settled, owed)
        } else {
            (State::Expired, 0)
        };
        let ended = self.end(id, now, how, charge);
        match (how, ended) {
            (State::Settled, Some((_, true))) => self.ended_repeats.push((id, None)),
            (_, Some((_, true))) => self.freed_repeats.push(id),
            _ => {}
        }
        ended.is_some()
    }

    /// Ends an open hold; says what was charged, and whether its request may come again.
    fn end(&mut self, id: HoldId, at: Timestamp, how: State, charge: u64) -> Option<(u64, bool)> {
        let hold = self.holds.get_mut(&id)?;
        if hold.row.state != State::Open {
            return None;
        }
        let hold = hold.touch();
        let account = self.accounts.entry(hold.organization.clone()).or_default();
        let account = account.touch();
        hold.end(account, at, how, charge);
        self.lines.extend(hold.line(id, account, at));
        Some((hold.paid.credits, hold.idempotent))
    }
}
