//! The only source of time.
//!
//! Nothing else in Tollgate asks the system what time it is, so a test that owns the [`Clock`]
//! owns expiry, caches, windows, quotas and deadlines together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::reply::BoxFuture;

/// Tells the time, and waits for it to pass.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads both clocks at once.
    fn now(&self) -> Moment;

    /// Completes once `duration` has passed on this clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
}

/// One reading of the clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a reading has these two faces")]
pub struct Moment {
    /// The wall clock: for expiry dates and calendar quotas. It may jump.
    pub wall: Timestamp,
    /// The steady clock: for ages, windows and deadlines. It never goes back.
    pub steady: Steady,
}

/// A point on the steady clock: nanoseconds since a start that has no meaning.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Steady(u64);

impl Steady {
    /// The point `nanos` nanoseconds after the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// A point on the wall clock: microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `micros` microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The point `secs` seconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970-01-01T00:00:00Z; zero before that.
    #[must_use]
    pub fn as_unix_millis(self) -> u64 {
        self.0.div_euclid(1000).max(0).cast_unsigned()
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded up; zero before that.
    #[must_use]
    pub fn as_unix_secs_ceil(self) -> u64 {
        self.0
            .saturating_add(999_999)
            .div_euclid(1_000_000)
            .max(0)
            .cast_unsigned()
    }

    /// The point `duration` later; the last representable one if there is none.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// The point `duration` earlier; the first representable one if there is none.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The UTC date of this point.
    fn date(self) -> Date {
        jiff::Timestamp::from_microsecond(self.0)
            .unwrap_or(jiff::Timestamp::MAX)
            .to_zoned(TimeZone::UTC)
            .date()
    }

    fn midnight(date: Date) -> Self {
        date.to_zoned(TimeZone::UTC)
            .map_or(Self(i64::MAX), |zoned| {
                Self(zoned.timestamp().as_microsecond())
            })
    }

    /// The start of this point's UTC day.
    #[must_use]
    pub fn start_of_day(self) -> Self {
        Self::midnight(self.date())
    }

    /// The start of the UTC day after this point's.
    #[must_use]
    pub fn start_of_next_day(self) -> Self {
        self.date()
            .tomorrow()
            .map_or(Self(i64::MAX), Self::midnight)
    }

    /// The start of this point's UTC month.
    #[must_use]
    pub fn start_of_month(self) -> Self {
        Self::midnight(self.date().first_of_month())
    }

    /// The start of the UTC month after this point's.
    #[must_use]
    pub fn start_of_next_month(self) -> Self {
        self.date()
            .last_of_month()
            .tomorrow()
            .map_or(Self(i64::MAX), Self::midnight)
    }
}

/// RFC 3339, in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Reads RFC 3339 with any offset: `2026-01-01T00:00:00Z`.
impl FromStr for Timestamp {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = text.parse::<jiff::Timestamp>();
        read.map(|at| Self(at.as_microsecond())).map_err(|_| {
            let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
            let reason = format!("`{shown}` is not like `2026-01-01T00:00:00Z`");
            Invalid::new("time", reason)
        })
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(feature = "tokio")]
pub use system::SystemClock;

#[cfg(feature = "tokio")]
mod system;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_periods_are_utc_days_and_months() {
        let leap = Timestamp::from_secs(1_709_210_096); // 2024-02-29T12:34:56Z
        assert_eq!(leap.start_of_day().to_string(), "2024-02-29T00:00:00Z");
        assert_eq!(leap.start_of_next_day().to_string(), "2024-03-01T00:00:00Z");
        assert_eq!(leap.start_of_month().to_string(), "2024-02-01T00:00:00Z");
        assert_eq!(
            leap.start_of_next_month().to_string(),
            "2024-03-01T00:00:00Z"
        );
    }

    #[test]
    fn a_time_is_read_as_it_is_written_and_with_any_offset() {
        let leap = Timestamp::from_secs(1_709_210_096);
        for text in ["2024-02-29T12:34:56Z", "2024-02-29T13:34:56+01:00"] {
            assert_eq!(text.parse(), Ok(leap), "{text}");
        }
        for text in ["", "2024-02-30T00:00:00Z", "2024-02-29", "1709210096"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(Timestamp::from_micros(1_000_001).as_unix_secs_ceil(), 2);
        assert_eq!(Timestamp::from_micros(1_000_000).as_unix_secs_ceil(), 1);
    }

    #[test]
    fn extreme_points_saturate() {
        let last = Timestamp::from_micros(i64::MAX);
        assert_eq!(last.after(Duration::MAX), last);
        assert_eq!(last.start_of_next_month(), last);
        assert_eq!(Timestamp::from_micros(i64::MIN).since(last), Duration::ZERO);
    }
}
