//! What may be said of an organization.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tollgate::Denial;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::NewOrganization;
use tollgate_core::plan::Limits;
use utoipa::ToSchema;

use super::IpRulesBody;
use crate::extract::{Reason, told};

/// A new organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganizationBody {
    /// Names it for ever: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[schema(example = "acme")]
    id: String,
    /// The plan it is on.
    #[schema(example = "pro")]
    plan: String,
    /// From where its keys may be used; from anywhere unless said.
    ip_rules: Option<IpRulesBody>,
    /// What it owns, by kind.
    #[serde(default)]
    #[schema(example = json!({"domain": ["acme.example"]}))]
    resources: BTreeMap<String, BTreeSet<String>>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

impl NewOrganizationBody {
    pub(crate) fn new_organization(self) -> Result<NewOrganization, Denial> {
        let mut new = NewOrganization::new(OrgId::new(&self.id)?, self.plan);
        if let Some(rules) = self.ip_rules {
            new = new.ip_rules(rules.rules()?);
        }
        for (kind, values) in self.resources {
            for value in values {
                new = new.resource(kind.clone(), value);
            }
        }
        Ok(new)
    }
}

/// What is to change of an organization; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditOrganizationBody {
    /// From where its keys may be used; empty lists clear it.
    pub(crate) ip_rules: Option<IpRulesBody>,
    /// Another plan: for an operator to say.
    pub(crate) plan: Option<String>,
    /// Limits of its own, or null for none: for an operator to say.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<Object>)]
    pub(crate) limits: Option<Option<Limits>>,
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}
