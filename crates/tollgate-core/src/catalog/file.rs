use serde::{Deserialize, Serialize};

use super::error::{CatalogError, sentence};
use super::format::KeysSpec;
use super::preset::Preset;
use crate::invalid::Invalid;
use crate::plan::Plan;
use crate::scope::Scope;
use crate::shorthand::{entries, is_default};

/// All that a catalog declares, not yet checked: what a builder fills and a file holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CatalogSpec {
    /// Keys: what they look like and how long they live.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: KeysSpec,
    /// Scopes, in declared order.
    #[serde(with = "entries", skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// Presets, in declared order.
    #[serde(with = "entries", skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<Preset>,
    /// Plans, in declared order.
    #[serde(with = "entries", skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Plan>,
}

impl CatalogSpec {
    pub(super) fn from_toml(text: &str) -> Result<Self, CatalogError> {
        toml::from_str(text).map_err(|error| {
            let place = match error.span().and_then(|span| text.get(..span.start)) {
                Some(before) => {
                    let (line, column) = position(before);
                    format!("line {line}, column {column}")
                }
                None => "catalog file".to_owned(),
            };
            CatalogError::new(vec![Invalid::new(place, sentence(error.message()))])
        })
    }

    pub(super) fn from_json(text: &str) -> Result<Self, CatalogError> {
        serde_json::from_str(text).map_err(|error| {
            let reason = sentence(&error.to_string());
            CatalogError::new(vec![Invalid::new("recorded catalog", reason)])
        })
    }
}

/// The line and column, both from 1, of what follows `before`.
fn position(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count().saturating_add(1);
    let start = before.rsplit('\n').next().unwrap_or_default();
    (line, start.chars().count().saturating_add(1))
}
