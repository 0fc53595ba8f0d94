//! How holds end, and what is forgotten then.

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Entry, EntryKind, Outcome, Settle, Settlement};
use tollgate_core::id::{HoldId, OrgId};

use super::super::operation::Answer;
use super::{End, Hold, Model, Outcomes};

impl Model {
    pub(super) fn settle(&self, settle: &Settle) -> Outcomes {
        let mut after = self.clone();
        let outcome = settle.outcome.clone();
        let settlement = match after.end(settle.id, settle.at, Some((settle.credits, outcome))) {
            Some(charged) => Settlement::Settled { charged },
            None => Settlement::AlreadyEnded {
                charged: self.charged(settle.id),
            },
        };
        vec![(Answer::Settlement(settlement), after)]
    }

    fn charged(&self, id: HoldId) -> u64 {
        let end = self.holds.get(&id).and_then(|hold| hold.end.as_ref());
        end.map_or(0, |end| end.charged)
    }

    pub(super) fn void(&self, id: HoldId, organization: &OrgId, at: Timestamp) -> Outcomes {
        let mut after = self.clone();
        if !self.holds.contains_key(&id) {
            let hold = Hold {
                organization: organization.clone(),
                request: None,
                credits: 0,
                owed: 0,
                deadline: at,
                end: None,
            };
            after.holds.insert(id, hold);
        }
        after.end(id, at, None);
        vec![(Answer::Done, after)]
    }

    /// Ends an open hold, and says what was charged: without a charge its key may be used anew.
    fn end(
        &mut self,
        id: HoldId,
        at: Timestamp,
        charge: Option<(u64, Option<Outcome>)>,
    ) -> Option<u64> {
        let hold = self.holds.get(&id).filter(|hold| hold.end.is_none())?;
        let (organization, request) = (hold.organization.clone(), hold.request.clone());
        let asked = charge.as_ref().map_or(0, |(credits, _)| *credits);
        let credits = hold.credits.min(asked);
        let spent = self.wallet(&organization).spend(credits, |_| true);
        assert_eq!(spent.credits, credits, "what is held is not there");
        let end = End {
            at,
            settled: charge.is_some(),
            charged: credits,
            refunded: 0,
            paid_from: spent.from,
            perhaps_forgotten: false,
        };
        self.holds.get_mut(&id)?.end = Some(end);
        self.ends_went_back |= self.latest_end.is_some_and(|latest| at < latest);
        self.latest_end = self.latest_end.max(Some(at));
        if credits > 0 {
            let request = request.as_ref();
            let kind = EntryKind::Charge;
            self.write(Entry {
                hold: Some(id),
                key: request.map(|request| request.key),
                route: request.map(|request| request.route.clone()),
                request_id: request.map(|request| request.request_id.to_string()),
                price: request.map(|request| request.price.to_string()),
                ..Entry::new(&organization, at, kind, credits, 0)
            });
        }
        let is_running = |record: &super::Record| record.hold == id && record.done.is_none();
        match charge {
            None => self.repeats.retain(|_, record| !is_running(record)),
            Some((_, outcome)) => {
                let mut records = self.repeats.values_mut();
                if let Some(record) = records.find(|record| is_running(record)) {
                    record.done = Some(outcome);
                }
            }
        }
        Some(credits)
    }

    /// Ends as many as may be of those that are due, in every order that makes a difference.
    pub(super) fn expire(
        &self,
        now: Timestamp,
        limit: u32,
        plausible: &dyn Fn(&Self) -> bool,
    ) -> Outcomes {
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        left = left.min(self.due(now).len());
        let ended = Answer::Count(left.try_into().unwrap_or(u64::MAX));
        let mut models = vec![self.clone()];
        while left > 0 {
            let mut next: Vec<Self> = Vec::new();
            for model in &models {
                for id in model.due(now) {
                    let mut after = model.clone();
                    let owed = model.holds.get(&id).map_or(0, |hold| hold.owed);
                    after.end(id, now, (owed > 0).then_some((owed, None)));
                    if plausible(&after) && !next.contains(&after) {
                        next.push(after);
                    }
                    // Where all are ended, the order of those that cost nothing is nobody's business.
                    if owed == 0 && model.due(now).len() == left {
                        break;
                    }
                }
            }
            models = next;
            left -= 1;
        }
        let outcomes = models.into_iter();
        outcomes.map(|model| (ended.clone(), model)).collect()
    }

    fn due(&self, now: Timestamp) -> Vec<HoldId> {
        let open = self.holds.iter().filter(|(_, hold)| hold.end.is_none());
        let due = open.filter(|(_, hold)| hold.deadline <= now);
        let mut due: Vec<_> = due.map(|(id, hold)| (hold.owed > 0, *id)).collect();
        // Those that cost nothing first.
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Which rows were forgotten, where not all were, shows later.
    pub(super) fn forget(&self, ended_before: Timestamp, now: Timestamp, limit: u32) -> Outcomes {
        let holds = self.holds.iter().filter_map(|(id, hold)| {
            let end = hold.end.as_ref()?;
            (end.at < ended_before).then_some((*id, end.perhaps_forgotten))
        });
        let holds: Vec<_> = holds.collect();
        let records = self.repeats.iter().filter_map(|(name, record)| {
            let over = record.done.is_some() && record.expires_at <= now;
            over.then_some((name.clone(), record.perhaps_forgotten))
        });
        let records: Vec<_> = records.collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let most = holds.len().min(limit) + records.len().min(limit);
        let rows = holds.len() + records.len();
        let certain = holds.iter().all(|(_, perhaps)| !perhaps)
            && records.iter().all(|(_, perhaps)| !perhaps);
        // Nobody has to search for what is old among what is not.
        let least = if certain && !self.ends_went_back {
            rows.min(limit)
        } else {
            0
        };
        let outcomes = (least..=most).map(|count| {
            let mut after = self.clone();
            let all = certain && count == rows;
            for (id, _) in &holds {
                if all {
                    after.holds.remove(id);
                } else if count > 0
                    && let Some(hold) = after.holds.get_mut(id)
                    && let Some(end) = &mut hold.end
                {
                    end.perhaps_forgotten = true;
                }
            }
            for (name, _) in &records {
                if all {
                    after.repeats.remove(name);
                } else if count > 0
                    && let Some(record) = after.repeats.get_mut(name)
                {
                    record.perhaps_forgotten = true;
                }
            }
            (Answer::Count(count.try_into().unwrap_or(u64::MAX)), after)
        });
        outcomes.collect()
    }
}
