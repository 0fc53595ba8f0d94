//! What a test tells those who wait to be told of changes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use futures_util::future::{Either, select};
use tollgate_core::change::{ChangeFeed, Told};
use tollgate_core::reply::Reply;

use super::{Fault, Faults, FaultyStore, Operation, asked_for};

/// What nobody was told yet, and who waits to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    told: VecDeque<Told>,
    waits: Vec<Waker>,
}

impl News {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Told> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(told);
        }
        if !self.waits.iter().any(|it| it.will_wake(context.waker())) {
            self.waits.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Faults {
    /// Tells this to somebody who waits to be told of changes, or to who does next, whatever goes
    /// wrong.
    pub fn tell(&self, told: Told) {
        let waits = {
            let news = &mut self.0.lock().news;
            news.told.push_back(told);
            std::mem::take(&mut news.waits)
        };
        waits.into_iter().for_each(Waker::wake);
    }
}

impl<S: ChangeFeed + ?Sized> FaultyStore<S> {
    /// What the test tells, or else what the store does. It is no call that anybody waits for.
    pub(super) fn told_or_news(&self) -> Reply<Told> {
        let answer = match self.faults.called(Operation::Told) {
            Fault::None | Fault::Late(_) => self.caller().call(S::told),
            Fault::Hang => Reply::later(std::future::pending()),
            Fault::Fail | Fault::LoseReply => Reply::failed(asked_for()),
        };
        let faults = self.faults.clone();
        Reply::later(async move {
            let told = poll_fn(|context| faults.0.lock().news.poll(context));
            match select(told, answer.into_future()).await {
                Either::Left((told, _)) => Ok(told),
                Either::Right((answer, _)) => answer,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate_core::memory::MemoryStore;

    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn a_test_tells_who_waits_and_else_who_does_next() {
        let store = FaultyStore::new(MemoryStore::default(), Arc::new(ManualClock::new()));
        let waits = tokio::spawn(store.told().into_future());
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        store.faults().tell(Told::Changed);
        assert_eq!(waits.await.unwrap().unwrap(), Told::Changed);
        store.faults().set(Operation::Told, Fault::Fail);
        store.faults().tell(Told::Again);
        assert_eq!(store.told().await.unwrap(), Told::Again);
        assert!(store.told().await.is_err());
    }
}
