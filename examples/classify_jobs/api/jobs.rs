//! Creating jobs, and reading their status and their results.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tollgate::{Bill, Denial, DenialKind, Principal};

use super::queue::{Outcome, Status};
use super::samples::{self, Sample};
use super::work::{Input, Results, Work};
use super::{Refusal, Service};

/// Bounds of what one job is about.
pub(crate) const MOST_ITEMS: usize = 50;
pub(crate) const LONGEST_TEXT: usize = 20_000;
pub(crate) const LONGEST_URL: usize = 2_000;

/// The same for a job of another organization and for none: nobody learns which ids exist.
const UNKNOWN: Refusal = (StatusCode::NOT_FOUND, "There is no such job.");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewClassify {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    urls: Vec<String>,
}

/// Either a text or the name of a bundled sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewScan {
    text: Option<String>,
    sample: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobResults {
    job: String,
    results: Results,
}

type Created = (StatusCode, Json<Status>);

pub(crate) async fn classify(
    State(service): State<Service>,
    caller: Principal,
    mut bill: Bill,
    Json(new): Json<NewClassify>,
) -> Result<Created, Denial> {
    let items = new.texts.len().saturating_add(new.urls.len());
    if items == 0 || items > MOST_ITEMS {
        return Err(refused("Send 1 to 50 `texts` and `urls` together."));
    }
    new.texts.iter().try_for_each(|text| check_text(text))?;
    new.urls.iter().try_for_each(|url| check_url(url))?;
    bill.items(items).await?;
    let texts = new.texts.into_iter().map(Input::Text);
    let inputs = texts.chain(new.urls.into_iter().map(Input::Url)).collect();
    create(&service, &caller, Work::Classify(inputs))
}

pub(crate) async fn scan(
    State(service): State<Service>,
    caller: Principal,
    Json(new): Json<NewScan>,
) -> Result<Created, Denial> {
    let text = new.into_text()?;
    create(&service, &caller, Work::Scan(text))
}

pub(crate) async fn deep_scan(
    State(service): State<Service>,
    caller: Principal,
    Json(new): Json<NewScan>,
) -> Result<Created, Denial> {
    let text = new.into_text()?;
    create(&service, &caller, Work::DeepScan(text))
}

pub(crate) async fn list(State(service): State<Service>, caller: Principal) -> Json<Vec<Status>> {
    Json(service.jobs.newest(caller.organization()))
}

pub(crate) async fn show(
    State(service): State<Service>,
    caller: Principal,
    Path(job): Path<String>,
) -> Result<Json<Status>, Refusal> {
    let status = service.jobs.status(caller.organization(), &job);
    status.map(Json).ok_or(UNKNOWN)
}

pub(crate) async fn results(
    State(service): State<Service>,
    caller: Principal,
    Path(job): Path<String>,
) -> Result<Json<JobResults>, Refusal> {
    match service.jobs.outcome(caller.organization(), &job) {
        None => Err(UNKNOWN),
        Some(Outcome::Unfinished) => Err((StatusCode::CONFLICT, "The job is not completed yet.")),
        Some(Outcome::Failed) => Err((StatusCode::CONFLICT, "The job failed; it has no results.")),
        Some(Outcome::Completed(results)) => Ok(Json(JobResults { job, results })),
    }
}

fn create(service: &Service, caller: &Principal, work: Work) -> Result<Created, Denial> {
    let status = service.jobs.submit(caller.organization(), work)?;
    Ok((StatusCode::ACCEPTED, Json(status)))
}

impl NewScan {
    fn into_text(self) -> Result<String, Denial> {
        match (self.text, self.sample) {
            (Some(text), None) => check_text(&text).map(|()| text),
            (None, Some(name)) => samples::TEXTS
                .iter()
                .find(|sample| sample.name == name)
                .map(|Sample { text, .. }| (*text).to_owned())
                .ok_or_else(|| refused("There is no such sample; take `mail` or `config`.")),
            _ => Err(refused("Send either a `text` or the name of a `sample`.")),
        }
    }
}

fn check_text(text: &str) -> Result<(), Denial> {
    if text.trim().is_empty() || text.len() > LONGEST_TEXT {
        return Err(refused("A text has 1 to 20000 bytes and is not blank."));
    }
    Ok(())
}

fn check_url(url: &str) -> Result<(), Denial> {
    let good = url.len() <= LONGEST_URL
        && url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
    if good {
        return Ok(());
    }
    Err(refused(
        "A URL has http or https, a host and at most 2000 bytes.",
    ))
}

/// A handler that refuses gives the credits back that were held for it.
fn refused(message: &str) -> Denial {
    Denial::new(DenialKind::Status(422)).with_message(message)
}
