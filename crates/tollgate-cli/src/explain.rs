//! `tollgate explain`: why a key may, or may not, do what a route does.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tollgate_core::credits::Ledger as _;
use tollgate_core::demand::{route_of, routes_from_json};
use tollgate_core::explain::{Consumes, Explained, Left, Question, Step, Verdict};
use tollgate_core::id::{KeyId, OrgId};
use tollgate_core::record::KeyRecord;

use crate::app::App;
use crate::args::Settings;
use crate::desk::Desk;
use crate::failure::{Failure, printable};
use crate::out::{Out, Shown, or_dash};

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
    /// Asks the running app, which knows how much of each limit is used, in place of the database:
    /// where its management routes are, `https://api.acme.example/admin`
    #[arg(long, requires = "org")]
    url: Option<String>,
    /// The organization of the key, for `--url`
    #[arg(long, value_name = "ID", requires = "url")]
    org: Option<OrgId>,
    /// A file with the session's cookie, as `tollgate session create` prints it, in place of
    /// `TOLLGATE_SESSION`; `-` for standard input
    #[arg(long, value_name = "FILE", requires = "url")]
    session_file: Option<PathBuf>,
}

impl Explain {
    pub(crate) async fn run(self, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
        let (Some(url), Some(org)) = (&self.url, &self.org) else {
            let recorded = async |desk: &Desk| self.recorded(desk, out).await;
            return Desk::at(settings, None, recorded).await;
        };
        let app = App::at(url, self.session_file.as_deref())?;
        let path = format!("/organizations/{org}/keys/{}/explain", self.key_id);
        let body = json!({ "method": self.method, "path": self.path, "ip": self.ip });
        let One { data } = app.ask(&path, &body)?;
        print(&data, out)
    }

    /// Explains it by what the app recorded, and by the database.
    async fn recorded(&self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let Some(declaration) = desk.declaration().await? else {
            return Err(Failure::new(
                "no app has started on this database, so its routes are not known; start the app \
                 once",
            ));
        };
        let routes = routes_from_json(&declaration.permissions)?;
        let route = route_of(&routes, &self.method, &self.path)?;
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
            live: None,
        };
        let explained = Explained {
            route: format!("{} {}", route.method, route.path),
            explanation: question.explain(),
        };
        print(&explained, out)
    }
}

/// The app's answer.
#[derive(Debug, Deserialize)]
struct One {
    data: Explained,
}

fn print(explained: &Explained, out: &mut Out) -> Result<(), Failure> {
    if out.json() {
        return out.value(explained);
    }
    let Explained { route, explanation } = explained;
    out.line(printable(route))?;
    let mut list = out.list::<Step>();
    for step in &explanation.steps {
        list.add(step)?;
    }
    list.end()?;
    if let Some(left) = explanation.left.as_ref().filter(|left| !left.is_empty()) {
        out.line("")?;
        let mut list = out.list::<Left>();
        for left in left {
            list.add(left)?;
        }
        list.end()?;
        out.line("")?;
    }
    if let Some(code) = &explanation.refused {
        let code = printable(code);
        return out.line(format_args!("it would be refused: {code}"));
    }
    let Consumes {
        rate_units,
        counted,
        credits_at_least,
        credits_at_most,
        ..
    } = &explanation.consumes;
    if !counted.is_empty() {
        let counted = printable(counted);
        out.line(format_args!(
            "it would take {rate_units} of each rate and quota ({counted}), and hold \
             {credits_at_least} to {credits_at_most} credits"
        ))?;
    }
    out.line("nothing that is known here refuses it")
}

impl Shown for Step {
    const COLUMNS: &'static [&'static str] = &["STEP", "VERDICT", "BECAUSE"];

    fn row(&self) -> Vec<String> {
        let verdict = match &self.verdict {
            Verdict::Passes => "passes",
            Verdict::Refuses(code) => code,
            _ => "not known",
        };
        vec![
            self.step.clone().into_owned(),
            verdict.to_owned(),
            self.because.clone(),
        ]
    }
}

impl Shown for Left {
    const COLUMNS: &'static [&'static str] = &["LIMIT", "UNITS", "LEFT", "ALL FREE IN"];

    fn row(&self) -> Vec<String> {
        vec![
            self.limit.clone(),
            self.units.to_string(),
            self.remaining.to_string(),
            or_dash(self.resets_in.map(|secs| format!("{secs} s"))),
        ]
    }
}
