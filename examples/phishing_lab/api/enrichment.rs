//! What threat intelligence providers say of indicators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate::{Bill, Denial};

use super::input::{Few, Indicator};
use super::samples::{Answer, Samples};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfIndicator {
    indicator: Indicator,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfIndicators {
    indicators: Few<Indicator>,
}

/// What is known of one indicator.
#[derive(Debug, Serialize)]
pub(super) struct Enriched {
    kind: &'static str,
    #[serde(flatten)]
    answer: Answer,
}

/// What is known of each indicator, in the order in which they were sent.
#[derive(Debug, Serialize)]
pub(super) struct Lookup {
    indicators: Vec<Enriched>,
}

pub(super) async fn enrich(
    State(known): State<Arc<Samples>>,
    Json(of): Json<OfIndicator>,
) -> Json<Enriched> {
    Json(enriched(&known, &of.indicator))
}

/// Holds the price of every indicator before the first is looked up.
pub(super) async fn look_up(
    State(known): State<Arc<Samples>>,
    mut bill: Bill,
    Json(of): Json<OfIndicators>,
) -> Result<Json<Lookup>, Denial> {
    let indicators = of.indicators.as_slice();
    bill.items(indicators.len()).await?;
    let indicators = indicators.iter().map(|of| enriched(&known, of));
    Ok(Json(Lookup {
        indicators: indicators.collect(),
    }))
}

fn enriched(known: &Samples, indicator: &Indicator) -> Enriched {
    Enriched {
        kind: indicator.kind(),
        answer: known.indicators.answer(indicator),
    }
}
