//! All that is declared up front: scopes, presets, plans, the form of keys.
//!
//! A [`Catalog`] is checked when it is made, and never changes; to change something, make another
//! and put it in place of the first. It is declared in code with a [`CatalogBuilder`], or in a TOML
//! file:
//!
//! ```
//! use tollgate_core::catalog::Catalog;
//!
//! let catalog = Catalog::from_toml(r#"
//!     [keys]
//!     prefix = "sk"
//!     environments = ["live", { name = "test", free = true }]
//!     max_lifetime = "365d"
//!
//!     [scopes]
//!     "iocs:read" = "List and look up indicators"
//!     "iocs:write" = { description = "Submit indicators", implies = ["iocs:read"], plan = "pro" }
//!     "api:full" = { description = "Every endpoint", implies = "everything" }
//!
//!     [presets]
//!     "read-only" = ["iocs:read"]
//!
//!     [plans.free]
//!     rank = 0
//!     rates = ["10/minute", { limit = "100/hour", kind = "exact" }]
//!     quotas = ["1000/day"]
//!     features = ["format.json"]
//!     numbers = { "lookback.days" = 1 }
//!
//!     [plans.pro]
//!     rank = 1
//!     in_flight = 32
//!     credits_per_month = 10_000
//!     classes.exports = { rates = ["5/minute"] }
//! "#)?;
//!
//! let granted = catalog.closure(["iocs:write"]);
//! assert!(granted.contains_all(&catalog.set_of(["iocs:read"])?));
//! assert_eq!(catalog.explain(["api:full"], "iocs:read").unwrap(), ["api:full", "iocs:read"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod check;
mod closure;
mod error;
mod file;
mod format;
mod grants;
mod preset;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use self::builder::CatalogBuilder;
use self::closure::Implications;
pub use self::error::CatalogError;
use self::error::{Refused, hint, told};
pub use self::file::CatalogSpec;
pub use self::format::{EnvironmentSpec, KeyFormatSpec, KeysSpec};
pub use self::preset::Preset;
use crate::invalid::Invalid;
use crate::plan::Plan;
use crate::scope::{Scope, ScopeId, ScopeSet};

/// What is declared, checked, with all that follows from it. Cheap to clone.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    spec: CatalogSpec,
    implications: Implications,
    /// By rank.
    plans: Vec<Arc<Plan>>,
}

impl Catalog {
    /// Starts to declare a catalog in code.
    ///
    /// ```
    /// use tollgate_core::catalog::{Catalog, Preset};
    /// use tollgate_core::plan::Plan;
    /// use tollgate_core::scope::Scope;
    ///
    /// let catalog = Catalog::builder()
    ///     .scope("enrichment:read")
    ///     .scope(Scope::new("phishing:read").implies("enrichment:read"))
    ///     .scope(Scope::new("ai:chat").requires_plan("starter"))
    ///     .preset(Preset::new("lookups").scopes(["phishing:read"]))
    ///     .plan(Plan::new("free"))
    ///     .plan(Plan::new("starter").rank(1))
    ///     .build()?;
    /// assert_eq!(catalog.plans().count(), 2);
    /// # Ok::<(), tollgate_core::catalog::CatalogError>(())
    /// ```
    pub fn builder() -> CatalogBuilder {
        CatalogBuilder::default()
    }

    /// Checks what is declared.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] with everything that is wrong.
    pub fn new(spec: CatalogSpec) -> Result<Self, CatalogError> {
        let problems = spec.problems();
        if !problems.is_empty() {
            return Err(CatalogError::new(problems));
        }
        let mut plans: Vec<_> = spec.plans.iter().cloned().map(Arc::new).collect();
        plans.sort_by_key(|plan| plan.rank);
        Ok(Self(Arc::new(Inner {
            implications: Implications::new(&spec.scopes),
            plans,
            spec,
        })))
    }

