//! Limits and durations as people write them: `10/minute`, `1000/day`, `90d`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::quota::{QuotaLimit, QuotaPeriod};
use crate::rate::{RateKind, RateLimit};
use crate::shorthand::Value;

/// A week can be read, but is written in days: so what was written stays readable to older versions.
const WEEK: (&str, u64) = ("w", 604_800_000_000);

/// Units of time and their microseconds, longest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

const WORDS: [(&str, &str); 3] = [("second", "1s"), ("minute", "1m"), ("hour", "1h")];

/// Reads a duration as people write it: `2w`, `90d`, `12h`, `30m`, `45s`, `500ms`.
///
/// ```
/// use std::time::Duration;
///
/// use tollgate_core::plan::parse_duration;
///
/// assert_eq!(parse_duration("30m")?, Duration::from_secs(1800));
/// assert_eq!(
///     parse_duration("1 hour").unwrap_err().to_string(),
///     "duration: `1 hour` is not like `90d`, `12h`, `30m`, `45s` or `2w`",
/// );
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
///
/// # Errors
///
/// [`Invalid`] if it is no number with a unit, or too long to be counted.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    read_duration(text).ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        let reason = format!("`{shown}` is not like `90d`, `12h`, `30m`, `45s` or `2w`");
        Invalid::new("duration", reason)
    })
}

/// Reads `90d`, `15m` or `500ms`.
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let mut units = std::iter::once(&WEEK).chain(&UNITS);
    let (_, micros) = units.find(|(name, _)| *name == unit)?;
    let count: u64 = digits.parse().ok()?;
    Some(Duration::from_micros(count.checked_mul(*micros)?))
}

/// Writes a duration in the longest unit that leaves no rest; parts of a microsecond are lost.
pub(crate) fn write_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    UNITS
        .iter()
        .find(|(_, unit)| micros.is_multiple_of(*unit))
        .and_then(|(name, unit)| Some(format!("{}{name}", micros.checked_div(*unit)?)))
        .unwrap_or_else(|| format!("{micros}us"))
}

