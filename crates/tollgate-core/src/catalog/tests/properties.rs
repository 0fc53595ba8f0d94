use proptest::prelude::*;

use crate::catalog::Catalog;
use crate::scope::{Implies, Scope};

/// A catalog without circles: scope `n` implies only scopes after it. Some imply everything.
fn any_catalog() -> impl Strategy<Value = Catalog> {
    let scope = (
        prop::collection::vec(0_usize..80, 0..4),
        prop::bool::weighted(0.03),
    );
    prop::collection::vec(scope, 1..80).prop_map(|drawn| {
        let count = drawn.len();
        let scopes = drawn
            .into_iter()
            .enumerate()
            .map(|(n, (implied, everything))| {
                let later = implied
                    .into_iter()
                    .filter(|other| *other > n && *other < count);
                let scope = later.fold(Scope::new(format!("s{n}")), |scope, other| {
                    scope.implies(format!("s{other}"))
                });
                if everything {
                    scope.implies_everything()
                } else {
                    scope
                }
            });
        Catalog::builder().scopes(scopes).build().unwrap()
    })
}

/// Names of scopes, some of which are not declared.
fn any_names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec((0_u32..100).prop_map(|n| format!("s{n}")), 0..6)
}

proptest! {
    #[test]
    fn a_closure_is_reflexive_transitive_monotone_and_bounded(
        catalog in any_catalog(), some in any_names(), more in any_names(),
    ) {
        let closed = catalog.closure(&some);
        for id in some.iter().filter_map(|name| catalog.id(name)) {
            prop_assert!(closed.contains(id));
        }
        prop_assert_eq!(&catalog.closure(catalog.names(&closed)), &closed);
        let wider = catalog.closure(some.iter().chain(&more));
        prop_assert!(wider.contains_all(&closed));
        let every = catalog.set_of(catalog.scopes().map(|scope| &scope.name)).unwrap();
        prop_assert!(every.contains_all(&wider));
        prop_assert!(wider.len() <= catalog.scopes().len());
    }

    #[test]
    fn a_closure_holds_what_is_explained_and_nothing_else(
        catalog in any_catalog(), held in any_names(),
    ) {
        let closed = catalog.closure(&held);
        for scope in catalog.scopes() {
            let path = catalog.explain(&held, &scope.name);
            let id = catalog.id(&scope.name).unwrap();
            prop_assert_eq!(path.is_some(), closed.contains(id));
            let Some(path) = path else { continue };
            prop_assert!(held.contains(&path[0]));
            prop_assert_eq!(path.last().unwrap(), &scope.name);
            for step in path.windows(2) {
                let implied = match &catalog.scope(&step[0]).unwrap().implies {
                    Implies::Everything => true,
                    Implies::Scopes(names) => names.contains(&step[1]),
                };
                prop_assert!(implied, "{:?}", path);
            }
        }
    }

    #[test]
    fn a_scope_that_is_not_declared_neither_grants_nor_is_granted(
        catalog in any_catalog(), held in any_names(), stranger in "[a-z:*]{0,8}",
    ) {
        prop_assume!(catalog.scope(&stranger).is_none());
        prop_assert!(catalog.closure([&stranger]).is_empty());
        let with = catalog.closure(held.iter().chain([&stranger]));
        prop_assert_eq!(with, catalog.closure(&held));
        prop_assert!(catalog.set_of([&stranger]).is_err());
        prop_assert!(catalog.explain(&held, &stranger).is_none());
    }

    #[test]
    fn any_catalog_is_recorded_as_it_is(catalog in any_catalog()) {
        prop_assert_eq!(Catalog::from_json(&catalog.to_json()).unwrap(), catalog);
    }
}
