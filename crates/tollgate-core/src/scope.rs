//! Permissions, and sets of them.
//!
//! A scope is an exact, case-sensitive name. There is no pattern and no prefix: a scope grants
//! itself and what it is declared to imply, and nothing else. So a name has no `*`, which people
//! would read as one.

mod set;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

pub use self::set::{ScopeId, ScopeSet};
use crate::accounts::Role;
use crate::invalid::Invalid;
use crate::shorthand::{Entry, Value, is_default};

const EVERYTHING: &str = "everything";

/// One permission, as it is declared in a catalog.
///
/// A name alone is a declaration too: every method below replaces a default.
///
/// ```
/// use tollgate_core::scope::Scope;
///
/// let scope = Scope::new("ai:chat")
///     .describe("Interactive assistant")
///     .requires_plan("starter");
/// assert!(scope.is_assignable());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Scope {
    /// The name: `resource:action`, or any other OAuth scope token without a `*`.
    pub name: String,
    /// What it permits, for people.
    pub description: String,
    /// What it grants besides itself.
    pub implies: Implies,
    /// The plan that every route which needs this scope demands.
    pub plan: Option<String>,
    /// No route needs it yet.
    pub reserved: bool,
    /// Keys that have it keep it; no key gets it any more.
    pub legacy: bool,
    /// What to use in its place, if it is on its way out.
    pub deprecated: Option<String>,
    /// The least role that may give it to a key, of those who manage keys; an admin, unless it
    /// says so.
    pub granted_by: Option<Role>,
}

/// What a scope grants besides itself.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(try_from = "Value<IgnoredAny>")]
#[non_exhaustive]
pub enum Implies {
    /// These scopes, and what they imply.
    Scopes(Vec<String>),
    /// Every scope of the catalog, whenever it was declared.
    Everything,
}

impl Scope {
    /// Declares a scope that permits itself, on every plan.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Says what it permits.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Grants another scope too, and what that one implies.
    ///
    /// A scope that implies everything keeps implying everything.
    #[must_use]
    pub fn implies(mut self, scope: impl Into<String>) -> Self {
        if let Implies::Scopes(scopes) = &mut self.implies {
            scopes.push(scope.into());
        }
        self
    }

    /// Grants every scope of the catalog, those declared later included.
    #[must_use]
    pub fn implies_everything(mut self) -> Self {
        self.implies = Implies::Everything;
        self
    }

    /// Demands this plan or a higher one on every route that needs the scope.
    #[must_use]
    pub fn requires_plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Allows that no route needs it yet.
    #[must_use]
    pub fn reserved(mut self) -> Self {
        self.reserved = true;
        self
    }

    /// Keeps it for the keys that have it, and from all others.
    #[must_use]
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Says what to use in its place.
    #[must_use]
    pub fn deprecated(mut self, remedy: impl Into<String>) -> Self {
        self.deprecated = Some(remedy.into());
        self
    }

    /// Lets only this role, or more, give it to a key.
    ///
    /// A key that is granted it by implication needs the role as well.
    #[must_use]
    pub const fn granted_by(mut self, role: Role) -> Self {
        self.granted_by = Some(role);
        self
    }

    /// The least role that may give it to a key.
    #[must_use]
    pub fn least_granter(&self) -> Role {
        self.granted_by.unwrap_or(Role::Admin).max(Role::Admin)
    }

    /// Whether a key may be given it.
    #[must_use]
    pub const fn is_assignable(&self) -> bool {
        !self.legacy
    }
}

impl<T: Into<String>> From<T> for Scope {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

impl Default for Implies {
    fn default() -> Self {
        Self::Scopes(Vec::new())
    }
}

impl TryFrom<Value<IgnoredAny>> for Implies {
    type Error = Invalid;

    fn try_from(value: Value<IgnoredAny>) -> Result<Self, Invalid> {
        match value {
            Value::List(scopes) => Ok(Self::Scopes(scopes)),
            Value::Text(text) if text == EVERYTHING => Ok(Self::Everything),
            Value::Text(_) | Value::Table(_) => Err(Invalid::new(
                "implies",
                r#"give a list of scopes, or "everything""#,
            )),
        }
    }
}

impl Serialize for Implies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scopes(scopes) => scopes.serialize(serializer),
            Self::Everything => serializer.serialize_str(EVERYTHING),
        }
    }
}

/// A scope as a file writes it, without its name.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScopeBody {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "is_default")]
    implies: Implies,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    reserved: bool,
    #[serde(skip_serializing_if = "is_default")]
    legacy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_by: Option<Role>,
}

impl Entry for Scope {
    type Body = ScopeBody;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(name: String, value: Value<ScopeBody>) -> Result<Self, Invalid> {
        match value {
            Value::Text(description) => Ok(Self::new(name).describe(description)),
            Value::Table(body) => Ok(Self {
                name,
                description: body.description,
                implies: body.implies,
                plan: body.plan,
                reserved: body.reserved,
                legacy: body.legacy,
                deprecated: body.deprecated,
                granted_by: body.granted_by,
            }),
            Value::List(_) => Err(Invalid::new(
                format!("scope `{name}`"),
                "give a description or a table; a list says what it implies only as `implies`",
            )),
        }
    }

    fn body(&self) -> ScopeBody {
        ScopeBody {
            description: self.description.clone(),
            implies: self.implies.clone(),
            plan: self.plan.clone(),
            reserved: self.reserved,
            legacy: self.legacy,
            deprecated: self.deprecated.clone(),
            granted_by: self.granted_by,
        }
    }
}
