//! Why a store could not answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A store that could not answer, or would not.
///
/// Opaque but for its [`kind`](Self::kind), so that causes can be added; the cause stays readable
/// through [`Error::source`]. It is `Clone` because every waiter of one shared look-up gets it.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What sort of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store is down, broken or full. Nothing is known about the operation.
    Unavailable,
    /// The store did not answer before the caller's deadline.
    TimedOut,
    /// The row changed since it was read, or it exists already. Read again and retry.
    Conflict,
    /// There is no such row.
    NotFound,
    /// The store holds something that cannot be read.
    Corrupt,
}

impl StoreError {
    /// A failure of the given kind, described in one sentence.
    pub fn new(kind: StoreErrorKind, message: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The store is down, broken or full.
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(StoreErrorKind::Unavailable, "the store is unavailable").with_source(source)
    }

    /// The store did not answer in time.
    #[must_use]
    pub fn timed_out(what: &str) -> Self {
        Self::new(
            StoreErrorKind::TimedOut,
            format!("{what} did not answer before the deadline"),
        )
    }

    /// The row changed since it was read, or exists already.
    pub fn conflict(message: impl Into<Arc<str>>) -> Self {
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// There is no such row.
    pub fn not_found(message: impl Into<Arc<str>>) -> Self {
        Self::new(StoreErrorKind::NotFound, message)
    }

    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
