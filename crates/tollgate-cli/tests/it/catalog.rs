//! `tollgate catalog`, and which catalog the other commands go by.

use std::fs;

use serde_json::{Value, json};

use crate::place::{CATALOG, Place};

#[test]
fn a_good_file_is_good_and_a_bad_one_is_told_whole() {
    let place = Place::bare();
    assert_eq!(
        place.good(["catalog", "check", "catalog.toml"]),
        "`catalog.toml` is good (scopes: 2, presets: 1, plans: 2)\n"
    );
    let bad = "[scopes]\n'a:read' = { implies = ['a:raed'] }\n[presets]\np = ['b']\n";
    fs::write(place.path("bad.toml"), bad).unwrap();
    let done = place.run(["catalog", "check", "bad.toml"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.stdout.lines().count(), 2, "{}", done.stdout);
    assert!(done.stdout.contains("`a:raed`") && done.stdout.contains("`b`"));
    assert_eq!(
        done.stderr,
        "error: the catalog `bad.toml` cannot be used (problems: 2)\n"
    );
    let done = place.run(["catalog", "check", "bad.toml", "--json"]);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &told["good"]), (1, &json!(false)));
    assert_eq!(told["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_that_is_no_catalog_is_told() {
    let place = Place::bare();
    fs::write(place.path("nul.toml"), "[scopes]\n\0").unwrap();
    fs::write(place.path("latin.toml"), b"# \xff").unwrap();
    fs::write(place.path("syntax.toml"), "[scopes").unwrap();
    for (file, told) in [
        ("none.toml", "cannot read the catalog `none.toml`: "),
        ("latin.toml", "the catalog `latin.toml` is not UTF-8 text"),
        (
            "nul.toml",
            "the catalog `nul.toml` cannot be used: line 2, ",
        ),
        (
            "syntax.toml",
            "the catalog `syntax.toml` cannot be used: line 1, ",
        ),
        (".", "cannot read the catalog `.`: "),
    ] {
        let create = ["--catalog", file, "org", "create", "acme", "--plan", "free"];
        let said = place.refused(1, create);
        assert!(said.starts_with(told), "{said}");
        assert!(!said.contains('\n') && !said.contains('\0'));
    }
    assert!(!place.path("keys.db").exists());
}

#[tokio::test]
pub(crate) async fn the_catalog_that_the_app_recorded_is_shown() {
    let place = Place::new().await;
    let shown = place.json(["catalog", "show"]);
    assert_eq!(shown["catalog"]["plans"]["pro"]["credits_per_month"], 1000);
    assert_eq!(shown["permissions"], json!([{ "path": "/iocs" }]));
    let table = place.good(["catalog", "show"]);
    for told in [
        "keys of `live`: sk_live_...",
        "iocs:write  iocs:read",
        "read-only",
        "10/minute, 100/hour exact, 1000/day",
    ] {
        assert!(table.contains(told), "{table}");
    }
}

#[tokio::test]
async fn a_catalog_that_is_given_goes_before_the_recorded_one_and_is_not_recorded() {
    let place = Place::new().await;
    let newer = format!("{CATALOG}\n[plans.gold]\nrank = 2\n");
    fs::write(place.path("newer.toml"), newer).unwrap();
    let edit = ["org", "edit", "acme", "--plan", "gold"];
    let unknown = "plan: `gold` is not declared in the catalog";
    assert_eq!(place.refused(1, edit), unknown);
    let given = ["--catalog", "newer.toml"];
    let done = place.run(given.into_iter().chain(edit));
    assert_eq!(done.code, 0);
    assert_eq!(
        done.stderr,
        "note: `newer.toml` is not the catalog that the app recorded; this command goes by the \
         file\n"
    );
    assert_eq!(place.refused(1, edit), unknown);
    let same = [
        "--catalog",
        "catalog.toml",
        "org",
        "edit",
        "acme",
        "--plan",
        "pro",
    ];
    assert_eq!(place.run(same).stderr, "");
    let mut command = place.command();
    command.env("TOLLGATE_CATALOG", "newer.toml").args(edit);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[tokio::test]
async fn a_catalog_that_is_of_no_use_keeps_nobody_from_revoking_a_key() {
    let place = Place::new().await;
    let (id, _) = place.key(&[]);
    place.refused(
        1,
        [
            "--catalog",
            "none.toml",
            "key",
            "edit",
            &id,
            "--plan",
            "pro",
        ],
    );
    place.good(["--catalog", "none.toml", "key", "revoke", &id]);
}

#[tokio::test]
async fn without_any_catalog_the_remedy_is_told() {
    let place = Place::bare();
    place.store().await.close().await;
    for args in [
        &["org", "create", "acme", "--plan", "free"][..],
        &["catalog", "show"],
    ] {
        assert_eq!(
            place.refused(1, args),
            "no app has started on this database, so its catalog is not known; start the app \
             once, or write `--catalog FILE`"
        );
    }
    place.good(["org", "list"]);
}
