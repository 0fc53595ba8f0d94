//! What happens seldom: grants, refunds, and what is forgotten. Each is a transaction of its own.

use tollgate_core::audit::AuditEvent;
use tollgate_core::change::{Change, ChangeKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::credits::{Account, Balance, Entry, EntryKind, Grant, Paid, Refund};
use tollgate_core::error::StoreError;
use tollgate_core::id::{HoldId, OrgId};

use super::rows::{self, Hold, Line, State};
use crate::audit::Mutation;
use crate::queries::{entries as entry_sql, holds as hold_sql, repeats as repeat_sql};
use crate::session::{Session, values};

pub(super) async fn grant(
    session: &mut impl Session,
    grant: &Grant,
    mutation: Mutation<'_>,
) -> Result<Balance, StoreError> {
    let change = mutation.change;
    let organization = &grant.organization;
    let mut account = advanced(session, organization, change.at).await?;
    if let Some(reference) = &grant.reference
        && was_used(session, organization, reference, None).await?
    {
        return Ok(account.balance);
    }
    let granted = account.grant(grant.credits, grant.priority, grant.expires_at);
    granted.map_err(|_| StoreError::conflict("the grant would overflow the wallet"))?;
    let entry = Entry {
        reference: grant.reference.clone(),
        ..entry(
            &account,
            organization,
            EntryKind::Grant,
            grant.credits,
            change,
        )
    };
    let kind = ChangeKind::CreditsGranted;
    write(session, &account, entry, kind, mutation).await
}

pub(super) async fn withdraw(
    session: &mut impl Session,
    organization: &OrgId,
    credits: u64,
    mutation: Mutation<'_>,
) -> Result<Balance, StoreError> {
    let change = mutation.change;
    let mut account = advanced(session, organization, change.at).await?;
    account.withdraw(credits).map_err(|available| {
        StoreError::conflict(format!("the wallet has {available} credits to take back"))
    })?;
    let entry = entry(
        &account,
        organization,
        EntryKind::Withdrawal,
        credits,
        change,
    );
    write(
        session,
        &account,
        entry,
        ChangeKind::CreditsWithdrawn,
        mutation,
    )
    .await
}

pub(super) async fn refund(
    session: &mut impl Session,
    refund: &Refund,
    mutation: Mutation<'_>,
) -> Result<Balance, StoreError> {
    let change = mutation.change;
    let organization = &refund.organization;
    let mut account = advanced(session, organization, change.at).await?;
    let refunds = Some(refund.hold);
    if was_used(session, organization, &refund.reference, refunds).await? {
        return Ok(account.balance);
    }
    let found = rows::lock_hold(session, refund.hold).await?;
    let is_settled =
        |hold: &Hold| hold.state == State::Settled && hold.organization == *organization;
    let Some(mut hold) = found.filter(is_settled) else {
        return Err(StoreError::not_found("no such hold was settled"));
    };
    let left = hold.paid.credits.saturating_sub(hold.refunded);
    if refund.credits > left {
        let few = format!("{left} credits of the charge are left to give back");
        return Err(StoreError::conflict(few));
    }
    hold.refunded = hold.refunded.saturating_add(refund.credits);
    account.refund(Paid {
        credits: refund.credits,
        ..hold.paid
    });
    let update = rows::update_holds(std::iter::once((refund.hold, &hold)))?;
    session.run(update.into_iter().collect()).await?;
    let entry = Entry {
        hold: Some(refund.hold),
        reference: Some(refund.reference.clone()),
        ..entry(
            &account,
            organization,
            EntryKind::Refund,
            refund.credits,
            change,
        )
    };
    write(
        session,
        &account,
        entry,
        ChangeKind::CreditsRefunded,
        mutation,
    )
    .await
}

/// Deletes what ended long ago.
pub(super) async fn forget(
    session: &mut impl Session,
    ended_before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let newest = HoldId::from_parts(ended_before, &[0; 10]);
    let holds = values![newest.as_bytes(), ended_before, limit];
    let holds = session.execute(hold_sql::FORGET, holds).await?;
    let repeats = session
        .execute(repeat_sql::FORGET, values![now, limit])
        .await?;
    Ok(holds.saturating_add(repeats))
}

/// The account as it is at this point; what lapsed until then is written down.
async fn advanced(
    session: &mut impl Session,
    organization: &OrgId,
    now: Timestamp,
) -> Result<Account, StoreError> {
    let mut account = rows::lock_account(session, organization).await?;
    let advanced = account.advance(now, None);
    let lines: Vec<_> = Line::of(advanced, organization, now, account.balance).collect();
    if !lines.is_empty() {
        write_account(session, organization, &account, &lines).await?;
    }
    Ok(account)
}

/// Whether this grant, or refund of a hold, was made before.
async fn was_used(
    session: &mut impl Session,
    organization: &OrgId,
    reference: &str,
    refunds: Option<HoldId>,
) -> Result<bool, StoreError> {
    let row = values![organization.as_str(), reference];
    let seen = session.fetch_optional(entry_sql::OF_REFERENCE, row).await?;
    let Some(mut row) = seen else {
        return Ok(false);
    };
    let used: Option<[u8; 16]> = row.take()?;
    if used.map(HoldId::from_bytes) == refunds {
        return Ok(true);
    }
    Err(StoreError::conflict(
        "the reference is that of something else",
    ))
}

fn entry(
    account: &Account,
    organization: &OrgId,
    kind: EntryKind,
    credits: u64,
    change: &Change,
) -> Entry {
    Entry::by(change, organization, kind, credits, account.balance.funds())
}

/// Writes an account, what happened to it, and that it changed.
async fn write(
    session: &mut impl Session,
    account: &Account,
    entry: Entry,
    kind: ChangeKind,
    mutation: Mutation<'_>,
) -> Result<Balance, StoreError> {
    let organization = entry.organization.clone();
    let event = AuditEvent::credits(&entry, account.balance);
    let line = Line::Other(Box::new(entry));
    write_account(session, &organization, account, &[line]).await?;
    mutation
        .log(session, kind, None, &organization, event)
        .await?;
    Ok(account.balance)
}

async fn write_account(
    session: &mut impl Session,
    organization: &OrgId,
    account: &Account,
    lines: &[Line],
) -> Result<(), StoreError> {
    let account = rows::write_accounts(std::iter::once((organization, account)))?;
    let writes = [account, rows::insert_lines(lines)?];
    session.run(writes.into_iter().flatten().collect()).await?;
    Ok(())
}
