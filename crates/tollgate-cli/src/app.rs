//! A running app that a command asks, by its management routes.
//!
//! The session's cookie lets whoever has it in. So it is never an argument, which every user of the
//! machine could read; it goes over TLS, or does not leave the machine; and it is sent to no other
//! place that an answer may name.

use std::io::{ErrorKind, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use std::{env, io};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body, Error};

use crate::failure::Failure;
use crate::file;
use crate::session::is_cookie_name;

/// Where the cookie is, unless a file is named.
const VARIABLE: &str = "TOLLGATE_SESSION";

/// How long an app may take to answer.
const DEADLINE: Duration = Duration::from_secs(15);

/// The longest answer that is read, and the longest cookie.
const LONGEST: u64 = 1024 * 1024;

/// The title of the description that each app gives of its management routes.
const TITLE: &str = "Tollgate management";

/// The management routes of a running app, for somebody who is signed in.
pub(crate) struct App {
    url: String,
    cookie: String,
    agent: Agent,
}

impl App {
    /// The app whose management routes are at this URL, and the session in this file, or in the
    /// environment.
    pub(crate) fn at(url: &str, session_file: Option<&Path>) -> Result<Self, Failure> {
        let plain = check(url)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // An app that refused a request may have closed what it came by.
            .max_idle_connections(0)
            .timeout_global(Some(DEADLINE))
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
        if plain {
            // A proxy would read the cookie, and is another machine.
            config = config.proxy(None);
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            cookie: cookie(session_file)?,
            agent: config.build().into(),
        })
    }

    /// Posts a body to one of the routes.
    ///
    /// It blocks: the command has nothing else to do.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let asked = self.agent.post(format!("{}{path}", self.url));
        let asked = asked
            .header(header::COOKIE, &self.cookie)
            // Who is refused before their body is read, and sends it all the same, may find the
            // connection reset, and the answer lost.
            .header(header::EXPECT, "100-continue")
            .content_type("application/json");
        let answer = asked.send(serde_json::to_vec(body)?);
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let text = self.text(&mut answer)?;
        if answer.status().is_success() {
            return serde_json::from_str(&text).map_err(|_| self.is_another());
        }
        Err(self.refused(&answer, &text)?)
    }

    /// Why the app answered with no good status.
    fn refused(&self, answer: &Response<Body>, text: &str) -> Result<Failure, Failure> {
        let (url, status) = (&self.url, answer.status());
        if status.is_redirection() {
            let to = answer.headers().get(header::LOCATION);
            let to = to
                .and_then(|to| to.to_str().ok())
                .unwrap_or("another place");
            return Ok(Failure::new(format!(
                "`{url}` sends on to `{to}`, where the session's cookie does not go by itself; \
                 write the URL that answers"
            )));
        }
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let said = body.pointer("/error/message").and_then(Value::as_str);
        if status.is_server_error() {
            let said = said.unwrap_or("it does not say why");
            return Ok(Failure::new(format!(
                "the app at `{url}` failed with {status}: {said}"
            )));
        }
        if !self.is_management()? {
            return Ok(self.is_another());
        }
        Ok(match (status.as_u16(), said) {
            (401, _) => Failure::new(format!(
                "the app at `{url}` does not know the session: it is over, or of another app, or \
                 its cookie has another name there; begin one with `tollgate session create`"
            )),
            (404, Some(said)) if !said.starts_with("there is no ") => Failure::new(format!(
                "the app at `{url}` has an older version of Tollgate, which cannot be asked this; \
                 leave `--url` out"
            )),
            (_, Some(said)) => Failure::new(said),
            (_, None) => Failure::new(format!("the app at `{url}` answers with {status}")),
        })
    }

    /// Whether management routes are there at all. The cookie is not sent.
    fn is_management(&self) -> Result<bool, Failure> {
        let asked = self.agent.get(format!("{}/openapi.json", self.url)).call();
        let mut answer = asked.map_err(|error| self.unreachable(&error))?;
        let text = self.text(&mut answer)?;
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        Ok(document.pointer("/info/title") == Some(&TITLE.into()))
    }

    fn text(&self, answer: &mut Response<Body>) -> Result<String, Failure> {
        let bytes = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        let bytes = bytes.map_err(|error| self.unreachable(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn is_another(&self) -> Failure {
        Failure::new(format!(
            "there are no management routes of Tollgate at `{}`; write where the app mounts them, \
             as in `https://api.acme.example/admin`",
            self.url
        ))
    }

    fn unreachable(&self, error: &Error) -> Failure {
        let (error, tls) = match error {
            // What TLS refuses is bad data to whoever reads it.
            Error::Io(error) => (error.to_string(), error.kind() == ErrorKind::InvalidData),
            error => (
                error.to_string(),
                matches!(error, Error::Rustls(_) | Error::Tls(_)),
            ),
        };
        let remedy = if tls {
            "; it needs TLS with a certificate of a public authority, so ask on the app's own \
             machine, by `http://127.0.0.1:PORT`"
        } else {
            "; start the app, or write the URL of one that runs"
        };
        let failure = Failure::new(error).within(format!("cannot ask the app at `{}`", self.url));
        failure.with(remedy)
    }
}

/// Refuses a URL at which a cookie has no business, and says whether it is one without TLS.
fn check(url: &str) -> Result<bool, Failure> {
    let shape = "write it like `https://api.acme.example/admin`";
    let Some((_, after)) = url.split_once("://") else {
        let sentence = format!("`--url` is no URL: `{url}`; {shape}");
        return Err(Failure::usage(sentence));
    };
    // What stands there is a secret, and not to be repeated.
    if after
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|host| host.contains('@'))
    {
        return Err(Failure::usage(format!(
            "`--url` has a name or a password before its host, which the app does not take; {shape}"
        )));
    }
    if url.contains(['?', '#']) {
        let sentence = format!("`--url` ends before its query: `{url}`; {shape}");
        return Err(Failure::usage(sentence));
    }
    let parsed: Result<Uri, _> = url.parse();
    let host = parsed.as_ref().ok().and_then(Uri::host).unwrap_or_default();
    let scheme = parsed.as_ref().ok().and_then(Uri::scheme_str);
    match scheme {
        Some("https") if !host.is_empty() => Ok(false),
        Some("http") if is_here(host) => Ok(true),
        Some("http") if !host.is_empty() => Err(Failure::usage(format!(
            "`{url}` would send the session's cookie unencrypted to another machine; write \
             `https://`, or ask on the app's own machine, by `http://127.0.0.1:PORT`"
        ))),
        _ => {
            let sentence = format!("`--url` is no URL of http or https: `{url}`; {shape}");
            Err(Failure::usage(sentence))
        }
    }
}

/// Whether what is sent to this host stays on this machine.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<IpAddr, _> = bare.parse();
    address.map_or_else(
        |_| host.eq_ignore_ascii_case("localhost"),
        |address| address.is_loopback(),
    )
}

