//! Keys and secrets as they are printed.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use tollgate_core::clock::Timestamp;
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::keyring::Issued;
use tollgate_core::record::{ApiKey, KeyFault, KeyStatus, Permissions};
use tollgate_core::usage::UsageTotals;

use crate::ip_rules::ShownIpRules;
use crate::out::{Shown, or_dash};

/// A key as it is printed; it has no secret.
#[derive(Debug, Serialize)]
pub(super) struct ShownKey {
    id: KeyId,
    organization: OrgId,
    name: String,
    /// What somebody said.
    status: &'static str,
    /// Why it is no good now, its times considered.
    fault: Option<&'static str>,
    environment: String,
    key_prefix: String,
    preset: Option<String>,
    scopes: Vec<String>,
    plan: Option<String>,
    ip_rules: ShownIpRules,
    creator: String,
    created_at: String,
    not_before: Option<String>,
    expires_at: Option<String>,
    rotated_at: Option<String>,
    revoked_at: Option<String>,
    /// Whether its secret is older than the catalog wants secrets to be, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_due: Option<bool>,
    #[serde(skip)]
    secret_since: Timestamp,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    usage: Option<ShownUsage>,
}

#[derive(Debug, Serialize)]
struct ShownUsage {
    total_requests: u64,
    last_used_at: Option<String>,
    last_address: Option<IpAddr>,
}

impl ShownKey {
    pub(super) fn of(key: ApiKey, now: Timestamp) -> Self {
        let status = match key.status {
            KeyStatus::Disabled => "disabled",
            KeyStatus::Revoked => "revoked",
            _ => "active",
        };
        let fault = key.fault(now).map(|fault| match fault {
            KeyFault::Revoked => "revoked",
            KeyFault::Disabled => "disabled",
            KeyFault::Expired => "expired",
            KeyFault::NotYetValid => "not_yet_valid",
            _ => "unknown",
        });
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let secret_since = key.rotated_at.unwrap_or(key.created_at);
        let (preset, scopes) = match key.permissions {
            Permissions::Preset(preset) => (Some(preset), vec![]),
            Permissions::Scopes(scopes) => (None, scopes.into_iter().collect()),
        };
        Self {
            id: key.id,
            organization: key.organization,
            name: key.name,
            status,
            fault,
            environment: key.environment,
            key_prefix: key.display_prefix,
            preset,
            scopes,
            plan: key.plan,
            ip_rules: (&key.ip_rules).into(),
            creator: key.creator,
            created_at: key.created_at.to_string(),
            not_before: time(key.not_before),
            expires_at: time(key.expires_at),
            rotated_at: time(key.rotated_at),
            revoked_at: time(key.revoked_at),
            rotation_due: None,
            secret_since,
            usage: None,
        }
    }

    pub(super) fn with_usage(mut self, usage: &UsageTotals) -> Self {
        self.usage = Some(ShownUsage {
            total_requests: usage.total_requests,
            last_used_at: usage.last_used_at.map(|at| at.to_string()),
            last_address: usage.last_address,
        });
        self
    }

    /// Says whether a secret that is older than this is due; one that is no good any more is not.
    pub(super) fn with_rotation(mut self, age: Option<Duration>, now: Timestamp) -> Self {
        let old = age.is_some_and(|age| now >= self.secret_since.after(age));
        self.rotation_due = Some(old && self.revoked_at.is_none());
        self
    }

    /// How it is now, with a mark where the secret is to be rotated.
    fn status(&self) -> String {
        let now = self.fault.unwrap_or(self.status);
        match self.rotation_due {
            Some(true) => format!("{now}, rotate"),
            _ => now.to_owned(),
        }
    }

    fn permissions(&self) -> String {
        match &self.preset {
            Some(preset) => format!("preset {preset}"),
            None if self.scopes.is_empty() => "-".to_owned(),
            None => self.scopes.join(","),
        }
    }
}

impl Shown for ShownKey {
    const COLUMNS: &'static [&'static str] = &[
        "ID", "ORG", "NAME", "STATUS", "MAY", "EXPIRES", "KEY", "PLAN",
    ];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.organization.to_string(),
            self.name.clone(),
            self.status(),
            self.permissions(),
            or_dash(self.expires_at.as_ref()),
            self.key_prefix.clone(),
            or_dash(self.plan.as_ref()),
        ]
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let list = |list: &[String]| or_dash(Some(list.join(", ")).filter(|it| !it.is_empty()));
        let mut lines = vec![
            ("id", self.id.to_string()),
            ("organization", self.organization.to_string()),
            ("name", self.name.clone()),
            ("status", self.status()),
            ("environment", self.environment.clone()),
            ("key", format!("{}...", self.key_prefix)),
            ("may", self.permissions()),
            ("plan", or_dash(self.plan.as_ref())),
            ("allowed from", list(&self.ip_rules.allow)),
            ("denied from", list(&self.ip_rules.deny)),
            ("made by", self.creator.clone()),
            ("created", self.created_at.clone()),
            ("good from", or_dash(self.not_before.as_ref())),
            ("expires", or_dash(self.expires_at.as_ref())),
            ("rotated", or_dash(self.rotated_at.as_ref())),
            ("revoked", or_dash(self.revoked_at.as_ref())),
        ];
        if let Some(usage) = &self.usage {
            lines.push(("requests", usage.total_requests.to_string()));
            lines.push(("last used", or_dash(usage.last_used_at.as_ref())));
            lines.push(("last from", or_dash(usage.last_address)));
        }
        lines
    }
}

/// A secret, the one time that it is printed.
#[derive(Serialize)]
pub(super) struct ShownSecret<'a> {
    id: KeyId,
    key: &'a str,
    organization: &'a OrgId,
    name: &'a str,
    expires_at: Option<String>,
}

impl<'a> ShownSecret<'a> {
    pub(super) fn of(issued: &'a Issued) -> Self {
        Self {
            id: issued.key.id,
            key: issued.secret.expose(),
            organization: &issued.key.organization,
            name: &issued.key.name,
            expires_at: issued.key.expires_at.map(|at| at.to_string()),
        }
    }
}

impl Shown for ShownSecret<'_> {
    const COLUMNS: &'static [&'static str] = &["id", "key"];

    fn row(&self) -> Vec<String> {
        vec![self.id.to_string(), self.key.to_owned()]
    }
}
