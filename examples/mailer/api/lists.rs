//! Lists of contacts. A contact says on which it is.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::{Account, Records};
use super::checks;
use super::contacts::Contact;
use super::records::{Record, Shelf, Stored};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub(crate) name: String,
}

/// A list or a segment, with the contacts that it has now.
#[derive(Debug, Serialize)]
pub(crate) struct WithContacts<T> {
    #[serde(flatten)]
    pub(crate) stored: Stored<T>,
    pub(crate) contacts: Vec<Stored<Contact>>,
}

pub(crate) async fn show(
    account: Account,
    Path(id): Path<String>,
) -> Result<Json<WithContacts<List>>, Denial> {
    let records = account.records();
    let stored = records.lists.find(&id)?.clone();
    let on_it = |contact: &&Stored<Contact>| contact.record.lists.contains(&id);
    let contacts = records.contacts.iter().filter(on_it).cloned().collect();
    Ok(Json(WithContacts { stored, contacts }))
}

/// Deletes a list. Its contacts stay, and are no longer on it.
pub(crate) async fn delete(account: Account, Path(id): Path<String>) -> Result<StatusCode, Denial> {
    let mut records = account.records();
    records.lists.remove(&id)?;
    for contact in records.contacts.iter_mut() {
        contact.record.lists.retain(|list| *list != id);
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Record for List {
    const KIND: &'static str = "list";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.lists
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        checks::line("name", &self.name)
    }
}
