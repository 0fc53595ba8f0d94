//! A catalog loads or says in a sentence where it is wrong; one that loads is recorded faithfully.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::Catalog;
use tollgate::core::catalog::CatalogError;

/// More than this is no sentence.
const LONGEST: usize = 2048;

fn check(error: &CatalogError) {
    assert!(!error.problems().is_empty());
    for problem in error.problems() {
        assert!(!problem.place().is_empty(), "{problem:?}");
        assert!(!problem.reason().is_empty(), "{problem:?}");
        let told = problem.to_string();
        assert!(!told.chars().any(char::is_control), "{told:?}");
        assert!(told.len() <= LONGEST, "{} bytes: {told}", told.len());
    }
    let lines = error.to_string().lines().count();
    assert_eq!(lines, error.problems().len() + 1);
}

fn check_catalog(catalog: &Catalog) {
    let recorded = catalog.to_json();
    let again = Catalog::from_json(&recorded)
        .unwrap_or_else(|error| panic!("{error}, though it is recorded as {recorded}"));
    assert_eq!(again.spec(), catalog.spec());
    assert_eq!(again.to_json(), recorded);
    for scope in catalog.scopes() {
        let granted = catalog.closure([&*scope.name]);
        for name in catalog.names(&granted) {
            let path = catalog
                .explain([&*scope.name], name)
                .expect("a path to what is granted");
            assert_eq!(path.first(), Some(&scope.name));
            assert_eq!(path.last().map(String::as_str), Some(name));
        }
    }
    let ranks: Vec<_> = catalog.plans().map(|plan| plan.rank).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Catalog::from_toml(text) {
        Ok(catalog) => check_catalog(&catalog),
        Err(error) => check(&error),
    }
    match Catalog::from_json(text) {
        Ok(catalog) => check_catalog(&catalog),
        Err(error) => check(&error),
    }
});
