//! Changes of one thing, one after another.
//!
//! A store refuses a change of what somebody else changed meanwhile, and the change is tried again.
//! Who floods a thing with changes could so keep everybody else from changing it; here they wait for
//! their turn, at least within one process, and have it in the order in which they came. A lock that
//! whoever comes by may take would be taken by the flood each time.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// How many things may change at once.
const STRIPES: usize = 64;

/// Turns to change things by their id. Clones share them.
#[derive(Clone)]
pub(crate) struct Turns(Arc<[Mutex<Line>; STRIPES]>);

/// Who wants to change something, in the order in which they came; the first has the turn.
#[derive(Default)]
struct Line {
    places: VecDeque<(u64, Option<Waker>)>,
    next: u64,
}

/// A place in line, and the turn once it was waited for. Whoever drops it lets the next.
pub(crate) struct Turn<'a> {
    line: &'a Mutex<Line>,
    place: u64,
}

impl Turns {
    /// Waits for a turn to change this; it ends when it is dropped.
    pub(crate) async fn take(&self, id: &[u8]) -> Option<Turn<'_>> {
        // The last bytes of an id are random.
        let last = usize::from(id.last().copied().unwrap_or_default());
        let turn = Turn::join(self.0.get(last.checked_rem(STRIPES)?)?);
        poll_fn(|context| turn.poll(context)).await;
        Some(turn)
    }
}

impl<'a> Turn<'a> {
    fn join(line: &'a Mutex<Line>) -> Self {
        let mut those = line.lock();
        let place = those.next;
        those.next = place.wrapping_add(1);
        those.places.push_back((place, None));
        Self { line, place }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut those = self.line.lock();
        match those.places.binary_search_by_key(&self.place, |it| it.0) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(at) => {
                if let Some((_, waker)) = those.places.get_mut(at) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut those = self.line.lock();
        if let Ok(at) = those.places.binary_search_by_key(&self.place, |it| it.0) {
            those.places.remove(at);
        }
        let next = those.places.front_mut().and_then(|(_, waker)| waker.take());
        drop(those);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::default())))
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;

    use super::*;

    #[tokio::test]
    async fn who_waits_has_a_turn_before_who_had_one() {
        let (turns, took, done) = (Turns::default(), Cell::new(0), Cell::new(false));
        let flood = async || {
            while !done.get() {
                let turn = turns.take(b"key").await;
                took.set(took.get() + 1);
                assert!(took.get() < 100, "nobody else has a turn");
                tokio::task::yield_now().await;
                drop(turn);
            }
        };
        let revoke = async {
            let _turn = turns.take(b"key").await;
            done.set(true);
        };
        futures_util::future::join3(flood(), flood(), revoke).await;
        assert!(took.get() <= 4, "{}", took.get());
    }

    fn is_over<F: Future>(waits: &mut Pin<Box<F>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        waits.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn who_goes_away_gives_up_their_place() {
        let turns = Turns::default();
        let first = turns.take(b"key").await;
        let mut gone = Box::pin(turns.take(b"key"));
        let mut last = Box::pin(turns.take(b"key"));
        assert!(!is_over(&mut gone));
        assert!(!is_over(&mut last));
        drop(gone);
        assert!(!is_over(&mut last));
        assert!(turns.take(b"yek").await.is_some(), "another thing");
        drop(first);
        assert!(is_over(&mut last));
    }
}
