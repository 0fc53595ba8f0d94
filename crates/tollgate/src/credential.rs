//! Finds the credential of a request, and takes it out.
//!
//! | where | on unless said otherwise |
//! | --- | --- |
//! | `Authorization: Bearer sk_live_…` | yes |
//! | `X-API-Key: sk_live_…` | yes |
//! | `?api_key=sk_live_…` | no: URLs end up in logs, histories and referrers |
//!
//! Whatever is found is taken out of the headers and the URI before anything further in, a
//! handler's logger included, can see it. The text becomes a digest at once and goes no further.
//!
//! There are more than two outcomes: nothing was sent, exactly one good-looking key was sent,
//! one that cannot be a key was sent, or several were sent. One that is unreadable, empty or too
//! long was still *sent*: it is never taken for none, which an open route would let pass.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use tollgate_core::invalid::Invalid;
use tollgate_core::secret::KeyDigest;

pub(crate) use crate::credential::memo::Reader;

mod memo;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where keys are looked for.
#[derive(Clone, Debug)]
#[must_use = "pass it to the gate"]
pub struct Credentials {
    bearer: bool,
    header: Option<HeaderName>,
    query: Option<String>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            bearer: true,
            header: Some(X_API_KEY),
            query: None,
        }
    }
}

impl Credentials {
    /// `Authorization: Bearer` and `X-API-Key`.
    pub fn new() -> Self {
        Self::default()
    }

    /// `Authorization: Bearer` and nothing else.
    pub const fn bearer_only() -> Self {
        Self {
            bearer: true,
            header: None,
            query: None,
        }
    }

    /// Leaves `Authorization` to the app.
    pub const fn without_bearer(mut self) -> Self {
        self.bearer = false;
        self
    }

    /// Looks in another header than `X-API-Key`.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }

    /// Looks in no header of its own.
    pub fn without_header(mut self) -> Self {
        self.header = None;
        self
    }

    /// Looks in a query parameter too, such as `api_key`. A route may say no.
    ///
    /// The OWASP API Security Top 10 (API2:2023) and RFC 6750 §2.3 advise against it. Whatever is
    /// further out than the gate sees the key, and h2, at DEBUG, logs a path that is no URI whole.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the name is not 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub fn with_query_parameter(mut self, name: &str) -> Result<Self, Invalid> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            let shown = name.escape_default();
            return Err(Invalid::new(
                "query parameter for keys",
                format!("`{shown}` is not 1 to 64 of A-Z a-z 0-9 . _ -"),
            ));
        }
        self.query = Some(name.to_owned());
        Ok(self)
    }

    /// Where a caller who sent no key is told to put it, and what goes before it there.
    pub(crate) fn advice(&self) -> (String, &'static str) {
        match (self.bearer, &self.header, &self.query) {
            (true, ..) => ("Authorization header".to_owned(), "Bearer "),
            (_, Some(name), _) => (format!("{name} header"), ""),
            (.., Some(name)) => (format!("{name} query parameter"), ""),
            _ => ("request".to_owned(), ""),
        }
    }

    /// The names for `Vary`.
    pub(crate) fn vary(&self) -> Option<HeaderValue> {
        let bearer = self.bearer.then_some("authorization");
        let names: Vec<&str> = bearer
            .into_iter()
            .chain(self.header.as_ref().map(HeaderName::as_str))
            .collect();
        match *names {
            [] => None,
            // No count of references to keep, on each response.
            ["authorization", "x-api-key"] => {
                Some(HeaderValue::from_static("authorization, x-api-key"))
            }
            _ => HeaderValue::try_from(names.join(", ")).ok(),
        }
    }

    /// Takes every credential out of a request, and says what was there.
    pub(crate) fn take<B>(&self, request: &mut Request<B>, reader: &Reader) -> Presented {
        let mut found = Found::default();
        let headers = request.headers_mut();
        if self.bearer {
            take_header(headers, &header::AUTHORIZATION, |value| {
                found.add(bearer_token(value.as_bytes()), Place::Header, reader);
            });
        }
        if let Some(name) = &self.header {
            take_header(headers, name, |value| {
                found.add(Some(value.as_bytes()), Place::Header, reader);
            });
        }
        if let Some(name) = &self.query {
            take_query(request.uri_mut(), name, |value| {
                found.add(value.as_deref(), Place::Query, reader);
            });
        }
        found.0
    }

    /// Takes keys out of a copy of the URI, such as the one that an outer router kept.
    pub(crate) fn hide(&self, uri: &mut Uri) {
        if let Some(name) = &self.query {
            take_query(uri, name, |_| {});
        }
    }
}

/// What a request brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Presented {
    /// Nothing.
    #[default]
    Nothing,
    /// One key that looks right.
    Key(KeyDigest, Place),
    /// One that cannot be a key.
    Malformed(Place),
    /// More than one, equal or not.
    Several,
}

/// Where a key was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Header,
    Query,
}

#[derive(Default)]
struct Found(Presented);

