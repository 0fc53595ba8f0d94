//! The limiter of many nodes.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::task::AbortHandle;
use tollgate_core::clock::Moment;
use tollgate_core::error::StoreError;
use tollgate_core::rate::{Limiter, RateLimit, Subject, Take, Tally};
use tollgate_core::reply::Reply;

use crate::link::Link;
use crate::location::OpenError;
use crate::options::RedisOptions;
use crate::script::tally;
use crate::share::Share;

/// Counts on a Redis or Valkey, together with every other node that does. See the
/// [crate's docs](crate).
///
/// Clones count together, over one connection. It belongs to the tokio runtime that it was opened
/// on, and is closed when the last clone is dropped.
#[derive(Clone)]
pub struct RedisLimiter(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    share: Share,
    keeper: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl RedisLimiter {
    /// Connects as [`RedisOptions`] has it where nothing else is said.
    ///
    /// # Errors
    ///
    /// As [`RedisOptions::open`].
    pub async fn open(url: impl Into<String>) -> Result<Self, OpenError> {
        RedisOptions::new(url).open().await
    }

    pub(crate) async fn start(link: Link, share: Share) -> Result<Self, OpenError> {
        link.start().await?;
        let link = Arc::new(link);
        let keeper = tokio::spawn(Arc::clone(&link).keep()).abort_handle();
        Ok(Self(Arc::new(Inner {
            link,
            share,
            keeper,
        })))
    }

    /// Whether this node counts by itself, because Redis is down.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.0.link.connected().is_none()
    }

    /// Completes once Redis counts; at once unless it is down.
    pub async fn recovered(&self) {
        self.0.link.up().await;
    }

    fn ask(&self, take: &Take<'_>, commit: bool) -> Reply<Tally> {
        if take.limits.is_empty() {
            return Reply::ready(Tally {
                admitted: true,
                ..Tally::default()
            });
        }
        let Some(connected) = self.0.link.connected() else {
            return self.0.share.decide(take, commit).into();
        };
        let call = self.0.link.counting.call(take, commit);
        let (inner, asked) = (Arc::clone(&self.0), Asked::from(take));
        Reply::later(async move {
            let answer = inner.link.ask(&connected, call).await;
            let told = answer.and_then(|answer| tally(&asked.limits, &answer));
            match told {
                Some(tally) => Ok(tally),
                None => inner.decide(&asked, commit),
            }
        })
    }
}

impl Inner {
    fn decide(&self, asked: &Asked, commit: bool) -> Result<Tally, StoreError> {
        let take = Take {
            subject: &asked.subject,
            limits: &asked.limits,
            cost: asked.cost,
            now: asked.now,
        };
        self.share.decide(&take, commit)
    }
}

impl Limiter for RedisLimiter {
    fn take(&self, take: &Take<'_>) -> Reply<Tally> {
        self.ask(take, true)
    }

    fn peek(&self, take: &Take<'_>) -> Reply<Tally> {
        self.ask(take, false)
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("link", &self.0.link)
            .finish_non_exhaustive()
    }
}

/// What was asked, for as long as the answer takes.
struct Asked {
    subject: Subject,
    limits: SmallVec<[RateLimit; 2]>,
    cost: u32,
    now: Moment,
}

impl From<&Take<'_>> for Asked {
    fn from(take: &Take<'_>) -> Self {
        Self {
            subject: take.subject.clone(),
            limits: take.limits.iter().cloned().collect(),
            cost: take.cost,
            now: take.now,
        }
    }
}
