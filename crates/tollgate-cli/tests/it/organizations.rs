//! `tollgate org`.

use serde_json::{Value, json};

use crate::place::Place;

fn listed(place: &Place) -> Vec<Value> {
    let Value::Array(all) = place.json(["org", "list"]) else {
        return vec![];
    };
    let fields = |it: &Value| json!([it["id"], it["plan"], it["status"]]);
    all.iter().map(fields).collect()
}

#[test]
fn the_first_organization_on_a_machine_makes_the_database() {
    let place = Place::bare();
    let catalog = ["--catalog", "catalog.toml"];
    let create = ["org", "create", "acme", "--plan", "free"];
    place.good(create.into_iter().chain(catalog));
    assert_eq!(listed(&place), [json!(["acme", "free", "active"])]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = place.path("keys.db").metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }
}

#[test]
fn an_organization_that_is_refused_leaves_no_database_behind() {
    let place = Place::bare();
    let create = |plan: &'static str| ["org", "create", "acme", "--plan", plan];
    let with = |catalog: &'static str, plan| [&["--catalog", catalog][..], &create(plan)].concat();
    std::fs::write(place.path("empty.toml"), "").unwrap();
    for (args, told) in [
        (with("catalog.toml", "fre"), "did you mean `free`?"),
        (with("empty.toml", "free"), "is not declared in the catalog"),
        (with("none.toml", "free"), "cannot read the catalog"),
        (create("free").to_vec(), "there is no database `keys.db`"),
    ] {
        let said = place.refused(1, &args);
        assert!(said.contains(told), "{said}");
        assert!(!place.path("keys.db").exists(), "{args:?}");
    }
    place.good(with("catalog.toml", "free"));
}

#[tokio::test]
pub(crate) async fn an_organization_is_made_edited_and_listed() {
    let place = Place::new().await;
    place.good(["org", "create", "beta", "--plan", "pro", "--reason", "sold"]);
    place.good(["org", "edit", "acme", "--plan", "pro"]);
    assert_eq!(
        listed(&place),
        [
            json!(["acme", "pro", "active"]),
            json!(["beta", "pro", "active"])
        ]
    );
    let table = place.good(["org", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID    PLAN  STATUS  CREATED"));
    assert!(lines[1].starts_with("acme  pro   active  20"), "{table}");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
pub(crate) async fn an_organization_goes_from_status_to_status() {
    let place = Place::new().await;
    for (command, status) in [
        ("suspend", "suspended"),
        ("activate", "active"),
        ("billing-restrict", "billing_restricted"),
        ("activate", "active"),
    ] {
        let changed = place.json(["org", command, "acme"]);
        assert_eq!(changed["status"], status);
        assert_eq!(listed(&place), [json!(["acme", "free", status])]);
    }
}

#[tokio::test]
pub(crate) async fn resources_are_added_listed_by_kind_and_removed() {
    let place = Place::new().await;
    for (kind, value) in [
        ("domain", "acme.example"),
        ("domain", "b.example"),
        ("sender", "x@acme.example"),
        ("domain", "b.example"),
    ] {
        place.good(["org", "resource", "add", "acme", kind, value]);
    }
    place.good(["org", "resource", "remove", "acme", "domain", "b.example"]);
    place.good(["org", "resource", "remove", "acme", "domain", "never"]);
    let domain = json!({ "kind": "domain", "value": "acme.example" });
    let sender = json!({ "kind": "sender", "value": "x@acme.example" });
    let list = ["org", "resource", "list", "acme"];
    assert_eq!(place.json(list), json!([domain, sender]));
    assert_eq!(
        place.json(list.into_iter().chain(["sender"])),
        json!([sender])
    );
    assert_eq!(place.json(list.into_iter().chain(["none"])), json!([]));
}

#[tokio::test]
async fn what_organizations_cannot_be_is_told() {
    let place = Place::new().await;
    let long = "x".repeat(65);
    for (code, args, told) in [
        (
            1,
            &["org", "create", "acme", "--plan", "free"][..],
            "organization `acme` exists already",
        ),
        (
            1,
            &["org", "create", "beta", "--plan", "fre"],
            "plan: `fre` is not declared in the catalog; did you mean `free`?",
        ),
        (
            1,
            &["org", "edit", "acme", "--plan", "platinum"],
            "plan: `platinum` is not declared in the catalog",
        ),
        (
            1,
            &["org", "edit", "beta", "--plan", "free"],
            "there is no organization `beta`",
        ),
        (
            1,
            &["org", "suspend", "beta"],
            "there is no organization `beta`",
        ),
        (
            1,
            &["org", "resource", "list", "beta"],
            "there is no organization `beta`",
        ),
        (
            1,
            &["org", "resource", "add", "acme", "domain", " acme.example"],
            "resource: ` acme.example` is not 1 to 1024 bytes without control characters and \
             without blanks around them",
        ),
        (
            1,
            &["org", "resource", "add", "acme", "", "acme.example"],
            "resource kind: `` is not 1 to 64 bytes without control characters and without \
             blanks around them",
        ),
        (
            2,
            &["org", "create", "not good", "--plan", "free"],
            "invalid value 'not good' for '<ID>': organization id: `not good` is not 1 to 64 of \
             A-Z a-z 0-9 . _ -",
        ),
        (
            2,
            &["org", "create", &long, "--plan", "free"],
            &format!(
                "invalid value '{long}' for '<ID>': organization id: `{long}` is not 1 to 64 of \
                 A-Z a-z 0-9 . _ -"
            ),
        ),
    ] {
        assert_eq!(place.refused(code, args), told);
    }
}
