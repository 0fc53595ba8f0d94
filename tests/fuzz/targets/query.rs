//! A key in the query is taken out, and nothing else is touched.
//!
//! The first line is the number of a parameter's name, the rest is the URI.
#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;
use model::{query, request};
use tollgate::Catalog;
use tollgate::core::key_format::KeyFormat;
use tollgate::credential::Credentials;
use tollgate::fuzzing::{Taken, Taker};

static TAKER: LazyLock<Taker> = LazyLock::new(|| {
    let catalog = Catalog::builder().build().expect("the default is good");
    Taker::new(KeyFormat::new(&catalog.keys().format))
});

const NAMES: [&str; 4] = ["api_key", "k", "a.b_C-d", "Key0"];

fuzz_target!(|data: &[u8]| {
    let (first, uri) = request::line(data);
    let name = NAMES[usize::from(first.first().copied().unwrap_or_default()) % NAMES.len()];
    let Ok(before) = Uri::try_from(uri) else {
        return;
    };
    let places = Credentials::new()
        .without_bearer()
        .without_header()
        .with_query_parameter(name)
        .expect("a good name");
    let (ours, others) = match before.query() {
        Some(query) => query::split(query, name),
        None => <_>::default(),
    };

    let mut after = before.clone();
    let taken = TAKER.take(&places, &mut HeaderMap::new(), &mut after);
    if ours.is_empty() {
        assert_eq!(taken, Taken::Nothing);
        assert_eq!(after, before);
        assert_eq!(after.to_string(), before.to_string());
        return;
    }
    assert_ne!(taken, Taken::Nothing);
    assert_eq!(after.scheme(), before.scheme());
    assert_eq!(after.authority(), before.authority());
    assert_eq!(after.path(), before.path());
    let expected = (!others.is_empty()).then(|| others.join("&"));
    assert_eq!(after.query(), expected.as_deref());
    let query = after.query().unwrap_or_default();
    assert!(form_urlencoded::parse(query.as_bytes()).all(|(left, _)| left != name));
    assert_eq!(
        after.to_string().parse::<Uri>().expect("still a URI"),
        after
    );
    let again = TAKER.take(&places, &mut HeaderMap::new(), &mut after);
    assert_eq!(again, Taken::Nothing);
});
