//! `tollgate key`: API keys, whose secrets are shown once.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use tollgate_core::id::KeyId;
use tollgate_core::keyring::Issued;
use tollgate_core::usage::UsageStore as _;

use crate::args::{Why, grace};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, note};
use change::{Create, Edit};
use import::ImportKeys;
use list::List;
use shown::{ShownKey, ShownSecret};

mod change;
mod import;
mod list;
mod shown;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a key, and prints its secret this once
    Create(Create),
    /// Lists keys, the newest first and the revoked ones too
    List(List),
    /// Shows a key, and how much it was used
    Show {
        /// The key
        id: KeyId,
    },
    /// Imports keys of another system by their digests; they become good all at once
    Import(ImportKeys),
    /// Replaces what is named of a key; its secret stays, and the empty text clears
    Edit(Edit),
    /// Gives a key a new secret, and prints it this once
    Rotate {
        /// The key
        id: KeyId,
        /// How long the old secret stays good: `1h`; `0s` ends it now
        #[arg(long, value_name = "DURATION", value_parser = grace)]
        grace: Duration,
        #[command(flatten)]
        why: Why,
    },
    /// Revokes a key for ever
    Revoke(Which),
    /// Switches a key off for now
    Disable(Which),
    /// Switches a disabled key on again
    Enable(Which),
    /// Removes a key and its secrets for ever, from lists too
    Delete(Which),
}

/// A key, and why something is done with it.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The key
    id: KeyId,
    #[command(flatten)]
    why: Why,
}

impl Key {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let key = match self {
            Self::Create(create) => return show_once(&create.run(desk).await?, out),
            Self::List(list) => return list.run(desk, out).await,
            Self::Show { id } => return show(desk, id, out).await,
            Self::Import(import) => return import.run(desk, out).await,
            Self::Edit(edit) => edit.run(desk).await?,
            Self::Rotate { id, grace, why } => {
                // The catalog knows what a secret looks like.
                let keyring = desk.keyring_by(desk.catalog().await?);
                let actor = desk.actor(why).await?;
                return show_once(&keyring.rotate(&id, grace, &actor).await?, out);
            }
            Self::Revoke(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.revoke(&id, &actor).await?
            }
            Self::Disable(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.disable(&id, &actor).await?
            }
            Self::Enable(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.enable(&id, &actor).await?
            }
            Self::Delete(Which { id, why }) => {
                let actor = desk.actor(why).await?;
                desk.keyring()?.delete(&id, &actor).await?;
                return if out.json() {
                    out.value(&json!({ "id": id, "deleted": true }))
                } else {
                    out.line(format_args!("deleted {id}"))
                };
            }
        };
        out.one(&ShownKey::of(key, desk.now()))
    }
}

/// Prints a secret, which is gone with this process.
fn show_once(issued: &Issued, out: &mut Out) -> Result<(), Failure> {
    let id = issued.key.id;
    out.once(&ShownSecret::of(issued)).map_err(|failure| {
        failure.within(format!(
            "nobody saw the secret of key `{id}`, and it cannot be shown again; \
             give the key another with `tollgate key rotate {id} --grace 0s`"
        ))
    })?;
    if !out.json() {
        note("the secret is shown this once, and kept nowhere");
    }
    Ok(())
}

async fn show(desk: &Desk, id: KeyId, out: &mut Out) -> Result<(), Failure> {
    let key = desk.keyring()?.key(&id).await?;
    let usage = desk.ask(desk.store().usage(&id)).await?;
    let (now, rotation_age) = (desk.now(), list::rotation_age(desk).await?);
    let shown = ShownKey::of(key, now).with_usage(&usage);
    out.one(&shown.with_rotation(rotation_age, now))
}
