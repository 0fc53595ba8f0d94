//! Finds out whether this command seals the audit trail as the app does.

use tollgate_core::audit::{AuditHead, AuditStore as _};
use tollgate_core::error::StoreErrorKind;

use crate::desk::Desk;
use crate::failure::Failure;

/// How many chains are looked at: one of them may have been tampered with, and a change may be
/// what helps against it.
const CHAINS: u32 = 16;

/// Passes if the last record of some chain was sealed with this key, or there is none.
pub(crate) async fn check(desk: &Desk) -> Result<(), Failure> {
    let heads = match desk.ask(desk.store().audit_heads(None, CHAINS)).await {
        // Somebody has tampered with it, which must not keep a key from being revoked.
        Err(error) if error.kind() == StoreErrorKind::Corrupt => return Ok(()),
        heads => heads?,
    };
    for head in &heads {
        if fits(desk, head).await? {
            return Ok(());
        }
    }
    let Some(first) = heads.first() else {
        return Ok(());
    };
    let whose = first.organization.as_ref().map_or("-", |id| id.as_str());
    let remedy = if desk.keyed() {
        "give the app's own key with `--audit-key-file`, of which every byte counts, a line end too"
    } else {
        "give the app's with `--audit-key-file`"
    };
    Err(Failure::new(format!(
        "the audit trail of `{whose}` was sealed with another key, and a change that is sealed \
         with this one would break it; {remedy}"
    )))
}

async fn fits(desk: &Desk, head: &AuditHead) -> Result<bool, Failure> {
    let organization = head.organization.as_ref();
    let newest = desk.store().audit_before(organization, None, 2);
    let newest = desk.ask(newest).await?;
    let Some(last) = newest.first() else {
        return Ok(false);
    };
    let before = newest.get(1).map_or([0; 32], |record| record.mac);
    Ok(desk.audit_key().mac(&before, last) == last.mac)
}
