//! `tollgate org`: who owns keys, plans, credits and resources.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde::Serialize;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::NewOrganization;
use tollgate_core::plan::Limits;
use tollgate_core::record::{OrgStatus, Organization};
use tollgate_core::store::KeyStore as _;

use crate::args::{Settings, Why};
use crate::desk::{Desk, PAGE};
use crate::failure::Failure;
use crate::ip_rules::ShownIpRules;
use crate::out::{Out, Shown};
use resource::Resource;

mod resource;

/// What can be done with organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Org {
    /// Makes an organization
    ///
    /// With `--catalog`, this makes the database too, if there is none.
    Create {
        /// Its name for ever: 1 to 64 of A-Z a-z 0-9 . _ -
        id: OrgId,
        /// The plan that it is on
        #[arg(long)]
        plan: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts an organization on another plan; what it used stays used
    Edit {
        /// The organization
        id: OrgId,
        /// The plan that it is to be on
        #[arg(long)]
        plan: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lists all organizations
    List,
    /// Lets none of its keys work
    Suspend(Which),
    /// Lets its keys work again
    Activate(Which),
    /// Lets its keys work only on routes that allow a billing restriction
    BillingRestrict(Which),
    /// What an organization owns: its domains, senders, sites
    #[command(subcommand)]
    Resource(Resource),
}

/// An organization, and why something is done with it.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The organization
    id: OrgId,
    #[command(flatten)]
    why: Why,
}

impl Org {
    /// The organization for which it makes a database where there is none. Without a catalog, there
    /// would be no plan to put it on.
    pub(crate) fn first(&self, settings: &Settings) -> Option<NewOrganization> {
        match self {
            Self::Create { id, plan, .. } if settings.catalog.is_some() => {
                Some(NewOrganization::new(id.clone(), plan))
            }
            _ => None,
        }
    }

    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let organization = match self {
            Self::List => return list(desk, out).await,
            Self::Resource(resource) => return resource.run(desk, out).await,
            Self::Create { id, plan, why } => {
                let keyring = desk.keyring_by(desk.catalog().await?);
                let actor = desk.actor(why).await?;
                let new = NewOrganization::new(id, plan);
                keyring.create_organization(new, &actor).await?
            }
            Self::Edit { id, plan, why } => {
                let keyring = desk.keyring_by(desk.catalog().await?);
                let actor = desk.actor(why).await?;
                keyring.set_plan(&id, &plan, &actor).await?
            }
            Self::Suspend(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.suspend(&id, &actor).await?
            }
            Self::Activate(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.activate(&id, &actor).await?
            }
            Self::BillingRestrict(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.restrict_billing(&id, &actor).await?
            }
        };
        out.one(&ShownOrg::of(organization))
    }
}

async fn list(desk: &Desk, out: &mut Out) -> Result<(), Failure> {
    let mut printed = out.list::<ShownOrg>();
    let mut after = None;
    'pages: loop {
        let page = desk.store().organizations(after, PAGE);
        let page = desk.ask(page).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for organization in page {
            if !printed.add(&ShownOrg::of(organization))? {
                break 'pages;
            }
        }
    }
    printed.end()
}

/// An organization as it is printed.
#[derive(Debug, Serialize)]
struct ShownOrg {
    id: OrgId,
    plan: String,
    status: OrgStatus,
    resources: BTreeMap<String, BTreeSet<String>>,
    ip_rules: ShownIpRules,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    created_at: String,
}

impl ShownOrg {
    fn of(organization: Organization) -> Self {
        Self {
            id: organization.id,
            plan: organization.plan,
            status: organization.status,
            resources: organization.resources,
            ip_rules: (&organization.ip_rules).into(),
            limits: organization.limits,
            created_at: organization.created_at.to_string(),
        }
    }
}

impl Shown for ShownOrg {
    const COLUMNS: &'static [&'static str] = &["ID", "PLAN", "STATUS", "CREATED"];

    fn row(&self) -> Vec<String> {
        let status = match self.status {
            OrgStatus::Active => "active",
            OrgStatus::Suspended => "suspended",
            OrgStatus::BillingRestricted => "billing_restricted",
            _ => "unknown",
        };
        let (id, plan) = (self.id.to_string(), self.plan.clone());
        vec![id, plan, status.to_owned(), self.created_at.clone()]
    }
}
