//! Lists of keys.

use std::time::Duration;

use serde::Deserialize;
use tollgate::{Denial, DenialKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::invalid::Invalid;
use tollgate_core::plan::parse_duration;
use tollgate_core::record::KeyStatus;
use tollgate_core::store::KeyQuery;
use utoipa::IntoParams;

use crate::keys::KeyView;
use crate::manager::Member;
use crate::page::{List, after, limit, one_more};

/// Which keys are asked for: those that match every filter, the newest first.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyParams {
    /// `active`, `disabled` or `revoked`.
    status: Option<String>,
    /// For this environment.
    environment: Option<String>,
    /// Expiring within this time: `7d`.
    #[param(example = "7d")]
    expiring_within: Option<String>,
    /// Not used for this long: `90d`.
    #[param(example = "90d")]
    unused_for: Option<String>,
    /// Made by whom: `user:ann@acme.example`.
    creator: Option<String>,
    /// What the name or the prefix contains.
    search: Option<String>,
    /// `true` for those whose secret is older than the catalog wants secrets to be.
    rotation_due: Option<bool>,
    /// How many rows, 1 to 1000; 50 unless said otherwise.
    limit: Option<u32>,
    /// Where to go on: `meta.next` of the page before.
    cursor: Option<String>,
}

impl KeyParams {
    /// What they mean now.
    fn query(self, member: &Member, now: Timestamp) -> Result<KeyQuery, Denial> {
        let mut query = KeyQuery::new()
            .organization(member.organization.clone())
            .limit(one_more(limit(self.limit)?))
            .with_total();
        query.status = self.status.as_deref().map(status).transpose()?;
        query.environment = self.environment;
        query.creator = self.creator;
        query.search = self.search;
        query.before = after(self.cursor.as_deref(), "keys")?;
        if let Some(time) = duration("expiring_within", self.expiring_within.as_deref())? {
            query = query.expiring(now, now.after(time));
        }
        if let Some(time) = duration("unused_for", self.unused_for.as_deref())? {
            query = query.unused_since(now.before(time));
        }
        match (
            self.rotation_due,
            member.desk.gate.catalog().keys().rotation_age,
        ) {
            (Some(true), Some(age)) => query = query.secret_before(now.before(age)),
            // Where no age is declared, no secret is ever due.
            (Some(true), None) => {
                query = query.secret_before(Timestamp::from_micros(i64::MIN));
            }
            (Some(false), _) => {
                let reason = "only `true` can be asked for; leave it out for all keys";
                return Err(bad(&Invalid::new("rotation_due", reason)));
            }
            (None, _) => {}
        }
        Ok(query)
    }
}

/// A page of the keys of an organization.
pub(crate) async fn page(member: &Member, params: KeyParams) -> Result<List<KeyView>, Denial> {
    let now = member.desk.now();
    let length = limit(params.limit)?;
    let query = params.query(member, now)?;
    let (keyring, catalog) = (member.keyring(), member.desk.gate.catalog());
    let organization = keyring.organization(&member.organization).await?;
    let page = keyring.list_keys(query).await?;
    let keys = page.keys.into_iter();
    let views = keys.map(|listed| KeyView::new(listed, &organization, catalog, now));
    let views = views.collect();
    let list = List::page("keys", length, views, |last: &KeyView| last.id.clone());
    Ok(list.of(page.total))
}

fn status(text: &str) -> Result<KeyStatus, Denial> {
    match text {
        "active" => Ok(KeyStatus::Active),
        "disabled" => Ok(KeyStatus::Disabled),
        "revoked" => Ok(KeyStatus::Revoked),
        other => {
            let shown: String = other
                .chars()
                .take(64)
                .flat_map(char::escape_debug)
                .collect();
            let reason = format!("`{shown}` is not active, disabled or revoked");
            Err(bad(&Invalid::new("status", reason)))
        }
    }
}

fn duration(place: &str, text: Option<&str>) -> Result<Option<Duration>, Denial> {
    let read = text.map(parse_duration).transpose();
    read.map_err(|error| bad(&error.within(place)))
}

fn bad(invalid: &Invalid) -> Denial {
    Denial::new(DenialKind::Status(400)).with_message(invalid.to_string())
}
