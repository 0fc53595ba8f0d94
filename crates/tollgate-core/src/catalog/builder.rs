use std::time::Duration;

use super::Catalog;
use super::error::CatalogError;
use super::file::CatalogSpec;
use super::format::KeyFormatSpec;
use super::preset::Preset;
use crate::plan::Plan;
use crate::scope::Scope;

/// Declares a [`Catalog`] in code.
///
/// Nothing is checked before [`build`](Self::build), so the order of declarations is free.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct CatalogBuilder {
    spec: CatalogSpec,
}

impl CatalogBuilder {
    /// Declares a scope: its name alone, or a [`Scope`] that says more.
    pub fn scope(mut self, scope: impl Into<Scope>) -> Self {
        self.spec.scopes.push(scope.into());
        self
    }

    /// Declares several scopes.
    pub fn scopes<S: Into<Scope>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.spec.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Declares a preset.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.spec.presets.push(preset);
        self
    }

    /// Declares a plan.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.spec.plans.push(plan);
        self
    }

    /// Says what keys look like, in place of `sk_live_…` and `sk_test_…`.
    pub fn key_format(mut self, format: KeyFormatSpec) -> Self {
        self.spec.keys.format = format;
        self
    }

    /// Lets a key expire after this time if its maker does not say when.
    pub const fn default_key_lifetime(mut self, lifetime: Duration) -> Self {
        self.spec.keys.default_lifetime = Some(lifetime);
        self
    }

    /// Lets no key live longer.
    pub const fn max_key_lifetime(mut self, lifetime: Duration) -> Self {
        self.spec.keys.max_lifetime = Some(lifetime);
        self
    }

    /// Asks for a new secret at this age.
    pub const fn rotation_age(mut self, age: Duration) -> Self {
        self.spec.keys.rotation_age = Some(age);
        self
    }

    /// Checks all that was declared.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] with everything that is wrong.
    pub fn build(self) -> Result<Catalog, CatalogError> {
        Catalog::new(self.spec)
    }
}
