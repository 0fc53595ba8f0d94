//! Who may give what to a key.

use super::Catalog;
use super::error::{Refused, told};
use crate::accounts::Role;
use crate::invalid::Invalid;
use crate::record::Permissions;
use crate::scope::ScopeSet;

impl Catalog {
    /// What a key with these permissions is granted: its scopes or its preset's, and all that they
    /// imply. A preset or a scope that is not declared grants nothing.
    #[must_use]
    pub fn granted(&self, permissions: &Permissions) -> ScopeSet {
        match permissions {
            Permissions::Scopes(scopes) => self.closure(scopes),
            Permissions::Preset(name) => {
                let preset = self.preset(name);
                self.closure(preset.map(|preset| &*preset.scopes).unwrap_or_default())
            }
        }
    }

    /// Tells whether somebody of this role may give a key these permissions: all that they grant,
    /// by implication too.
    ///
    /// ```
    /// use tollgate_core::accounts::Role;
    /// use tollgate_core::catalog::Catalog;
    /// use tollgate_core::record::Permissions;
    /// use tollgate_core::scope::Scope;
    ///
    /// let catalog = Catalog::builder()
    ///     .scope("iocs:read")
    ///     .scope(Scope::new("keys:admin").granted_by(Role::Owner))
    ///     .scope(Scope::new("api:full").implies_everything())
    ///     .build()?;
    /// let full = Permissions::scopes(["api:full"]);
    /// assert!(catalog.may_grant(Role::Owner, &full).is_ok());
    /// assert_eq!(
    ///     catalog.may_grant(Role::Admin, &full).unwrap_err().to_string(),
    ///     "scopes: `keys:admin` can be given by an owner only",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] that lists the scopes which the role may not give. A viewer may give none.
    pub fn may_grant(&self, role: Role, permissions: &Permissions) -> Result<(), Invalid> {
        if role < Role::Admin {
            return Err(Invalid::new("scopes", "a viewer cannot give any"));
        }
        let mut refused = Refused::default();
        let granted = self.granted(permissions);
        let scopes = granted.iter().filter_map(|id| self.declared(id));
        for scope in scopes.filter(|scope| scope.least_granter() > role) {
            let name = told(&scope.name);
            refused.push(|| format!("{name} can be given by an {} only", scope.least_granter()));
        }
        refused.or(())
    }
}
