//! Organizations: what they are, and whether their keys work.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tollgate::{Denial, DenialKind};
use tollgate_core::id::OrgId;
use tollgate_core::keyring::KeyringError;
use tollgate_core::record::Organization;
use utoipa::IntoParams;

use crate::extract::{Body, MaybeBody, Nothing, Params, Why};
use crate::manager::{Manager, Member};
use crate::page::{List, One, PageParams, one_more};

use bodies::{EditOrganizationBody, NewOrganizationBody};
pub(crate) use rules::{IpRulesBody, IpRulesView};
pub(crate) use view::OrganizationView;

mod bodies;
pub(crate) mod resources;
mod rules;
mod view;

/// The path of an organization.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct OrganizationPath {
    /// The organization.
    organization: String,
}

/// Lists the organizations in which somebody has a role: all, for who has one everywhere.
#[utoipa::path(
    get, path = "/organizations", tag = "organizations", params(PageParams),
    responses((status = 200, description = "A page of organizations", body = List<OrganizationView>))
)]
pub(crate) async fn list(
    manager: Manager,
    Params(page): Params<PageParams>,
) -> Result<Json<List<OrganizationView>>, Denial> {
    let limit = page.limit()?;
    let after: Option<OrgId> = page.after("organizations")?;
    let keyring = manager.desk.gate.keyring();
    let found = if manager.session.role_everywhere().is_some() {
        keyring.organizations(after, one_more(limit)).await?
    } else {
        theirs(&manager, after, one_more(limit)).await?
    };
    let page = List::page("organizations", limit, found, |last| last.id.clone());
    Ok(Json(List {
        data: page.data.into_iter().map(OrganizationView::from).collect(),
        meta: page.meta,
    }))
}

/// Those of their memberships. One that has been taken away meanwhile is left out.
async fn theirs(
    manager: &Manager,
    after: Option<OrgId>,
    limit: u32,
) -> Result<Vec<Organization>, Denial> {
    let memberships = manager.session.memberships().iter();
    let mut ids: Vec<&OrgId> = memberships
        .filter_map(|of| of.organization.as_ref())
        .filter(|id| after.as_ref().is_none_or(|after| *id > after))
        .collect();
    ids.sort();
    ids.dedup();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for id in ids {
        if found.len() >= limit {
            break;
        }
        match manager.desk.gate.keyring().organization(id).await {
            Ok(organization) => found.push(organization),
            Err(KeyringError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Makes an organization.
#[utoipa::path(
    post, path = "/organizations", tag = "organizations", request_body = NewOrganizationBody,
    responses(
        (status = 201, description = "The organization", body = One<OrganizationView>),
        (status = 409, description = "There is one of this id", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn create(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    Body(mut body): Body<NewOrganizationBody>,
) -> Result<Response, Denial> {
    let actor = manager.actor(body.reason.take()).await?;
    let new = body.new_organization()?;
    let keyring = manager.desk.gate.keyring();
    let made = keyring.create_organization(new, &actor).await?;
    Ok((StatusCode::CREATED, one(made)).into_response())
}

/// Shows an organization.
#[utoipa::path(
    get, path = "/organizations/{organization}", tag = "organizations", params(OrganizationPath),
    responses((status = 200, description = "The organization", body = One<OrganizationView>))
)]
pub(crate) async fn show(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<One<OrganizationView>>, Denial> {
    Ok(one(member
        .keyring()
        .organization(&member.organization)
        .await?))
}

/// Edits an organization; what is left out stays.
///
/// An admin may set from where its keys may be used; its plan and its limits are for an operator to
/// say. What is said together is done in turn, and not at once.
#[utoipa::path(
    patch, path = "/organizations/{organization}", tag = "organizations", params(OrganizationPath),
    request_body = EditOrganizationBody,
    responses((status = 200, description = "The organization", body = One<OrganizationView>))
)]
pub(crate) async fn edit(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Body(mut body): Body<EditOrganizationBody>,
) -> Result<Json<One<OrganizationView>>, Denial> {
    member.only_operator("plan", body.plan.is_some())?;
    member.only_operator("limits", body.limits.is_some())?;
    let actor = member.actor(body.reason.take()).await?;
    let rules = body.ip_rules.map(IpRulesBody::rules).transpose()?;
    let (keyring, id) = (member.keyring(), &member.organization);
    let mut changed = None;
    if let Some(plan) = body.plan {
        changed = Some(keyring.set_plan(id, &plan, &actor).await?);
    }
    if let Some(limits) = body.limits {
        changed = Some(keyring.set_limits(id, limits.as_ref(), &actor).await?);
    }
    if let Some(rules) = rules {
        changed = Some(keyring.set_ip_rules(id, &rules, &actor).await?);
    }
    changed.map(one).ok_or_else(|| {
        let message = "body: it changes nothing; name `ip_rules`, `plan` or `limits`";
        Denial::new(DenialKind::Status(422)).with_message(message)
    })
}

/// Suspends an organization: none of its keys works.
#[utoipa::path(
    post, path = "/organizations/{organization}/suspend", tag = "organizations",
    params(OrganizationPath), request_body = Option<Why>,
    responses((status = 200, description = "The organization", body = One<OrganizationView>))
)]
pub(crate) async fn suspend(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<OrganizationView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    Ok(one(member
        .keyring()
        .suspend(&member.organization, &actor)
        .await?))
}

/// Lets an organization's keys work again.
#[utoipa::path(
    post, path = "/organizations/{organization}/activate", tag = "organizations",
    params(OrganizationPath), request_body = Option<Why>,
    responses((status = 200, description = "The organization", body = One<OrganizationView>))
)]
pub(crate) async fn activate(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<OrganizationView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    Ok(one(member
        .keyring()
        .activate(&member.organization, &actor)
        .await?))
}

/// Restricts an organization to the routes that allow a billing restriction.
#[utoipa::path(
    post, path = "/organizations/{organization}/billing-restrict", tag = "organizations",
    params(OrganizationPath), request_body = Option<Why>,
    responses((status = 200, description = "The organization", body = One<OrganizationView>))
)]
pub(crate) async fn restrict_billing(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<OrganizationView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    let keyring = member.keyring();
    Ok(one(keyring
        .restrict_billing(&member.organization, &actor)
        .await?))
}

fn one(organization: Organization) -> Json<One<OrganizationView>> {
    Json(One {
        data: organization.into(),
    })
}
