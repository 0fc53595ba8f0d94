//! What a new key is to be, and what an edit changes.

use crate::catalog::Catalog;
use crate::clock::Timestamp;
use crate::id::OrgId;
use crate::invalid::Invalid;
use crate::ip::IpRules;
use crate::keyring::{check_permissions, check_plan};
use crate::plan::Limits;
use crate::record::{ApiKey, Permissions};

/// What a new key is to be. A key with no scopes is allowed; it opens what any good key opens.
///
/// ```
/// use tollgate_core::id::OrgId;
/// use tollgate_core::ip::IpRules;
/// use tollgate_core::keyring::NewKey;
///
/// let key = NewKey::new(OrgId::new("acme")?, "production mailer")
///     .scopes(["emails:send"])
///     .ip_rules(IpRules::allowing("198.51.100.0/24".parse()?));
/// # Ok::<(), tollgate_core::invalid::Invalid>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a key is issued by Keyring::issue"]
pub struct NewKey {
    pub(super) organization: OrgId,
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) permissions: Permissions,
    pub(super) ip_rules: IpRules,
    pub(super) plan: Option<String>,
    pub(super) limits: Option<Limits>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    forced: bool,
}

impl NewKey {
    /// A live key without scopes.
    pub fn new(organization: OrgId, name: impl Into<String>) -> Self {
        Self {
            organization,
            name: name.into(),
            environment: "live".to_owned(),
            permissions: Permissions::Scopes([].into()),
            ip_rules: IpRules::default(),
            plan: None,
            limits: None,
            not_before: None,
            expires_at: None,
            forced: false,
        }
    }

    /// Gives it scopes of its own.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.permissions = Permissions::scopes(scopes);
        self
    }

    /// Lets it follow a preset.
    pub fn preset(mut self, preset: impl Into<String>) -> Self {
        self.permissions = Permissions::Preset(preset.into());
        self
    }

    /// Makes it a key of another environment than `live`.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = environment.into();
        self
    }

    /// Restricts from where it may be used.
    pub fn ip_rules(mut self, rules: IpRules) -> Self {
        self.ip_rules = rules;
        self
    }

    /// Gives it a plan of its own, over its organization's.
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Gives it limits of its own, over its plan's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Makes it good from this point on only.
    pub const fn not_before(mut self, start: Timestamp) -> Self {
        self.not_before = Some(start);
        self
    }

    /// Makes it expire at this point.
    pub const fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Lets it have scopes that are not assignable, such as legacy ones.
    pub const fn force(mut self) -> Self {
        self.forced = true;
        self
    }

    pub(super) fn check(&self, catalog: &Catalog, now: Timestamp) -> Result<(), Invalid> {
        check_name(&self.name)?;
        check_permissions(&self.permissions, catalog, self.forced)?;
        check_expiry(self.expires_at, catalog, now)?;
        self.limits.as_ref().map_or(Ok(()), Limits::check)?;
        self.plan
            .as_deref()
            .map_or(Ok(()), |plan| check_plan(plan, catalog))
    }
}

/// What is to change of a key. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
#[must_use = "an edit is made by Keyring::edit"]
pub struct EditKey {
    name: Option<String>,
    permissions: Option<Permissions>,
    ip_rules: Option<IpRules>,
    plan: Option<Option<String>>,
    limits: Option<Option<Limits>>,
    not_before: Option<Option<Timestamp>>,
    expires_at: Option<Option<Timestamp>>,
    forced: bool,
}

impl EditKey {
    /// An edit that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Replaces what it may do by scopes of its own.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.permissions = Some(Permissions::scopes(scopes));
        self
    }

    /// Replaces what it may do by a preset that it follows.
    pub fn preset(mut self, preset: impl Into<String>) -> Self {
        self.permissions = Some(Permissions::Preset(preset.into()));
        self
    }

    /// Replaces its IP rules; the default rules clear them.
    pub fn ip_rules(mut self, rules: IpRules) -> Self {
        self.ip_rules = Some(rules);
        self
    }

    /// Replaces or clears the plan of its own.
    pub fn plan(mut self, plan: Option<String>) -> Self {
        self.plan = Some(plan);
        self
    }

    /// Replaces or clears the limits of its own.
    pub fn limits(mut self, limits: Option<Limits>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Replaces or clears the point from which on it is good.
    pub const fn not_before(mut self, start: Option<Timestamp>) -> Self {
        self.not_before = Some(start);
        self
    }

    /// Replaces or clears the point at which it expires.
    pub const fn expires_at(mut self, end: Option<Timestamp>) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// Lets it have scopes that are not assignable, such as legacy ones.
    pub const fn force(mut self) -> Self {
        self.forced = true;
        self
    }

    pub(super) fn check(&self, catalog: &Catalog, now: Timestamp) -> Result<(), Invalid> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        if let Some(permissions) = &self.permissions {
            check_permissions(permissions, catalog, self.forced)?;
        }
        if let Some(Some(plan)) = &self.plan {
            check_plan(plan, catalog)?;
        }
        if let Some(Some(limits)) = &self.limits {
            limits.check()?;
        }
        if self.expires_at == Some(None)
            && let Some(longest) = catalog.keys().max_lifetime
        {
            let last = now.after(longest);
            let reason = format!("it cannot be cleared here; the latest is {last}");
            return Err(Invalid::new("expires_at", reason));
        }
        check_expiry(self.expires_at.flatten(), catalog, now)
    }

    /// Whether it may make more of a key than it was: all but a new name may.
    pub(super) const fn makes_usable(&self) -> bool {
        self.permissions.is_some()
            || self.ip_rules.is_some()
            || self.plan.is_some()
            || self.limits.is_some()
            || self.not_before.is_some()
            || self.expires_at.is_some()
    }

    pub(super) fn apply(&self, key: &mut ApiKey) {
        replace(&mut key.name, self.name.as_ref());
        replace(&mut key.permissions, self.permissions.as_ref());
        replace(&mut key.ip_rules, self.ip_rules.as_ref());
        replace(&mut key.plan, self.plan.as_ref());
        replace(&mut key.limits, self.limits.as_ref());
        replace(&mut key.not_before, self.not_before.as_ref());
        replace(&mut key.expires_at, self.expires_at.as_ref());
    }
}

fn replace<T: Clone>(field: &mut T, new: Option<&T>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let blank = name.trim().is_empty();
    if blank || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(Invalid::new(
            "key name",
            format!(
                "`{}` is not 1 to 200 bytes without control characters",
                name.chars()
                    .take(64)
                    .flat_map(char::escape_debug)
                    .collect::<String>()
            ),
        ));
    }
    Ok(())
}

/// Refuses an end that is over: it would be a key that never works, or one that is revoked by a slip
/// of a year. Imports bring such keys as they are.
pub(super) fn check_to_come(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Invalid> {
    let Some(end) = expires_at.filter(|end| *end <= now) else {
        return Ok(());
    };
    let reason = format!("{end} is over; take a later time, or revoke the key to end it now");
    Err(Invalid::new("expires_at", reason))
}

fn check_expiry(
    expires_at: Option<Timestamp>,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(), Invalid> {
    let Some((end, longest)) = expires_at.zip(catalog.keys().max_lifetime) else {
        return Ok(());
    };
    let last = now.after(longest);
    if end > last {
        return Err(Invalid::new(
            "expires_at",
            format!("{end} is later than the catalog allows; the latest is {last}"),
        ));
    }
    Ok(())
}
