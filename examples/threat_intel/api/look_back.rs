//! How far back a caller may look: one day or 365, by its plan.

use std::time::Duration;

use axum::http::StatusCode;
use tollgate::core::clock::Timestamp;
use tollgate::{Denial, DenialKind, Principal};

use super::Intel;

/// The number of a plan that says how many days.
pub(crate) const DAYS: &str = "lookback.days";

/// How many days there are if nobody says how many.
const DEFAULT: u32 = 1;

const DAY: Duration = Duration::from_secs(86_400);

/// Where the days begin that are asked for.
///
/// # Errors
///
/// A [`Denial`]: 400 for no day at all, 403 for more than the plan has.
pub(crate) fn since(
    intel: &Intel,
    caller: &Principal,
    days: Option<u32>,
) -> Result<Timestamp, Denial> {
    let days = days.unwrap_or(DEFAULT);
    if days == 0 {
        return Err(bad_request("`days` is 0; ask for 1 day at least."));
    }
    caller.entitled_to(DAYS, days.into())?;
    Ok(intel.now().before(DAY.saturating_mul(days)))
}

/// A 400, with the sentence.
pub(crate) fn bad_request(message: impl Into<String>) -> Denial {
    let status = StatusCode::BAD_REQUEST.as_u16();
    Denial::new(DenialKind::Status(status)).with_message(message)
}
