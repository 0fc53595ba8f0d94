//! Where a Redis is, and why it cannot be used.

use std::error::Error;
use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, IntoConnectionInfo};

/// What the server's list of clients shows.
const CLIENT: &str = "tollgate-redis";

/// Why a Redis cannot be used, in one sentence for whoever started the app.
#[derive(Debug)]
pub struct OpenError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OpenError {
    pub(crate) const fn new(message: String) -> Self {
        Self {
            message,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
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

/// Reads a URL.
pub(crate) fn parse(url: &str) -> Result<ConnectionInfo, OpenError> {
    let Some((scheme, _)) = url.split_once("://") else {
        return Err(OpenError::new(format!(
            "`{}` is not a URL; write `redis://host:6379`",
            Shown(url)
        )));
    };
    match scheme {
        "redis" | "valkey" => {}
        #[cfg(feature = "tls")]
        "rediss" | "valkeys" => {
            // rustls does not choose between two that are compiled in. Where the app has chosen,
            // its choice stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        #[cfg(not(feature = "tls"))]
        "rediss" | "valkeys" => {
            let message =
                format!("`{scheme}://` needs the feature `tls` of `tollgate-redis`; switch it on");
            return Err(OpenError::new(message));
        }
        _ => {
            let message =
                format!("`{scheme}://` is not Redis; write `redis://`, a host and a port");
            return Err(OpenError::new(message));
        }
    }
    let info = url.into_connection_info().map_err(|error| {
        let message = format!(
            "`{}` is not the URL of a Redis; write `redis://user:password@host:6379/0`",
            Shown(url)
        );
        OpenError::new(message).with_source(error)
    })?;
    let settings = info.redis_settings().clone();
    let settings = settings.set_lib_name(CLIENT, env!("CARGO_PKG_VERSION"));
    // A decision is one small packet each way, which must not wait for another.
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// A URL without what may be secret in it: the user's part, and options.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), self.0),
        };
        // A password may hold any of these, unescaped, where somebody forgot to.
        let place = rest.rsplit_once('@');
        let (hidden, place) = place.map_or(("", rest), |(_, place)| ("…@", place));
        let place = place.split(['?', '#']).next().unwrap_or(place);
        write!(f, "{start}{hidden}{}", place.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_database() {
        for url in [
            "redis://localhost",
            "valkey://localhost:6379/3",
            "redis://:hunter2@db.internal:6380",
            "redis://app:hunter2@[::1]:6380/1?protocol=resp3",
        ] {
            let info = parse(url).unwrap();
            assert!(info.tcp_settings().nodelay(), "{url}");
        }
        let info = parse("valkey://localhost:6379/3").unwrap();
        assert_eq!(info.addr().to_string(), "localhost:6379");
        assert_eq!(info.redis_settings().db(), 3);
    }

    #[test]
    fn a_url_that_is_none_is_refused_in_one_sentence_without_its_password() {
        let cases = [
            ("", "`` is not a URL; write `redis://host:6379`"),
            (
                "localhost:6379",
                "`localhost:6379` is not a URL; write `redis://host:6379`",
            ),
            (
                ":hunter2@localhost",
                "`…@localhost` is not a URL; write `redis://host:6379`",
            ),
            (
                "postgres://root:hunter2@db/keys",
                "`postgres://` is not Redis; write `redis://`, a host and a port",
            ),
            (
                "redis://root:hun/t@er2@db:6379/zero?password=hunter2",
                "`redis://…@db:6379/zero` is not the URL of a Redis; write `redis://user:password@host:6379/0`",
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(parse(url).unwrap_err().to_string(), expected);
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_has_to_be_switched_on() {
        assert_eq!(
            parse("rediss://root:hunter2@db").unwrap_err().to_string(),
            "`rediss://` needs the feature `tls` of `tollgate-redis`; switch it on"
        );
    }
}
