//! One sequence: what is asked, and which models explain what came of it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Extension, Ledger, Settle};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::HoldId;
use tollgate_core::reply::ReplyFuture;

use super::super::model::Model;
use super::super::operation::{Answer, Operation};
use super::Tally;
use super::books::Books;
use super::steps::{Cut, Move, NO_HOLD, ORGANIZATIONS, Scene, Step};
use crate::records::{hold_id, org};

/// What was asked, and the answer of those that were waited for.
type Asked = Vec<(Operation, Option<Answer>)>;

/// An answer that is on its way.
type Waiting = ReplyFuture<Answer, StoreErrorKind>;

/// What is answered, or under way.
pub(super) struct Begun(Vec<(Operation, Result<Answer, Waiting>)>);

impl Begun {
    /// Nobody waits for what is under way any more.
    pub(super) fn given_up(self) -> Asked {
        let begun = self.0.into_iter();
        begun
            .map(|(operation, answer)| (operation, answer.ok()))
            .collect()
    }
}

pub(super) struct Run<'a> {
    scene: Scene,
    /// Every one that explains all that was seen so far.
    models: Vec<Model>,
    books: Books,
    tally: &'a mut Tally,
}

impl<'a> Run<'a> {
    pub(super) fn new(tally: &'a mut Tally) -> Self {
        Self {
            scene: Scene::default(),
            models: vec![Model::of(ORGANIZATIONS.map(org))],
            books: Books::default(),
            tally,
        }
    }

    /// Takes a step, where a crash is a client that hangs up.
    pub(super) async fn step<L: Ledger>(&mut self, ledger: &L, step: &Step) -> Result<(), String> {
        match step {
            Step::Clock(secs) => {
                self.scene.jump(*secs);
                self.understand(ledger, &[]).await
            }
            Step::One(one) => self.all_of(ledger, std::slice::from_ref(one)).await,
            Step::AtOnce(moves) => self.all_of(ledger, moves).await,
            Step::HangUp(moves, cut) | Step::Crash(moves, cut) => {
                let asked = self.begin(ledger, moves, *cut).await.given_up();
                self.understand(ledger, &asked).await
            }
            Step::Page(who, limit) => {
                let books = &self.books;
                books.turn_pages(ledger, &who.id(), *limit).await
            }
        }
    }

    pub(super) async fn after_crash<L: Ledger>(
        &mut self,
        ledger: &L,
        asked: Asked,
    ) -> Result<(), String> {
        self.tally.crashes += 1;
        self.understand(ledger, &asked).await
    }

    /// No hold stays open for ever.
    pub(super) async fn finish<L: Ledger>(&mut self, ledger: &L) -> Result<(), String> {
        let end = Operation::Expire {
            now: Timestamp::from_micros(i64::MAX),
            limit: u32::MAX,
        };
        let answer = end.ask(ledger).await.ok();
        self.understand(ledger, &[(end, answer)]).await?;
        let open = self.models.iter().map(Model::open_holds);
        if open.into_iter().all(|open| open.is_empty()) {
            return Ok(());
        }
        Err("a hold stays open".to_owned())
    }

    /// Asks all at once, and waits for all.
    async fn all_of<L: Ledger>(&mut self, ledger: &L, moves: &[Move]) -> Result<(), String> {
        let operations: Vec<_> = self.operations(moves);
        let replies = operations.iter().map(|operation| operation.ask(ledger));
        let replies: Vec<_> = replies
            .map(|reply| tokio::spawn(reply.into_future()))
            .collect();
        let mut asked = Vec::new();
        for (operation, reply) in operations.into_iter().zip(replies) {
            let answer = reply.await.map_err(|error| format!("{error:?}"))?;
            asked.push((operation, answer.ok()));
        }
        self.understand(ledger, &asked).await
    }

    /// Asks all at once, and lets them come as far as the cut says.
    pub(super) async fn begin<L: Ledger>(&mut self, ledger: &L, moves: &[Move], cut: Cut) -> Begun {
        let operations = self.operations(moves).into_iter();
        let mut begun: Vec<_> = operations
            .map(|operation| {
                let reply = operation.ask(ledger).into_future();
                (operation, Err(reply))
            })
            .collect();
        for _ in 0..cut.polls {
            for (_, state) in &mut begun {
                if let Err(reply) = state
                    && let Poll::Ready(answer) =
                        poll_fn(|cx| Poll::Ready(Pin::new(&mut *reply).poll(cx))).await
                {
                    *state = Ok(answer.unwrap_or_else(Answer::Failed));
                }
            }
            for _ in 0..cut.turns {
                tokio::task::yield_now().await;
            }
        }
        let dropped = begun.iter().filter(|(_, state)| state.is_err()).count();
        self.tally.dropped += u64::try_from(dropped).unwrap_or(u64::MAX);
        Begun(begun)
    }

