//! What an app reads of its audit trail.

use tollgate_core::audit::AuditRecord;
use tollgate_core::deadline::within;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::reply::Reply;

use crate::background::DEADLINE;
use crate::gate::Gate;

/// The audit trail. From [`Gate::audit`].
///
/// What belongs to no organization, such as users and their sessions, has a chain of its own: that
/// of `None`.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a>(pub(super) &'a Gate);

impl Audit<'_> {
    /// Up to `limit` records, the newest first, with a `seq` below `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn newest(
        self,
        organization: Option<&OrgId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let asked = self.0.0.audit.audit_before(organization, before, limit);
        self.ask(asked).await
    }

    /// Up to `limit` records, the oldest first, with a `seq` above `after`: for
    /// [`AuditVerifier`](tollgate_core::audit::AuditVerifier).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn oldest(
        self,
        organization: Option<&OrgId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let asked = self.0.0.audit.audit_after(organization, after, limit);
        self.ask(asked).await
    }

    async fn ask<T: Send + 'static>(self, reply: Reply<T>) -> Result<T, StoreError> {
        within(self.0.clock(), DEADLINE, "the audit store", reply).await
    }
}
