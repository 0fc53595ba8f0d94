//! A key is accepted if it has the declared form, and no other text is.
//!
//! The first line is the vendor and the environments, separated by `_`; the rest is a text that
//! may be a key, or in which byte 1 stands for a good one; its last bytes say what to spoil.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::key::{is_key, make_key};
use model::request;
use tollgate::Catalog;
use tollgate::core::catalog::KeyFormatSpec;
use tollgate::core::key_format::{KeyFormat, LONGEST};

fuzz_target!(|data: &[u8]| {
    let (names, text) = request::line(data);
    let Ok(names) = std::str::from_utf8(names) else {
        return;
    };
    let mut names = names.split('_');
    let vendor = names.next().unwrap_or_default();
    let environments: Vec<&str> = names.take(8).collect();
    let spec = environments
        .iter()
        .fold(KeyFormatSpec::new(vendor), |spec, name| {
            spec.environment(*name)
        });
    let Ok(catalog) = Catalog::builder().key_format(spec).build() else {
        return;
    };
    let format = KeyFormat::new(&catalog.keys().format);
    let prefixes: Vec<String> = environments
        .iter()
        .map(|name| format!("{vendor}_{name}_"))
        .collect();

    let good = make_key(&prefixes[0], text);
    assert!(good.len() <= LONGEST);
    assert!(format.accepts(&good), "{good}");
    assert_eq!(format.environment_of(&good), Some(environments[0]));
    if let [.., at, byte] = text {
        let at = usize::from(*at) % good.len();
        let mut spoilt = good.clone().into_bytes();
        spoilt[at] = byte & 0x7f;
        let spoilt = String::from_utf8(spoilt).expect("ASCII");
        assert_eq!(format.accepts(&spoilt), spoilt == good, "{spoilt}");
    }

    let text = request::with_keys(text, &good, "");
    let Ok(text) = std::str::from_utf8(&text) else {
        return;
    };
    assert_eq!(
        format.accepts(text),
        is_key(text.as_bytes(), &prefixes),
        "{text}"
    );
    if format.accepts(text) {
        let environment = format.environment_of(text).expect("it has one");
        assert!(text.starts_with(&format!("{vendor}_{environment}_")));
    }
});
