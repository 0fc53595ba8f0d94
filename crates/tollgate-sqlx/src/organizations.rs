//! Organizations.

use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::record::Organization;

use crate::changes::log;
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
    change: &Change,
) -> Result<(), StoreError> {
    exact(organization.version)?;
    let row = organization_values(organization)?;
    session.execute(sql::INSERT, row).await?;
    changed(session, organization, change).await
}

pub(crate) async fn update(
    session: &mut impl Session,
    mut organization: Organization,
    change: &Change,
) -> Result<Organization, StoreError> {
    let read = exact(organization.version)?;
    organization.version = organization.version.saturating_add(1);
    exact(organization.version)?;
    let mut row = organization_values(&organization)?;
    row.push(Value::Int(read));
    if session.execute(sql::UPDATE, row).await? == 0 {
        return Err(if exists(session, &organization.id).await? {
            StoreError::conflict("the organization was changed meanwhile")
        } else {
            StoreError::not_found("there is no such organization")
        });
    }
    changed(session, &organization, change).await?;
    Ok(organization)
}

async fn changed(
    session: &mut impl Session,
    organization: &Organization,
    change: &Change,
) -> Result<(), StoreError> {
    let kind = ChangeKind::OrganizationChanged;
    log(session, kind, None, &organization.id, change).await
}
