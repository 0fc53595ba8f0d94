//! `tollgate audit`: who changed what, and whether somebody tampered with it.

use std::cmp::Reverse;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use tollgate_core::audit::{AuditHead, AuditRecord, AuditStore as _};
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;

use crate::desk::{Desk, PAGE};
use crate::failure::Failure;
use crate::out::{Out, Shown, note, or_dash};
use crate::progress::Progress;

mod verify;

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Lists records, the newest first
    List {
        /// Those of this organization only
        #[arg(long)]
        org: Option<OrgId>,
        /// The most records
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Prints every record as a line of JSON, chain by chain, the oldest first
    Export {
        /// Those of this organization only
        #[arg(long)]
        org: Option<OrgId>,
    },
    /// Follows every chain of records, and says where one is broken
    Verify {
        /// Lines of `audit heads` that were kept elsewhere: chains have to pass through them
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Prints where each chain ends now, to be kept elsewhere
    Heads,
}

impl Audit {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { org, limit } => list(desk, org, limit, out).await,
            Self::Export { org } => export(desk, org, out).await,
            Self::Verify { head } => verify::run(desk, head.as_deref(), out).await,
            Self::Heads => print_heads(desk, out).await,
        }
    }
}

/// The chain of one organization, or all there are.
async fn heads(desk: &Desk, org: Option<OrgId>) -> Result<Vec<AuditHead>, Failure> {
    if let Some(org) = org {
        let last = desk.store().audit_before(Some(&org), None, 1);
        let last = desk.ask(last).await?;
        if last.is_empty() {
            desk.organization(&org).await?;
        }
        return Ok(last.iter().map(AuditRecord::head).collect());
    }
    Ok(all_heads(desk).await?)
}

async fn all_heads(desk: &Desk) -> Result<Vec<AuditHead>, StoreError> {
    let mut heads: Vec<AuditHead> = Vec::new();
    loop {
        let page = desk.store().audit_heads(heads.last().cloned(), PAGE);
        let page = desk.ask(page).await?;
        if page.is_empty() {
            return Ok(heads);
        }
        heads.extend(page);
    }
}

async fn list(desk: &Desk, org: Option<OrgId>, limit: u32, out: &mut Out) -> Result<(), Failure> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut newest: Vec<AuditRecord> = Vec::new();
    let mut more = false;
    for head in heads(desk, org).await? {
        let organization = head.organization.as_ref();
        let page = desk.store().audit_before(organization, None, limit);
        newest.extend(desk.ask(page).await?);
        newest.sort_by_key(|it| Reverse((it.at, it.seq)));
        more |= newest.len() > most || head.seq > u64::from(limit);
        newest.truncate(most);
    }
    let mut list = out.list::<ShownRecord>();
    for record in newest {
        if !list.add(&ShownRecord(record))? {
            break;
        }
    }
    list.end()?;
    if more && !out.json() {
        note(format_args!(
            "there are more than {limit}: write a larger `--limit`, or `tollgate audit export`"
        ));
    }
    Ok(())
}

async fn export(desk: &Desk, org: Option<OrgId>, out: &mut Out) -> Result<(), Failure> {
    let heads = heads(desk, org).await?;
    let records = heads.iter().map(|head| head.seq);
    let progress = Progress::of(records.fold(0, u64::saturating_add), true);
    for head in &heads {
        let mut after = 0;
        loop {
            let page = desk
                .store()
                .audit_after(head.organization.as_ref(), after, PAGE);
            let page = desk.ask(page).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for record in &page {
                out.line(serde_json::to_string(record)?)?;
                progress.step();
            }
            if out.is_closed() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn print_heads(desk: &Desk, out: &mut Out) -> Result<(), Failure> {
    let heads = heads(desk, None).await?;
    if out.json() {
        return out.value(&heads);
    }
    heads.iter().try_for_each(|head| out.line(head))
}

/// A record, as it was sealed: its time is in microseconds since 1970.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ShownRecord(AuditRecord);

impl Shown for ShownRecord {
    const COLUMNS: &'static [&'static str] = &["WHEN", "ORG", "SEQ", "WHAT", "TO", "BY", "WHY"];

    fn row(&self) -> Vec<String> {
        let Self(record) = self;
        vec![
            record.at.to_string(),
            or_dash(record.organization.as_ref()),
            record.seq.to_string(),
            record.action.clone(),
            record.target.clone(),
            record.actor.clone(),
            or_dash(record.reason.as_ref()),
        ]
    }
}
