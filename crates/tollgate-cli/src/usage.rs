//! `tollgate usage`: what keys were used for.

use std::net::IpAddr;

use clap::Subcommand;
use serde::Serialize;
use tollgate_core::id::KeyId;
use tollgate_core::usage::UsageStore as _;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown, or_dash};

/// What can be asked about usage.
#[derive(Debug, Subcommand)]
pub(crate) enum Usage {
    /// Shows how much a key was used since it was made
    Show {
        /// The key
        #[arg(value_name = "KEY_ID")]
        key: KeyId,
    },
}

impl Usage {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let Self::Show { key } = self;
        desk.keyring()?.key(&key).await?;
        let totals = desk.ask(desk.store().usage(&key)).await?;
        out.one(&ShownTotals {
            key,
            total_requests: totals.total_requests,
            with_old_secret: totals.with_old_secret,
            last_used_at: totals.last_used_at.map(|at| at.to_string()),
            last_address: totals.last_address,
        })
    }
}

#[derive(Debug, Serialize)]
struct ShownTotals {
    key: KeyId,
    total_requests: u64,
    with_old_secret: u64,
    last_used_at: Option<String>,
    last_address: Option<IpAddr>,
}

impl Shown for ShownTotals {
    const COLUMNS: &'static [&'static str] = &[
        "key",
        "requests",
        "with the old secret",
        "last used",
        "last from",
    ];

    fn row(&self) -> Vec<String> {
        vec![
            self.key.to_string(),
            self.total_requests.to_string(),
            self.with_old_secret.to_string(),
            or_dash(self.last_used_at.as_ref()),
            or_dash(self.last_address),
        ]
    }
}
