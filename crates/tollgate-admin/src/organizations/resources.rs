//! What an organization owns: domains, and the like.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use tollgate::Denial;
use utoipa::{IntoParams, ToSchema};

use super::OrganizationPath;
use crate::desk::Desk;
use crate::extract::{Nothing, Params, WhyParams};
use crate::manager::{Member, required_param};

/// What an organization owns.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resources {
    /// Values by kind.
    #[schema(example = json!({"domain": ["acme.example"]}))]
    data: BTreeMap<String, BTreeSet<String>>,
}

/// The path of a resource.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct ResourcePath {
    /// The organization.
    organization: String,
    /// The kind: `domain`.
    kind: String,
    /// The value: `acme.example`.
    value: String,
}

/// The resource that the path names.
#[derive(Debug)]
pub(crate) struct Resource {
    kind: String,
    value: String,
}

impl FromRequestParts<Desk> for Resource {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &Desk) -> Result<Self, Denial> {
        Ok(Self {
            kind: required_param(parts, "kind").await?,
            value: required_param(parts, "value").await?,
        })
    }
}

/// Lists what an organization owns.
#[utoipa::path(
    get, path = "/organizations/{organization}/resources", tag = "resources",
    params(OrganizationPath),
    responses((status = 200, description = "What it owns", body = Resources))
)]
pub(crate) async fn list(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<Resources>, Denial> {
    let found = member.keyring().organization(&member.organization).await?;
    let data = found.resources;
    Ok(Json(Resources { data }))
}

/// Gives an organization a resource; nothing changes if it has it.
#[utoipa::path(
    put, path = "/organizations/{organization}/resources/{kind}/{value}", tag = "resources",
    params(ResourcePath, WhyParams),
    responses(
        (status = 200, description = "What it owns now", body = Resources),
        (status = 422, description = "This is no kind or no value: too long, blank at its ends, or \
            with control characters", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn add(
    member: Member,
    Params(why): Params<WhyParams>,
    Resource { kind, value }: Resource,
) -> Result<Json<Resources>, Denial> {
    let (actor, keyring) = (member.actor(why.reason).await?, member.keyring());
    let changed = keyring.add_resource(&member.organization, &kind, &value, &actor);
    let data = changed.await?.resources;
    Ok(Json(Resources { data }))
}

/// Takes a resource from an organization; nothing changes if it lacks it.
#[utoipa::path(
    delete, path = "/organizations/{organization}/resources/{kind}/{value}",
    tag = "resources", params(ResourcePath, WhyParams),
    responses((status = 200, description = "What it owns now", body = Resources))
)]
pub(crate) async fn remove(
    member: Member,
    Params(why): Params<WhyParams>,
    Resource { kind, value }: Resource,
) -> Result<Json<Resources>, Denial> {
    let (actor, keyring) = (member.actor(why.reason).await?, member.keyring());
    let changed = keyring.remove_resource(&member.organization, &kind, &value, &actor);
    let data = changed.await?.resources;
    Ok(Json(Resources { data }))
}
