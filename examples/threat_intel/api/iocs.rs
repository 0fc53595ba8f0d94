//! Exports of indicators.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use tollgate::{Denial, Principal};

use super::Intel;
use super::formats::{self, Format};
use super::ioc::{Ioc, IocType};
use super::look_back;

/// Which indicators are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Filter {
    days: Option<u32>,
    #[serde(rename = "type")]
    kind: Option<IocType>,
    threat: Option<String>,
    min_score: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    format: Format,
}

impl Filter {
    /// Those that match, as far back as the caller may look.
    fn apply<'a>(&self, intel: &'a Intel, caller: &Principal) -> Result<Vec<&'a Ioc>, Denial> {
        let since = look_back::since(intel, caller, self.days)?;
        let matches = |ioc: &&Ioc| {
            self.kind.is_none_or(|kind| ioc.kind == kind)
                && self.min_score.is_none_or(|least| ioc.score >= least)
                && self
                    .threat
                    .as_deref()
                    .is_none_or(|threat| ioc.threat.eq_ignore_ascii_case(threat))
        };
        Ok(intel.feed.iocs(since).filter(matches).collect())
    }
}

/// In a format of the caller's choice, if its plan has it.
pub(crate) async fn export(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
    Query(Chosen { format }): Query<Chosen>,
) -> Result<Response, Denial> {
    caller.entitled(format.feature())?;
    let iocs = filter.apply(&intel, &caller)?;
    Ok(formats::write(format, &iocs, intel.now()))
}

pub(crate) async fn stix(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
) -> Result<Response, Denial> {
    let iocs = filter.apply(&intel, &caller)?;
    Ok(formats::stix::bundle(&iocs))
}

pub(crate) async fn misp(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
) -> Result<Response, Denial> {
    let iocs = filter.apply(&intel, &caller)?;
    Ok(formats::write(Format::Misp, &iocs, intel.now()))
}

pub(crate) async fn cef(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
) -> Result<Response, Denial> {
    let iocs = filter.apply(&intel, &caller)?;
    Ok(formats::write(Format::Cef, &iocs, intel.now()))
}

pub(crate) async fn openioc(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
) -> Result<Response, Denial> {
    let iocs = filter.apply(&intel, &caller)?;
    Ok(formats::write(Format::OpenIoc, &iocs, intel.now()))
}
