//! Emails: written by the caller or from a template, recorded with their events, never sent.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::{Account, Records};
use super::checks::{self, LONGEST_TEXT, invalid, shown};
use super::records::{Record, Shelf, Stored};
use super::webhooks::Webhook;

/// Said with whatever would have left the machine.
pub(crate) const NOT_SENT: &str = "Recorded only: this example sends nothing over the network.";

/// What a caller asks for: a subject and a text, or a template with its variables.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEmail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) template: Option<String>,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) project: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Email {
    from: String,
    to: Vec<String>,
    subject: String,
    text: String,
    template: Option<String>,
    project: Option<String>,
    status: EventKind,
    events: Vec<Event>,
    note: &'static str,
}

/// What happened to an email, and which webhooks would have been told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    kind: EventKind,
    at: String,
    webhooks: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    Queued,
    Sent,
    Delivered,
}

/// Records an email with all its events, as if it had arrived.
pub(crate) async fn send(
    account: Account,
    Json(new): Json<NewEmail>,
) -> Result<(StatusCode, Json<Stored<Email>>), Denial> {
    let now = account.now();
    let mut records = account.records();
    let email = new.written(&records, &now)?;
    let stored = account.stored(email);
    records.emails.log(stored.clone());
    Ok((StatusCode::CREATED, Json(stored)))
}

pub(crate) async fn events(
    account: Account,
    Path(id): Path<String>,
) -> Result<Json<Vec<Event>>, Denial> {
    Ok(Json(
        account.records().emails.find(&id)?.record.events.clone(),
    ))
}

impl NewEmail {
    /// The email, if it can be sent from here and all that it names is there.
    pub(crate) fn written(self, records: &Records, now: &str) -> Result<Email, Denial> {
        let domain = checks::email("from", &self.from)?;
        if !records.domains.iter().any(|stored| {
            stored.record.is_verified() && stored.record.name.eq_ignore_ascii_case(domain)
        }) {
            let domain = shown(domain);
            let reason = format!("{domain} is no verified domain; create it, and verify it");
            return Err(invalid("from", reason));
        }
        if self.to.is_empty() {
            return Err(invalid("to", "it is empty; name a recipient"));
        }
        checks::count("to", self.to.len())?;
        for address in &self.to {
            checks::email("to", address)?;
        }
        checks::map("variables", &self.variables)?;
        if let Some(project) = &self.project {
            let known = records.projects.find(project);
            known.map_err(|_| no_such("project", project))?;
        }
        let (subject, text) = match (self.subject, self.text, &self.template) {
            (Some(subject), Some(text), None) => (subject, text),
            (None, None, Some(id)) => {
                let template = records.templates.find(id);
                let template = template.map_err(|_| no_such("template", id))?;
                template.record.render(&self.variables)?
            }
            _ => {
                let reason = "write both `subject` and `text`, or name a `template`";
                return Err(invalid("subject, text, template", reason));
            }
        };
        checks::line("subject", &subject)?;
        checks::text("text", &text, LONGEST_TEXT)?;
        let kinds = [EventKind::Queued, EventKind::Sent, EventKind::Delivered];
        let events = kinds.map(|kind| Event {
            kind,
            at: now.to_owned(),
            webhooks: told(kind, &records.webhooks),
        });
        Ok(Email {
            from: self.from,
            to: self.to,
            subject,
            text,
            template: self.template,
            project: self.project,
            status: EventKind::Delivered,
            events: events.into(),
            note: NOT_SENT,
        })
    }
}

/// Which webhooks an event is for.
fn told(event: EventKind, webhooks: &Shelf<Webhook>) -> Vec<String> {
    let subscribed = webhooks.iter().filter(|stored| stored.record.wants(event));
    subscribed.map(|stored| stored.id.clone()).collect()
}

fn no_such(field: &str, id: &str) -> Denial {
    let id = shown(id);
    invalid(
        field,
        format!("there is no {field} {id}; list those that there are"),
    )
}

impl Record for Email {
    const KIND: &'static str = "email";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.emails
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        Ok(())
    }
}
