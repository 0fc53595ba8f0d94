//! `tollgate org resource`: what an organization owns.

use clap::Subcommand;
use serde::Serialize;
use tollgate_core::id::OrgId;
use tollgate_core::record::Organization;

use crate::args::Why;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown};

/// What can be done with resources.
#[derive(Debug, Subcommand)]
pub(crate) enum Resource {
    /// Gives an organization a resource; nothing changes if it has it
    Add {
        /// The organization
        id: OrgId,
        /// What sort of thing it is: `domain`
        kind: String,
        /// Which one: `acme.example`
        value: String,
        #[command(flatten)]
        why: Why,
    },
    /// Takes a resource from an organization; nothing changes if it lacks it
    Remove {
        /// The organization
        id: OrgId,
        /// What sort of thing it is
        kind: String,
        /// Which one
        value: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lists what an organization owns
    List {
        /// The organization
        id: OrgId,
        /// Of this sort only
        kind: Option<String>,
    },
}

impl Resource {
    pub(super) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let (organization, kind) = match self {
            Self::Add {
                id,
                kind,
                value,
                why,
            } => {
                let actor = desk.actor(why).await?;
                let keyring = desk.keyring()?;
                let added = keyring.add_resource(&id, &kind, &value, &actor).await?;
                (added, Some(kind))
            }
            Self::Remove {
                id,
                kind,
                value,
                why,
            } => {
                let actor = desk.actor(why).await?;
                let keyring = desk.keyring()?;
                let removed = keyring.remove_resource(&id, &kind, &value, &actor).await?;
                (removed, Some(kind))
            }
            Self::List { id, kind } => (desk.organization(&id).await?, kind),
        };
        list(&organization, kind.as_deref(), out)
    }
}

fn list(organization: &Organization, kind: Option<&str>, out: &mut Out) -> Result<(), Failure> {
    let mut list = out.list::<ShownResource<'_>>();
    for (found, values) in &organization.resources {
        if kind.is_some_and(|kind| kind != found) {
            continue;
        }
        for value in values {
            list.add(&ShownResource { kind: found, value })?;
        }
    }
    list.end()
}

#[derive(Debug, Serialize)]
struct ShownResource<'a> {
    kind: &'a str,
    value: &'a str,
}

impl Shown for ShownResource<'_> {
    const COLUMNS: &'static [&'static str] = &["KIND", "VALUE"];

    fn row(&self) -> Vec<String> {
        vec![self.kind.to_owned(), self.value.to_owned()]
    }
}
