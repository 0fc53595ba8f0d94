//! Every call to a store has an end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::StoreError;
use crate::reply::{BoxFuture, Reply};

/// Gives up on a reply after `limit`, with [`StoreErrorKind::TimedOut`].
///
/// Neither sqlx nor redis bounds a query by itself. What was asked may still happen.
///
/// [`StoreErrorKind::TimedOut`]: crate::error::StoreErrorKind::TimedOut
pub fn within<T: Send + 'static>(
    clock: &dyn Clock,
    limit: Duration,
    what: &'static str,
    reply: Reply<T>,
) -> Reply<T> {
    match reply {
        Reply::Now(result) => Reply::Now(result),
        Reply::Later(answer) => Reply::Later(Box::pin(Within {
            answer,
            sleep: clock.sleep(limit),
            what,
        })),
    }
}

struct Within<T> {
    answer: BoxFuture<Result<T, StoreError>>,
    sleep: BoxFuture<()>,
    what: &'static str,
}

impl<T> Future for Within<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.answer.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        self.sleep
            .as_mut()
            .poll(cx)
            .map(|()| Err(StoreError::timed_out(self.what)))
    }
}
