//! The pages of `docs/` that speak of these tests say what is there.

use std::collections::BTreeSet;
use std::process::Command;

/// The names of all tests of this binary.
fn tests() -> BTreeSet<String> {
    let listed = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

#[test]
fn the_testing_page_shows_a_whole_file() {
    let page = include_str!("../../docs/TESTING.md");
    let file = include_str!("access.rs");
    assert!(page.contains(&format!("```rust,ignore\n{file}```\n")));
}

#[test]
fn every_test_that_the_seeds_page_names_is_there() {
    let page = include_str!("../../docs/SEEDS.md");
    let tests = tests();
    assert!(!tests.is_empty());
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("::") && !code.contains(char::is_whitespace))
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/SEEDS.md names no tests: {missing:?}"
    );
}
