//! The keys of whoever is signed in, as the document's dashboard shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{Keyring, KeyringError};
use tollgate::core::plan::Limits;
use tollgate::core::quota::QuotaPeriod;
use tollgate::core::record::{Organization, Permissions};
use tollgate::core::store::{KeyQuery, ListedKey};
use tollgate::{Catalog, Denial, DenialKind, Session};

use super::Intel;
use super::page::List;

const MINUTE: Duration = Duration::from_secs(60);

/// What stands for the secret part of a key.
const HIDDEN: &str = "••••••••";

/// A key: never its secret.
#[derive(Debug, Serialize)]
pub(crate) struct KeyInfo {
    id: String,
    key_prefix: String,
    key_preview: String,
    name: String,
    tier: String,
    scopes: Vec<String>,
    rate_limit_per_minute: Option<u32>,
    rate_limit_per_day: Option<u64>,
    total_requests: u64,
    last_used_at: Option<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

/// All keys of all organizations that the session's user is a member of, the newest first.
pub(crate) async fn list(
    State(intel): State<Intel>,
    session: Session,
) -> Result<Json<List<KeyInfo>>, Denial> {
    let (keyring, catalog) = (intel.gate.keyring(), intel.gate.catalog());
    let mut keys = Vec::new();
    for query in queries(&session) {
        keys.extend(all(keyring, query).await?);
    }
    keys.sort_by_key(|listed| std::cmp::Reverse((listed.key.created_at, listed.key.id)));
    let mut organizations = BTreeMap::new();
    let mut shown = Vec::with_capacity(keys.len());
    for listed in keys {
        let id = &listed.key.organization;
        if !organizations.contains_key(id) {
            organizations.insert(id.clone(), keyring.organization(id).await?);
        }
        if let Some(organization) = organizations.get(id) {
            shown.push(KeyInfo::new(listed, organization, catalog)?);
        }
    }
    Ok(Json(List::all(shown)))
}

/// One question for each organization, or one for all.
fn queries(session: &Session) -> Vec<KeyQuery> {
    if session.role_everywhere().is_some() {
        return vec![KeyQuery::new()];
    }
    let memberships = session.memberships().iter();
    let organizations: BTreeSet<&OrgId> = memberships
        .filter_map(|membership| membership.organization.as_ref())
        .collect();
    let organizations = organizations.into_iter().cloned();
    organizations
        .map(|organization| KeyQuery::new().organization(organization))
        .collect()
}

/// Every page of a list.
async fn all(keyring: &Keyring, query: KeyQuery) -> Result<Vec<ListedKey>, KeyringError> {
    let mut query = query.limit(KeyQuery::MOST);
    let mut keys = Vec::new();
    loop {
        let page = keyring.list_keys(query.clone()).await?.keys;
        let full = u32::try_from(page.len()).is_ok_and(|length| length >= KeyQuery::MOST);
        let last = page.last().map(|listed| listed.key.id);
        keys.extend(page);
        match last {
            Some(last) if full => query = query.before(last),
            _ => return Ok(keys),
        }
    }
}

impl KeyInfo {
    fn new(
        listed: ListedKey,
        organization: &Organization,
        catalog: &Catalog,
    ) -> Result<Self, Denial> {
        let ListedKey { key, usage, .. } = listed;
        let tier = key.plan.as_ref().unwrap_or(&organization.plan);
        let plan = catalog.plan(tier).ok_or_else(|| {
            let reason = format!("key {} is on plan `{tier}`, which is not declared", key.id);
            Denial::new(DenialKind::Internal).with_reason(reason)
        })?;
        let limits = key.limits.as_ref().or(organization.limits.as_ref());
        let limits = limits.unwrap_or(&plan.limits);
        let scopes = match key.permissions {
            Permissions::Scopes(scopes) => scopes.into_iter().collect(),
            Permissions::Preset(name) => {
                let preset = catalog.preset(&name);
                preset.map_or_else(Vec::new, |preset| preset.scopes.clone())
            }
        };
        Ok(Self {
            id: key.id.to_string(),
            key_preview: preview(&key.display_prefix),
            key_prefix: key.display_prefix,
            name: key.name,
            tier: tier.clone(),
            scopes,
            rate_limit_per_minute: per_minute(limits),
            rate_limit_per_day: per_day(limits),
            total_requests: usage.total_requests,
            last_used_at: usage.last_used_at.map(|at| at.to_string()),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        })
    }
}

/// `sk_live_zIc8` as `sk_live_••••••••`.
fn preview(prefix: &str) -> String {
    let shown = prefix.rsplit_once('_').map_or("", |(shown, _)| shown);
    format!("{shown}_{HIDDEN}")
}

fn per_minute(limits: &Limits) -> Option<u32> {
    let rate = limits.rates().iter().find(|rate| rate.window() == MINUTE);
    rate.map(|rate| rate.units().get())
}

fn per_day(limits: &Limits) -> Option<u64> {
    let mut quotas = limits.quotas().iter();
    let quota = quotas.find(|quota| quota.period() == QuotaPeriod::Day);
    quota.map(|quota| quota.units().get())
}
