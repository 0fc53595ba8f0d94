//! What keys were used for.

use axum::Json;
use serde::{Deserialize, Serialize};
use tollgate::{Denial, DenialKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::invalid::Invalid;
use tollgate_core::usage::{UsageOf, UsagePeriod, UsageQuery, UsageRow};
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Params, Time};
use crate::keys::KeyPath;
use crate::manager::{Held, Member};
use crate::organizations::OrganizationPath;
use crate::page::{List, Meta};

/// How far back usage is added up, unless said otherwise.
const USUAL: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// Which requests are counted, and what is told apart.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// From the hour that begins here on; 30 days ago unless said otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Until the hour that begins here; until now unless said otherwise.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// `hour`, `day` or `whole`, which is one number; `day` unless said otherwise.
    per: Option<String>,
    /// What is told apart besides: `key`, `route` and `outcome`, with commas.
    #[param(example = "route,outcome")]
    by: Option<String>,
    /// How many rows, 1 to 10000; 1000 unless said otherwise. The earliest come first.
    limit: Option<u32>,
}

/// How many requests there were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// The start of the hour, of the day, or of what was asked for.
    start: Time,
    /// The key, if keys are told apart.
    key: Option<String>,
    /// The route, if routes are told apart.
    #[schema(example = "GET /iocs/{id}")]
    route: Option<String>,
    /// How they ended, if outcomes are told apart: `2xx`, or the code of an error.
    #[schema(example = "2xx")]
    outcome: Option<String>,
    /// How many.
    #[schema(example = 4711)]
    requests: u64,
}

impl From<UsageRow> for UsageView {
    fn from(row: UsageRow) -> Self {
        Self {
            start: Time(row.start),
            key: row.key.map(|key| key.to_string()),
            route: row.route.map(|route| route.to_string()),
            outcome: row.outcome.map(|outcome| outcome.to_string()),
            requests: row.requests,
        }
    }
}

impl UsageParams {
    fn query(self, of: UsageOf, now: Timestamp) -> Result<UsageQuery, Denial> {
        let until = self.until.map_or(now, |Time(until)| until);
        let from = self.from.map_or(now.before(USUAL), |Time(from)| from);
        let limit = self.limit.unwrap_or(1_000);
        if !(1..=UsageQuery::MOST).contains(&limit) {
            let reason = format!("{limit} is not 1 to {}", UsageQuery::MOST);
            return Err(bad("limit", reason));
        }
        let per = match self.per.as_deref() {
            Some("hour") => UsagePeriod::Hour,
            Some("whole") => UsagePeriod::Whole,
            None | Some("day") => UsagePeriod::Day,
            Some(other) => {
                let reason = format!("`{}` is not hour, day or whole", shown(other));
                return Err(bad("per", reason));
            }
        };
        let mut query = UsageQuery::new(of, from, until).per(per).limit(limit);
        for part in self.by.iter().flat_map(|by| by.split(',')) {
            query = match part.trim() {
                "key" => query.by_key(),
                "route" => query.by_route(),
                "outcome" => query.by_outcome(),
                other => {
                    let reason = format!("`{}` is not key, route or outcome", shown(other));
                    return Err(bad("by", reason));
                }
            };
        }
        Ok(query)
    }
}

/// Adds up the requests of a key.
#[utoipa::path(
    get, path = "/organizations/{organization}/keys/{key}/usage", tag = "usage",
    params(KeyPath, UsageParams),
    responses((status = 200, description = "Requests; hours without one are left out",
        body = List<UsageView>))
)]
pub(crate) async fn of_key(
    member: Member,
    Params(params): Params<UsageParams>,
    Held(held): Held,
) -> Result<Json<List<UsageView>>, Denial> {
    rows(&member, params, UsageOf::Key(held.key.id)).await
}

/// Adds up the requests of an organization's keys, but for those that were deleted.
#[utoipa::path(
    get, path = "/organizations/{organization}/usage", tag = "usage",
    params(OrganizationPath, UsageParams),
    responses((status = 200, description = "Requests; hours without one are left out",
        body = List<UsageView>))
)]
pub(crate) async fn of_organization(
    member: Member,
    Params(params): Params<UsageParams>,
) -> Result<Json<List<UsageView>>, Denial> {
    member.there().await?;
    let of = UsageOf::Organization(member.organization.clone());
    rows(&member, params, of).await
}

async fn rows(
    member: &Member,
    params: UsageParams,
    of: UsageOf,
) -> Result<Json<List<UsageView>>, Denial> {
    let query = params.query(of, member.desk.now())?;
    let rows = member.desk.gate.usage().counts(query).await?;
    // A later `from` is what goes on after a full answer, so there is no cursor.
    Ok(Json(List {
        data: rows.into_iter().map(UsageView::from).collect(),
        meta: Meta {
            total: None,
            next: None,
        },
    }))
}

fn bad(place: &str, reason: String) -> Denial {
    let invalid = Invalid::new(place, reason);
    Denial::new(DenialKind::Status(400)).with_message(invalid.to_string())
}

fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}
