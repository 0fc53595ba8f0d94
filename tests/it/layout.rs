//! Who may depend on whom: adapters and edges know core, core knows nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Allowed dependencies inside the workspace, and databases, frameworks and runtimes that a crate
/// must stay free of. Dev-dependencies may not point back either.
const ALLOWED: [(&str, &[&str], &[&str]); 7] = [
    (
        "tollgate-core",
        &[],
        &["axum", "http", "sqlx", "tower", "tracing"],
    ),
    (
        "tollgate-testkit",
        &["tollgate", "tollgate-core"],
        &["sqlx"],
    ),
    (
        "tollgate-sqlx",
        &["tollgate-core", "tollgate-testkit"],
        &["axum", "http", "tower"],
    ),
    (
        "tollgate-redis",
        &["tollgate-core", "tollgate-testkit"],
        &["axum", "http", "sqlx", "tower"],
    ),
    ("tollgate", &["tollgate-core"], &["redis", "sqlx"]),
    (
        "tollgate-cli",
        &["tollgate-core", "tollgate-sqlx"],
        &["axum", "http", "sqlx", "tower"],
    ),
    (
        "tollgate-admin",
        &[
            "tollgate",
            "tollgate-core",
            "tollgate-sqlx",
            "tollgate-testkit",
        ],
        &["sqlx"],
    ),
];

/// What a crate's tests may have besides: servers, and an app to run beside the command.
const IN_TESTS: [(&str, &str); 8] = [
    ("tollgate-sqlx", "tollgate-servers"),
    ("tollgate-redis", "tollgate-servers"),
    ("tollgate-cli", "tollgate-servers"),
    ("tollgate-cli", "axum"),
    ("tollgate-cli", "http"),
    ("tollgate-cli", "tollgate"),
    ("tollgate-cli", "tollgate-admin"),
    ("tollgate-cli", "tower"),
];

#[test]
fn dependencies_point_one_way() {
    let cargo = std::env::var("CARGO").unwrap();
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeMap<&str, BTreeSet<&str>> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let package_name = package["name"].as_str().unwrap();
            let in_tests = |dependency: &&Value| {
                let named = (package_name, name_of(dependency));
                dependency["kind"] == "dev" && IN_TESTS.contains(&named)
            };
            let all = package["dependencies"].as_array().unwrap().iter();
            let names = all.filter(|dependency| !in_tests(dependency));
            let names = names.map(name_of);
            (package_name, names.collect())
        })
        .collect();
    for (name, allowed, never) in ALLOWED {
        let ours = packages[name]
            .iter()
            .filter(|dependency| packages.contains_key(*dependency));
        let ours: Vec<_> = ours
            .copied()
            .filter(|ours| !allowed.contains(ours))
            .collect();
        assert!(ours.is_empty(), "{name} depends on {ours:?}");
        let foreign: Vec<_> = never
            .iter()
            .filter(|never| packages[name].contains(*never))
            .collect();
        assert!(foreign.is_empty(), "{name} depends on {foreign:?}");
    }
}

fn name_of(dependency: &Value) -> &str {
    dependency["name"].as_str().unwrap()
}
