//! Compares what clients and administrators were told with what is in the file.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate::core::clock::Timestamp;

use super::books::{Books, Entry, Hold, expect};
use super::charged::agrees;
use super::client::{Repeat, Sent};
use super::told::{Act, Doing, Stage, Told};

/// How many of what there was.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: u64,
    pub(super) answered: u64,
    pub(super) lost: u64,
    /// Answers whose charge was not durable yet.
    pub(super) uncharged: u64,
    pub(super) replayed: u64,
    /// Streams of which a part was delivered.
    pub(super) cut: u64,
    pub(super) open: u64,
    pub(super) acts: u64,
}

/// What is known of one file, over all processes that served it.
#[derive(Default)]
pub(super) struct Audit {
    pub(super) tally: Tally,
    entries: Vec<Entry>,
    /// What each request was charged.
    paid: HashMap<String, Vec<u64>>,
    /// What is owed of requests whose hold was open when the process died.
    open: HashMap<String, i64>,
    keys: HashMap<(&'static str, String), Key>,
    acts: BTreeMap<String, (Act, Stage)>,
}

/// What is known of an idempotency key.
#[derive(Default)]
struct Key {
    requests: Vec<String>,
    body: Option<String>,
    /// How often it was answered by the handler.
    first: u64,
    /// Whether a later process has answered it.
    asked_again: bool,
}

impl Audit {
    /// Notes what was done before the first process.
    pub(super) fn done(&mut self, act: Act) {
        self.acts.insert(act.name.clone(), (act, Stage::Done));
    }

    /// The idempotent requests that the next process is to be asked again.
    pub(super) fn repeats(&self) -> Vec<Repeat> {
        let keys = self.keys.iter().filter(|(_, key)| !key.asked_again);
        keys.map(|((organization, name), _)| Repeat {
            organization,
            idempotency_key: name.clone(),
        })
        .collect()
    }

    /// What the next administrator is to be asked again: a line each.
    pub(super) fn unsure(&self) -> String {
        let tried = self.acts.values().filter(|(act, stage)| {
            *stage == Stage::Tried && !matches!(act.doing, Doing::Withdraw { .. })
        });
        let lines = tried.map(|(act, _)| format!("{act}\n"));
        lines.collect()
    }

    /// Looks at the file after a process that began then has died.
    pub(super) async fn after_death(
        &mut self,
        books: &mut Books,
        told: Told,
        sent: &[Sent],
        began: Timestamp,
    ) -> Result<(), String> {
        self.tally.kills += 1;
        books.sums().await?;
        self.read(books).await?;
        let holds = books.holds(began).await?;
        let known: HashSet<&str> = sent.iter().map(|sent| &*sent.id).collect();
        if let Some(stranger) = holds.keys().find(|id| !known.contains(&***id)) {
            return Err(format!("nobody sent {stranger}"));
        }
        self.ended(books, told.swept).await?;
        if let Some(early) = told.began.iter().find(|id| !holds.contains_key(*id)) {
            return Err(format!("{early} was worked on, and nothing is held for it"));
        }
        for sent in sent {
            let hold = holds.get(&sent.id);
            let paid = self.paid.get(&sent.id).map_or(&[][..], |it| it);
            let wrong = |what: String| format!("{what}: {sent:?}, {hold:?}, charged {paid:?}");
            self.tally.count(sent, hold);
            agrees(sent, hold, paid).map_err(wrong)?;
            if let Some(hold) = hold.filter(|hold| hold.state == "open") {
                self.open.insert(sent.id.clone(), hold.owed);
            }
        }
        for sent in sent {
            self.note_key(sent)
                .map_err(|what| format!("{what}: {sent:?}"))?;
        }
        self.once_for_each_key()?;
        self.note_acts(told);
        self.acts_are_there()
    }

    /// What was left open has ended, if `all` of it should have.
    pub(super) async fn ended(&mut self, books: &mut Books, all: bool) -> Result<(), String> {
        self.read(books).await?;
        let open = books.holds(Timestamp::default()).await?;
        let mut still_open = HashMap::new();
        for (request, owed) in self.open.drain() {
            if open.get(&request).is_some_and(|hold| hold.state == "open") {
                still_open.insert(request, owed);
                continue;
            }
            let charged = self.paid.get(&request).map_or(&[][..], |it| it);
            let owed = u64::try_from(owed).unwrap();
            let should = if owed > 0 { vec![owed] } else { Vec::new() };
            expect(&format!("what {request} owed"), &charged, &&*should)?;
        }
        self.open = still_open;
        match self.open.len() {
            more if all && more > 0 => Err(format!("{more} holds are open after their deadline")),
            _ => Ok(()),
        }
    }

    /// Whatever was ever seen in this file is there, and nothing is left to be asked.
    pub(super) async fn at_the_end(&mut self, books: &mut Books) -> Result<(), String> {
        self.ended(books, true).await?;
        books.sums().await?;
        books.lines().await?;
        let entries = books.entries(0).await?;
        if entries != self.entries {
            return Err("entries have changed that were there".to_owned());
        }
        expect("requests to ask again", &self.repeats().len(), &0)?;
        self.once_for_each_key()?;
        self.acts_are_there()
    }

