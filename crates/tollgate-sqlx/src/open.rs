//! Where a database is, and why it cannot be opened.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// Why a database cannot be opened, in one sentence for whoever started the app.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    missing: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OpenError {
    pub(crate) const fn new(message: String) -> Self {
        Self {
            message,
            missing: false,
            source: None,
        }
    }

    pub(crate) fn missing(message: String) -> Self {
        Self {
            missing: true,
            ..Self::new(message)
        }
    }

    /// Whether there is no such database, and none was to be made.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.missing
    }

    pub(crate) fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        self.with_cause(Some(Box::new(source)))
    }

    pub(crate) fn with_cause(mut self, cause: Option<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = cause;
        self
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Whether a location is that of a database on PostgreSQL.
pub(crate) fn is_postgres(location: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| location.starts_with(scheme))
}

/// Where a database of SQLite is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Location {
    Memory,
    File(PathBuf),
}

impl Location {
    pub(crate) fn parse(text: &str) -> Result<Self, OpenError> {
        if let Some((scheme, _)) = text.split_once("://")
            && scheme != "sqlite"
        {
            // The rest may hold a password.
            if is_postgres(text) {
                let message = format!("`{scheme}://` is not SQLite; write `sqlite://` and a path");
                return Err(OpenError::new(message));
            }
            let message = format!(
                "`{scheme}://` is no database of Tollgate; write `sqlite://` and a path, or \
                 `postgres://user:password@host/name`"
            );
            return Err(OpenError::new(message));
        }
        if let Some((scheme @ ("postgres" | "postgresql"), _)) = text.split_once(':') {
            let message = format!("`{scheme}:` wants two slashes: `{scheme}://user@host/name`");
            return Err(OpenError::new(message));
        }
        let url = text.strip_prefix("sqlite:");
        let path = url.map_or(text, |rest| rest.strip_prefix("//").unwrap_or(rest));
        if path == ":memory:" {
            return Ok(Self::Memory);
        }
        if path.is_empty() {
            return Err(OpenError::new("the path of the database is empty".into()));
        }
        if url.is_some() && path.contains('?') {
            let message = format!("options after `?` are not supported in `{text}`");
            return Err(OpenError::new(message));
        }
        Ok(Self::File(path.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_url_or_a_path() {
        let file = |path: &str| Location::File(path.into());
        let cases = [
            ("sqlite::memory:", Location::Memory),
            ("sqlite://:memory:", Location::Memory),
            (":memory:", Location::Memory),
            ("sqlite:///var/lib/keys.db", file("/var/lib/keys.db")),
            ("sqlite://keys.db", file("keys.db")),
            ("sqlite:keys.db", file("keys.db")),
            ("./what?.db", file("./what?.db")),
        ];
        for (text, expected) in cases {
            assert_eq!(Location::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_location_that_is_none_is_refused_in_one_sentence() {
        let cases = [
            ("", "the path of the database is empty"),
            ("sqlite://", "the path of the database is empty"),
            (
                "sqlite://keys.db?mode=ro",
                "options after `?` are not supported in `sqlite://keys.db?mode=ro`",
            ),
            (
                "postgres:hunter2@db/keys",
                "`postgres:` wants two slashes: `postgres://user@host/name`",
            ),
            (
                "postgres://root:hunter2@db/keys",
                "`postgres://` is not SQLite; write `sqlite://` and a path",
            ),
            (
                "mysql://root:hunter2@db/keys",
                "`mysql://` is no database of Tollgate; write `sqlite://` and a path, or \
                 `postgres://user:password@host/name`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Location::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
