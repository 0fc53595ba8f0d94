//! What is stored of requests that may come again.

use std::sync::Arc;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{HoldRequest, Idempotency, Outcome};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::rows::hex;
use crate::queries::repeats as sql;
use crate::rows::{hex_of, on_rows};
use crate::session::{Row, Statement, corrupt};

/// Whose request to which route, with which key of theirs.
pub(super) type RepeatName = (OrgId, Arc<str>, String);

/// What is known of an idempotency key.
pub(super) struct StoredRepeat {
    pub(super) fingerprint: [u8; 32],
    pub(super) running: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) expires_at: Timestamp,
}

impl StoredRepeat {
    pub(super) const fn running(idempotency: &Idempotency) -> Self {
        Self {
            fingerprint: idempotency.fingerprint,
            running: true,
            outcome: None,
            expires_at: idempotency.expires_at,
        }
    }
}

pub(super) fn repeat_name(request: &HoldRequest) -> Option<RepeatName> {
    let idempotency = request.idempotency.as_ref()?;
    Some((
        request.organization.clone(),
        Arc::clone(&request.route),
        idempotency.key.clone(),
    ))
}

/// What is known of some names, if there are any.
pub(super) fn select(names: &[RepeatName]) -> Result<Option<Statement>, StoreError> {
    let names = names
        .iter()
        .map(|(organization, route, key)| (organization.as_str(), &**route, key.as_str()));
    on_rows(sql::READ, names)
}

/// Reads a row of what [`select`] asked.
pub(super) fn read(
    mut row: Row,
    names: &[RepeatName],
) -> Result<(RepeatName, StoredRepeat), StoreError> {
    let at: u64 = row.take()?;
    let name = usize::try_from(at).ok().and_then(|at| names.get(at));
    let name = name.ok_or_else(|| corrupt("an answer to a question that was not asked"))?;
    let stored = StoredRepeat {
        fingerprint: row.take()?,
        running: row.take::<u64>()? != 0,
        outcome: row.take::<Option<Vec<u8>>>()?.map(Into::into),
        expires_at: row.take()?,
    };
    Ok((name.clone(), stored))
}

pub(super) fn begin<'a>(
    opened: impl Iterator<Item = &'a HoldRequest>,
) -> Result<Option<Statement>, StoreError> {
    let rows = opened.filter_map(|request| {
        let idempotency = request.idempotency.as_ref()?;
        Some((
            request.organization.as_str(),
            &*request.route,
            idempotency.key.as_str(),
            hex_of(&idempotency.fingerprint),
            hex(request.id),
            idempotency.expires_at,
        ))
    });
    on_rows(sql::BEGIN, rows)
}

pub(super) fn end(ended: &[(HoldId, Option<Outcome>)]) -> Result<Option<Statement>, StoreError> {
    let rows = ended
        .iter()
        .map(|(hold, outcome)| (hex(*hold), outcome.as_deref().map(hex_of)));
    on_rows(sql::DONE, rows)
}

/// Lets keys be used anew whose requests were not charged.
pub(super) fn free(holds: &[HoldId]) -> Result<Option<Statement>, StoreError> {
    on_rows(sql::FREE, holds.iter().copied().map(hex))
}
