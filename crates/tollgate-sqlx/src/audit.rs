//! The audit trail: a record in the transaction of each mutation.

use tollgate_core::audit::{AuditEvent, AuditHead, AuditKey, AuditRecord, AuditStore};
use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::error::StoreError;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::reply::Reply;

use crate::changes;
use crate::queries::audit as sql;
use crate::session::{Backend, Row, Session, corrupt, values};
use crate::store::SqlStore;

/// A mutation that is under way: who makes it, and what its record is sealed with.
#[derive(Clone, Copy)]
pub(crate) struct Mutation<'a> {
    pub(crate) change: &'a Change,
    pub(crate) key: &'a AuditKey,
}

impl<'a> Mutation<'a> {
    pub(crate) const fn new(change: &'a Change, key: &'a AuditKey) -> Self {
        Self { change, key }
    }

    /// Notes it in the change feed and in the trail of its organization.
    pub(crate) async fn log(
        self,
        session: &mut impl Session,
        kind: ChangeKind,
        key: Option<&KeyId>,
        organization: &OrgId,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        changes::log(session, kind, key, Some(organization), self.change).await?;
        self.record(session, Some(organization.clone()), event)
            .await
    }

    /// Notes it in the trail of an organization, or in that of none.
    pub(crate) async fn record(
        self,
        session: &mut impl Session,
        of: Option<OrgId>,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let name = of.as_ref().map_or("", OrgId::as_str);
        let newest = session.fetch_optional(sql::HEAD, values![name]);
        let last = newest.await?.map(read_head).transpose()?;
        let record = AuditRecord::new(of, event, self.change, self.key, last.as_ref());
        insert(session, &record).await
    }
}

async fn insert(session: &mut impl Session, record: &AuditRecord) -> Result<(), StoreError> {
    let row = values![
        record.organization.as_ref().map_or("", OrgId::as_str),
        record.seq,
        record.at,
        record.action.as_str(),
        record.target.as_str(),
        record.actor.as_str(),
        record.session.as_deref(),
        record.address.map(|address| address.to_string()),
        record.reason.as_deref(),
        record.before.as_deref(),
        record.after.as_deref(),
        &record.mac,
    ];
    session.execute(sql::INSERT, row).await?;
    Ok(())
}

impl<B: Backend> AuditStore for SqlStore<B> {
    fn audit_after(
        &self,
        organization: Option<&OrgId>,
        after: u64,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let row = values![organization.map_or("", OrgId::as_str), after, limit];
        let backend = self.backend.clone();
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql::AFTER, row).await?;
            rows.into_iter().map(read).collect()
        })
    }

    fn audit_before(
        &self,
        organization: Option<&OrgId>,
        before: Option<u64>,
        limit: u32,
    ) -> Reply<Vec<AuditRecord>> {
        let before = before.unwrap_or(u64::MAX);
        let row = values![organization.map_or("", OrgId::as_str), before, limit];
        let backend = self.backend.clone();
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql::BEFORE, row).await?;
            rows.into_iter().map(read).collect()
        })
    }

    fn audit_heads(&self, after: Option<AuditHead>, limit: u32) -> Reply<Vec<AuditHead>> {
        let name = |head: AuditHead| {
            head.organization
                .map_or_else(String::new, |id| id.to_string())
        };
        // The empty name comes first, and nothing before it.
        let (first, after) = after.map_or((1_u32, String::new()), |head| (0, name(head)));
        let row = values![after, first, limit];
        let backend = self.backend.clone();
        Reply::later(async move {
            let rows = backend.read().await?.fetch(sql::HEADS, row).await?;
            rows.into_iter().map(read_head).collect()
        })
    }
}

fn read_organization(row: &mut Row) -> Result<Option<OrgId>, StoreError> {
    let name: String = row.take()?;
    if name.is_empty() {
        return Ok(None);
    }
    let id = OrgId::new(&name).map_err(|_| corrupt("an organization's name is none"))?;
    Ok(Some(id))
}

fn read_head(mut row: Row) -> Result<AuditHead, StoreError> {
    Ok(AuditHead {
        organization: read_organization(&mut row)?,
        seq: row.take()?,
        mac: row.take()?,
    })
}

fn read(mut row: Row) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        organization: read_organization(&mut row)?,
        seq: row.take()?,
        at: row.take()?,
        action: row.take()?,
        target: row.take()?,
        actor: row.take()?,
        session: row.take()?,
        address: address(row.take()?)?,
        reason: row.take()?,
        before: row.take()?,
        after: row.take()?,
        mac: row.take()?,
    })
}

fn address(text: Option<String>) -> Result<Option<std::net::IpAddr>, StoreError> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|_| corrupt("an address is none"))
}
