//! What was asked, without secrets.

use std::fmt;
use std::net::IpAddr;

use axum::body::{Body, Bytes};
use http::Request;
use tollgate_core::clock::{Clock as _, Timestamp};
use tollgate_core::id::{KeyId, OrgId};

use crate::app::gate::TestGate;

/// How much of a body a failure shows.
const SHOWN: usize = 2_000;

/// What was asked, for the message of a failure.
pub(in crate::app) struct Asked {
    pub(super) method: String,
    pub(super) uri: String,
    headers: Vec<(String, String)>,
    body: String,
    pub(super) client: IpAddr,
    proxies: Vec<IpAddr>,
    pub(super) key: Option<(KeyId, OrgId)>,
    at: Timestamp,
}

impl Asked {
    pub(in crate::app) fn new(
        kit: &TestGate,
        request: &Request<Body>,
        body: &Bytes,
        client: IpAddr,
        proxies: &[IpAddr],
    ) -> Self {
        let watch = &kit.0.watch;
        let uri = request.uri().to_string();
        let of_header = |value: &http::HeaderValue| watch.find(value.as_bytes());
        let key = request.headers().values().find_map(of_header);
        let headers = request.headers().iter().map(|(name, value)| {
            let value = watch.hide(&String::from_utf8_lossy(value.as_bytes()));
            let value = if name == http::header::COOKIE {
                names_of(&value)
            } else {
                value
            };
            (name.to_string(), value)
        });
        Self {
            method: request.method().to_string(),
            headers: headers.collect(),
            body: watch.hide(&shortened(body)),
            client,
            proxies: proxies.to_vec(),
            key: key.or_else(|| watch.find(uri.as_bytes())),
            uri: watch.hide(&uri),
            at: kit.clock().now().wall,
        }
    }

    /// The call, as a line of `curl` for the app when it runs.
    pub(super) fn write_curl(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  to send it again: curl -i -X {}", self.method)?;
        for (name, value) in &self.headers {
            if name == "authorization" && self.key.is_some() {
                f.write_str(" -H \"authorization: Bearer $KEY\"")?;
            } else if name != "content-length" {
                write!(f, " -H {}", quoted(&format!("{name}: {value}")))?;
            }
        }
        if !self.body.is_empty() {
            write!(f, " --data-binary {}", quoted(&self.body))?;
        }
        write!(f, " \"$ORIGIN{}\"", self.uri)
    }
}

/// Who asked what, from where and when.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            uri,
            headers,
            body,
            client,
            proxies,
            key,
            at,
        } = self;
        writeln!(f, "\n  {method} {uri} from {client} at {at}")?;
        if !proxies.is_empty() {
            writeln!(f, "  through {proxies:?}")?;
        }
        match key {
            Some((key, organization)) => {
                writeln!(f, "  as key {key} of {}", organization.as_str())?;
            }
            None => writeln!(f, "  with no key that the test made")?,
        }
        for (name, value) in headers {
            writeln!(f, "  {name}: {value}")?;
        }
        if !body.is_empty() {
            writeln!(f, "\n  {body}")?;
        }
        Ok(())
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Cookies without their values, which may be sessions.
fn names_of(cookies: &str) -> String {
    let hidden = cookies.split(';').map(|cookie| {
        let name = cookie.split('=').next().unwrap_or_default().trim();
        format!("{name}=(hidden)")
    });
    hidden.collect::<Vec<_>>().join("; ")
}

/// What a failure shows of a body.
pub(super) fn shortened(body: &[u8]) -> String {
    let start = body.get(..SHOWN).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    if start.len() < body.len() {
        format!("{text}… ({} bytes)", body.len())
    } else {
        text.into_owned()
    }
}
