//! An access, resolved once against the catalog.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use tollgate_core::catalog::Catalog;
use tollgate_core::credits::{MAX_CREDITS, Price};
use tollgate_core::plan::{Limits, Plan};
use tollgate_core::scope::{Implies, ScopeSet};

use crate::access::{Access, Who};
use crate::gate::{Gate, StartError};
use crate::idempotency::Repeats;
use crate::telemetry::Decisions;

/// What one route demands, ready to be checked.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) gate: Gate,
    pub(crate) access: Access,
    pub(crate) demand: Demand,
    /// The highest of the plans that the route and its scopes demand.
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) rate_class: Option<Arc<str>>,
    name: OnceLock<(Arc<str>, Decisions)>,
}

/// Which scopes a route demands.
#[derive(Debug)]
pub(crate) enum Demand {
    /// All of them; none is fine.
    All(ScopeSet),
    /// One of them, on a plan that this one demands.
    Any(Vec<(ScopeSet, Option<Arc<Plan>>)>),
}

impl Route {
    /// Resolves an access, and says what is wrong with it.
    pub(super) fn compile(gate: Gate, access: Access) -> (Self, Vec<String>) {
        let catalog = gate.catalog();
        let mut problems = Vec::new();
        let mut set_of = |names: &[String]| {
            catalog.set_of(names).unwrap_or_else(|error| {
                problems.push(error.to_string());
                ScopeSet::default()
            })
        };
        let demand = match &access.who {
            Who::AnyOf(names) => Demand::Any(
                names
                    .iter()
                    .map(|name| {
                        let set = set_of(std::slice::from_ref(name));
                        let plan = catalog.plan_demanded_by(&set).map(Arc::clone);
                        (set, plan)
                    })
                    .collect(),
            ),
            _ => Demand::All(set_of(access.scopes())),
        };
        let of_scopes = match &demand {
            Demand::All(set) => catalog.plan_demanded_by(set).map(Arc::clone),
            Demand::Any(_) => None,
        };
        problems.extend(find_problems(&access, catalog));
        let own = access
            .plan
            .as_deref()
            .and_then(|plan| catalog.plan(plan))
            .map(Arc::clone);
        let route = Self {
            plan: own
                .into_iter()
                .chain(of_scopes)
                .max_by_key(|plan| plan.rank),
            rate_class: access.rate_class.as_deref().map(Arc::from),
            name: OnceLock::new(),
            demand,
            access,
            gate,
        };
        (route, problems)
    }

    /// A route for one layer that stands alone.
    pub(crate) fn alone(gate: &Gate, access: Access) -> Result<Arc<Self>, StartError> {
        let (route, problems) = Self::compile(gate.clone(), access);
        if !problems.is_empty() {
            return Err(StartError::new(problems));
        }
        route.name_it("(layer)");
        Ok(Arc::new(route))
    }

    /// Gives the route its full name, once it is known where it is nested: `GET /v2/iocs/{id}`.
    pub(super) fn name_it(&self, name: &str) {
        self.name.get_or_init(|| {
            let name: Arc<str> = name.into();
            (Arc::clone(&name), Decisions::new(name))
        });
    }

    fn named(&self) -> &(Arc<str>, Decisions) {
        self.name.get_or_init(|| {
            let name: Arc<str> = "(not finished)".into();
            (Arc::clone(&name), Decisions::new(name))
        })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.named().0
    }

    pub(crate) fn decisions(&self) -> &Decisions {
        &self.named().1
    }
}

fn find_problems(access: &Access, catalog: &Catalog) -> Vec<String> {
    let mut problems = Vec::new();
    if matches!(&access.who, Who::AllOf(names) | Who::AnyOf(names) if names.is_empty()) {
        problems.push("it demands a scope out of none; say authenticated() or name one".to_owned());
    }
    if let Some(plan) = &access.plan
        && catalog.plan(plan).is_none()
    {
        problems.push(format!("plan `{plan}` is not declared in the catalog"));
    }
    for feature in &access.features {
        if !catalog.plans().any(|plan| plan.has_feature(feature)) {
            problems.push(format!(
                "no plan of the catalog has the feature `{feature}`"
            ));
        }
    }
    if let Some(class) = &access.rate_class
        && !catalog.rate_class_exists(class)
    {
        problems.push(format!(
            "no plan of the catalog has limits for the rate class `{class}`"
        ));
    }
    for plan in catalog.plans() {
        let limits = plan.limits_for(access.rate_class.as_deref());
        if let Some(most) = smallest_burst(limits)
            && u64::from(access.rate_cost) > most
        {
            problems.push(format!(
                "a rate cost of {} can never be admitted on plan `{}`, whose smallest limit is {most}",
                access.rate_cost, plan.name
            ));
        }
    }
    let open = matches!(access.who, Who::Public | Who::Session | Who::Keyless);
    if open && access.repeats != Repeats::Unknown {
        problems
            .push("it is idempotent, but has no key whose requests could come again".to_owned());
    }
    if open && !access.price.is_free() {
        problems.push("it has a price, but no key to charge".to_owned());
    }
    if open && (access.plan.is_some() || !access.features.is_empty() || access.rate_class.is_some())
    {
        let problem = "it demands a plan, a feature or a rate class, but no key that could have it";
        problems.push(problem.to_owned());
    }
    match access.price {
        Price::Between { least, most } if least > most || most == 0 => problems.push(format!(
            "a price between {least} and {most} credits is none; put the smaller first"
        )),
        Price::Fixed(most) | Price::PerItem(most) | Price::Between { most, .. }
            if most > MAX_CREDITS =>
        {
            problems.push(format!("a price of {most} credits is above {MAX_CREDITS}"));
        }
        _ => {}
    }
    problems
}

fn smallest_burst(limits: &Limits) -> Option<u64> {
    let rates = limits
        .rates()
        .iter()
        .map(|rate| u64::from(rate.units().get()));
    let quotas = limits.quotas().iter().map(|quota| quota.units().get());
    rates.chain(quotas).min()
}

/// Scopes that no route needs, and that are not declared as reserved, legacy or a bundle.
///
/// A scope whose only point is what it implies needs no route of its own.
pub(super) fn unneeded_scopes<'a>(
    catalog: &Catalog,
    needed: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let needed: BTreeSet<&String> = needed.collect();
    let bundles = |implies: &Implies| *implies != Implies::default();
    catalog
        .scopes()
        .filter(|scope| !needed.contains(&scope.name))
        .filter(|scope| !scope.reserved && !scope.legacy && !bundles(&scope.implies))
        .map(|scope| {
            format!(
                "scope `{}`: no route needs it; mount one, or declare it as reserved",
                scope.name
            )
        })
        .collect()
}
