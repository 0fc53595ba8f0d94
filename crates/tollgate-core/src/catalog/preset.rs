use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::shorthand::{Entry, Value};

/// A named set of scopes, as it is declared in a catalog: `sending-only`.
///
/// A key that follows a preset follows its changes.
///
/// ```
/// use tollgate_core::catalog::Preset;
///
/// let preset = Preset::new("sending-only")
///     .describe("Sending Only")
///     .scopes(["emails:send", "sms:send"]);
/// assert_eq!(preset.scopes.len(), 2);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Preset {
    /// The name.
    pub name: String,
    /// What it is for, for people.
    pub description: String,
    /// What it holds; what these imply is not listed.
    pub scopes: Vec<String>,
}

impl Preset {
    /// Declares a preset without a scope.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }
}

/// A preset as a file writes it, without its name.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresetBody {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    scopes: Vec<String>,
}

impl Entry for Preset {
    type Body = PresetBody;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(name: String, value: Value<PresetBody>) -> Result<Self, Invalid> {
        match value {
            Value::List(scopes) => Ok(Self::new(name).scopes(scopes)),
            Value::Table(body) => Ok(Self {
                name,
                description: body.description,
                scopes: body.scopes,
            }),
            Value::Text(_) => Err(Invalid::new(
                format!("preset `{name}`"),
                "give a list of scopes or a table",
            )),
        }
    }

    fn body(&self) -> PresetBody {
        PresetBody {
            description: self.description.clone(),
            scopes: self.scopes.clone(),
        }
    }
}
