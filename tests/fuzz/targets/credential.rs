//! Whatever is sent, the right thing is found, and nothing of it is left.
//!
//! The first byte says which places are looked at, the line behind it is the URI, the rest are
//! headers. Byte 1 stands for one good key, byte 2 for another.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use model::key::{is_key, make_key};
use model::{query, request};
use sha2::{Digest, Sha256};
use tollgate::Catalog;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::secret::KeyDigest;
use tollgate::credential::Credentials;
use tollgate::fuzzing::{Taken, Taker};

const QUERY: &str = "api_key";

static PREFIXES: LazyLock<Vec<String>> =
    LazyLock::new(|| vec!["sk_live_".to_owned(), "sk_test_".to_owned()]);

static TAKER: LazyLock<Taker> = LazyLock::new(|| {
    let catalog = Catalog::builder().build().expect("the default is good");
    Taker::new(KeyFormat::new(&catalog.keys().format))
});

static KEYS: LazyLock<[String; 2]> = LazyLock::new(|| {
    [
        make_key("sk_live_", b"Tollgate has many doors 123456"),
        make_key("sk_test_", b"and every one of them is shut!"),
    ]
});

#[derive(Clone, Copy)]
struct Places {
    bearer: bool,
    header: Option<&'static str>,
    query: bool,
}

impl Places {
    fn of(byte: u8) -> Self {
        Self {
            bearer: byte & 1 == 0,
            header: [Some("x-api-key"), None, Some("x-acme-key"), Some("cookie")]
                [usize::from(byte >> 1 & 3)],
            query: byte & 8 != 0,
        }
    }

    fn credentials(self) -> Credentials {
        let mut credentials = Credentials::new();
        if !self.bearer {
            credentials = credentials.without_bearer();
        }
        credentials = match self.header {
            Some(name) => credentials.with_header(HeaderName::from_static(name)),
            None => credentials.without_header(),
        };
        if self.query {
            credentials = credentials
                .with_query_parameter(QUERY)
                .expect("a good name");
        }
        credentials
    }

    /// Everything that was sent in a place that is looked at; `None` if it cannot be read.
    fn sent(self, headers: &HeaderMap, uri: &Uri) -> Vec<Option<Vec<u8>>> {
        let mut sent = Vec::new();
        if self.bearer {
            for value in headers.get_all("authorization") {
                let value = value.as_bytes();
                let bearer = value.len() >= 7 && value[..7].eq_ignore_ascii_case(b"bearer ");
                sent.push(bearer.then(|| value[7..].to_vec()));
            }
        }
        if let Some(name) = self.header {
            let values = headers.get_all(name).iter();
            sent.extend(values.map(|value| Some(value.as_bytes().to_vec())));
        }
        if self.query {
            let (ours, _) = query::split(uri.query().unwrap_or_default(), QUERY);
            sent.extend(ours.into_iter().map(query::value));
        }
        sent
    }

    fn is_looked_at(self, name: &HeaderName) -> bool {
        self.bearer && name == "authorization" || self.header.is_some_and(|own| name == own)
    }
}

fn expected(sent: &[Option<Vec<u8>>]) -> Taken {
    match sent {
        [] => Taken::Nothing,
        [Some(text)] if text.contains(&b',') => Taken::Several,
        [Some(text)] if is_key(text, &PREFIXES) => {
            Taken::Key(KeyDigest::from_bytes(Sha256::digest(text).into()))
        }
        [_] => Taken::Malformed,
        _ => Taken::Several,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let rest = request::with_keys(rest, &KEYS[0], &KEYS[1]);
    let (uri, lines) = request::line(&rest);
    let Ok(mut uri) = Uri::try_from(uri) else {
        return;
    };
    let places = Places::of(*first);
    let credentials = places.credentials();
    let mut headers = request::headers(lines);
    let kept: Vec<(HeaderName, HeaderValue)> = headers
        .iter()
        .filter(|(name, _)| !places.is_looked_at(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let sent = places.sent(&headers, &uri);

    let taken = TAKER.take(&credentials, &mut headers, &mut uri);
    assert_eq!(taken, expected(&sent), "{sent:?}");

    // Others are as they were: each name's values in their order.
    assert_eq!(headers.len(), kept.len(), "{headers:?}");
    for (name, _) in &kept {
        let before = kept.iter().filter(|(other, _)| other == name);
        assert!(
            before.map(|(_, value)| value).eq(headers.get_all(name)),
            "{headers:?}"
        );
    }
    assert!(
        headers.keys().all(|name| !places.is_looked_at(name)),
        "{headers:?}"
    );
    assert!(places.sent(&headers, &uri).is_empty(), "{uri}");
    assert_eq!(
        TAKER.take(&credentials, &mut headers, &mut uri),
        Taken::Nothing
    );
});
