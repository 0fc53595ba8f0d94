//! Requests to try an example with, printed as `curl` lines.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tollgate::core::secret::Secret;

/// How each printed request begins.
const CURL: &str = r"curl -sS -w '\n%{http_code}\n'";

/// Requests to try, each with what it shows and the status that it gets.
#[derive(Debug)]
pub struct Tour {
    origin: String,
    requests: Vec<(u16, String, Curl)>,
}

/// One request, as a `curl` line without its beginning.
#[derive(Clone, Debug)]
#[must_use = "add it to a tour"]
pub struct Curl {
    options: Vec<String>,
    path: String,
}

impl Tour {
    /// A tour of the app that listens here.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            origin: origin(address),
            requests: Vec::new(),
        }
    }

    /// Adds a request, the status that it gets, and what it shows.
    pub fn add(&mut self, status: u16, about: impl Into<String>, request: Curl) {
        self.requests.push((status, about.into(), request));
    }
}

impl fmt::Display for Tour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (status, about, Curl { options, path }) in &self.requests {
            writeln!(f, "# {status}: {about}")?;
            f.write_str(CURL)?;
            for option in options {
                write!(f, " {option}")?;
            }
            writeln!(f, " '{}{path}'\n", self.origin)?;
        }
        Ok(())
    }
}

impl Curl {
    /// A GET of a path, with its query.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            options: Vec::new(),
            path: path.into(),
        }
    }

    /// A POST without a body.
    pub fn post(path: impl Into<String>) -> Self {
        Self::get(path).option("-X POST")
    }

    /// A request with another method.
    pub fn method(method: &str, path: impl Into<String>) -> Self {
        Self::get(path).option(format!("-X {method}"))
    }

    /// With a key in `Authorization: Bearer`. It is on its way to be shown, this once.
    pub fn bearer(self, secret: &Secret) -> Self {
        let secret = secret.expose();
        self.header("Authorization", &format!("Bearer {secret}"))
    }

    /// With a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        let header = quoted(&format!("{name}: {value}"));
        self.option(format!("-H {header}"))
    }

    /// With a body of JSON.
    pub fn json(self, body: &str) -> Self {
        self.body("application/json", body)
    }

    /// With a body as it is.
    pub fn body(self, content_type: &str, body: &str) -> Self {
        let body = quoted(body);
        let request = self.header("Content-Type", content_type);
        request.option(format!("--data-binary {body}"))
    }

    /// Keeps the answer's cookies in this file.
    pub fn keep_cookies(self, file: &str) -> Self {
        self.option(format!("-c {file}"))
    }

    /// With the cookies of this file.
    pub fn cookies(self, file: &str) -> Self {
        self.option(format!("-b {file}"))
    }

    fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a client of this machine writes before the path.
#[must_use]
pub fn origin(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_that_a_shell_reads_as_it_was_meant() {
        let mut tour = Tour::new("0.0.0.0:80".parse().unwrap());
        tour.add(200, "asks", Curl::get("/a?b=c").header("X", "it's"));
        tour.add(201, "tells", Curl::post("/a").json(r#"{"b":1}"#));
        let all = format!(
            "# 200: asks\n{CURL} -H 'X: it'\\''s' 'http://127.0.0.1:80/a?b=c'\n\n\
             # 201: tells\n{CURL} -X POST -H 'Content-Type: application/json' \
             --data-binary '{{\"b\":1}}' 'http://127.0.0.1:80/a'\n\n"
        );
        assert_eq!(tour.to_string(), all);
    }
}
