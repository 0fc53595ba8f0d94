//! An organization, as it is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use tollgate_core::record::{OrgStatus, Organization};
use utoipa::ToSchema;

use super::IpRulesView;
use crate::extract::Time;

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationView {
    /// Names it for ever.
    #[schema(example = "acme")]
    id: String,
    /// The plan it is on.
    #[schema(example = "pro")]
    plan: String,
    /// `active`, `suspended` or `billing_restricted`.
    #[schema(example = "active")]
    status: &'static str,
    /// From where its keys may be used, on top of each key's own rules.
    ip_rules: IpRulesView,
    /// Limits of its own over its plan's, if it has any.
    #[schema(value_type = Option<Object>)]
    limits: Option<Value>,
    /// What it owns, by kind.
    #[schema(example = json!({"domain": ["acme.example"]}))]
    resources: BTreeMap<String, BTreeSet<String>>,
    /// When it was made.
    created_at: Time,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        let limits = organization.limits;
        Self {
            id: organization.id.to_string(),
            plan: organization.plan,
            status: match organization.status {
                OrgStatus::Suspended => "suspended",
                OrgStatus::BillingRestricted => "billing_restricted",
                _ => "active",
            },
            ip_rules: (&organization.ip_rules).into(),
            limits: limits.and_then(|limits| serde_json::to_value(limits).ok()),
            resources: organization.resources,
            created_at: Time(organization.created_at),
        }
    }
}
