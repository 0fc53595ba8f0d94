//! `tollgate credits`: what organizations are granted, and what became of it.

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use tollgate_core::credits::{Balance, Entry, EntryKind, Grant, Ledger as _, MAX_CREDITS};
use tollgate_core::id::OrgId;
use tollgate_core::invalid::Invalid;

use crate::args::{Why, lifetime, text};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown, note, or_dash};

/// What can be done with credits.
#[derive(Debug, Subcommand)]
pub(crate) enum Credits {
    /// Gives credits
    Grant {
        /// The organization
        id: OrgId,
        /// How many credits
        #[arg(allow_negative_numbers = true, value_parser = amount)]
        amount: u64,
        /// What they are for, such as a payment's id: of one reference, they are given once
        #[arg(long, value_name = "TEXT", value_parser = text)]
        reference: Option<String>,
        /// When what is left of them lapses: `30d` from now
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires_in: Option<Duration>,
        #[command(flatten)]
        why: Why,
    },
    /// Gives credits, or takes some back that are neither spent nor held
    Adjust {
        /// The organization
        id: OrgId,
        /// By how many credits: `5`, `-5`
        #[arg(allow_negative_numbers = true, value_parser = difference)]
        amount: i64,
        #[command(flatten)]
        why: Why,
    },
    /// Shows a wallet as the next request would find it
    Balance {
        /// The organization
        id: OrgId,
    },
    /// Lists the entries of an organization's books, the newest first
    Entries {
        /// The organization
        id: OrgId,
        /// The most entries
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Those before this entry only
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
    },
}

impl Credits {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Grant {
                id,
                amount,
                reference,
                expires_in,
                why,
            } => {
                let mut credits = Grant::new(id.clone(), amount);
                credits.expires_at = expires_in.map(|lifetime| desk.now().after(lifetime));
                credits.reference = reference;
                grant(desk, credits, why).await?;
                balance(desk, id, out).await
            }
            Self::Adjust { id, amount, why } => {
                let credits = amount.unsigned_abs();
                if amount > 0 {
                    grant(desk, Grant::new(id.clone(), credits), why).await?;
                } else {
                    withdraw(desk, &id, credits, why).await?;
                }
                balance(desk, id, out).await
            }
            Self::Balance { id } => balance(desk, id, out).await,
            Self::Entries { id, limit, before } => entries(desk, &id, limit, before, out).await,
        }
    }
}

async fn grant(desk: &Desk, grant: Grant, why: Why) -> Result<(), Failure> {
    let tried = format!(
        "cannot grant {} credits to `{}`",
        grant.credits, grant.organization
    );
    desk.organization(&grant.organization).await?;
    let change = desk.change(why).await?;
    let granted = desk.ask(desk.store().grant(grant, change)).await;
    granted.map_err(|error| Failure::from(error).within(tried))?;
    Ok(())
}

async fn withdraw(desk: &Desk, id: &OrgId, credits: u64, why: Why) -> Result<(), Failure> {
    desk.organization(id).await?;
    let change = desk.change(why).await?;
    let withdrawn = desk.store().withdraw(id, credits, change);
    let tried = format_args!("cannot take {credits} credits from `{id}`");
    let withdrawn = desk.ask(withdrawn).await;
    withdrawn.map_err(|error| Failure::from(error).within(tried))?;
    Ok(())
}

/// Prints a wallet with this month's allowance, if a catalog tells of one.
async fn balance(desk: &Desk, id: OrgId, out: &mut Out) -> Result<(), Failure> {
    let organization = desk.organization(&id).await?;
    let catalog = desk.find_catalog().await?;
    let plan = catalog
        .as_ref()
        .and_then(|catalog| catalog.plan(&organization.plan));
    let now = desk.now();
    let allowance = plan.and_then(|plan| plan.allowance(now));
    let balance = desk.store().balance(&id, now, allowance);
    let balance = desk.ask(balance).await?;
    out.one(&ShownBalance::of(id, balance))
}

