//! `tollgate explain`: why a key may, or may not, do what a route does.

use std::net::IpAddr;

use clap::Args;
use matchit::Router;
use serde::Serialize;
use tollgate_core::credits::Ledger as _;
use tollgate_core::demand::{RouteDemand, routes_from_json};
use tollgate_core::explain::{Consumes, Explanation, Question, Step, Verdict};
use tollgate_core::id::KeyId;
use tollgate_core::record::KeyRecord;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown};

/// A request that nobody makes.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The key that it would be made with; its newest secret
    #[arg(long, value_name = "ID")]
    key_id: KeyId,
    /// Its method
    #[arg(long, default_value = "GET")]
    method: String,
    /// Its path, without a query: `/iocs/evil.example`
    #[arg(long)]
    path: String,
    /// The address that it would come from
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
}

impl Explain {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let Some(declaration) = desk.declaration().await? else {
            return Err(Failure::new(
                "no app has started on this database, so its routes are not known; start the app \
                 once",
            ));
        };
        let routes = routes_from_json(&declaration.permissions)?;
        let route = self.route(&routes)?;
        let catalog = desk.catalog().await?;
        let keyring = desk.keyring_by(catalog.clone());
        let key = keyring.key(&self.key_id).await?;
        let organization = keyring.organization(&key.organization).await?;
        let now = desk.now();
        let plan = catalog.plan(&organization.plan);
        let allowance = plan.and_then(|plan| plan.allowance(now));
        let balance = desk.store().balance(&organization.id, now, allowance);
        let balance = Some(desk.ask(balance).await?);
        let record = KeyRecord {
            key,
            organization,
            secret_valid_until: None,
        };
        let question = Question {
            catalog: &catalog,
            demand: &route.demand,
            record: &record,
            address: self.ip,
            now,
            balance,
        };
        let Explanation {
            refused,
            steps,
            consumes,
            ..
        } = question.explain();
        let explained = Explained {
            route: format!("{} {}", route.method, route.path),
            refused,
            steps,
            consumes,
        };
        if out.json() {
            return out.value(&explained);
        }
        explained.print(out)
    }

    /// The route that would get the request, by the rules of axum's router.
    fn route<'a>(&self, routes: &'a [RouteDemand]) -> Result<&'a RouteDemand, Failure> {
        let Self { method, path, .. } = self;
        if !path.starts_with('/') {
            let sentence = format!("path `{path}` does not start with `/`");
            return Err(Failure::usage(sentence));
        }
        let mut tree = Router::new();
        for route in routes.iter().filter(|route| route.path != "*") {
            // The second method of a path is found by the first.
            let _ = tree.insert(route.path.clone(), route.path.as_str());
        }
        let matched = tree.at(path).ok().map(|found| *found.value);
        let Some(matched) = matched else {
            let fallback = routes.iter().find(|route| route.path == "*");
            return fallback.ok_or_else(|| {
                Failure::new(format!("no route of the app matches the path `{path}`"))
            });
        };
        let of_path = || routes.iter().filter(|route| route.path == matched);
        let by = |name: &str| of_path().find(|route| route.method == name);
        // HEAD is GET's.
        let get = (method == "HEAD").then(|| by("GET")).flatten();
        by(method).or(get).or_else(|| by("*")).ok_or_else(|| {
            let known: Vec<_> = of_path().map(|route| route.method.as_str()).collect();
            let known = known.join(", ");
            Failure::new(format!(
                "`{matched}` does not answer to `{method}`, but to {known}"
            ))
        })
    }
}

#[derive(Debug, Serialize)]
struct Explained {
    route: String,
    refused: Option<&'static str>,
    steps: Vec<Step>,
    consumes: Consumes,
}

impl Explained {
    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        out.line(&self.route)?;
        let mut list = out.list::<Step>();
        for step in &self.steps {
            list.add(step)?;
        }
        list.end()?;
        let Some(code) = self.refused else {
            let Consumes {
                rate_units,
                counted,
                credits_at_least,
                credits_at_most,
                ..
            } = &self.consumes;
            if !counted.is_empty() {
                out.line(format_args!(
                    "it would take {rate_units} of each rate and quota ({counted}), and hold \
                     {credits_at_least} to {credits_at_most} credits"
                ))?;
            }
            return out.line("nothing that is known here refuses it");
        };
        out.line(format_args!("it would be refused: {code}"))
    }
}

impl Shown for Step {
    const COLUMNS: &'static [&'static str] = &["STEP", "VERDICT", "BECAUSE"];

    fn row(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Passes => "passes",
            Verdict::Refuses(code) => code,
            _ => "not known",
        };
        vec![
            self.step.to_owned(),
            verdict.to_owned(),
            self.because.clone(),
        ]
    }
}
