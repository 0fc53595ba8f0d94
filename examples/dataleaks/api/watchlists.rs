//! What a workspace watches: lists of its own domains, addresses and BINs, kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tollgate::core::id::OrgId;
use tollgate::{Denial, DenialKind, Principal};
use uuid::Uuid;

use super::extract::Body;
use super::inputs::{Bin, Domain, Email};
use super::{MOST_TARGETS, MOST_WATCHLISTS};

const LONGEST_NAME: usize = 100;

/// The watchlists of every workspace, by their ids. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchlists(Arc<RwLock<BTreeMap<OrgId, BTreeMap<String, Watchlist>>>>);

/// What is watched, under a name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watchlist {
    name: String,
    #[serde(default)]
    domains: BTreeSet<Domain>,
    #[serde(default)]
    emails: BTreeSet<Email>,
    #[serde(default)]
    bins: BTreeSet<Bin>,
}

/// What is to change. What is not named stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    name: Option<String>,
    domains: Option<BTreeSet<Domain>>,
    emails: Option<BTreeSet<Email>>,
    bins: Option<BTreeSet<Bin>>,
}

/// A watchlist, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    id: String,
    #[serde(flatten)]
    watchlist: Watchlist,
}

/// All that a workspace has.
#[derive(Debug, Serialize)]
pub(crate) struct All {
    watchlists: Vec<Shown>,
}

impl Watchlists {
    /// Adds one under an id that is known beforehand.
    pub(crate) fn with(self, owner: OrgId, id: &str, watchlist: Watchlist) -> Self {
        self.0
            .write()
            .entry(owner)
            .or_default()
            .insert(id.to_owned(), watchlist);
        self
    }
}

impl Watchlist {
    /// A list that watches a domain.
    pub(crate) fn of_domain(name: &str, domain: Domain) -> Self {
        Self {
            name: name.to_owned(),
            domains: [domain].into(),
            ..Self::default()
        }
    }

    /// Refuses a name that cannot be shown, and a list that watches nothing or too much.
    fn check(&self) -> Result<(), Denial> {
        let length = self.name.chars().count();
        let blank = self.name.trim().is_empty();
        if blank || length > LONGEST_NAME || self.name.chars().any(char::is_control) {
            return Err(bad("A name has 1 to 100 characters of one line."));
        }
        let targets = [self.domains.len(), self.emails.len(), self.bins.len()];
        if !(1..=MOST_TARGETS).contains(&targets.iter().sum()) {
            return Err(bad("A watchlist has 1 to 100 domains, emails and bins."));
        }
        Ok(())
    }

    /// Refuses a list of which anything is out of the caller's scope.
    fn demand_in_scope(&self, caller: &Principal) -> Result<(), Denial> {
        let in_scope = |domain: &Domain| domain.demand_in_scope(caller);
        self.domains.iter().try_for_each(in_scope)?;
        let in_scope = |email: &Email| email.demand_in_scope(caller);
        self.emails.iter().try_for_each(in_scope)?;
        let in_scope = |bin: &Bin| bin.demand_in_scope(caller);
        self.bins.iter().try_for_each(in_scope)
    }

    /// This list, after the changes.
    fn edited(&self, edit: Edit) -> Self {
        Self {
            name: edit.name.unwrap_or_else(|| self.name.clone()),
            domains: edit.domains.unwrap_or_else(|| self.domains.clone()),
            emails: edit.emails.unwrap_or_else(|| self.emails.clone()),
            bins: edit.bins.unwrap_or_else(|| self.bins.clone()),
        }
    }
}

pub(crate) async fn list(State(all): State<Watchlists>, caller: Principal) -> Json<All> {
    let all = all.0.read();
    let own = all.get(caller.organization()).into_iter().flatten();
    let watchlists = own.map(|(id, watchlist)| Shown {
        id: id.clone(),
        watchlist: watchlist.clone(),
    });
    Json(All {
        watchlists: watchlists.collect(),
    })
}

pub(crate) async fn create(
    State(all): State<Watchlists>,
    caller: Principal,
    Body(watchlist): Body<Watchlist>,
) -> Result<(StatusCode, Json<Shown>), Denial> {
    watchlist.check()?;
    watchlist.demand_in_scope(&caller)?;
    let mut all = all.0.write();
    let own = all.entry(caller.organization().clone()).or_default();
    if own.len() >= MOST_WATCHLISTS {
        let message = "A workspace has 100 watchlists at most; delete one.";
        return Err(Denial::new(DenialKind::Status(409)).with_message(message));
    }
    let id = Uuid::new_v4().to_string();
    own.insert(id.clone(), watchlist.clone());
    Ok((StatusCode::CREATED, Json(Shown { id, watchlist })))
}

pub(crate) async fn show(
    State(all): State<Watchlists>,
    caller: Principal,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Denial> {
    let all = all.0.read();
    let own = all.get(caller.organization());
    let watchlist = own.and_then(|own| own.get(&id)).ok_or_else(not_owned)?;
    let watchlist = watchlist.clone();
    Ok(Json(Shown { id, watchlist }))
}

pub(crate) async fn edit(
    State(all): State<Watchlists>,
    caller: Principal,
    Path(id): Path<String>,
    Body(edit): Body<Edit>,
) -> Result<Json<Shown>, Denial> {
    let mut all = all.0.write();
    let own = all.get_mut(caller.organization());
    let watchlist = own.and_then(|own| own.get_mut(&id)).ok_or_else(not_owned)?;
    let edited = watchlist.edited(edit);
    edited.check()?;
    edited.demand_in_scope(&caller)?;
    watchlist.clone_from(&edited);
    Ok(Json(Shown {
        id,
        watchlist: edited,
    }))
}

pub(crate) async fn delete(
    State(all): State<Watchlists>,
    caller: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode, Denial> {
    let mut all = all.0.write();
    let own = all.get_mut(caller.organization());
    own.and_then(|own| own.remove(&id)).ok_or_else(not_owned)?;
    Ok(StatusCode::NO_CONTENT)
}

/// One answer for a watchlist of another workspace and for one that never was.
fn not_owned() -> Denial {
    DenialKind::ResourceNotOwned.into()
}

fn bad(message: &str) -> Denial {
    Denial::new(DenialKind::Status(400)).with_message(message)
}
