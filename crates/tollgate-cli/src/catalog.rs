//! `tollgate catalog`: scopes, presets, plans and the form of keys.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use tollgate_core::catalog::Catalog;

use crate::args::Settings;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::file;
use crate::out::Out;
use shown::{ShownPlan, ShownPreset, ShownScope};

mod shown;

/// What can be done with catalogs.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Checks a catalog file, and says everything that is wrong with it
    Check {
        /// The catalog, in TOML
        file: PathBuf,
    },
    /// Shows the catalog that commands go by: `--catalog`, or what the app recorded
    Show,
}

impl CatalogCommand {
    pub(crate) async fn run(self, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
        match (self, &settings.catalog) {
            (Self::Check { file }, _) => check(&file, out),
            (Self::Show, Some(given)) => show(&file::catalog(given)?, None, out),
            (Self::Show, None) => {
                Desk::at(settings, None, async |desk| {
                    let catalog = desk.catalog().await?;
                    let recorded = desk.declaration().await?;
                    let permissions = recorded.map(|recorded| recorded.permissions);
                    show(&catalog, permissions.as_deref(), out)
                })
                .await
            }
        }
    }
}

fn check(path: &Path, out: &mut Out) -> Result<(), Failure> {
    let text = file::text("catalog", path)?;
    let shown = path.display();
    let problems = match Catalog::from_toml(&text) {
        Ok(catalog) if out.json() => {
            let (scopes, presets) = (catalog.scopes().len(), catalog.presets().len());
            let plans = catalog.plans().count();
            return out.value(&json!({
                "good": true, "scopes": scopes, "presets": presets, "plans": plans,
                "problems": [],
            }));
        }
        Ok(catalog) => {
            let (scopes, presets) = (catalog.scopes().len(), catalog.presets().len());
            let plans = catalog.plans().count();
            return out.line(format_args!(
                "`{shown}` is good (scopes: {scopes}, presets: {presets}, plans: {plans})"
            ));
        }
        Err(error) => error,
    };
    let problems = problems.problems();
    if out.json() {
        let told: Vec<_> = problems
            .iter()
            .map(|it| json!({ "place": it.place(), "reason": it.reason() }))
            .collect();
        out.value(&json!({ "good": false, "problems": told }))?;
    } else {
        for problem in problems {
            out.line(crate::failure::printable(&problem.to_string()))?;
        }
    }
    let count = problems.len();
    Err(Failure::new(format!(
        "the catalog `{shown}` cannot be used (problems: {count})"
    )))
}

fn show(catalog: &Catalog, permissions: Option<&str>, out: &mut Out) -> Result<(), Failure> {
    if out.json() {
        let catalog: Value = serde_json::from_str(&catalog.to_json())?;
        let permissions: Option<Value> = permissions.map(serde_json::from_str).transpose()?;
        return out.value(&json!({ "catalog": catalog, "permissions": permissions }));
    }
    let format = &catalog.keys().format;
    for environment in &format.environments {
        let price = if environment.free {
            ", free of credits"
        } else {
            ""
        };
        let (prefix, name) = (&format.prefix, &environment.name);
        out.line(format_args!("keys of `{name}`: {prefix}_{name}_...{price}"))?;
    }
    out.line("")?;
    let mut scopes = out.list::<ShownScope<'_>>();
    for scope in catalog.scopes() {
        scopes.add(&ShownScope(scope))?;
    }
    scopes.end()?;
    out.line("")?;
    let mut presets = out.list::<ShownPreset<'_>>();
    for preset in catalog.presets() {
        presets.add(&ShownPreset(preset))?;
    }
    presets.end()?;
    out.line("")?;
    let mut plans = out.list::<ShownPlan<'_>>();
    for plan in catalog.plans() {
        plans.add(&ShownPlan(plan))?;
    }
    plans.end()
}
