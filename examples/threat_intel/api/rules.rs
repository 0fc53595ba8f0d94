//! Detection rules, ready to be deployed.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use tollgate::{Denial, Principal};

use super::formats::sigma::{self, LogSource};
use super::formats::text;
use super::{Intel, look_back};

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    days: Option<u32>,
    /// All four unless one is named.
    logsource: Option<LogSource>,
}

/// Sigma rules as YAML, a document for each log source.
pub(crate) async fn sigma(
    State(intel): State<Intel>,
    caller: Principal,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Denial> {
    let since = look_back::since(&intel, &caller, wanted.days)?;
    let iocs: Vec<_> = intel.feed.iocs(since).collect();
    let one = wanted.logsource.map(|source| [source]);
    let sources = one.as_ref().map_or(&LogSource::ALL[..], |one| one);
    let rules = sigma::rules(sources, &iocs, &intel.feed, intel.now());
    Ok(text("application/yaml; charset=utf-8", rules))
}
