//! Counts of what the feed has.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tollgate::{Denial, Principal};

use super::feed::NOTICE;
use super::{Intel, look_back};

#[derive(Debug, Deserialize)]
pub(crate) struct Window {
    days: Option<u32>,
}

/// What the feed has of the days that were asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Statistics {
    iocs: u64,
    articles: u64,
    by_type: BTreeMap<&'static str, u64>,
    by_level: BTreeMap<&'static str, u64>,
    by_threat: BTreeMap<String, u64>,
    sources: BTreeMap<String, Reported>,
    notice: &'static str,
}

/// What a source has reported.
#[derive(Debug, Default, Serialize)]
struct Reported {
    iocs: u64,
    articles: u64,
}

pub(crate) async fn all(
    State(intel): State<Intel>,
    caller: Principal,
    Query(Window { days }): Query<Window>,
) -> Result<Json<Statistics>, Denial> {
    let since = look_back::since(&intel, &caller, days)?;
    let mut statistics = Statistics {
        notice: NOTICE,
        ..Statistics::default()
    };
    for ioc in intel.feed.iocs(since) {
        count(&mut statistics.iocs);
        count(statistics.by_type.entry(ioc.kind.as_str()).or_default());
        count(statistics.by_level.entry(ioc.level()).or_default());
        count(statistics.by_threat.entry(ioc.threat.clone()).or_default());
        for source in &ioc.sources {
            count(&mut statistics.sources.entry(source.clone()).or_default().iocs);
        }
    }
    for article in intel.feed.articles(since) {
        count(&mut statistics.articles);
        let source = article.source.clone();
        count(&mut statistics.sources.entry(source).or_default().articles);
    }
    Ok(Json(statistics))
}

const fn count(number: &mut u64) {
    *number = number.saturating_add(1);
}
