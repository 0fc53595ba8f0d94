//! What no command can do anything with.

use std::ffi::OsStr;
use std::fs;

use crate::place::{Done, Place};

#[test]
fn a_database_that_does_not_exist_is_not_made() {
    let place = Place::bare();
    let none = "there is no database `keys.db`; the app makes it at its first start, and so does \
                `tollgate org create` with `--catalog FILE`";
    for args in [
        &["org", "list"][..],
        &["org", "create", "acme", "--plan", "free"],
        &["--catalog", "catalog.toml", "org", "suspend", "acme"],
        &["key", "list"],
        &["audit", "verify"],
        &["catalog", "show"],
    ] {
        assert_eq!(place.refused(1, args), none);
        assert!(!place.path("keys.db").exists());
    }
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let place = Place::bare();
    for text in ["", "not a database"] {
        fs::write(place.path("keys.db"), text).unwrap();
        let said = place.refused(1, ["org", "list"]);
        assert!(said.starts_with("`keys.db` is not a"), "{said}");
    }
    assert_eq!(fs::read(place.path("keys.db")).unwrap(), b"not a database");
}

#[test]
fn a_location_that_is_no_database_is_told() {
    let place = Place::bare();
    for (location, told) in [
        (
            "mysql://root:hunter2@db/keys",
            "`mysql://` is no database of Tollgate; write `sqlite://` and a path, or \
             `postgres://user:password@host/name`",
        ),
        ("sqlite://", "the path of the database is empty"),
        ("", "the path of the database is empty"),
        (
            "sqlite://keys.db?mode=ro",
            "options after `?` are not supported in `sqlite://keys.db?mode=ro`",
        ),
        (".", "`.` is a directory, not a database file"),
        (
            "sqlite::memory:",
            "the database in memory is not a database of Tollgate: it has none of its tables",
        ),
    ] {
        assert_eq!(
            place.refused(1, ["--database", location, "org", "list"]),
            told
        );
    }
    let missing = ["--catalog", "catalog.toml", "--database", "no/keys.db"];
    let create = ["org", "create", "acme", "--plan", "free"];
    assert_eq!(
        place.refused(1, missing.into_iter().chain(create)),
        "there is no directory `no` for the database file `no/keys.db`"
    );
    let mut command = place.command();
    command
        .env_remove("TOLLGATE_DATABASE")
        .args(["org", "list"]);
    let done = Done::of(&command.output().unwrap());
    assert_eq!(done.code, 2);
    assert_eq!(
        done.stderr,
        "error: no database is named; write `--database sqlite://keys.db`, or set \
         TOLLGATE_DATABASE\n"
    );
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_in_plain_characters() {
    let place = Place::bare();
    for (args, told) in [
        (&["org", "creat"][..], "unrecognized subcommand 'creat'"),
        (&["org", "create", "acme"], "--plan <PLAN>"),
        (
            &["org", "create", "a\u{1b}[31mb", "--plan", "p"],
            r"`a\u{1b}[31mb` is not 1 to 64",
        ),
        (
            &["org", "create", "a\nb", "--plan", "p"],
            r"`a\nb` is not 1 to 64",
        ),
        (&["key", "show", "a\u{8}b"], r"is not a UUID"),
        (
            &["--secret", "x", "org", "list"],
            "unexpected argument '--secret'",
        ),
    ] {
        let said = place.refused(2, args);
        assert!(said.contains(told), "{said}");
        // As a terminal would be told.
        let mut command = place.command();
        let output = command.env("CLICOLOR_FORCE", "1").args(args).output();
        let said = Done::of(&output.unwrap()).stderr;
        let raw = |c: char| c.is_control() && c != '\n';
        assert!(!said.chars().any(raw), "{said:?}");
    }
    assert_eq!(place.run::<&str>([]).code, 2);
    assert_eq!(place.run(["org"]).code, 2);
}

#[cfg(unix)]
#[test]
fn what_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;

    let place = Place::bare();
    let odd = OsStr::from_bytes(b"acme\xff");
    for args in [
        &[OsStr::new("org"), OsStr::new("suspend"), odd][..],
        &[
            OsStr::new("--database"),
            odd,
            OsStr::new("org"),
            OsStr::new("list"),
        ],
    ] {
        place.refused(2, args);
    }
    let mut command = place.command();
    command.env("TOLLGATE_DATABASE", odd).args(["org", "list"]);
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

#[tokio::test]
async fn a_file_with_a_secret_has_to_have_one() {
    let place = Place::new().await;
    place.keep("empty", "");
    for (flag, what) in [
        ("--audit-key-file", "audit key"),
        ("--pepper-file", "pepper"),
    ] {
        let said = place.refused(1, [flag, "empty", "org", "list"]);
        assert_eq!(said, format!("the {what} file `empty` is empty"));
        let said = place.refused(1, [flag, "none", "org", "list"]);
        assert!(
            said.starts_with(&format!("cannot read the {what} file `none`: ")),
            "{said}"
        );
    }
    if cfg!(unix) {
        let said = place.refused(1, ["--pepper-file", "/dev/zero", "org", "list"]);
        assert_eq!(said, "the pepper file `/dev/zero` is longer than 64 MiB");
    }
}
