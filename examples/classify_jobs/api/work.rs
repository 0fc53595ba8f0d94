//! What a job does, and what comes of it.

use serde::Serialize;

use super::classifier::{self, Verdict};
use super::samples;
use super::scanner::{self, DeepScan, Finding};

/// A job to be done.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Classify(Vec<Input>),
    Scan(String),
    DeepScan(String),
}

/// What is to be classified.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Text(String),
    Url(String),
}

/// Which sort of job it is, as the API calls it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Classify,
    Scan,
    DeepScan,
}

/// What a job found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Results {
    Classify { items: Vec<Classified> },
    Scan { findings: Vec<Finding> },
    DeepScan(DeepScan),
}

/// What one text or page is about.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Classified {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Where the text is from, if it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
}

impl Work {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Classify(_) => Kind::Classify,
            Self::Scan(_) => Kind::Scan,
            Self::DeepScan(_) => Kind::DeepScan,
        }
    }

    /// Does the work, on this thread.
    pub(crate) fn run(self) -> Results {
        match self {
            Self::Classify(inputs) => Results::Classify {
                items: inputs.into_iter().map(classify).collect(),
            },
            Self::Scan(text) => Results::Scan {
                findings: scanner::scan(&text),
            },
            Self::DeepScan(text) => Results::DeepScan(scanner::deep_scan(&text)),
        }
    }
}

fn classify(input: Input) -> Classified {
    match input {
        Input::Text(text) => Classified {
            url: None,
            note: None,
            verdict: Some(classifier::classify(&text)),
        },
        Input::Url(url) => {
            let page = samples::page(&url);
            Classified {
                url: Some(url),
                note: Some(match page {
                    Some(_) => samples::BUNDLED,
                    None => samples::NOT_BUNDLED,
                }),
                verdict: page.map(classifier::classify),
            }
        }
    }
}
