//! Why a key may, or may not, do what a route does.

use std::net::IpAddr;

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate::Denial;
use tollgate_core::explain::{Consumes, Explained, Left, Step, Verdict};
use utoipa::ToSchema;

use crate::extract::{Body, Nothing, Params};
use crate::keys::KeyPath;
use crate::manager::{Held, Member};
use crate::page::One;

/// A request that nobody makes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainBody {
    /// Its method; `GET` unless said.
    #[schema(example = "POST")]
    method: Option<String>,
    /// Its path, without a query.
    #[schema(example = "/iocs/evil.example")]
    path: String,
    /// The address that it would come from.
    #[schema(value_type = Option<String>, example = "203.0.113.9")]
    ip: Option<IpAddr>,
}

/// What each step says to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplanationView {
    /// The route that would get it.
    #[schema(example = "POST /iocs/{name}")]
    route: String,
    /// The code of the first refusal; null if the request would reach its handler.
    #[schema(example = "rate_limit_exceeded")]
    refused: Option<String>,
    /// Every step, in their order, also those after a refusal.
    steps: Vec<StepView>,
    /// What the request would take.
    consumes: ConsumesView,
    /// What is left of each limit now.
    left: Vec<LeftView>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    #[schema(example = "rates")]
    step: String,
    verdict: VerdictView,
    /// Why.
    because: String,
}

/// What a step says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerdictView {
    /// It lets the request pass.
    Passes,
    /// It turns the request away, with this code.
    Refuses(String),
    /// It cannot be told.
    Unknown,
}

/// What a request would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumesView {
    /// Units of each rate and quota.
    rate_units: u32,
    /// The limits that it is counted under; null where nothing is counted.
    #[schema(value_type = Option<Object>)]
    limits: Value,
    /// Whose limits they are, and who shares them.
    counted: String,
    /// The fewest credits that a success costs.
    credits_at_least: u64,
    /// The most that are held before the work.
    credits_at_most: u64,
}

/// What is left of one limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftView {
    /// Its name; `in_flight` for requests under way.
    #[schema(example = "minute")]
    limit: String,
    /// How many units it has.
    #[schema(example = 10)]
    units: u64,
    /// How many are left.
    #[schema(example = 7)]
    remaining: u64,
    /// In how many seconds all of them are free; null for requests under way.
    #[schema(example = 18)]
    resets_in: Option<u64>,
}

impl From<Explained> for ExplanationView {
    fn from(explained: Explained) -> Self {
        let Explained { route, explanation } = explained;
        let left = explanation.left.unwrap_or_default();
        Self {
            route,
            refused: explanation.refused.map(Into::into),
            steps: explanation.steps.into_iter().map(StepView::from).collect(),
            consumes: explanation.consumes.into(),
            left: left.into_iter().map(LeftView::from).collect(),
        }
    }
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            step: step.step.into_owned(),
            verdict: match step.verdict {
                Verdict::Passes => VerdictView::Passes,
                Verdict::Refuses(code) => VerdictView::Refuses(code.into_owned()),
                _ => VerdictView::Unknown,
            },
            because: step.because,
        }
    }
}

impl From<Consumes> for ConsumesView {
    fn from(consumes: Consumes) -> Self {
        Self {
            rate_units: consumes.rate_units,
            limits: serde_json::to_value(&consumes.limits).unwrap_or_default(),
            counted: consumes.counted,
            credits_at_least: consumes.credits_at_least,
            credits_at_most: consumes.credits_at_most,
        }
    }
}

impl From<Left> for LeftView {
    fn from(left: Left) -> Self {
        Self {
            limit: left.limit,
            units: left.units,
            remaining: left.remaining,
            resets_in: left.resets_in,
        }
    }
}

/// Tells what each step would say to a request with the key's newest secret, and what it would
/// take. It takes nothing.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys/{key}/explain", tag = "keys",
    params(KeyPath), request_body = ExplainBody,
    responses((status = 200, description = "What each step says", body = One<ExplanationView>))
)]
pub(crate) async fn explain(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    Body(body): Body<ExplainBody>,
) -> Result<Json<One<ExplanationView>>, Denial> {
    // Who has lost their role while the body came is told nothing either.
    member.actor(None).await?;
    let method = body.method.as_deref().unwrap_or("GET");
    let explained = member
        .desk
        .gate
        .explain(held.key, method, &body.path, body.ip);
    let data = explained.await?.into();
    Ok(Json(One { data }))
}
