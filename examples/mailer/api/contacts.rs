//! Contacts: who emails are for, with what is known of them and the lists that they are on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::Records;
use super::checks::{self, invalid, shown};
use super::records::{Record, Shelf};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    pub(crate) email: String,
    /// Whatever else is known: `city`, `plan`.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
    /// The ids of the lists.
    #[serde(default)]
    pub(crate) lists: Vec<String>,
}

impl Record for Contact {
    const KIND: &'static str = "contact";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.contacts
    }

    fn check(&self, records: &Records) -> Result<(), Denial> {
        checks::email("email", &self.email)?;
        checks::map("attributes", &self.attributes)?;
        checks::count("lists", self.lists.len())?;
        for id in &self.lists {
            if records.lists.find(id).is_err() {
                let reason = format!("there is no list {}; create it first", shown(id));
                return Err(invalid("lists", reason));
            }
        }
        Ok(())
    }

    fn unique(&self) -> Option<&str> {
        Some(&self.email)
    }
}
