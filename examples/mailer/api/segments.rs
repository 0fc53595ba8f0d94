//! Segments: the contacts for which every condition holds, found anew each time they are asked for.

use axum::Json;
use axum::extract::Path;
use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::{Account, Records};
use super::checks;
use super::contacts::Contact;
use super::lists::WithContacts;
use super::records::{Record, Shelf, Stored};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub(crate) name: String,
    /// All of them hold; without any, every contact is meant.
    pub(crate) conditions: Vec<Condition>,
}

/// What is to be true of a contact.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// `email`, `list`, or the name of an attribute.
    pub(crate) field: String,
    pub(crate) operator: Operator,
    pub(crate) value: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    Is,
    IsNot,
    Contains,
    EndsWith,
}

impl Segment {
    fn has(&self, contact: &Contact) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(contact))
    }
}

impl Condition {
    fn holds(&self, contact: &Contact) -> bool {
        match &*self.field {
            "email" => self.agrees(Some(&contact.email)),
            "list" => {
                let on_it = contact.lists.contains(&self.value);
                matches!(self.operator, Operator::IsNot) != on_it
            }
            attribute => self.agrees(contact.attributes.get(attribute)),
        }
    }

    /// What is not known is nothing, and so is not what anything is.
    fn agrees(&self, known: Option<&String>) -> bool {
        let is = |judge: fn(&str, &str) -> bool| known.is_some_and(|text| judge(text, &self.value));
        match self.operator {
            Operator::Is => is(|text, value| text == value),
            Operator::IsNot => !is(|text, value| text == value),
            Operator::Contains => is(|text, value| text.contains(value)),
            Operator::EndsWith => is(|text, value| text.ends_with(value)),
        }
    }
}

pub(crate) async fn show(
    account: Account,
    Path(id): Path<String>,
) -> Result<Json<WithContacts<Segment>>, Denial> {
    let records = account.records();
    let stored = records.segments.find(&id)?.clone();
    let in_it = |contact: &&Stored<Contact>| stored.record.has(&contact.record);
    let contacts = records.contacts.iter().filter(in_it).cloned().collect();
    Ok(Json(WithContacts { stored, contacts }))
}

impl Record for Segment {
    const KIND: &'static str = "segment";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.segments
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        checks::line("name", &self.name)?;
        checks::count("conditions", self.conditions.len())?;
        for condition in &self.conditions {
            checks::line("conditions.field", &condition.field)?;
            checks::line("conditions.value", &condition.value)?;
        }
        Ok(())
    }
}