    fn operations(&mut self, moves: &[Move]) -> Vec<Operation> {
        self.tally.operations += u64::try_from(moves.len()).unwrap_or(u64::MAX);
        let operations = moves.iter().map(|it| self.scene.operation(it));
        operations.collect()
    }

    /// Reads what is there now, and keeps the models that explain it.
    async fn understand<L: Ledger>(
        &mut self,
        ledger: &L,
        asked: &[(Operation, Option<Answer>)],
    ) -> Result<(), String> {
        if asked.iter().any(|(_, answer)| answer.is_none()) {
            settle_down(ledger).await?;
        }
        let now = self.scene.now();
        let books = Books::read(ledger, now, &self.books).await?;
        let mut models = explanations(&self.models, asked, &books);
        models.retain(|model| books.are_of(model, now));
        if models.is_empty() {
            return Err(self.puzzle(asked, &books));
        }
        let dropped = asked.iter().any(|(_, answer)| answer.is_none());
        if dropped && !models.iter().any(|model| self.models.contains(model)) {
            self.tally.happened += 1;
        }
        self.models = models;
        self.books = books;
        self.tell_apart(ledger).await
    }

    /// Looks at holds of which models say different things, in a way that changes nothing.
    async fn tell_apart<L: Ledger>(&mut self, ledger: &L) -> Result<(), String> {
        while let Some(id) = self.doubtful() {
            let look = Operation::Extend(Extension {
                id,
                credits: 0,
                owed: 0,
                deadline: Timestamp::from_micros(i64::MIN),
                at: Timestamp::from_micros(i64::MIN),
            });
            let asked = [(look.clone(), look.ask(ledger).await.ok())];
            let models = explanations(&self.models, &asked, &self.books);
            if models.is_empty() {
                return Err(self.puzzle(&asked, &self.books));
            }
            self.models = models;
        }
        Ok(())
    }

    /// A hold that is not the same in all models.
    fn doubtful(&self) -> Option<HoldId> {
        let (first, others) = self.models.split_first()?;
        let first = first.open_holds();
        others.iter().find_map(|other| {
            let other = other.open_holds();
            let differs = |a: &BTreeMap<HoldId, u64>, b: &BTreeMap<HoldId, u64>| {
                a.iter()
                    .find_map(|(id, credits)| (b.get(id) != Some(credits)).then_some(*id))
            };
            differs(&first, &other).or_else(|| differs(&other, &first))
        })
    }

    fn puzzle(&self, asked: &[(Operation, Option<Answer>)], books: &Books) -> String {
        let mut lines = vec![format!("nothing explains, at {:?}:", self.scene.now())];
        for (operation, answer) in asked {
            lines.push(format!("  {operation:?}"));
            lines.push(format!("    was answered {answer:?}"));
            for model in &self.models {
                let outcomes = model.apply(operation, &|_| true).into_iter();
                lines.extend(outcomes.map(|(answer, _)| format!("    alone might be {answer:?}")));
            }
        }
        lines.push(format!("with {books:#?}"));
        lines.push(format!("after {:#?}", self.models));
        lines.join("\n")
    }
}

/// Whatever was dropped has happened, or never will, once a later write is answered.
async fn settle_down<L: Ledger>(ledger: &L) -> Result<(), String> {
    let settle = Settle {
        id: hold_id(NO_HOLD),
        credits: 0,
        at: Timestamp::default(),
        outcome: None,
        parts: Vec::new(),
    };
    let settled = ledger.settle(settle).await;
    settled.map(drop).map_err(|error| format!("{error:?}"))
}

/// What may be there after some order of the operations, with the answers that they had; those
/// without an answer may not have happened.
fn explanations(
    models: &[Model],
    asked: &[(Operation, Option<Answer>)],
    books: &Books,
) -> Vec<Model> {
    let plausible = |model: &Model| books.begin_with(model);
    // By the operations that are done: each set is made of smaller ones, which have lower numbers.
    let mut done: BTreeMap<u32, Vec<Model>> = BTreeMap::from([(0, models.to_vec())]);
    let mut explained = Vec::new();
    while let Some((set, models)) = done.pop_first() {
        if set.count_ones() as usize == asked.len() {
            explained = models;
            continue;
        }
        for (bit, (operation, answer)) in asked.iter().enumerate() {
            let with = set | 1 << bit;
            if with == set {
                continue;
            }
            let next = done.entry(with).or_default();
            for model in &models {
                if answer.is_none() && !next.contains(model) {
                    next.push(model.clone());
                }
                for (possible, after) in model.apply(operation, &plausible) {
                    let fits = answer.as_ref().is_none_or(|answer| *answer == possible);
                    if fits && plausible(&after) && !next.contains(&after) {
                        next.push(after);
                    }
                }
            }
        }
    }
    explained
}
