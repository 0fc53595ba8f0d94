//! `tollgate usage`: what keys were used for.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::usage::{UsageOf, UsagePeriod, UsageQuery, UsageRow, UsageStore as _};

use crate::args::lifetime;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown, note, or_dash};

/// What can be asked about usage.
#[derive(Debug, Subcommand)]
pub(crate) enum Usage {
    /// Shows how much a key was used since it was made
    Show {
        /// The key
        #[arg(value_name = "KEY_ID")]
        key: KeyId,
    },
    /// Lists how many requests there were, by hour or day, key, route and outcome
    List(List),
}

/// Which requests are counted, and what is told apart.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of this organization
    #[arg(long, required_unless_present = "key", conflicts_with = "key")]
    org: Option<OrgId>,
    /// Those of this key
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// Those of this time until now
    #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "30d")]
    since: Duration,
    /// A number for each of these; for all in one without
    #[arg(long, value_enum)]
    per: Option<Per>,
    /// A number for each of these
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<By>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Per {
    Hour,
    Day,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum By {
    Key,
    Route,
    Outcome,
}

impl List {
    async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let now = desk.now();
        let of = match (self.org, self.key) {
            (Some(org), _) => UsageOf::Organization(desk.organization(&org).await?.id),
            (None, Some(key)) => UsageOf::Key(desk.keyring()?.key(&key).await?.id),
            (None, None) => return Err(Failure::usage("write `--org ID` or `--key ID`")),
        };
        // The hour that has begun counts too.
        let until = now.after(Duration::from_hours(1));
        let mut query = UsageQuery::new(of, now.before(self.since), until);
        query = query.limit(UsageQuery::MOST).per(match self.per {
            None => UsagePeriod::Whole,
            Some(Per::Hour) => UsagePeriod::Hour,
            Some(Per::Day) => UsagePeriod::Day,
        });
        query.key = self.by.contains(&By::Key);
        query.route = self.by.contains(&By::Route);
        query.outcome = self.by.contains(&By::Outcome);
        let rows = desk.ask(desk.store().usage_counts(query)).await?;
        let full = rows.len() >= usize::try_from(UsageQuery::MOST).unwrap_or(usize::MAX);
        let mut printed = out.list::<ShownCount>();
        for row in rows {
            if !printed.add(&ShownCount::of(row))? {
                break;
            }
        }
        printed.end()?;
        if full {
            note("there may be more; ask for less with `--since`");
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct ShownCount {
    start: String,
    key: Option<KeyId>,
    route: Option<String>,
    outcome: Option<String>,
    requests: u64,
}

impl ShownCount {
    fn of(row: UsageRow) -> Self {
        Self {
            start: row.start.to_string(),
            key: row.key,
            route: row.route.map(|route| route.to_string()),
            outcome: row.outcome.map(|outcome| outcome.to_string()),
            requests: row.requests,
        }
    }
}

impl Shown for ShownCount {
    const COLUMNS: &'static [&'static str] = &["FROM", "KEY", "ROUTE", "OUTCOME", "REQUESTS"];

    fn row(&self) -> Vec<String> {
        vec![
            self.start.clone(),
            or_dash(self.key),
            or_dash(self.route.as_ref()),
            or_dash(self.outcome.as_ref()),
            self.requests.to_string(),
        ]
    }
}

impl Usage {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let key = match self {
            Self::Show { key } => key,
            Self::List(list) => return list.run(desk, out).await,
        };
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
