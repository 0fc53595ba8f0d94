//! What may be said of a key: nothing of its owner, its state or its secret.

use std::time::Duration;

use serde::Deserialize;
use tollgate::{Denial, DenialKind};
use tollgate_core::invalid::Invalid;
use tollgate_core::keyring::{EditKey, NewKey};
use tollgate_core::plan::{Limits, parse_duration};
use utoipa::ToSchema;

use crate::extract::{Reason, Time, told};
use crate::manager::Member;
use crate::organizations::IpRulesBody;

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyBody {
    /// What to call it.
    #[schema(example = "production mailer")]
    name: String,
    /// The environment; `live` unless said otherwise.
    environment: Option<String>,
    /// Scopes of its own. It has either these or a preset, or none at all.
    #[schema(example = json!(["emails:send"]))]
    scopes: Option<Vec<String>>,
    /// The preset that it is to follow.
    preset: Option<String>,
    /// From where it may be used; from anywhere unless said.
    ip_rules: Option<IpRulesBody>,
    /// A plan of its own: for an operator to say.
    plan: Option<String>,
    /// Limits of its own: for an operator to say.
    #[schema(value_type = Option<Object>)]
    limits: Option<Limits>,
    /// Not good before this point.
    not_before: Option<Time>,
    /// Not good from this point on; the catalog's default lifetime unless said.
    expires_at: Option<Time>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

impl NewKeyBody {
    pub(crate) fn new_key(self, member: &Member) -> Result<NewKey, Denial> {
        member.only_operator("plan", self.plan.is_some())?;
        member.only_operator("limits", self.limits.is_some())?;
        let mut new = NewKey::new(member.organization.clone(), self.name);
        if let Some(environment) = self.environment {
            new = new.environment(environment);
        }
        new = match (self.scopes, self.preset) {
            (Some(_), Some(_)) => return Err(both()),
            (Some(scopes), None) => new.scopes(scopes),
            (None, Some(preset)) => new.preset(preset),
            (None, None) => new,
        };
        if let Some(rules) = self.ip_rules {
            new = new.ip_rules(rules.rules()?);
        }
        if let Some(plan) = self.plan {
            new = new.plan(plan);
        }
        if let Some(limits) = self.limits {
            new = new.limits(limits);
        }
        if let Some(Time(start)) = self.not_before {
            new = new.not_before(start);
        }
        if let Some(Time(end)) = self.expires_at {
            new = new.expires_at(end);
        }
        Ok(new)
    }
}

/// What is to change of a key; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditKeyBody {
    /// What to call it.
    name: Option<String>,
    /// Scopes of its own, in place of what it has.
    scopes: Option<Vec<String>>,
    /// The preset that it is to follow, in place of what it has.
    preset: Option<String>,
    /// From where it may be used; empty lists clear it.
    ip_rules: Option<IpRulesBody>,
    /// A plan of its own, or null for none: for an operator to say.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    plan: Option<Option<String>>,
    /// Limits of its own, or null for none: for an operator to say.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<Object>)]
    limits: Option<Option<Limits>>,
    /// Not good before this point; null for from now on.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<Time>)]
    not_before: Option<Option<Time>>,
    /// Not good from this point on; null for never.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<Time>)]
    expires_at: Option<Option<Time>>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

impl EditKeyBody {
    pub(crate) fn edit(self, member: &Member) -> Result<EditKey, Denial> {
        member.only_operator("plan", self.plan.is_some())?;
        member.only_operator("limits", self.limits.is_some())?;
        let mut edit = EditKey::new();
        if let Some(name) = self.name {
            edit = edit.name(name);
        }
        edit = match (self.scopes, self.preset) {
            (Some(_), Some(_)) => return Err(both()),
            (Some(scopes), None) => edit.scopes(scopes),
            (None, Some(preset)) => edit.preset(preset),
            (None, None) => edit,
        };
        if let Some(rules) = self.ip_rules {
            edit = edit.ip_rules(rules.rules()?);
        }
        if let Some(plan) = self.plan {
            edit = edit.plan(plan);
        }
        if let Some(limits) = self.limits {
            edit = edit.limits(limits);
        }
        if let Some(start) = self.not_before {
            edit = edit.not_before(start.map(|Time(start)| start));
        }
        if let Some(end) = self.expires_at {
            edit = edit.expires_at(end.map(|Time(end)| end));
        }
        Ok(edit)
    }
}

/// How a key is to get a new secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// How long the old secret stays good: `24h`; `0s` for not at all.
    #[schema(example = "24h")]
    grace: String,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

impl RotateBody {
    pub(crate) fn grace(&self) -> Result<Duration, Denial> {
        Ok(parse_duration(&self.grace).map_err(|error| error.within("grace"))?)
    }
}

fn both() -> Denial {
    let invalid = Invalid::new(
        "scopes, preset",
        "a key has scopes of its own or follows a preset; leave one out",
    );
    Denial::new(DenialKind::Status(422)).with_message(invalid.to_string())
}
