//! What is stored of requests that may come again.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{HoldRequest, Idempotency, Outcome};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::rows::{execute, hex};
use crate::queries::repeats as sql;
use crate::rows::json;
use crate::session::{Session, Value, corrupt, values};

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

pub(super) async fn repeats(
    session: &mut impl Session,
    names: Vec<RepeatName>,
) -> Result<HashMap<RepeatName, StoredRepeat>, StoreError> {
    let asked: Vec<(&str, &str, &str)> = names
        .iter()
        .map(|(organization, route, key)| (organization.as_str(), &**route, key.as_str()))
        .collect();
    let rows = session.fetch(sql::READ, values![json(&asked)?]).await?;
    let mut found = HashMap::new();
    for mut row in rows {
        let at: u64 = row.take()?;
        let name = usize::try_from(at).ok().and_then(|at| names.get(at));
        let name = name.ok_or_else(|| corrupt("an answer to a question that was not asked"))?;
        let stored = StoredRepeat {
            fingerprint: row.take()?,
            running: row.take::<u64>()? != 0,
            outcome: row.take::<Option<Vec<u8>>>()?.map(Into::into),
            expires_at: row.take()?,
        };
        found.insert(name.clone(), stored);
    }
    Ok(found)
}

pub(super) async fn begin_repeat(
    session: &mut impl Session,
    request: &HoldRequest,
    idempotency: &Idempotency,
) -> Result<(), StoreError> {
    let row = values![
        request.organization.as_str(),
        &*request.route,
        idempotency.key.as_str(),
        &idempotency.fingerprint,
        request.id.as_bytes(),
        idempotency.expires_at,
    ];
    session.execute(sql::BEGIN, row).await?;
    Ok(())
}

pub(super) async fn end_repeat(
    session: &mut impl Session,
    hold: HoldId,
    outcome: Option<&Outcome>,
) -> Result<(), StoreError> {
    let outcome = outcome.map_or(Value::Null, |outcome| Value::Blob(outcome.to_vec()));
    let row = vec![Value::from(hold.as_bytes()), outcome];
    session.execute(sql::DONE, row).await?;
    Ok(())
}

/// Lets keys be used anew whose requests were not charged.
pub(super) async fn free_repeats(
    session: &mut impl Session,
    holds: &[HoldId],
) -> Result<(), StoreError> {
    execute(session, sql::FREE, holds.iter().copied().map(hex)).await
}