    async fn read(&mut self, books: &mut Books) -> Result<(), String> {
        let last = self.entries.last().map_or(0, |entry| entry.seq);
        let new = books.entries(last).await?;
        for entry in new.iter().filter(|entry| entry.kind == "charge") {
            let request = entry.request_id.clone().ok_or("a charge for no request")?;
            let charged = u64::try_from(-entry.credits).map_err(|_| "a charge that gives")?;
            self.paid.entry(request).or_default().push(charged);
        }
        self.entries.extend(new);
        Ok(())
    }

    fn note_key(&mut self, sent: &Sent) -> Result<(), String> {
        let Some(name) = &sent.idempotency_key else {
            return Ok(());
        };
        let key = self.keys.entry((sent.organization, name.clone()));
        let key = key.or_default();
        key.requests.push(sent.id.clone());
        let Some(answer) = sent.answered() else {
            return Ok(());
        };
        match answer.status {
            200 => {
                if sent.again && key.body.is_some() && !answer.replayed {
                    return Err("it was answered before".to_owned());
                }
                let body = key.body.get_or_insert_with(|| answer.body.clone());
                expect("the answer", &answer.body, body)?;
                key.first += u64::from(!answer.replayed);
            }
            // Another connection has just sent the same.
            409 if !sent.again && answer.body.contains("request_in_progress") => {}
            402 if key.body.is_none() => {}
            _ => return Err("an answer that it may not have".to_owned()),
        }
        key.asked_again |= sent.again;
        Ok(())
    }

    fn once_for_each_key(&self) -> Result<(), String> {
        for (name, key) in &self.keys {
            let paid = key.requests.iter().filter_map(|id| self.paid.get(id));
            let charged: usize = paid.map(Vec::len).sum();
            if charged > 1 || key.first > 1 || (key.body.is_some() && charged == 0) {
                let (first, requests) = (key.first, &key.requests);
                return Err(format!(
                    "{name:?} was answered {first} times and charged {charged}: {requests:?}"
                ));
            }
        }
        Ok(())
    }

    fn note_acts(&mut self, told: Told) {
        for (name, (act, stage)) in told.acts {
            self.tally.acts += u64::from(stage == Stage::Done);
            let known = self.acts.entry(name).or_insert((act, stage));
            // One that was tried before may have been done then.
            if stage == Stage::Done {
                known.1 = Stage::Done;
            }
        }
    }

    /// What was acknowledged is there exactly once, what was refused is not there, and what nobody
    /// was told of is there once at most.
    fn acts_are_there(&self) -> Result<(), String> {
        let mut found: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in &self.entries {
            let name = entry.reference.as_deref().or(entry.actor.as_deref());
            if let Some(name) = name {
                found.entry(name).or_default().push(entry);
            }
        }
        for (name, (act, stage)) in &self.acts {
            let entries = found.remove(&**name).unwrap_or_default();
            let good = match (stage, &*entries) {
                (Stage::Tried | Stage::Refused, []) => true,
                (Stage::Tried | Stage::Done, [entry]) => is_of(act, entry),
                _ => false,
            };
            if !good {
                return Err(format!("{act} was {stage:?}, and there is {entries:?}"));
            }
        }
        match found.into_iter().next() {
            Some((name, _)) => Err(format!("nobody asked for {name}")),
            None => Ok(()),
        }
    }
}

/// Whether a line says what an act says.
fn is_of(act: &Act, entry: &Entry) -> bool {
    let (kind, credits, of) = match act.doing {
        Doing::Grant { credits, .. } => ("grant", credits.cast_signed(), None),
        Doing::Refund { hold, credits } => {
            let hold = hold.as_bytes().to_vec();
            ("refund", credits.cast_signed(), Some(hold))
        }
        Doing::Withdraw { credits } => ("withdrawal", -credits.cast_signed(), None),
    };
    let line = (&*entry.kind, entry.credits, &entry.hold);
    line == (kind, credits, &of) && entry.organization == act.organization
}

impl Tally {
    pub(super) const fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.answered += other.answered;
        self.lost += other.lost;
        self.uncharged += other.uncharged;
        self.replayed += other.replayed;
        self.cut += other.cut;
        self.open += other.open;
        self.acts += other.acts;
    }

    fn count(&mut self, sent: &Sent, hold: Option<&Hold>) {
        let open = hold.is_some_and(|hold| hold.state == "open");
        self.open += u64::from(open);
        let Some(answer) = sent.answered() else {
            let delivered = sent.answer.as_ref().is_some_and(|it| !it.body.is_empty());
            self.lost += 1;
            self.cut += u64::from(delivered);
            return;
        };
        self.answered += 1;
        self.uncharged += u64::from(open && answer.status == 200);
        self.replayed += u64::from(answer.replayed);
    }
}