/// The session's cookie as `name=value`.
fn cookie(session_file: Option<&Path>) -> Result<String, Failure> {
    let (place, text) = match session_file {
        Some(path) if path.as_os_str() == "-" => ("standard input".to_owned(), read_stdin()?),
        Some(path) => {
            let bytes = file::secret("session file", path)?;
            let place = format!("the session file `{}`", path.display());
            (place, String::from_utf8_lossy(&bytes).into_owned())
        }
        None => match env::var_os(VARIABLE) {
            Some(text) => (VARIABLE.to_owned(), text.to_string_lossy().into_owned()),
            None => {
                return Err(Failure::usage(format!(
                    "no session is given; set {VARIABLE} to what `tollgate session create` prints, \
                     or write `--session-file FILE`"
                )));
            }
        },
    };
    let pair = text.trim_end_matches(['\r', '\n']);
    let good = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    match pair.split_once('=') {
        Some((name, value))
            if is_cookie_name(name) && !value.is_empty() && value.bytes().all(good) =>
        {
            Ok(pair.to_owned())
        }
        // It may be a secret for all that.
        _ => Err(Failure::new(format!(
            "what {place} holds is not like `name=value`; it has to be what `tollgate session \
             create` prints"
        ))),
    }
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::from(error).within("cannot read a session from standard input"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_over_tls_or_stays_on_the_machine() {
        for (url, plain) in [
            ("https://api.acme.example/admin", false),
            ("https://203.0.113.9:8443", false),
            ("http://127.0.0.1:3000/admin", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:3000/admin/", true),
            ("HTTP://LocalHost:3000/admin", true),
        ] {
            assert_eq!(check(url).ok(), Some(plain), "{url}");
        }
        for (url, why) in [
            ("http://api.acme.example/admin", "unencrypted"),
            ("http://localhost.acme.example/admin", "unencrypted"),
            ("http://127.0.0.1.acme.example/admin", "unencrypted"),
            ("http://0.0.0.0:3000", "unencrypted"),
            ("http://[::ffff:203.0.113.9]/", "unencrypted"),
            ("http://[fe80::1]/", "unencrypted"),
            ("api.acme.example/admin", "no URL"),
            ("ftp://acme.example", "no URL of http or https"),
            ("https://", "no URL of http or https"),
            ("https:///admin", "no URL of http or https"),
            ("https://acme.example/admin?x", "before its query"),
            ("https://acme.example/admin#x", "before its query"),
            ("", "no URL"),
        ] {
            let told = check(url).unwrap_err().to_string();
            assert!(told.contains(why), "{url}: {told}");
        }
        for url in [
            "http://127.0.0.1:hunter2@acme.example/",
            "https://root:hunter2@acme.example",
            "http://hunter2@127.0.0.1",
        ] {
            let told = check(url).unwrap_err().to_string();
            assert!(told.contains("before its host"), "{url}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
