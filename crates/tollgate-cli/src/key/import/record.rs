//! One record of a file of keys, and the key that it stands for.

use std::fmt;

use serde::Deserialize;
use tollgate_core::clock::Timestamp;
use tollgate_core::id::OrgId;
use tollgate_core::invalid::Invalid;
use tollgate_core::keyring::{ForeignKey, NewKey};

/// What a record may have; the columns of a CSV file.
pub(super) const COLUMNS: [&str; 8] = [
    "organization",
    "name",
    "digest",
    "scopes",
    "preset",
    "expires_at",
    "environment",
    "display_prefix",
];

/// What a record says of a key. The empty text says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    organization: Option<String>,
    name: Option<String>,
    digest: Option<String>,
    scopes: Option<Scopes>,
    preset: Option<String>,
    expires_at: Option<String>,
    environment: Option<String>,
    display_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`scopes` is neither an array of texts nor a text with blanks between them"
)]
enum Scopes {
    One(Vec<String>),
    Blanks(String),
}

/// What holds for all records of a file.
#[derive(Clone, Debug)]
pub(super) struct Usual {
    /// The organization of all keys.
    pub(super) organization: Option<OrgId>,
    /// The environment of keys that name none, if it is not `live`.
    pub(super) environment: Option<String>,
}

/// Why a record is no key: a sentence that is fit to be shown.
#[derive(Debug)]
pub(super) struct Refused(String);

impl Refused {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    fn none(member: &str) -> Self {
        Self(format!("{member}: there is none"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.to_string())
    }
}

impl Record {
    /// Sets what a column of this name says, if there is one.
    pub(super) fn set(&mut self, column: &str, text: &str) {
        let text = text.to_owned();
        match column {
            "organization" => self.organization = Some(text),
            "name" => self.name = Some(text),
            "digest" => self.digest = Some(text),
            "scopes" => self.scopes = Some(Scopes::Blanks(text)),
            "preset" => self.preset = Some(text),
            "expires_at" => self.expires_at = Some(text),
            "environment" => self.environment = Some(text),
            "display_prefix" => self.display_prefix = Some(text),
            _ => {}
        }
    }

    pub(super) fn key(self, usual: &Usual) -> Result<ForeignKey, Refused> {
        let organization = match (said(self.organization), &usual.organization) {
            (Some(_), Some(_)) => {
                return Err(Refused::new(
                    "organization: `--org` names one for all; leave out one of the two",
                ));
            }
            (Some(named), None) => OrgId::new(&named)?,
            (None, Some(all)) => all.clone(),
            (None, None) => return Err(Refused::none("organization")),
        };
        let name = said(self.name).ok_or_else(|| Refused::none("name"))?;
        let digest = said(self.digest).ok_or_else(|| Refused::none("digest"))?;
        let mut new = NewKey::new(organization, name);
        let scopes = match self.scopes {
            None => Vec::new(),
            Some(Scopes::One(scopes)) => scopes,
            Some(Scopes::Blanks(text)) => text.split_whitespace().map(str::to_owned).collect(),
        };
        match (said(self.preset), scopes.is_empty()) {
            (Some(_), false) => {
                return Err(Refused::new(
                    "preset: a key follows a preset or has scopes of its own; leave one empty",
                ));
            }
            (Some(preset), true) => new = new.preset(preset),
            (None, _) => new = new.scopes(scopes),
        }
        if let Some(at) = said(self.expires_at) {
            let at: Result<Timestamp, Invalid> = at.parse();
            let named = |invalid: Invalid| Refused(format!("expires_at: {}", invalid.reason()));
            new = new.expires_at(at.map_err(named)?);
        }
        let environment = said(self.environment).or_else(|| usual.environment.clone());
        if let Some(environment) = environment {
            new = new.environment(environment);
        }
        let mut key = ForeignKey::new(new, digest.parse()?);
        if let Some(prefix) = said(self.display_prefix) {
            key = key.display_prefix(prefix);
        }
        Ok(key)
    }
}

fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
