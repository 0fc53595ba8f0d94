//! `docs/SECURITY.md` names no test that is not there, and leaves no threat out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The threats that Tollgate meets, or the page would have to say so.
fn required() -> BTreeSet<u32> {
    let ranges = [1..=50, 52..=53, 56..=56, 58..=58, 60..=69, 71..=72];
    ranges.into_iter().flatten().collect()
}

/// The heading of the column that names tests.
const TESTS: &str = "shown by";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn number(threat: &str) -> Option<u32> {
    threat.trim().strip_prefix('T')?.parse().ok()
}

/// The evidence of each threat: what is quoted in the last cell of its row.
fn evidence(page: &str) -> BTreeMap<u32, Vec<&str>> {
    let mut rows = BTreeMap::new();
    let mut heading = "";
    for line in page.lines() {
        let Some(row) = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'))
        else {
            heading = "";
            continue;
        };
        if heading.is_empty() {
            heading = row;
        }
        let cells: Vec<&str> = row.split('|').collect();
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        if let Some(threat) = number(first)
            && heading.trim().ends_with(TESTS)
        {
            let before = rows.insert(threat, quoted(last));
            assert!(before.is_none(), "T{threat} has two rows");
        }
    }
    rows
}

/// All functions of the sources, by name.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests", "examples"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let starts = source.split("fn ").skip(1);
                names.extend(starts.filter_map(|text| {
                    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
                    matches!(text.as_bytes()[end], b'(' | b'<').then(|| text[..end].to_owned())
                }));
            }
        }
    }
    names
}

/// Whether there is such a test, or, of what has a slash in it, such a file.
fn exists(name: &str, functions: &BTreeSet<String>) -> bool {
    if name.contains('/') {
        root().join(name).is_file()
    } else {
        functions.contains(name)
    }
}

#[test]
fn each_threat_has_a_row_and_each_test_that_is_named_is_there() {
    let page = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let evidence = evidence(&page);
    let rows: BTreeSet<u32> = evidence.keys().copied().collect();
    let missing: Vec<_> = required().difference(&rows).copied().collect();
    assert_eq!(missing, Vec::<u32>::new(), "threats without a row");
    let functions = functions();
    for (threat, names) in &evidence {
        assert!(!names.is_empty(), "T{threat} is shown by nothing");
        for name in names {
            assert!(exists(name, &functions), "T{threat}: there is no `{name}`");
        }
    }
    // Names that a sentence tells, outside of the table, are long.
    for name in quoted(&page) {
        let of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.chars().all(of_a_name) && name.matches('_').count() > 3 {
            assert!(exists(name, &functions), "there is no `{name}`");
        }
    }
}

#[test]
fn a_row_without_its_table_or_its_test_is_noticed() {
    let page = "| T1 | no heading | `a` |\n\n| | threat | shown by |\n| --- | --- | --- |\n\
                | T2 | `not this` | `b` and `c/d.rs` |\n\n| | threat | why |\n| T3 | x | `e` |\n";
    assert_eq!(evidence(page), [(2, vec!["b", "c/d.rs"])].into());
    let functions = functions();
    for (name, there) in [
        ("a_row_without_its_table_or_its_test_is_noticed", true),
        ("a_row_without_its_table", false),
        ("docs/SECURITY.md", true),
        ("docs/INSECURITY.md", false),
    ] {
        assert_eq!(exists(name, &functions), there, "{name}");
    }
}
