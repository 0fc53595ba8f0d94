//! One decision, as a call of the script.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind};
use tollgate_core::rate::{RateKind, RateLimit, Take, Tally, WindowState};

const SCRIPT: &str = include_str!("script.lua");
/// How an exact window is cut, here as in `tollgate-core`.
const SLOTS: u128 = 60;

/// Whose clock the windows go by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Time {
    Servers,
    Callers,
}

/// The script, and how it is called.
#[derive(Debug)]
pub(crate) struct Counting {
    script: Script,
    prefix: String,
    time: Time,
}

impl Counting {
    pub(crate) fn new(prefix: String, time: Time) -> Self {
        Self {
            script: Script::new(SCRIPT),
            prefix,
            time,
        }
    }

    /// The call that decides this.
    pub(crate) fn call(&self, take: &Take<'_>, commit: bool) -> Cmd {
        // What is in the braces is all that a cluster looks at.
        let mut call = self.begin(&format!("{}:rate:{{{}}}", self.prefix, take.subject));
        match self.time {
            Time::Servers => call.arg(""),
            Time::Callers => call.arg(take.now.steady.as_nanos().div_ceil(1000)),
        };
        call.arg(u8::from(commit)).arg(take.cost);
        for limit in take.limits {
            window(&mut call, limit);
        }
        call
    }

    /// A call that takes a unit of which there are plenty: what can do that can count.
    fn probe(&self) -> Cmd {
        let mut call = self.begin(&format!("{}:rate:{{probe}}", self.prefix));
        call.arg(&["", "1", "1", "0", "1000000000", "1", "1000000"]);
        call
    }

    fn begin(&self, key: &str) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(self.script.get_hash()).arg(1).arg(key);
        call
    }

    /// Asks, and asks once more if the server had to be given the script.
    pub(crate) async fn ask(
        &self,
        connection: &mut MultiplexedConnection,
        call: &Cmd,
    ) -> Result<Vec<u64>, RedisError> {
        let answer: Vec<i64> = match call.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // The crate's own way panics at an answer that is another one's hash.
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(SCRIPT);
                load.query_async::<redis::Value>(connection).await?;
                call.query_async(connection).await?
            }
            answer => answer?,
        };
        // -1 stands for none, and no number is that large.
        let number = |it| u64::try_from(it).unwrap_or(u64::MAX);
        Ok(answer.into_iter().map(number).collect())
    }

    /// Whether the server counts: it runs the script, and writes.
    pub(crate) async fn try_out(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        self.ask(connection, &self.probe()).await.map(drop)
    }
}

fn window(call: &mut Cmd, limit: &RateLimit) {
    let window = limit.window();
    // A part of a microsecond more is on the safe side.
    let micros = window.as_nanos().div_ceil(1000);
    let (kind, step) = match limit.kind() {
        RateKind::Smooth => (0_u8, limit.period().as_micros()),
        _ => (1, window.as_micros().div_ceil(SLOTS).max(1)),
    };
    call.arg(kind)
        .arg(limit.units().get())
        .arg(step)
        .arg(micros);
}

/// Reads what the script answered.
pub(crate) fn tally(limits: &[RateLimit], answer: &[u64]) -> Option<Tally> {
    let (admitted, windows) = answer.split_first()?;
    let (windows, rest) = windows.as_chunks::<4>();
    if windows.len() != limits.len() || !rest.is_empty() {
        return None;
    }
    let windows = limits
        .iter()
        .zip(windows)
        .map(|(limit, [remaining, reset, next, wait])| WindowState {
            limit: limit.units().get(),
            remaining: u32::try_from(*remaining).unwrap_or(0),
            reset_after: Duration::from_micros(*reset),
            next_after: Duration::from_micros(*next),
            retry_after: (*wait != u64::MAX).then(|| Duration::from_micros(*wait)),
        });
    Some(Tally {
        admitted: *admitted == 1,
        windows: windows.collect(),
    })
}

#[cfg(test)]
mod tests {
    use tollgate_core::clock::{Moment, Steady, Timestamp};
    use tollgate_core::id::OrgId;
    use tollgate_core::rate::Subject;

    use super::*;

    fn limits() -> [RateLimit; 2] {
        let minute = Duration::from_secs(60);
        [
            RateLimit::smooth(7, minute).unwrap(),
            RateLimit::exact(7, minute + Duration::from_nanos(1)).unwrap(),
        ]
    }

    #[test]
    fn a_call_names_one_key_and_tells_whole_microseconds() {
        let subject = Subject::organization(OrgId::new("acme").unwrap());
        let take = Take {
            subject: &subject,
            limits: &limits(),
            cost: 3,
            now: Moment {
                wall: Timestamp::default(),
                steady: Steady::from_nanos(5_000),
            },
        };
        let told = |time| {
            let call = Counting::new("t".into(), time).call(&take, true);
            let packed = String::from_utf8(call.get_packed_command()).unwrap();
            let words = packed
                .split("\r\n")
                .filter(|it| !it.starts_with(['*', '$']));
            words.skip(2).collect::<Vec<_>>().join(" ")
        };
        let windows = "1 3 0 7 8571429 60000000 1 7 1000000 60000001 ";
        assert_eq!(
            told(Time::Servers),
            format!("1 t:rate:{{org:acme}}  {windows}")
        );
        assert_eq!(
            told(Time::Callers),
            format!("1 t:rate:{{org:acme}} 5 {windows}")
        );
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        let good = [1, 6, 9, 8, u64::MAX, 0, 5, 4, 3];
        let tally_of = |answer: &[u64]| tally(&limits(), answer);
        let tally = tally_of(&good).unwrap();
        assert!(tally.admitted);
        assert_eq!(tally.windows[0].retry_after, None);
        assert_eq!(tally.windows[1].retry_after, Some(Duration::from_micros(3)));
        for bad in [&[][..], &[1], &good[..8], &[&good[..], &[1]].concat()] {
            assert_eq!(tally_of(bad), None, "{bad:?}");
        }
    }
}
