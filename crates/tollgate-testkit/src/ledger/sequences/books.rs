//! What a ledger shows: its books, and the sums.

use std::collections::BTreeMap;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Balance, Entry, Ledger};
use tollgate_core::id::OrgId;

use super::super::model::Model;
use super::super::operation::{Answer, Operation};
use super::steps::ORGANIZATIONS;
use crate::records::org;

/// More entries than a sequence makes.
const ALL: u32 = 10_000;
/// Before anything expires.
const EVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// What was read of each organization.
#[derive(Clone, Debug, Default)]
pub(super) struct Books(BTreeMap<OrgId, Page>);

#[derive(Clone, Debug, Default)]
struct Page {
    /// The oldest first.
    entries: Vec<Entry>,
    /// Those again, without what ledgers may choose.
    plain: Vec<Entry>,
    /// As it is written down, and as a hold would find it.
    balances: [Balance; 2],
}

impl Books {
    /// Reads everything, and checks what is so whatever was done since the last time.
    pub(super) async fn read<L: Ledger>(
        ledger: &L,
        now: Timestamp,
        last: &Self,
    ) -> Result<Self, String> {
        let mut books = Self::default();
        for name in ORGANIZATIONS {
            let organization = org(name);
            let read = ledger.entries(&organization, None, ALL).await;
            let mut entries = read.map_err(|error| format!("{error:?}"))?;
            entries.reverse();
            let mut balances = [Balance::default(); 2];
            for (balance, at) in balances.iter_mut().zip([EVER, now]) {
                let read = ledger.balance(&organization, at, None).await;
                *balance = read.map_err(|error| format!("{error:?}"))?;
            }
            let plain = entries.iter().map(plain).collect();
            let page = Page {
                entries,
                plain,
                balances,
            };
            let before = last.0.get(&organization);
            let before = before.map_or(&[][..], |page| &page.entries);
            page.check(before)
                .map_err(|wrong| format!("{name}: {wrong}: {page:#?}"))?;
            books.0.insert(organization, page);
        }
        Ok(books)
    }

    /// Whether a model has written no more than this.
    pub(super) fn begin_with(&self, model: &Model) -> bool {
        self.0.iter().all(|(organization, page)| {
            let (ours, theirs) = (model.entries(organization), &page.plain);
            ours.len() <= theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .rev()
                    .all(|(our, their)| **our == *their)
        })
    }

    /// Whether a model shows the same.
    pub(super) fn are_of(&self, model: &Model, now: Timestamp) -> bool {
        self.begin_with(model)
            && self.0.iter().all(|(organization, page)| {
                let balances = [EVER, now].map(|at| {
                    let read = Operation::Balance(organization.clone(), at, None);
                    model.apply(&read, &|_| true)
                });
                let same = balances.iter().zip(page.balances).all(|(outcomes, seen)| {
                    let mut answers = outcomes.iter().map(|(answer, _)| answer);
                    answers.any(|answer| *answer == Answer::Balance(seen))
                });
                model.entries(organization).len() == page.entries.len() && same
            })
    }

    /// Reads the books of one in pages.
    pub(super) async fn turn_pages<L: Ledger>(
        &self,
        ledger: &L,
        organization: &OrgId,
        limit: u32,
    ) -> Result<(), String> {
        let (mut read, mut before) = (Vec::new(), None);
        loop {
            let page = ledger.entries(organization, before, limit).await;
            let page = page.map_err(|error| format!("{error:?}"))?;
            let Some(oldest) = page.last() else { break };
            before = Some(oldest.seq);
            if page.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
                return Err(format!("a page has more than {limit} entries"));
            }
            read.extend(page);
        }
        read.reverse();
        let whole = self.0.get(organization);
        let whole = whole.map_or(&[][..], |page| &page.entries);
        if read == whole {
            return Ok(());
        }
        Err(format!(
            "in pages of {limit} the books are {read:#?}, and whole {whole:#?}"
        ))
    }
}

impl Page {
    fn check(&self, before: &[Entry]) -> Result<(), &'static str> {
        if !self.entries.starts_with(before) {
            return Err("entries were changed, or are gone");
        }
        if !self.entries.is_sorted_by(|a, b| a.seq < b.seq) {
            return Err("entries are not in their order");
        }
        let mut funds: i128 = 0;
        for entry in &self.entries {
            funds += i128::from(entry.credits);
            if funds != i128::from(entry.balance) {
                return Err("an entry has not the balance of its time");
            }
        }
        let [written, now] = self.balances;
        if funds != i128::from(written.funds()) {
            return Err("the entries do not add up to the balance");
        }
        for balance in [written, now] {
            let used = [balance.withdrawn, balance.settled, balance.held];
            let used: u128 = used.into_iter().map(u128::from).sum();
            if used > u128::from(balance.granted) {
                return Err("more was used than was granted");
            }
        }
        Ok(())
    }
}

/// An entry without its place.
fn plain(entry: &Entry) -> Entry {
    Entry {
        seq: 0,
        ..entry.clone()
    }
}
