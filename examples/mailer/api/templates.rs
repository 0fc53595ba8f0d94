//! Templates: a subject and a text with `{{variables}}`, which emails fill in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate::Denial;

use super::account::Records;
use super::checks::{self, LONGEST_TEXT, invalid, shown};
use super::records::{Record, Shelf};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Template {
    /// The subject and the text of an email.
    pub(crate) fn render(
        &self,
        variables: &BTreeMap<String, String>,
    ) -> Result<(String, String), Denial> {
        Ok((
            fill(&self.subject, variables)?,
            fill(&self.text, variables)?,
        ))
    }
}

impl Record for Template {
    const KIND: &'static str = "template";

    fn shelf(records: &mut Records) -> &mut Shelf<Self> {
        &mut records.templates
    }

    fn check(&self, _: &Records) -> Result<(), Denial> {
        checks::line("name", &self.name)?;
        checks::line("subject", &self.subject)?;
        checks::text("text", &self.text, LONGEST_TEXT)
    }
}

/// Puts values in place of `{{name}}`. Braces that are never closed stay.
fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, Denial> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, opened)) = rest.split_once("{{") {
        let Some((name, after)) = opened.split_once("}}") else {
            break;
        };
        let name = name.trim();
        let Some(value) = variables.get(name) else {
            let name = shown(name);
            let reason = format!("the template needs {name}; give it a value");
            return Err(invalid("variables", reason));
        };
        filled.push_str(before);
        filled.push_str(value);
        // Few variables can make much of a text that names them often.
        if filled.len() > LONGEST_TEXT {
            let reason = format!("they make a text of more than {LONGEST_TEXT} bytes");
            return Err(invalid("variables", reason));
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
