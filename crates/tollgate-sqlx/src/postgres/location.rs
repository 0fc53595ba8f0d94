//! Where a database is, and how it is told without its password.

use std::fmt;
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use crate::open::OpenError;

/// What may follow a `?`. Another one would be left out in silence, `sslmod=require` for one.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// A URL, which may hold a password.
#[derive(Clone)]
pub(super) struct Location(pub(super) String);

impl Location {
    /// What is connected to. The error repeats nothing of what may be a part of a password.
    pub(super) fn options(&self) -> Result<PgConnectOptions, OpenError> {
        let (place, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        // What is not escaped in a password ends it early: then its rest looks like a name.
        let names = place
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let ends_early = names.is_some_and(|(_, names)| names.contains('@'));
        if ends_early || query.contains('@') || self.0.contains('#') {
            return Err(malformed(
                "; in a password, `/` is written `%2F`, `?` is `%3F`, `#` is `%23` and `@` is `%40`",
            ));
        }
        for parameter in query.split('&').filter(|it| !it.is_empty()) {
            let name = parameter
                .split_once('=')
                .map_or(parameter, |(name, _)| name);
            let known = PARAMETERS.contains(&name)
                || name.starts_with("options[")
                || name.starts_with("options%5B");
            if !known {
                return Err(OpenError::new(format!(
                    "the URL of the database has a parameter that is not known; after `?` may stand \
                     {}",
                    PARAMETERS.join(", ")
                )));
            }
        }
        let options = PgConnectOptions::from_str(&self.0);
        let options = options.map_err(|error| malformed("").with_source(error))?;
        // An IPv6 address is in brackets in a URL, and only there.
        let address = options.get_host().strip_prefix('[');
        let address = address
            .and_then(|it| it.strip_suffix(']'))
            .map(str::to_owned);
        let options = match address {
            Some(address) => options.host(&address),
            None => options,
        };
        Ok(match options.get_application_name() {
            // What the operator calls this node.
            Some(_) if query.contains("application_name=") => options,
            _ => options.application_name("tollgate"),
        })
    }
}

fn malformed(remedy: &str) -> OpenError {
    OpenError::new(format!(
        "the URL of the database is not `postgres://user:password@host/name`{remedy}"
    ))
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://…")
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_url_that_cannot_be_read_is_told_without_a_part_of_it() {
        for (url, told) in [
            ("postgres://u:12/hunter2@h/d", "`/` is written `%2F`"),
            ("postgres://u:12?hunter2@h/d", "`?` is `%3F`"),
            ("postgres://u:hunter2/a@h/d", "`/` is written `%2F`"),
            ("postgres://u:12#hunter2@h/d", "`#` is `%23`"),
            ("postgres://u:hunter2@h:port/d", "is not `postgres://"),
            ("postgres://u@h/d?passwd=hunter2", "after `?` may stand"),
        ] {
            let error = Location(url.to_owned()).options().unwrap_err();
            let mut whole = error.to_string();
            assert!(whole.contains(told), "{whole}");
            let mut source = error.source();
            while let Some(error) = source {
                whole.push_str(&error.to_string());
                source = error.source();
            }
            assert!(!whole.contains("hunter"), "{whole}");
        }
    }

    #[test]
    fn a_url_has_the_parameters_that_are_known() {
        let url = "postgres://u:p%40%2F@h:5433/d?options[search_path]=x&sslmode=disable";
        let options = Location(url.to_owned()).options().unwrap();
        assert_eq!(options.get_database(), Some("d"));
        assert_eq!((options.get_host(), options.get_port()), ("h", 5433));
        assert_eq!(options.get_application_name(), Some("tollgate"));
        let there = Location("postgres://u@[::1]:5433/d".to_owned());
        assert_eq!(there.options().unwrap().get_host(), "::1");
        let named = Location("postgres://h/d?application_name=node7".to_owned());
        let named = named.options().unwrap();
        assert_eq!(named.get_application_name(), Some("node7"));
    }
}
