//! What opens and raises holds, and what somebody does to a wallet.

use std::sync::Arc;

use tollgate_core::change::Change;
use tollgate_core::credits::{
    Entry, EntryKind, Extension, Grant, HoldAnswer, HoldRequest, MAX_CREDITS, Refund, Repeat,
};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::{HoldId, OrgId};

use super::super::operation::{Answer, Operation};
use super::{Hold, Model, Outcomes, Record, RepeatName};

impl Model {
    /// This, once for each way in which it may remember what the operation is about.
    pub(super) fn known(&self, operation: &Operation) -> Vec<Self> {
        let (id, name) = match operation {
            Operation::Hold(request) => (Some(request.id), repeat_name(request)),
            Operation::Extend(extension) => (Some(extension.id), None),
            Operation::Settle(settle) => (Some(settle.id), None),
            Operation::Void(id, ..) => (Some(*id), None),
            Operation::Refund(refund, _) => (Some(refund.hold), None),
            _ => (None, None),
        };
        let of_hold = id.map_or_else(|| vec![self.clone()], |id| self.with_hold(id));
        let Some(name) = name else { return of_hold };
        let of_both = of_hold.iter().flat_map(|model| model.with_record(&name));
        of_both.collect()
    }

    fn with_hold(&self, id: HoldId) -> Vec<Self> {
        let (mut there, mut gone) = (self.clone(), self.clone());
        let end = there.holds.get_mut(&id).and_then(|hold| hold.end.as_mut());
        let Some(end) = end.filter(|end| end.perhaps_forgotten) else {
            return vec![there];
        };
        end.perhaps_forgotten = false;
        gone.holds.remove(&id);
        vec![there, gone]
    }

    fn with_record(&self, name: &RepeatName) -> Vec<Self> {
        let (mut there, mut gone) = (self.clone(), self.clone());
        let record = there.repeats.get_mut(name);
        let Some(record) = record.filter(|record| record.perhaps_forgotten) else {
            return vec![there];
        };
        record.perhaps_forgotten = false;
        gone.repeats.remove(name);
        vec![there, gone]
    }

    /// Nothing changed, but `after` has what was due then written down, or not.
    fn or_written(&self, answer: Answer, after: Self) -> Outcomes {
        if *self == after {
            return vec![(answer, after)];
        }
        vec![(answer.clone(), self.clone()), (answer, after)]
    }

    pub(super) fn hold(&self, request: &HoldRequest) -> Outcomes {
        let organization = &request.organization;
        let mut after = self.clone();
        after.advance(organization, request.at, request.allowance);
        let available = after.available(organization);
        if let Some(seen) = self.holds.get(&request.id) {
            if seen.end.is_some() {
                return self.or_written(Answer::Failed(StoreErrorKind::Conflict), after);
            }
            let credits = seen.credits;
            let held = HoldAnswer::Held { credits, available };
            return self.or_written(Answer::Hold(held), after);
        }
        if let Some(repeat) = self.repeat(request) {
            return self.or_written(Answer::Hold(HoldAnswer::Repeated(repeat)), after);
        }
        if available < request.least {
            let refused = Answer::Hold(HoldAnswer::Insufficient { available });
            if self.entries(organization).len() == after.entries(organization).len() {
                return self.or_written(refused, after);
            }
            // What a hold brings stays, also where the hold is refused.
            return vec![(refused, after)];
        }
        let credits = available.min(request.most);
        let hold = Hold {
            organization: organization.clone(),
            request: Some(Arc::new(request.clone())),
            credits,
            owed: 0,
            deadline: request.deadline,
            end: None,
        };
        after.holds.insert(request.id, hold);
        if let (Some(name), Some(asked)) = (repeat_name(request), &request.idempotency) {
            let record = Record {
                hold: request.id,
                fingerprint: asked.fingerprint,
                expires_at: asked.expires_at,
                done: None,
                perhaps_forgotten: false,
            };
            after.repeats.insert(name, record);
        }
        let available = available - credits;
        vec![(Answer::Hold(HoldAnswer::Held { credits, available }), after)]
    }

    fn repeat(&self, request: &HoldRequest) -> Option<Repeat> {
        let asked = request.idempotency.as_ref()?;
        let record = self.repeats.get(&repeat_name(request)?)?;
        if record.done.is_some() && record.expires_at <= request.at {
            return None;
        }
        Some(match &record.done {
            _ if record.fingerprint != asked.fingerprint => Repeat::Different,
            None => Repeat::Running,
            Some(None) => Repeat::NotStored,
            Some(Some(outcome)) => Repeat::Done(Arc::clone(outcome)),
        })
    }

    pub(super) fn extend(&self, extension: &Extension) -> Outcomes {
        let open = self.holds.get(&extension.id);
        let Some(hold) = open.filter(|hold| hold.end.is_none()) else {
            let failed = Answer::Failed(StoreErrorKind::NotFound);
            return vec![(failed, self.clone())];
        };
        let organization = hold.organization.clone();
        let credits = hold.credits.max(extension.credits);
        let more = credits - hold.credits;
        let mut after = self.clone();
        after.advance(&organization, extension.at, None);
        let available = after.available(&organization);
        if available < more {
            let refused = HoldAnswer::Insufficient { available };
            return self.or_written(Answer::Hold(refused), after);
        }
        if let Some(hold) = after.holds.get_mut(&extension.id) {
            hold.credits = credits;
            hold.owed = hold.owed.max(extension.owed).min(credits);
            hold.deadline = hold.deadline.max(extension.deadline);
        }
        let available = available - more;
        vec![(Answer::Hold(HoldAnswer::Held { credits, available }), after)]
    }

