//! What every route demands, as data: for docs, reviews and snapshots.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;
use tollgate_core::demand::{Demand, RouteDemand};

use crate::routes::Declared;

/// The permission map of an app: one row a route.
///
/// `Display` writes a Markdown table, [`to_json`](Self::to_json) JSON.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PermissionMap(Vec<Permission>);

/// What one route demands and costs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Permission {
    /// The method; `*` for every one.
    pub method: String,
    /// The path; `*` for the fallback.
    pub path: String,
    /// The permission, in words: `iocs:read`, `a or b`, `None (public)`.
    pub permission: String,
    /// The price: `0`, `3`, `3/item`, `1–50`.
    pub credits: String,
    /// The lowest plan, if one is demanded.
    pub plan: Option<String>,
    /// What the route does.
    pub description: String,
    /// The whole demand, for programs.
    pub demand: Demand,
}

impl Permission {
    pub(super) fn of(declared: &Declared) -> Self {
        let route = &declared.route;
        Self {
            method: declared.methods.to_owned(),
            path: declared.path.clone().unwrap_or_else(|| "*".to_owned()),
            permission: route.access.permission(),
            credits: route.access.price.to_string(),
            plan: route.plan.as_ref().map(|plan| plan.name.clone()),
            description: route.access.description.clone(),
            demand: route.access.demand(),
        }
    }
}

impl PermissionMap {
    pub(super) fn new(rows: impl Iterator<Item = Permission>) -> Self {
        Self(rows.collect())
    }

    /// The rows, in the order in which the routes were mounted.
    #[must_use]
    pub fn rows(&self) -> &[Permission] {
        &self.0
    }

    /// What the rows demand.
    pub(crate) fn demands(&self) -> impl Iterator<Item = RouteDemand> + use<'_> {
        self.0.iter().map(|row| RouteDemand {
            method: row.method.clone(),
            path: row.path.clone(),
            demand: row.demand.clone(),
        })
    }

    /// The map as a JSON array of objects.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings in structs: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// A Markdown table.
impl fmt::Display for PermissionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("| Method | Path | Permission | Credits | Description |\n")?;
        f.write_str("| --- | --- | --- | --- | --- |\n")?;
        for row in &self.0 {
            let cells = [
                &row.method,
                &row.path,
                &row.permission,
                &row.credits,
                &row.description,
            ];
            for cell in cells {
                f.write_str("| ")?;
                cell.chars().try_for_each(|c| match c {
                    '|' => f.write_str("\\|"),
                    '\n' | '\r' => f.write_char(' '),
                    c => f.write_char(c),
                })?;
                f.write_char(' ')?;
            }
            f.write_str("|\n")?;
        }
        Ok(())
    }
}
