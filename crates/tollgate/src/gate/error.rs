//! Why an app cannot start.

use std::error::Error;
use std::fmt;

use tollgate_core::error::StoreError;

/// Why an app cannot start: everything that is wrong, each in one sentence.
#[derive(Clone, Debug)]
pub struct StartError {
    problems: Vec<String>,
    source: Option<StoreError>,
}

impl StartError {
    pub(crate) fn new(problems: Vec<String>) -> Self {
        Self {
            problems,
            source: None,
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self {
            problems: vec![format!("the store: {error}")],
            source: Some(error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
