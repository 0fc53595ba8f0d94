//! `tollgate key create` and `tollgate key edit`.

use std::time::Duration;

use clap::Args;
use tollgate_core::catalog::Catalog;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::ip::{IpList, IpRules};
use tollgate_core::keyring::{EditKey, Issued, NewKey};
use tollgate_core::record::ApiKey;

use crate::args::{OrNever, Why, lifetime, lifetime_or_never};
use crate::desk::Desk;
use crate::failure::Failure;

/// What a new key is to be.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The organization that owns it
    #[arg(long)]
    org: OrgId,
    /// What its owner calls it
    #[arg(long)]
    name: String,
    /// What it may do: scopes, with commas or one by one; none is allowed
    #[arg(long, value_name = "SCOPES", num_args = 1.., conflicts_with = "preset")]
    scope: Vec<String>,
    /// The preset that it follows, in place of scopes of its own
    #[arg(long)]
    preset: Option<String>,
    /// A plan of its own, over its organization's
    #[arg(long)]
    plan: Option<String>,
    /// What it is for: an environment that the catalog declares; `live`, or else the first
    #[arg(long)]
    environment: Option<String>,
    /// From where it may be used: addresses and networks, with commas
    #[arg(long, value_name = "LIST")]
    allow_ip: Option<IpList>,
    /// From where it may not be used, whatever else is allowed
    #[arg(long, value_name = "LIST")]
    deny_ip: Option<IpList>,
    /// When it expires: `90d` from now
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    why: Why,
}

impl Create {
    pub(super) async fn run(self, desk: &Desk) -> Result<Issued, Failure> {
        let catalog = desk.catalog().await?;
        let actor = desk.actor(self.why).await?;
        let rules = IpRules::allowing(self.allow_ip.unwrap_or_default())
            .with_deny(self.deny_ip.unwrap_or_default());
        let environment = self.environment.or_else(|| usual_environment(&catalog));
        let mut new = NewKey::new(self.org, self.name)
            .scopes(names(&self.scope, &catalog))
            .ip_rules(rules);
        if let Some(preset) = self.preset {
            new = new.preset(preset);
        }
        if let Some(plan) = self.plan {
            new = new.plan(plan);
        }
        if let Some(environment) = environment {
            new = new.environment(environment);
        }
        if let Some(lifetime) = self.expires_in {
            new = new.expires_at(desk.now().after(lifetime));
        }
        Ok(desk.keyring_by(catalog).issue(new, &actor).await?)
    }
}

/// What is to change of a key.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The key
    id: KeyId,
    /// What its owner calls it
    #[arg(long)]
    name: Option<String>,
    /// What it may do, all of it: scopes, with commas or one by one
    #[arg(long, value_name = "SCOPES", num_args = 1.., conflicts_with = "preset")]
    scope: Option<Vec<String>>,
    /// The preset that it follows, in place of scopes of its own
    #[arg(long)]
    preset: Option<String>,
    /// From where it may be used: addresses and networks, with commas
    #[arg(long, value_name = "LIST")]
    allow_ip: Option<IpList>,
    /// From where it may not be used, whatever else is allowed
    #[arg(long, value_name = "LIST")]
    deny_ip: Option<IpList>,
    /// A plan of its own, over its organization's
    #[arg(long)]
    plan: Option<String>,
    /// When it expires: `90d` from now
    #[arg(long, value_name = "DURATION", value_parser = lifetime_or_never)]
    expires_in: Option<OrNever>,
    #[command(flatten)]
    why: Why,
}

impl Edit {
    pub(super) async fn run(self, desk: &Desk) -> Result<ApiKey, Failure> {
        if self.is_empty() {
            return Err(Failure::usage(format!(
                "nothing is to change of key `{}`; write `--name`, `--scope`, `--preset`, \
                 `--plan`, `--allow-ip`, `--deny-ip` or `--expires-in`",
                self.id
            )));
        }
        let catalog = desk.catalog().await?;
        let actor = desk.actor(self.why).await?;
        let mut edit = EditKey::new();
        if let Some(name) = self.name {
            edit = edit.name(name);
        }
        if let Some(scopes) = &self.scope {
            edit = edit.scopes(names(scopes, &catalog));
        }
        match self.preset.as_deref() {
            Some("") => edit = edit.scopes([""; 0]),
            Some(preset) => edit = edit.preset(preset),
            None => {}
        }
        if let Some(plan) = self.plan {
            edit = edit.plan(Some(plan).filter(|plan| !plan.is_empty()));
        }
        if let Some(OrNever(lifetime)) = self.expires_in {
            edit = edit.expires_at(lifetime.map(|lifetime| desk.now().after(lifetime)));
        }
        let keyring = desk.keyring_by(catalog);
        if self.allow_ip.is_some() || self.deny_ip.is_some() {
            // Of the two lists, the one that is not named stays.
            let rules = keyring.key(&self.id).await?.ip_rules;
            let allow = self.allow_ip.unwrap_or_else(|| rules.allow().clone());
            let deny = self.deny_ip.unwrap_or_else(|| rules.deny().clone());
            edit = edit.ip_rules(IpRules::allowing(allow).with_deny(deny));
        }
        Ok(keyring.edit(&self.id, edit, &actor).await?)
    }

    const fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.scope.is_none()
            && self.preset.is_none()
            && self.allow_ip.is_none()
            && self.deny_ip.is_none()
            && self.plan.is_none()
            && self.expires_in.is_none()
    }
}

/// The names in lists with commas. A scope's name may have a comma itself, so one that is declared
/// is taken whole.
fn names(lists: &[String], catalog: &Catalog) -> Vec<String> {
    let mut names = Vec::new();
    for list in lists {
        if catalog.scope(list).is_some() {
            names.push(list.clone());
        } else if !list.trim().is_empty() {
            names.extend(list.split(',').map(|name| name.trim().to_owned()));
        }
    }
    names
}

/// The environment of a key for which none is named, if it is not `live`.
pub(super) fn usual_environment(catalog: &Catalog) -> Option<String> {
    let declared = &catalog.keys().format.environments;
    if declared.iter().any(|it| it.name == "live") {
        return None;
    }
    declared.first().map(|it| it.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_one_by_one_or_with_commas() {
        let catalog = Catalog::builder().scopes(["a:read", "odd,one"]).build();
        let catalog = catalog.unwrap();
        let names = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
            names(&lists, &catalog)
        };
        assert_eq!(names(&["a:read", "b, c"]), ["a:read", "b", "c"]);
        assert_eq!(names(&["odd,one"]), ["odd,one"]);
        assert_eq!(names(&["a:read,"]), ["a:read", ""], "which is not declared");
        assert!(names(&["", " "]).is_empty());
    }

    #[test]
    fn a_key_is_live_or_else_of_the_first_environment() {
        use tollgate_core::catalog::KeyFormatSpec;

        let catalog = |format| Catalog::builder().key_format(format).build().unwrap();
        let format = KeyFormatSpec::new("sk").environment("prod");
        let with_live = format.clone().environment("live");
        assert_eq!(usual_environment(&catalog(format)).as_deref(), Some("prod"));
        assert_eq!(usual_environment(&catalog(with_live)), None);
    }
}
