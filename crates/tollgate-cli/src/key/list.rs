//! `tollgate key list`: which keys, and what is due of them.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tollgate_core::clock::Timestamp;
use tollgate_core::id::OrgId;
use tollgate_core::record::KeyStatus;
use tollgate_core::store::{KeyQuery, KeyStore as _};

use super::shown::ShownKey;
use crate::args::lifetime;
use crate::desk::{Desk, PAGE};
use crate::failure::Failure;
use crate::out::Out;

/// Which keys are listed: those that match every option.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of this organization only
    #[arg(long)]
    org: Option<OrgId>,
    /// Those that are switched on, off, or off for ever
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Those that somebody made: `user:ann@acme.example`, `cli:root`
    #[arg(long, value_name = "WHO")]
    creator: Option<String>,
    /// Those whose name, or the beginning of whose secret, contains this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Those that expire within this time: `7d`
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expiring_within: Option<Duration>,
    /// Those that were not used for this long: `90d`
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    unused_for: Option<Duration>,
    /// Those whose secret is older than the catalog wants secrets to be
    #[arg(long)]
    rotation_due: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Active,
    Disabled,
    Revoked,
}

impl List {
    pub(super) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        if let Some(org) = &self.org {
            desk.organization(org).await?;
        }
        let now = desk.now();
        let rotation_age = rotation_age(desk).await?;
        let mut query = self.query(now, rotation_age)?;
        let mut printed = out.list::<ShownKey>();
        loop {
            let page = desk.ask(desk.store().list_keys(query.clone())).await?;
            let Some(last) = page.keys.last() else { break };
            query.before = Some(last.key.id);
            for listed in page.keys {
                let shown = ShownKey::of(listed.key, now).with_usage(&listed.usage);
                if !printed.add(&shown.with_rotation(rotation_age, now))? {
                    return printed.end();
                }
            }
        }
        printed.end()
    }

    fn query(self, now: Timestamp, rotation_age: Option<Duration>) -> Result<KeyQuery, Failure> {
        let mut query = KeyQuery::new().limit(PAGE);
        query.organization = self.org;
        query.status = self.status.map(|status| match status {
            Status::Active => KeyStatus::Active,
            Status::Disabled => KeyStatus::Disabled,
            Status::Revoked => KeyStatus::Revoked,
        });
        query.creator = self.creator;
        query.search = self.search;
        if let Some(within) = self.expiring_within {
            query = query.expiring(now, now.after(within));
        }
        if let Some(time) = self.unused_for {
            query = query.unused_since(now.before(time));
        }
        if self.rotation_due {
            let Some(age) = rotation_age else {
                let sentence = "the catalog has no `rotation_age`, so no rotation is ever due";
                return Err(Failure::new(sentence));
            };
            query = query.secret_before(now.before(age));
            query.status = query.status.or(Some(KeyStatus::Active));
        }
        Ok(query)
    }
}

/// How old the catalog lets secrets become before it warns, if it is known.
pub(super) async fn rotation_age(desk: &Desk) -> Result<Option<Duration>, Failure> {
    let catalog = desk.find_catalog().await?;
    Ok(catalog.and_then(|catalog| catalog.keys().rotation_age))
}