/// Reads `1000` or `1_000`.
fn read_count(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// A rate as a file writes it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "Value<RateTable>", into = "RateText")]
pub(crate) struct Rate(pub(crate) RateLimit);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateTable {
    limit: String,
    #[serde(default)]
    kind: KindWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    #[default]
    Smooth,
    Exact,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RateText {
    Short(String),
    Long(RateTable),
}

impl KindWord {
    fn limit(self, units: u32, window: Duration) -> Result<RateLimit, Invalid> {
        match self {
            Self::Smooth => RateLimit::smooth(units, window),
            Self::Exact => RateLimit::exact(units, window),
        }
    }
}

impl TryFrom<Value<RateTable>> for Rate {
    type Error = Invalid;

    fn try_from(value: Value<RateTable>) -> Result<Self, Invalid> {
        let (limit, kind, name) = match value {
            Value::Text(limit) => (limit, KindWord::default(), None),
            Value::Table(table) => (table.limit, table.kind, table.name),
            Value::List(_) => return Err(Invalid::new("rate", "give a text or a table")),
        };
        let (units, window) = read_rate(&limit).ok_or_else(|| {
            Invalid::new(
                "rate",
                format!(
                    "`{}` is not like `10/second`, `100/minute`, `1000/hour` or `5/90s`",
                    limit.escape_default()
                ),
            )
        })?;
        let rate = kind.limit(units, window)?;
        Ok(Self(match name {
            Some(name) => rate.named(&name),
            None => rate,
        }))
    }
}

fn read_rate(text: &str) -> Option<(u32, Duration)> {
    let (count, window) = text.split_once('/')?;
    let units = u32::try_from(read_count(count)?).ok()?;
    let word = WORDS.iter().find(|(word, _)| *word == window);
    let window = read_duration(word.map_or(window, |(_, short)| short))?;
    Some((units, window))
}

impl From<Rate> for RateText {
    fn from(Rate(rate): Rate) -> Self {
        let window = write_duration(rate.window());
        let word = WORDS.iter().find(|(_, short)| *short == window);
        let limit = format!(
            "{}/{}",
            rate.units(),
            word.map_or(window.as_str(), |(word, _)| word)
        );
        let kind = match rate.kind() {
            RateKind::Smooth => KindWord::Smooth,
            RateKind::Exact => KindWord::Exact,
        };
        // A name that the limit would have anyway is not written.
        let unnamed = kind.limit(rate.units().get(), rate.window());
        let own_name = !unnamed.is_ok_and(|unnamed| unnamed.name() == rate.name());
        match kind {
            KindWord::Smooth if !own_name => Self::Short(limit),
            _ => Self::Long(RateTable {
                limit,
                kind,
                name: own_name.then(|| rate.name().to_owned()),
            }),
        }
    }
}

/// A quota as a file writes it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Quota(pub(crate) QuotaLimit);

impl TryFrom<String> for Quota {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let (units, period) = read_quota(&text).ok_or_else(|| {
            Invalid::new(
                "quota",
                format!(
                    "`{}` is not like `1000/day` or `50_000/month`",
                    text.escape_default()
                ),
            )
        })?;
        QuotaLimit::new(units, period).map(Self)
    }
}

fn read_quota(text: &str) -> Option<(u64, QuotaPeriod)> {
    let (count, period) = text.split_once('/')?;
    let period = match period {
        "day" => QuotaPeriod::Day,
        "month" => QuotaPeriod::Month,
        _ => return None,
    };
    Some((read_count(count)?, period))
}

impl From<Quota> for String {
    fn from(Quota(quota): Quota) -> Self {
        let period = match quota.period() {
            QuotaPeriod::Day => "day",
            QuotaPeriod::Month => "month",
        };
        format!("{}/{period}", quota.units())
    }
}

/// Serde for an optional duration.
pub(crate) mod optional_duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::ref_option,
        reason = "serde calls it with a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(super::write_duration).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::read_duration(&text).map(Some).ok_or_else(|| {
            D::Error::custom(format!(
                "`{}` is not a duration like `90d` or `12h`",
                text.escape_default()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for text in ["90d", "1h", "90s", "1500ms", "7us", "1d"] {
            let duration = read_duration(text).unwrap();
            assert_eq!(write_duration(duration), text);
        }
        assert_eq!(write_duration(Duration::from_hours(2)), "2h");
        assert_eq!(write_duration(read_duration("2w").unwrap()), "14d");
        for text in ["", "d", "90", "90 d", "-1d", "1y", "99999999999999d", "1é"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn limits_read_as_they_are_written() {
        let table = r#"{"limit":"1000/hour","kind":"exact"}"#;
        let named = r#"{"limit":"3/90s","kind":"smooth","name":"burst"}"#;
        for text in [r#""10/minute""#, r#""1/90s""#, table, named] {
            let rate: Rate = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&rate).unwrap(), text);
        }
        let quota: Quota = serde_json::from_str(r#""1_000_000/day""#).unwrap();
        assert_eq!(serde_json::to_string(&quota).unwrap(), r#""1000000/day""#);
    }

    #[test]
    fn a_limit_that_cannot_be_read_says_how_to_write_it() {
        for text in [
            "10",
            "/minute",
            "x/minute",
            "+1/minute",
            "10/day",
            "10/fortnight",
            "5000000000/hour",
        ] {
            let error = serde_json::from_value::<Rate>(text.into()).err().unwrap();
            let expected = format!(
                "rate: `{text}` is not like `10/second`, `100/minute`, `1000/hour` or `5/90s`"
            );
            assert_eq!(error.to_string(), expected);
        }
        let error = serde_json::from_value::<Quota>("10/week".into())
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "quota: `10/week` is not like `1000/day` or `50_000/month`"
        );
    }
}
