//! A key, as it is shown: never its secret.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;
use tollgate_core::catalog::Catalog;
use tollgate_core::clock::Timestamp;
use tollgate_core::record::{KeyFault, KeyStatus, Organization, Permissions};
use tollgate_core::store::ListedKey;
use utoipa::ToSchema;

use crate::extract::Time;
use crate::organizations::IpRulesView;

/// How long before its end a key is said to expire soon.
const SOON: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Names it for ever.
    #[schema(example = "019b76da-a800-7000-8000-000000000000")]
    pub(crate) id: String,
    /// Whose it is.
    #[schema(example = "acme")]
    pub(crate) organization: String,
    /// What its owner calls it.
    #[schema(example = "production mailer")]
    pub(crate) name: String,
    /// The beginning of its secret.
    #[schema(example = "sk_live_zIc8")]
    pub(crate) key_prefix: String,
    /// The environment that its secret names.
    #[schema(example = "live")]
    pub(crate) environment: String,
    /// The plan it is on: its own, or its organization's.
    #[schema(example = "pro")]
    pub(crate) tier: String,
    /// The plan of its own, if it has one.
    pub(crate) plan: Option<String>,
    /// Limits of its own over its plan's, if it has any.
    #[schema(value_type = Option<Object>)]
    pub(crate) limits: Option<Value>,
    /// The preset that it follows; null if it has scopes of its own.
    pub(crate) preset: Option<String>,
    /// Its scopes, or its preset's; what they imply is not listed.
    #[schema(example = json!(["emails:send"]))]
    pub(crate) scopes: Vec<String>,
    /// From where it may be used.
    pub(crate) ip_rules: IpRulesView,
    /// Who made it.
    #[schema(example = "user:ann@acme.example")]
    pub(crate) creator: String,
    /// `active`, `disabled` or `revoked`.
    #[schema(example = "active")]
    pub(crate) status: &'static str,
    /// Why it is no good now: `revoked`, `disabled`, `expired` or `not_yet_valid`; null if it is
    /// good.
    pub(crate) fault: Option<&'static str>,
    /// All of its requests.
    #[schema(example = 4711)]
    pub(crate) total_requests: u64,
    /// When it was last used.
    pub(crate) last_used_at: Option<Time>,
    /// From where it was last used.
    #[schema(value_type = Option<String>, example = "203.0.113.50")]
    pub(crate) last_address: Option<IpAddr>,
    /// When it was made.
    pub(crate) created_at: Time,
    /// When its secret was last replaced.
    pub(crate) rotated_at: Option<Time>,
    /// Not good before this point.
    pub(crate) not_before: Option<Time>,
    /// Not good from this point on.
    pub(crate) expires_at: Option<Time>,
    /// When it was revoked.
    pub(crate) revoked_at: Option<Time>,
    /// Whether its secret is older than the catalog wants secrets to be.
    pub(crate) rotation_due: bool,
    /// Whether it expires within seven days.
    pub(crate) expires_soon: bool,
    /// Which of its scopes are on their way out, and what to use in their place.
    #[schema(example = json!([]))]
    pub(crate) warnings: Vec<String>,
    /// The secret before the last rotation, as long as it is good.
    pub(crate) old_secret: Option<OldSecret>,
}

/// A secret that was replaced, and is still good.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OldSecret {
    /// Until when it is good.
    pub(crate) valid_until: Time,
    /// How many requests came with a secret that had been replaced, since the key was made.
    pub(crate) requests: u64,
    /// From where the key was last used, with either.
    #[schema(value_type = Option<String>)]
    pub(crate) last_address: Option<IpAddr>,
}

impl KeyView {
    pub(crate) fn new(
        listed: ListedKey,
        organization: &Organization,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Self {
        let ListedKey {
            key,
            usage,
            old_secret_valid_until,
        } = listed;
        let fault = key.fault(now);
        let secret_since = key.rotated_at.unwrap_or(key.created_at);
        let rotation_due = catalog
            .keys()
            .rotation_age
            .is_some_and(|age| fault != Some(KeyFault::Revoked) && now >= secret_since.after(age));
        let expires_soon =
            fault.is_none() && key.expires_at.is_some_and(|end| end <= now.after(SOON));
        let old_secret = old_secret_valid_until
            .filter(|end| now < *end && fault != Some(KeyFault::Revoked))
            .map(|end| OldSecret {
                valid_until: Time(end),
                requests: usage.with_old_secret,
                last_address: usage.last_address,
            });
        let (preset, scopes): (_, Vec<String>) = match key.permissions {
            Permissions::Scopes(scopes) => (None, scopes.into_iter().collect()),
            Permissions::Preset(name) => {
                let scopes = catalog.preset(&name).map(|preset| preset.scopes.clone());
                (Some(name), scopes.unwrap_or_default())
            }
        };
        Self {
            id: key.id.to_string(),
            organization: key.organization.to_string(),
            name: key.name,
            key_prefix: key.display_prefix,
            environment: key.environment,
            tier: key
                .plan
                .clone()
                .unwrap_or_else(|| organization.plan.clone()),
            plan: key.plan,
            limits: key
                .limits
                .and_then(|limits| serde_json::to_value(limits).ok()),
            preset,
            warnings: catalog.deprecations(&scopes),
            scopes,
            ip_rules: (&key.ip_rules).into(),
            creator: key.creator,
            status: status_text(key.status),
            fault: fault.map(fault_text),
            total_requests: usage.total_requests,
            last_used_at: usage.last_used_at.map(Time),
            last_address: usage.last_address,
            created_at: Time(key.created_at),
            rotated_at: key.rotated_at.map(Time),
            not_before: key.not_before.map(Time),
            expires_at: key.expires_at.map(Time),
            revoked_at: key.revoked_at.map(Time),
            rotation_due,
            expires_soon,
            old_secret,
        }
    }
}

const fn status_text(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Disabled => "disabled",
        KeyStatus::Revoked => "revoked",
        _ => "active",
    }
}

const fn fault_text(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::Revoked => "revoked",
        KeyFault::Expired => "expired",
        KeyFault::NotYetValid => "not_yet_valid",
        KeyFault::Superseded => "superseded",
        _ => "disabled",
    }
}
