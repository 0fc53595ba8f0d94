//! `tollgate audit verify`: follows every chain, and says where one is broken.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tollgate_core::audit::{AuditFault, AuditHead, AuditStore as _, AuditVerifier};
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::OrgId;
use tollgate_core::store::KeyStore as _;

use super::all_heads;
use crate::desk::{Desk, PAGE};
use crate::failure::Failure;
use crate::file;
use crate::out::Out;
use crate::progress::Progress;

/// The heads that were kept, by organization.
type Anchors = BTreeMap<Option<OrgId>, Kept>;

/// Those of one chain, by their place in it: as many lines are kept as there were days. Two of one
/// place cannot both be right.
type Kept = BTreeMap<u64, Vec<AuditHead>>;

pub(super) async fn run(desk: &Desk, kept: Option<&Path>, out: &mut Out) -> Result<(), Failure> {
    let mut anchors = kept.map_or_else(|| Ok(Anchors::new()), read)?;
    let mut found = Found::default();
    let (chains, records) = match all_heads(desk).await {
        Ok(heads) => {
            let records = heads.iter().map(|head| head.seq);
            let records = records.fold(0, u64::saturating_add);
            let chains: Vec<_> = heads.into_iter().map(|head| head.organization).collect();
            (chains, records)
        }
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            found.faults.push(Broken {
                organization: None,
                good: 0,
                fault: format!("the list of chains cannot be read: {error}"),
            });
            (known_chains(desk).await?, 0)
        }
        Err(error) => return Err(error.into()),
    };
    let progress = Progress::of(records, false);
    for organization in chains {
        let kept = anchors.remove(&organization).unwrap_or_default();
        found.follow(desk, organization, kept, &progress).await?;
    }
    // A chain that is gone whole is in no list of chains, but somebody kept its head.
    for (organization, kept) in anchors {
        found.follow(desk, organization, kept, &progress).await?;
    }
    drop(progress);
    found.tell(desk, out)
}

/// The chains that there have to be: that of none, and of each organization.
async fn known_chains(desk: &Desk) -> Result<Vec<Option<OrgId>>, Failure> {
    let mut chains = vec![None];
    let mut after = None;
    loop {
        let page = desk.ask(desk.store().organizations(after, PAGE)).await?;
        let Some(last) = page.last() else {
            return Ok(chains);
        };
        after = Some(last.id.clone());
        chains.extend(page.into_iter().map(|organization| Some(organization.id)));
    }
}

/// Reads lines of `audit heads`.
fn read(path: &Path) -> Result<Anchors, Failure> {
    let text = file::text("file of heads", path)?;
    let mut anchors = Anchors::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let head: AuditHead = line.parse().map_err(|error| {
            let (shown, number) = (path.display(), number.saturating_add(1));
            Failure::from(error).within(format_args!("`{shown}`, line {number}"))
        })?;
        let kept = anchors.entry(head.organization.clone()).or_default();
        let same = kept.entry(head.seq).or_default();
        if !same.contains(&head) {
            same.push(head);
        }
    }
    Ok(anchors)
}

/// What was found so far.
#[derive(Debug, Default, Serialize)]
struct Found {
    whole: bool,
    chains: u64,
    records: u64,
    faults: Vec<Broken>,
}

/// The first fault of a chain: what follows it proves nothing.
#[derive(Debug, Serialize)]
struct Broken {
    organization: Option<OrgId>,
    /// How many records before it are as they were written.
    good: u64,
    fault: String,
}

impl Found {
    async fn follow(
        &mut self,
        desk: &Desk,
        organization: Option<OrgId>,
        kept: Kept,
        progress: &Progress,
    ) -> Result<(), Failure> {
        self.chains = self.chains.saturating_add(1);
        let last = kept.values().next_back().and_then(|same| same.last());
        let last = last.cloned();
        let mut verifier = AuditVerifier::new(desk.audit_key(), organization.clone(), last);
        let fault = follow(desk, organization.as_ref(), &kept, &mut verifier, progress).await?;
        let good = verifier.seq();
        self.records = self.records.saturating_add(good);
        let fault = fault.or_else(|| verifier.finish().err().map(|fault| fault.to_string()));
        self.faults.extend(fault.map(|fault| Broken {
            organization,
            good,
            fault,
        }));
        Ok(())
    }

    fn tell(mut self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        self.whole = self.faults.is_empty();
        let (broken, chains, records) = (self.faults.len(), self.chains, self.records);
        if out.json() {
            out.value(&self)?;
        } else if self.whole {
            out.line(format_args!("whole (chains: {chains}, records: {records})"))?;
        } else {
            for Broken {
                organization,
                fault,
                ..
            } in &self.faults
            {
                let whose = organization.as_ref().map_or("-", OrgId::as_str);
                out.line(format_args!("{whose}: {fault}"))?;
            }
        }
        if self.whole {
            return Ok(());
        }
        let hint = match (records, desk.keyed()) {
            (0, false) => "; if the app seals it with a key, give that with `--audit-key-file`",
            (0, true) => "; is `--audit-key-file` the app's own?",
            _ => "",
        };
        Err(Failure::not_whole(format!(
            "the audit trail is not whole (broken chains: {broken} of {chains}){hint}"
        )))
    }
}

/// Follows a chain until its end or its first fault.
async fn follow(
    desk: &Desk,
    organization: Option<&OrgId>,
    kept: &Kept,
    verifier: &mut AuditVerifier<'_>,
    progress: &Progress,
) -> Result<Option<String>, Failure> {
    loop {
        let after = verifier.seq();
        let page = desk.store().audit_after(organization, after, PAGE);
        let page = match desk.ask(page).await {
            Ok(page) => page,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                return Ok(Some(format!(
                    "a record after record {after} cannot be read: {error}"
                )));
            }
            Err(error) => return Err(error.into()),
        };
        if page.is_empty() {
            return Ok(None);
        }
        for record in &page {
            if let Err(fault) = verifier.follow(record) {
                return Ok(Some(fault.to_string()));
            }
            let seq = record.seq;
            let mut same = kept.get(&seq).into_iter().flatten();
            if same.any(|it| it.mac != record.mac) {
                return Ok(Some(AuditFault::NotAnchored { seq }.to_string()));
            }
            progress.step();
        }
    }
}