    pub(super) fn grant(&self, grant: &Grant, change: &Change) -> Outcomes {
        let organization = &grant.organization;
        let mut after = self.clone();
        after.advance(organization, change.at, None);
        let reference = grant.reference.as_ref();
        match after.use_of(organization, reference) {
            None => {}
            Some(None) => {
                return self.or_written(Answer::Balance(after.balance(organization)), after);
            }
            Some(Some(_)) => {
                return self.or_written(Answer::Failed(StoreErrorKind::Conflict), after);
            }
        }
        if grant.credits > MAX_CREDITS - after.balance(organization).granted {
            return self.or_written(Answer::Failed(StoreErrorKind::Conflict), after);
        }
        let wallet = after.wallet(organization);
        wallet.add(grant.priority, grant.expires_at, grant.credits);
        let reference = grant.reference.clone();
        after.by(
            change,
            organization,
            EntryKind::Grant,
            grant.credits,
            |entry| {
                entry.reference = reference;
            },
        )
    }

    pub(super) fn withdraw(&self, organization: &OrgId, credits: u64, change: &Change) -> Outcomes {
        let mut after = self.clone();
        after.advance(organization, change.at, None);
        if after.available(organization) < credits {
            return self.or_written(Answer::Failed(StoreErrorKind::Conflict), after);
        }
        after.wallet(organization).spend(credits, |_| true);
        after.by(change, organization, EntryKind::Withdrawal, credits, |_| {})
    }

    /// Nobody has to look at what has expired before credits are given back.
    pub(super) fn refund(&self, refund: &Refund, change: &Change) -> Outcomes {
        let organization = &refund.organization;
        let seen = self.holds.get(&refund.hold);
        let theirs = seen.filter(|hold| hold.organization == *organization);
        let end = theirs.and_then(|hold| hold.end.as_ref());
        let request = theirs.and_then(|hold| hold.request.as_ref());
        let mut advanced = self.clone();
        advanced.advance(organization, change.at, None);
        let used = self.use_of(organization, Some(&refund.reference));
        let may_be = [self.clone(), advanced].into_iter();
        let outcomes = may_be.flat_map(|mut after| {
            let failed = match (used, end.filter(|end| end.settled)) {
                (Some(hold), _) if hold == Some(refund.hold) => {
                    return vec![(Answer::Balance(after.balance(organization)), after)];
                }
                (Some(_), _) => Some(StoreErrorKind::Conflict),
                (None, None) => Some(StoreErrorKind::NotFound),
                (None, Some(end)) if refund.credits > end.charged - end.refunded => {
                    Some(StoreErrorKind::Conflict)
                }
                (None, Some(_)) => None,
            };
            if let Some(failed) = failed {
                return vec![(Answer::Failed(failed), after)];
            }
            let Some(end) = end else { return Vec::new() };
            if let Some(hold) = after.holds.get_mut(&refund.hold)
                && let Some(end) = &mut hold.end
            {
                end.refunded += refund.credits;
            }
            let (priority, expires_at) = end.paid_from;
            let wallet = after.wallet(organization);
            wallet.add(priority, expires_at, refund.credits);
            after.by(
                change,
                organization,
                EntryKind::Refund,
                refund.credits,
                |entry| {
                    entry.hold = Some(refund.hold);
                    if let Some(request) = request {
                        entry.key = Some(request.key);
                        entry.route = Some(request.route.clone());
                        entry.request_id = Some(request.request_id.to_string());
                        entry.price = Some(request.price.to_string());
                    }
                    entry.reference = Some(refund.reference.clone());
                },
            )
        });
        outcomes.collect()
    }

    /// What a reference was used for, if it was.
    fn use_of(&self, organization: &OrgId, reference: Option<&String>) -> Option<Option<HoldId>> {
        let used = reference.map(|reference| (organization.clone(), reference.clone()));
        used.and_then(|used| self.references.get(&used).copied())
    }

    /// Writes down what somebody did, which is answered with the balance.
    fn by(
        mut self,
        change: &Change,
        organization: &OrgId,
        kind: EntryKind,
        credits: u64,
        more: impl FnOnce(&mut Entry),
    ) -> Outcomes {
        let mut entry = Entry::by(change, organization, kind, credits, 0);
        more(&mut entry);
        if let Some(reference) = &entry.reference {
            let used = (organization.clone(), reference.clone());
            self.references.insert(used, entry.hold);
        }
        self.write(entry);
        vec![(Answer::Balance(self.balance(organization)), self)]
    }
}

fn repeat_name(request: &HoldRequest) -> Option<RepeatName> {
    let asked = request.idempotency.as_ref()?;
    let route = request.route.to_string();
    Some((request.organization.clone(), route, asked.key.clone()))
}
