//! The answer of a port: at once, or later.
//!
//! A cache or an in-memory store knows its answer at once, a database does not. Ports return a
//! [`Reply`] so that the first kind costs no box and no task switch, and the second kind needs no
//! other trait.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::error::StoreError;

/// A future on the heap that may be sent between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// An answer that is here, or on its way.
///
/// Await it with `reply.await`; a [`Reply::Now`] never yields.
#[expect(
    clippy::exhaustive_enums,
    reason = "an answer is here or on its way; there is no third"
)]
#[must_use = "a reply on its way does nothing unless awaited"]
pub enum Reply<T, E = StoreError> {
    /// The answer.
    Now(Result<T, E>),
    /// The answer, once awaited.
    Later(BoxFuture<Result<T, E>>),
}

impl<T, E> Reply<T, E> {
    /// A good answer that is already known.
    pub const fn ready(value: T) -> Self {
        Self::Now(Ok(value))
    }

    /// A bad answer that is already known.
    pub const fn failed(error: E) -> Self {
        Self::Now(Err(error))
    }

    /// An answer that has to be waited for.
    pub fn later(future: impl Future<Output = Result<T, E>> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Goes on with a good answer; stays synchronous as long as each step is.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Reply<U, E> + Send + 'static) -> Reply<U, E>
    where
        T: Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
    {
        match self {
            Self::Now(Ok(value)) => next(value),
            Self::Now(Err(error)) => Reply::Now(Err(error)),
            Self::Later(future) => Reply::later(async move { next(future.await?).await }),
        }
    }

    /// Changes whatever the answer is.
    pub fn map_result<U, F>(
        self,
        change: impl FnOnce(Result<T, E>) -> Result<U, F> + Send + 'static,
    ) -> Reply<U, F>
    where
        T: Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        F: Send + 'static,
    {
        match self {
            Self::Now(result) => Reply::Now(change(result)),
            Self::Later(future) => Reply::later(async move { change(future.await) }),
        }
    }
}

impl<T, E> From<Result<T, E>> for Reply<T, E> {
    fn from(result: Result<T, E>) -> Self {
        Self::Now(result)
    }
}

impl<T: Send + 'static, E: Send + 'static> IntoFuture for Reply<T, E> {
    type Output = Result<T, E>;
    type IntoFuture = ReplyFuture<T, E>;

    fn into_future(self) -> Self::IntoFuture {
        ReplyFuture(match self {
            Self::Now(result) => Waiting::Now(Some(result)),
            Self::Later(future) => Waiting::Later(future),
        })
    }
}

impl<T: fmt::Debug, E: fmt::Debug> fmt::Debug for Reply<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// The future of a [`Reply`].
pub struct ReplyFuture<T, E>(Waiting<T, E>);

enum Waiting<T, E> {
    Now(Option<Result<T, E>>),
    Later(BoxFuture<Result<T, E>>),
}

// Nothing in here is pinned in place: the boxed future is pinned by its own box.
impl<T, E> Unpin for ReplyFuture<T, E> {}

impl<T, E> Future for ReplyFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match &mut self.0 {
            Waiting::Now(result) => result
                .take()
                .map_or(std::task::Poll::Pending, std::task::Poll::Ready),
            Waiting::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T, E> fmt::Debug for ReplyFuture<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyFuture").finish_non_exhaustive()
    }
}
