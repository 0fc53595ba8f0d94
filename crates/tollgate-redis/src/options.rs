//! How a Redis is used.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::clock::{Clock, SystemClock};

use crate::limiter::RedisLimiter;
use crate::link::Link;
use crate::location::{self, OpenError, Shown};
use crate::script::{Counting, Time};
use crate::share::Share;

const DEADLINE: Duration = Duration::from_millis(50);
const DEADLINES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(10);

/// What becomes of a decision that Redis does not make. See the [crate's docs](crate).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenDown {
    /// Each node admits its share of the limit by itself.
    #[default]
    Share,
    /// The limiter has no answer: `StoreErrorKind::Unavailable`, of which a gate makes a 503.
    Refuse,
}

/// How a [`RedisLimiter`] is opened.
#[derive(Clone)]
#[must_use = "options open nothing until `open` is called"]
pub struct RedisOptions {
    url: String,
    prefix: String,
    deadline: Duration,
    nodes: u32,
    when_down: WhenDown,
    exceptions: Vec<(Box<str>, WhenDown)>,
    time: Time,
}

impl RedisOptions {
    /// The Redis at this URL: `redis://user:password@host:6379/0`, or `valkey://…`; with the
    /// feature `tls` also `rediss://…` and `valkeys://…`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "tollgate".into(),
            deadline: DEADLINE,
            nodes: 1,
            when_down: WhenDown::default(),
            exceptions: Vec::new(),
            time: Time::Servers,
        }
    }

    /// What the names of keys begin with, in place of `tollgate`: apps that share a Redis and
    /// must not share their counts have one each.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a decision waits for Redis, in place of 50 ms: 1 ms to 10 s. Less than the gate's
    /// `charge_deadline` (1 s), or requests are refused before this node counts by itself.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many nodes count together, the most there will ever be: while Redis is down, each
    /// admits the n-th part of a limit. One, unless said otherwise; an app on several nodes that
    /// does not say so admits the whole limit on each of them then.
    pub const fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// What happens while Redis is down.
    pub const fn when_down(mut self, when_down: WhenDown) -> Self {
        self.when_down = when_down;
        self
    }

    /// The same for the limits of this name, such as `hour`. A request that is counted in several
    /// windows is refused if one of them says so.
    pub fn when_down_for(mut self, limit: &str, when_down: WhenDown) -> Self {
        self.exceptions.push((limit.into(), when_down));
        self
    }

    /// Goes by the time that each call tells, in place of the server's: for tests.
    #[doc(hidden)]
    pub const fn by_the_callers_time(mut self) -> Self {
        self.time = Time::Callers;
        self
    }

    /// Connects, and keeps connected in the background, on the tokio runtime that this is called
    /// on. A Redis that is down is waited for there too: the limiter is degraded until then, with
    /// a warning in the log.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the URL or an option cannot be, or the server there refuses the user, the
    /// password, the database or the script, or is a node of a cluster.
    pub async fn open(self) -> Result<RedisLimiter, OpenError> {
        let info = location::parse(&self.url)?;
        let Some(nodes) = NonZeroU32::new(self.nodes) else {
            return Err(OpenError::new(
                "0 nodes count nothing; say 1 or more".into(),
            ));
        };
        if !DEADLINES.contains(&self.deadline) {
            let message = format!("a deadline of {:?} is not 1ms to 10s", self.deadline);
            return Err(OpenError::new(message));
        }
        // A brace would move the part of a key's name that a cluster goes by.
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            let message = format!(
                "the prefix `{}` is empty or has braces; take letters",
                self.prefix
            );
            return Err(OpenError::new(message));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let counting = Counting::new(self.prefix, self.time);
        let link = Link::new(
            info,
            Shown(&self.url).to_string(),
            counting,
            clock,
            self.deadline,
        )?;
        let share = Share::new(nodes, self.when_down, self.exceptions);
        RedisLimiter::start(link, share).await
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("url", &format_args!("{}", Shown(&self.url)))
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("nodes", &self.nodes)
            .field("when_down", &self.when_down)
            .field("exceptions", &self.exceptions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn options_that_cannot_be_are_refused_in_one_sentence() {
        let options = || RedisOptions::new("redis://localhost");
        let cases = [
            (options().nodes(0), "0 nodes count nothing; say 1 or more"),
            (
                options().deadline(Duration::ZERO),
                "a deadline of 0ns is not 1ms to 10s",
            ),
            (
                options().prefix("a{b}"),
                "the prefix `a{b}` is empty or has braces; take letters",
            ),
            (
                options().prefix(""),
                "the prefix `` is empty or has braces; take letters",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(options.open().await.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", RedisOptions::new("redis://app:hunter2@db/0"));
        assert!(shown.contains("redis://…@db/0"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
