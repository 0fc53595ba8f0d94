//! The audit trail: who changed what.

use std::net::IpAddr;

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use tollgate::Denial;
use tollgate_core::audit::AuditRecord;
use tollgate_core::id::OrgId;
use utoipa::ToSchema;

use crate::desk::Desk;
use crate::extract::{Params, Time};
use crate::manager::{Manager, Member};
use crate::organizations::OrganizationPath;
use crate::page::{List, PageParams, one_more};

/// What somebody changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// Its place in the chain of the organization, from 1 on without a gap.
    #[schema(example = 42)]
    seq: u64,
    /// When.
    at: Time,
    /// What was done.
    #[schema(example = "key.rotate")]
    action: String,
    /// To what.
    #[schema(example = "key:019b76da-a800-7000-8000-000000000000")]
    target: String,
    /// Who did it.
    #[schema(example = "user:ann@acme.example")]
    actor: String,
    /// In which session.
    session: Option<String>,
    /// From where.
    #[schema(value_type = Option<String>, example = "203.0.113.50")]
    address: Option<IpAddr>,
    /// Why, in their words.
    reason: Option<String>,
    /// What was different before.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What is different since.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        let json = |text: Option<String>| serde_json::from_str(&text?).ok();
        Self {
            seq: record.seq,
            at: Time(record.at),
            action: record.action,
            target: record.target,
            actor: record.actor,
            session: record.session,
            address: record.address,
            reason: record.reason,
            before: json(record.before),
            after: json(record.after),
        }
    }
}

/// Lists what was changed in an organization, the newest first.
#[utoipa::path(
    get, path = "/organizations/{organization}/audit", tag = "audit",
    params(OrganizationPath, PageParams),
    responses((status = 200, description = "A page of the trail", body = List<AuditView>))
)]
pub(crate) async fn of_organization(
    member: Member,
    Params(page): Params<PageParams>,
) -> Result<Json<List<AuditView>>, Denial> {
    member.there().await?;
    records(&member.desk, Some(&member.organization), &page).await
}

/// Lists what was changed that belongs to no organization, such as users and their sessions, the
/// newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(PageParams),
    responses((status = 200, description = "A page of the trail", body = List<AuditView>))
)]
pub(crate) async fn of_none(
    manager: Manager,
    Params(page): Params<PageParams>,
) -> Result<Json<List<AuditView>>, Denial> {
    records(&manager.desk, None, &page).await
}

async fn records(
    desk: &Desk,
    organization: Option<&OrgId>,
    page: &PageParams,
) -> Result<Json<List<AuditView>>, Denial> {
    let limit = page.limit()?;
    let before = page.after("audit")?;
    let trail = desk.gate.audit();
    let found = trail.newest(organization, before, one_more(limit)).await?;
    // Without a gap, so the newest says how many there are.
    let total = match before {
        None => Some(found.first().map_or(0, |newest| newest.seq)),
        Some(_) => None,
    };
    let views = found.into_iter().map(AuditView::from).collect();
    let page = List::page("audit", limit, views, |last: &AuditView| last.seq);
    Ok(Json(page.of(total)))
}