async fn entries(
    desk: &Desk,
    id: &OrgId,
    limit: u32,
    before: Option<u64>,
    out: &mut Out,
) -> Result<(), Failure> {
    desk.organization(id).await?;
    let mut printed = out.list::<ShownEntry>();
    let (mut left, mut before) = (limit, before);
    while left > 0 {
        let page = left.min(crate::desk::PAGE);
        let entries = desk.store().entries(id, before, page);
        let entries = desk.ask(entries).await?;
        let Some(last) = entries.last() else { break };
        before = Some(last.seq);
        for entry in entries {
            left = left.saturating_sub(1);
            if !printed.add(&ShownEntry(entry))? {
                return printed.end();
            }
        }
    }
    printed.end()?;
    if let Some(before) = before.filter(|_| left == 0 && !out.json())
        && !desk
            .ask(desk.store().entries(id, Some(before), 1))
            .await?
            .is_empty()
    {
        note(format_args!("there are more: `--before {before}`"));
    }
    Ok(())
}

/// Reads how many credits are given.
fn amount(text: &str) -> Result<u64, Invalid> {
    let credits = text.parse().ok();
    credits
        .filter(|it| (1..=MAX_CREDITS).contains(it))
        .ok_or_else(|| {
            let reason = format!("`{text}` is not a whole number from 1 to {MAX_CREDITS}");
            Invalid::new("credits", reason)
        })
}

/// Reads by how many credits a wallet is changed.
fn difference(text: &str) -> Result<i64, Invalid> {
    let (most, least) = (i64::MAX, i64::MIN.saturating_add(1));
    let credits: Option<i64> = text.parse().ok();
    credits
        .filter(|it| *it != 0 && *it >= least)
        .ok_or_else(|| {
            let reason =
                format!("`{text}` is not a whole number from {least} to {most} other than 0");
            Invalid::new("credits", reason)
        })
}

#[derive(Debug, Serialize)]
struct ShownBalance {
    organization: OrgId,
    available: u64,
    held: u64,
    granted: u64,
    withdrawn: u64,
    settled: u64,
}

impl ShownBalance {
    const fn of(organization: OrgId, balance: Balance) -> Self {
        Self {
            organization,
            available: balance.available(),
            held: balance.held,
            granted: balance.granted,
            withdrawn: balance.withdrawn,
            settled: balance.settled,
        }
    }
}

impl Shown for ShownBalance {
    const COLUMNS: &'static [&'static str] = &[
        "organization",
        "available",
        "held",
        "granted",
        "withdrawn",
        "settled",
    ];

    fn row(&self) -> Vec<String> {
        let sums = [
            self.available,
            self.held,
            self.granted,
            self.withdrawn,
            self.settled,
        ];
        let organization = std::iter::once(self.organization.to_string());
        organization
            .chain(sums.map(|sum| sum.to_string()))
            .collect()
    }
}

/// An entry; its time is RFC 3339, as everywhere.
#[derive(Debug)]
struct ShownEntry(Entry);

impl Serialize for ShownEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            seq: u64,
            at: String,
            kind: EntryKind,
            credits: i64,
            balance: u64,
            hold: Option<String>,
            key: Option<String>,
            route: Option<&'a str>,
            request_id: Option<&'a str>,
            price: Option<&'a str>,
            actor: Option<&'a str>,
            reason: Option<&'a str>,
            reference: Option<&'a str>,
        }
        let Self(entry) = self;
        Line {
            seq: entry.seq,
            at: entry.at.to_string(),
            kind: entry.kind,
            credits: entry.credits,
            balance: entry.balance,
            hold: entry.hold.map(|hold| hold.to_string()),
            key: entry.key.map(|key| key.to_string()),
            route: entry.route.as_deref(),
            request_id: entry.request_id.as_deref(),
            price: entry.price.as_deref(),
            actor: entry.actor.as_deref(),
            reason: entry.reason.as_deref(),
            reference: entry.reference.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Shown for ShownEntry {
    const COLUMNS: &'static [&'static str] = &[
        "SEQ", "WHEN", "WHAT", "CREDITS", "BALANCE", "FOR", "BY", "WHY",
    ];

    fn row(&self) -> Vec<String> {
        let Self(entry) = self;
        let what_for = entry.route.as_deref().or(entry.reference.as_deref());
        let key = entry.key.map(|key| key.to_string());
        vec![
            entry.seq.to_string(),
            entry.at.to_string(),
            entry.kind.as_str().to_owned(),
            format!("{:+}", entry.credits),
            entry.balance.to_string(),
            or_dash(what_for),
            or_dash(entry.actor.as_ref().or(key.as_ref())),
            or_dash(entry.reason.as_ref()),
        ]
    }
}