    /// Reads a catalog file.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] with the line and column that cannot be read, or with everything that is
    /// wrong with what was read.
    pub fn from_toml(text: &str) -> Result<Self, CatalogError> {
        Self::new(CatalogSpec::from_toml(text)?)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] if it cannot be read, or is no catalog by today's rules.
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        Self::new(CatalogSpec::from_json(text)?)
    }

    /// Writes the catalog down, so that it can be recorded beside the keys that depend on it.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps of names to plain values: there is nothing in it that JSON cannot say.
        serde_json::to_string(&self.0.spec).unwrap_or_default()
    }

    /// All that it was made of.
    #[must_use]
    pub fn spec(&self) -> &CatalogSpec {
        &self.0.spec
    }

    /// What is declared about keys.
    #[must_use]
    pub fn keys(&self) -> &KeysSpec {
        &self.0.spec.keys
    }

    /// The declaration of a scope.
    #[must_use]
    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.declared(self.id(name)?)
    }

    /// The scopes, in declared order.
    #[must_use]
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.0.spec.scopes.iter()
    }

    /// The place of a scope.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<ScopeId> {
        self.0.implications.id(name)
    }

    /// Exactly these scopes, as a route requires them.
    ///
    /// # Errors
    ///
    /// [`Invalid`] that lists the names which are not declared.
    pub fn set_of<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<ScopeSet, Invalid> {
        let mut set = ScopeSet::new();
        let mut unknown = Refused::default();
        for name in names {
            let name = name.as_ref();
            match self.id(name) {
                Some(id) => {
                    set.insert(id);
                }
                None => unknown.push(|| self.unknown(name)),
            }
        }
        unknown.or(set)
    }

    /// These scopes and all that they imply.
    ///
    /// # Errors
    ///
    /// [`Invalid`] that lists the names which are not declared.
    pub fn resolve<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<ScopeSet, Invalid> {
        Ok(self.closed(self.set_of(names)?.iter()))
    }

    /// What a key that holds these names is granted: they and all that they imply.
    ///
    /// A name that is not declared grants nothing: a key may outlive its scopes.
    pub fn closure<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> ScopeSet {
        let names = names.into_iter();
        self.closed(names.filter_map(|name| self.id(name.as_ref())))
    }

    /// Tells whether a key may be given these scopes.
    ///
    /// # Errors
    ///
    /// [`Invalid`] that lists the names which are not declared or are legacy.
    pub fn assignable<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<(), Invalid> {
        let mut refused = Refused::default();
        for name in names {
            let name = name.as_ref();
            match self.scope(name) {
                Some(scope) if scope.is_assignable() => {}
                Some(_) => refused.push(|| {
                    format!(
                        "{} is legacy and cannot be given to a key any more",
                        told(name)
                    )
                }),
                None => refused.push(|| self.unknown(name)),
            }
        }
        refused.or(())
    }

    /// What to tell whoever manages a key that holds these names: of each that is on its way out,
    /// what to use in its place.
    pub fn deprecations<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Vec<String> {
        let names = names.into_iter();
        let told = names.filter_map(|name| {
            let scope = self.scope(name.as_ref())?;
            let remedy = scope.deprecated.as_ref()?;
            Some(format!("`{}` is deprecated: {remedy}", scope.name))
        });
        told.collect()
    }

    /// The names of the scopes in a set of this catalog, in declared order.
    #[must_use]
    pub fn names(&self, set: &ScopeSet) -> Vec<&str> {
        let declared = set.iter().filter_map(|id| self.declared(id));
        declared.map(|scope| scope.name.as_str()).collect()
    }

    /// Why a key that holds the names `granted` is granted `wanted`: the shortest path of
    /// implications from one of them to it. `None` if it is not granted.
    pub fn explain<S: AsRef<str>>(
        &self,
        granted: impl IntoIterator<Item = S>,
        wanted: &str,
    ) -> Option<Vec<String>> {
        let starts = granted.into_iter();
        let starts = starts.filter_map(|name| self.id(name.as_ref()));
        let path = self.0.implications.path(starts, self.id(wanted)?)?;
        let scopes = path.into_iter().filter_map(|id| self.declared(id));
        Some(scopes.map(|scope| scope.name.clone()).collect())
    }

    /// A plan.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Arc<Plan>> {
        self.plans().find(|plan| plan.name == name)
    }

    /// The plans, from the lowest rank to the highest.
    #[must_use]
    pub fn plans(&self) -> impl DoubleEndedIterator<Item = &Arc<Plan>> {
        self.0.plans.iter()
    }

    /// The highest plan that one of these scopes demands of a route that requires it.
    #[must_use]
    pub fn plan_demanded_by(&self, required: &ScopeSet) -> Option<&Arc<Plan>> {
        let scopes = required.iter().filter_map(|id| self.declared(id));
        scopes
            .filter_map(|scope| self.plan(scope.plan.as_deref()?))
            .max_by_key(|plan| plan.rank)
    }

    /// A preset.
    #[must_use]
    pub fn preset(&self, name: &str) -> Option<&Preset> {
        self.presets().find(|preset| preset.name == name)
    }

    /// The presets, in declared order.
    #[must_use]
    pub fn presets(&self) -> impl ExactSizeIterator<Item = &Preset> {
        self.0.spec.presets.iter()
    }

    /// Whether some plan has limits of its own for this rate class.
    #[must_use]
    pub fn rate_class_exists(&self, class: &str) -> bool {
        self.plans().any(|plan| plan.classes.contains_key(class))
    }

    /// Says that there is no such plan, and which one may be meant.
    pub(crate) fn unknown_plan(&self, name: &str) -> Invalid {
        let known = self.plans().map(|plan| plan.name.as_str());
        Invalid::new("plan", undeclared(name, known))
    }

    /// Says that there is no such preset, and which one may be meant.
    pub(crate) fn unknown_preset(&self, name: &str) -> Invalid {
        let known = self.presets().map(|preset| preset.name.as_str());
        Invalid::new("preset", undeclared(name, known))
    }

    fn declared(&self, id: ScopeId) -> Option<&Scope> {
        self.0.spec.scopes.get(id.index())
    }

    fn closed(&self, scopes: impl Iterator<Item = ScopeId>) -> ScopeSet {
        let mut all = ScopeSet::new();
        for implied in scopes.filter_map(|id| self.0.implications.closed(id)) {
            all.union_with(implied);
        }
        all
    }

    fn unknown(&self, name: &str) -> String {
        let known = self.scopes().map(|scope| scope.name.as_str());
        format!("{} is not declared{}", told(name), hint(name, known, ""))
    }
}

fn undeclared<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let hint = hint(name, known, "");
    format!("{} is not declared in the catalog{hint}", told(name))
}

/// Catalogs are equal that declare the same in the same order.
impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.spec == other.0.spec
    }
}

impl Eq for Catalog {}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.0.spec;
        f.debug_struct("Catalog")
            .field("scopes", &spec.scopes.len())
            .field("presets", &spec.presets.len())
            .field("plans", &spec.plans.len())
            .finish_non_exhaustive()
    }
}
