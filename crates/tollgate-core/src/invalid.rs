//! Input that cannot be accepted.

use std::fmt;

/// Input that cannot be accepted: what it was, and why, in one sentence.
///
/// ```
/// use tollgate_core::id::OrgId;
///
/// let error = OrgId::new("not good").unwrap_err();
/// assert_eq!(error.to_string(), "organization id: `not good` is not 1 to 64 of A-Z a-z 0-9 . _ -");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    place: String,
    reason: String,
}

impl Invalid {
    /// Says where the bad input was, and what is wrong with it.
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// Where the bad input was.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The same, found inside something larger: `"file tollgate.toml"`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.place = format!("{outer}: {}", self.place);
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for Invalid {}