impl Found {
    fn add(&mut self, text: Option<&[u8]>, place: Place, reader: &Reader) {
        self.0 = match (self.0, text) {
            (Presented::Nothing, Some(text)) => match reader.read(text) {
                Some(digest) => Presented::Key(digest, place),
                None if text.contains(&b',') => Presented::Several,
                None => Presented::Malformed(place),
            },
            (Presented::Nothing, None) => Presented::Malformed(place),
            _ => Presented::Several,
        };
    }
}

fn take_header(headers: &mut HeaderMap, name: &HeaderName, mut each: impl FnMut(&HeaderValue)) {
    let mut found = false;
    for value in headers.get_all(name) {
        found = true;
        each(value);
    }
    if found {
        headers.remove(name);
    }
}

/// What follows the scheme and exactly one space (RFC 6750 §2.1, scheme as in RFC 9110 §11.1).
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let token = rest.strip_prefix(b" ")?;
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

/// Takes all parameters of that name out of the URI. `None` stands for an undecodable value.
fn take_query(uri: &mut Uri, name: &str, mut each: impl FnMut(Option<Cow<'_, [u8]>>)) {
    let Some(query) = uri.query() else { return };
    let is_key = |pair: &&str| {
        let raw = pair.split_once('=').map_or(*pair, |(name, _)| name);
        decoded(raw).is_some_and(|decoded| *decoded == *name.as_bytes())
    };
    if !query.split('&').any(|pair| is_key(&pair)) {
        return;
    }
    for pair in query.split('&').filter(is_key) {
        each(pair.split_once('=').and_then(|(_, value)| decoded(value)));
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_key(pair)).collect();
    let path = uri.path();
    let text = if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    };
    let mut parts = std::mem::take(uri).into_parts();
    // Pieces of a valid URI make a valid one; were they not, losing the path keeps the secret.
    parts.path_and_query =
        Some(PathAndQuery::try_from(text).unwrap_or_else(|_| PathAndQuery::from_static("/")));
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// Decodes `%XX` and `+` once; `None` if a `%` is not followed by two hexadecimal digits.
fn decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let hex = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => (hex(bytes.next()?)? << 4) | hex(bytes.next()?)?,
            other => other,
        });
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use tollgate_core::catalog::Catalog;
    use tollgate_core::key_format::KeyFormat;
    use tollgate_core::secret::Digester;

    use super::*;

    struct Bench {
        reader: Reader,
        key: String,
    }

    fn bench() -> Bench {
        let format = KeyFormat::new(&Catalog::builder().build().unwrap().keys().format);
        let key = format.generate("live").unwrap().secret.expose().to_owned();
        Bench {
            reader: Reader::new(format, Digester::sha256()),
            key,
        }
    }

    impl Bench {
        fn take(&self, lines: &[(&str, &[u8])], uri: &str) -> (Presented, HeaderMap, String) {
            let mut request = Request::builder().uri(uri);
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let mut request = request.body(()).unwrap();
            let all = Credentials::new().with_query_parameter("api_key").unwrap();
            let presented = all.take(&mut request, &self.reader);
            let (head, ()) = request.into_parts();
            (presented, head.headers, head.uri.to_string())
        }

        fn key(&self, place: Place) -> Presented {
            Presented::Key(Digester::sha256().digest(&self.key), place)
        }
    }

    #[test]
    fn one_good_key_is_found_and_taken_out() {
        let bench = bench();
        let key = &bench.key;
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let value = format!("{scheme} {key}");
            let (presented, headers, _) = bench.take(&[("authorization", value.as_bytes())], "/");
            assert_eq!(presented, bench.key(Place::Header));
            assert!(headers.is_empty());
        }
        let (presented, headers, _) = bench.take(&[("x-api-key", key.as_bytes())], "/");
        assert_eq!((presented, headers.len()), (bench.key(Place::Header), 0));

        for (query, rest) in [
            (format!("/p?api_key={key}"), "/p"),
            (format!("/p?a=1&api_key={key}&b=%20"), "/p?a=1&b=%20"),
            (format!("/p?api%5Fkey={key}&a"), "/p?a"),
            (format!("/p?%61pi_key={}", key.replace('_', "%5f")), "/p"),
            (
                format!("http://h.example/p?x&api_key={key}"),
                "http://h.example/p?x",
            ),
        ] {
            let (presented, _, uri) = bench.take(&[], &query);
            assert_eq!(
                (presented, &*uri),
                (bench.key(Place::Query), rest),
                "{query}"
            );
        }
    }

    #[test]
    fn what_was_sent_but_cannot_be_a_key_is_not_nothing() {
        let bench = bench();
        let double_space = format!("Bearer  {}", bench.key);
        let tab = format!("Bearer\t{}", bench.key);
        let trailing = format!("{}x", bench.key);
        for lines in [
            &[("authorization", &b""[..])][..],
            &[("authorization", b"Bearer")],
            &[("authorization", b"Bearer ")],
            &[("authorization", b"Basic dXNlcjpwYXNz")],
            &[("authorization", double_space.as_bytes())],
            &[("authorization", tab.as_bytes())],
            &[("authorization", bench.key.as_bytes())],
            &[("x-api-key", b"")],
            &[("x-api-key", b"\xff\xfe")],
            &[("x-api-key", trailing.as_bytes())],
            &[("x-api-key", &[b'a'; 4000])],
        ] {
            let (presented, headers, _) = bench.take(lines, "/");
            assert_eq!(presented, Presented::Malformed(Place::Header), "{lines:?}");
            assert!(headers.is_empty());
        }
        for uri in ["/?api_key", "/?api_key=", "/?api_key=%zz", "/?api_key=%ff"] {
            let (presented, _, rest) = bench.take(&[], uri);
            assert_eq!(
                (presented, &*rest),
                (Presented::Malformed(Place::Query), "/"),
                "{uri}"
            );
        }
    }

    #[test]
    fn two_are_too_many_even_if_equal() {
        let bench = bench();
        let bearer = format!("Bearer {}", bench.key);
        let (bearer, key) = (bearer.as_bytes(), bench.key.as_bytes());
        let joined = [bearer, b", ", bearer].concat();
        let query = format!("/?api_key={}", bench.key);
        for (lines, uri) in [
            (
                &[("authorization", bearer), ("authorization", bearer)][..],
                "/",
            ),
            (&[("authorization", bearer), ("x-api-key", key)], "/"),
            (&[("authorization", b"Basic eA=="), ("x-api-key", key)], "/"),
            (&[("authorization", b""), ("x-api-key", key)], "/"),
            (&[("x-api-key", key), ("x-api-key", key)], "/"),
            (&[("authorization", &*joined)], "/"),
            (&[("x-api-key", key)], &*query),
            (&[], &format!("{query}&api_key=x")),
        ] {
            let (presented, headers, rest) = bench.take(lines, uri);
            assert_eq!(presented, Presented::Several, "{lines:?} {uri}");
            assert!(headers.is_empty());
            assert_eq!(rest, "/");
        }
    }

    #[test]
    fn other_names_are_not_credentials() {
        let bench = bench();
        let uri = format!("/?API_KEY={0}&api_key[]={0}&xapi_key={0}", bench.key);
        let (presented, _, rest) = bench.take(&[("x-api-keys", b"x")], &uri);
        assert_eq!((presented, rest), (Presented::Nothing, uri));
    }

    #[test]
    fn a_place_that_is_switched_off_is_not_looked_at() {
        let bench = bench();
        let request = Request::builder().uri("/?api_key=x");
        let mut request = request.header("x-api-key", &bench.key).body(()).unwrap();
        let presented = Credentials::bearer_only().take(&mut request, &bench.reader);
        assert_eq!(presented, Presented::Nothing);
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.uri(), "/?api_key=x");
    }

    #[test]
    fn without_a_header_of_its_own_only_the_bearer_counts() {
        let bench = bench();
        let with_key = || Request::get("/").header("x-api-key", &bench.key);
        let places = Credentials::new().without_header();
        let mut request = with_key().body(()).unwrap();
        assert_eq!(places.take(&mut request, &bench.reader), Presented::Nothing);
        let bearer = format!("Bearer {}", bench.key);
        let mut request = with_key().header("authorization", bearer).body(()).unwrap();
        assert_eq!(
            places.take(&mut request, &bench.reader),
            bench.key(Place::Header)
        );
        assert_eq!(places.vary().unwrap(), "authorization");
    }

    #[test]
    fn a_query_parameter_has_a_plain_name() {
        let longest = "x".repeat(64);
        for (name, good) in [
            ("api_key", true),
            ("a.B-9", true),
            (longest.as_str(), true),
            (&format!("{longest}x"), false),
            ("", false),
            ("api key", false),
            ("api[key]", false),
            ("schlüssel", false),
        ] {
            let made = Credentials::new().with_query_parameter(name);
            assert_eq!(made.is_ok(), good, "{name}");
        }
    }

    #[test]
    fn callers_and_caches_are_told_the_places_that_are_on() {
        let none = || Credentials::new().without_bearer().without_header();
        let query = none().with_query_parameter("api_key").unwrap();
        let other = Credentials::new().with_header(HeaderName::from_static("x-key"));
        for (places, advice, before, vary) in [
            (
                Credentials::new(),
                "Authorization header",
                "Bearer ",
                Some("authorization, x-api-key"),
            ),
            (
                other.clone(),
                "Authorization header",
                "Bearer ",
                Some("authorization, x-key"),
            ),
            (other.without_bearer(), "x-key header", "", Some("x-key")),
            (query, "api_key query parameter", "", None),
            (none(), "request", "", None),
        ] {
            assert_eq!(places.advice(), (advice.to_owned(), before));
            let told = places.vary();
            assert_eq!(told.as_ref().map(|told| told.to_str().unwrap()), vary);
        }
    }
}
