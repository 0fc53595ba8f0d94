//! Organizations.

use tollgate_core::audit::AuditEvent;
use tollgate_core::change::ChangeKind;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::record::Organization;

use crate::audit::Mutation;
use crate::queries::organizations as sql;
use crate::rows::{exact, organization_values, read_organization};
use crate::session::{Session, Value, values};

pub(crate) async fn read(
    session: &mut impl Session,
    id: &OrgId,
) -> Result<Option<Organization>, StoreError> {
    let row = session
        .fetch_optional(sql::READ, values![id.as_str()])
        .await?;
    row.map(|mut row| read_organization(&mut row)).transpose()
}

pub(crate) async fn list(
    session: &mut impl Session,
    after: Option<&OrgId>,
    limit: u32,
) -> Result<Vec<Organization>, StoreError> {
    // No id is empty, so that all of them come after the empty one.
    let after = after.map_or("", OrgId::as_str);
    let rows = session.fetch(sql::LIST, values![after, limit]).await?;
    rows.into_iter()
        .map(|mut row| read_organization(&mut row))
        .collect()
}

pub(crate) async fn exists(session: &mut impl Session, id: &OrgId) -> Result<bool, StoreError> {
    let row = session.fetch_optional(sql::EXISTS, values![id.as_str()]);
    Ok(row.await?.is_some())
}

pub(crate) async fn insert(
    session: &mut impl Session,
    organization: &Organization,
    mutation: Mutation<'_>,
) -> Result<(), StoreError> {
    exact(organization.version)?;
    let row = organization_values(organization)?;
    session.execute(sql::INSERT, row).await?;
    let event = AuditEvent::organization_created(organization);
    let kind = ChangeKind::OrganizationChanged;
    mutation
        .log(session, kind, None, &organization.id, event)
        .await
}

pub(crate) async fn update(
    session: &mut impl Session,
    mut organization: Organization,
    mutation: Mutation<'_>,
) -> Result<Organization, StoreError> {
    let version = exact(organization.version)?;
    let Some(before) = read(session, &organization.id).await? else {
        return Err(StoreError::not_found("there is no such organization"));
    };
    organization.version = organization.version.saturating_add(1);
    exact(organization.version)?;
    let mut row = organization_values(&organization)?;
    row.push(Value::Int(version));
    if session.execute(sql::UPDATE, row).await? == 0 {
        return Err(StoreError::conflict(
            "the organization was changed meanwhile",
        ));
    }
    let event = AuditEvent::organization_changed(&before, &organization);
    let kind = ChangeKind::OrganizationChanged;
    mutation
        .log(session, kind, None, &organization.id, event)
        .await?;
    Ok(organization)
}
