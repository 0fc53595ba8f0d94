//! Webhook endpoints: creating them, and sending them a test event.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tollgate::Principal;
use tollgate::core::id::OrgId;
use uuid::Uuid;

use super::delivery::{Event, Report};
use super::jobs::LONGEST_URL;
use super::{Refusal, Service};

/// How many endpoints an organization has.
pub(crate) const MOST_ENDPOINTS: usize = 20;

const BAD_URL: Refusal = (
    StatusCode::UNPROCESSABLE_ENTITY,
    "An endpoint's URL has http or https, a host, no user name and at most 2000 bytes.",
);
const TOO_MANY: Refusal = (
    StatusCode::CONFLICT,
    "The organization has 20 webhook endpoints already.",
);
/// The same for an endpoint of another organization and for none.
const UNKNOWN: Refusal = (StatusCode::NOT_FOUND, "There is no such webhook endpoint.");

/// The endpoints of all organizations, in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Webhooks(Arc<Mutex<BTreeMap<OrgId, BTreeMap<String, Uri>>>>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEndpoint {
    url: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Endpoint {
    id: String,
    url: String,
}

impl Webhooks {
    /// Adds an endpoint, and gives its id.
    pub(crate) fn create(&self, organization: &OrgId, url: &str) -> Result<String, Refusal> {
        let uri = url
            .parse::<Uri>()
            .ok()
            .filter(|uri| url.len() <= LONGEST_URL && is_endpoint(uri))
            .ok_or(BAD_URL)?;
        let mut all = self.0.lock();
        let endpoints = all.entry(organization.clone()).or_default();
        if endpoints.len() >= MOST_ENDPOINTS {
            return Err(TOO_MANY);
        }
        let id = format!("wh_{}", Uuid::now_v7().simple());
        endpoints.insert(id.clone(), uri);
        Ok(id)
    }

    fn find(&self, organization: &OrgId, id: &str) -> Option<Uri> {
        self.0.lock().get(organization)?.get(id).cloned()
    }
}

fn is_endpoint(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && !authority.contains('@')
}

pub(crate) async fn create(
    State(service): State<Service>,
    caller: Principal,
    Json(new): Json<NewEndpoint>,
) -> Result<(StatusCode, Json<Endpoint>), Refusal> {
    let id = service.webhooks.create(caller.organization(), &new.url)?;
    Ok((StatusCode::CREATED, Json(Endpoint { id, url: new.url })))
}

/// Whether the endpoint took the event is the answer, not an error: the request was a good one.
pub(crate) async fn test(
    State(service): State<Service>,
    caller: Principal,
    Path(webhook): Path<String>,
) -> Result<Json<Report>, Refusal> {
    let url = service.webhooks.find(caller.organization(), &webhook);
    let url = url.ok_or(UNKNOWN)?;
    let event = Event {
        name: "webhook.test",
        webhook,
        sent_at: service.gate.clock().now().wall.to_string(),
    };
    Ok(Json(service.delivery.send(&url, event).await))
}
