//! What is declared: scopes, presets, plans, and the form of keys.

use std::time::Duration;

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate::Denial;
use tollgate_core::catalog::Catalog;
use tollgate_core::scope::Scope;
use utoipa::{IntoParams, ToSchema};

use crate::extract::Params;
use crate::manager::Manager;
use crate::page::One;

/// What is declared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CatalogView {
    /// What keys look like, and how long they live.
    keys: KeysView,
    /// The scopes that a key can be given, in declared order; legacy ones if they are asked for.
    scopes: Vec<ScopeView>,
    /// The presets, in declared order.
    presets: Vec<PresetView>,
    /// The plans, from the lowest rank to the highest.
    plans: Vec<PlanView>,
}

/// What keys look like, and how long they live.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeysView {
    /// What a secret begins with.
    #[schema(example = "sk")]
    prefix: String,
    /// The environments that a key may be for.
    environments: Vec<EnvironmentView>,
    /// How many seconds a key lives if its maker does not say; null for ever.
    #[schema(example = 7_776_000)]
    default_lifetime: Option<u64>,
    /// The most seconds that a key may live; null for ever.
    max_lifetime: Option<u64>,
    /// After how many seconds a secret should be replaced; null for never.
    rotation_age: Option<u64>,
}

/// An environment that a key may be for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentView {
    #[schema(example = "live")]
    name: String,
    /// Whether its keys pay nothing.
    free: bool,
}

/// A permission.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScopeView {
    #[schema(example = "emails:send")]
    name: String,
    /// What it permits.
    description: String,
    /// All that it grants besides itself.
    implies: Vec<String>,
    /// The plan that routes which need it demand.
    plan: Option<String>,
    /// Whether a key may be given it.
    assignable: bool,
    /// Whether no route needs it yet.
    reserved: bool,
    /// What to use in its place, if it is on its way out.
    deprecated: Option<String>,
    /// The least role that may give it to a key, all that it implies considered.
    #[schema(example = "admin")]
    granted_by: &'static str,
}

/// A named set of scopes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresetView {
    #[schema(example = "sending-only")]
    name: String,
    /// What it is for.
    description: String,
    /// What it holds.
    scopes: Vec<String>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    #[schema(example = "pro")]
    name: String,
    /// Its place among the plans.
    rank: u32,
    /// Its limits.
    #[schema(value_type = Object)]
    limits: Value,
    /// The limits of routes of a rate class.
    #[schema(value_type = Object)]
    classes: Value,
    /// Credits that it grants each month.
    credits_per_month: u64,
    /// What it includes.
    features: Vec<String>,
    /// How far it goes.
    #[schema(value_type = Object)]
    numbers: Value,
}

/// How much of it is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CatalogParams {
    /// `true` for legacy scopes too, which no key can be given any more.
    legacy: Option<bool>,
}

/// Shows what is declared, for whoever makes a key.
#[utoipa::path(
    get, path = "/catalog", tag = "catalog", params(CatalogParams),
    responses((status = 200, description = "What is declared", body = One<CatalogView>))
)]
pub(crate) async fn show(
    manager: Manager,
    Params(params): Params<CatalogParams>,
) -> Result<Json<One<CatalogView>>, Denial> {
    let legacy = params.legacy.unwrap_or(false);
    let data = view(manager.desk.gate.catalog(), legacy);
    Ok(Json(One { data }))
}

fn view(catalog: &Catalog, legacy: bool) -> CatalogView {
    let listed = |scope: &Scope| legacy || scope.is_assignable();
    let keys = catalog.keys();
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    let environments = keys.format.environments.iter();
    let presets = catalog.presets().map(|preset| PresetView {
        name: preset.name.clone(),
        description: preset.description.clone(),
        scopes: preset.scopes.clone(),
    });
    let plans = catalog.plans().map(|plan| PlanView {
        name: plan.name.clone(),
        rank: plan.rank,
        limits: serde_json::to_value(&plan.limits).unwrap_or_default(),
        classes: serde_json::to_value(&plan.classes).unwrap_or_default(),
        credits_per_month: plan.monthly_credits,
        features: plan.features.iter().cloned().collect(),
        numbers: serde_json::to_value(&plan.numbers).unwrap_or_default(),
    });
    CatalogView {
        keys: KeysView {
            prefix: keys.format.prefix.clone(),
            environments: environments
                .map(|environment| EnvironmentView {
                    name: environment.name.clone(),
                    free: environment.free,
                })
                .collect(),
            default_lifetime: seconds(keys.default_lifetime),
            max_lifetime: seconds(keys.max_lifetime),
            rotation_age: seconds(keys.rotation_age),
        },
        scopes: catalog
            .scopes()
            .filter(|scope| listed(scope))
            .map(|of| scope(catalog, of, listed))
            .collect(),
        presets: presets.collect(),
        plans: plans.collect(),
    }
}

fn scope(catalog: &Catalog, scope: &Scope, listed: impl Fn(&Scope) -> bool) -> ScopeView {
    let granted = catalog.closure([&scope.name]);
    let names = catalog.names(&granted);
    let all = names.iter().filter_map(|name| catalog.scope(name));
    let least = all.map(Scope::least_granter).max();
    ScopeView {
        name: scope.name.clone(),
        description: scope.description.clone(),
        implies: names
            .iter()
            .filter(|name| **name != scope.name && catalog.scope(name).is_some_and(&listed))
            .map(|name| (*name).to_owned())
            .collect(),
        plan: scope.plan.clone(),
        assignable: scope.is_assignable(),
        reserved: scope.reserved,
        deprecated: scope.deprecated.clone(),
        granted_by: least.unwrap_or(scope.least_granter()).as_str(),
    }
}
