//! Users and sessions.

use std::io::Write as _;
use std::process::Stdio;

use crate::place::{Done, Place, text};

const PASSWORD: &str = "canary battery staple";

/// Runs a command with a line on its standard input.
fn with_input(place: &Place, args: &[&str], input: &str) -> Done {
    let mut command = place.command();
    let command = command.args(args).stdin(Stdio::piped());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Done::of(&child.wait_with_output().unwrap())
}

pub(crate) fn ann(place: &Place) {
    let args = ["user", "create", "Ann@acme.example", "--org", "acme"];
    let args = [&args[..], &["--role", "admin", "--json"]].concat();
    let done = with_input(place, &args, &format!("{PASSWORD}\n"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    let user: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(user["email"], "ann@acme.example");
    let role = serde_json::json!([{ "organization": "acme", "role": "admin" }]);
    assert_eq!(user["memberships"], role);
}

#[tokio::test]
pub(crate) async fn a_user_is_made_given_roles_and_removed() {
    let place = Place::new().await;
    place.good(["org", "create", "other", "--plan", "pro"]);
    ann(&place);
    let ann = "ann@acme.example";
    place.good(["user", "role", ann, "--org", "other", "--role", "viewer"]);
    let user = place.json(["user", "role", ann, "--everywhere", "--role", "owner"]);
    let roles = user["memberships"].as_array().unwrap();
    assert_eq!(roles.len(), 3);
    assert!(roles[0]["organization"].is_null());
    place.good(["user", "role", ann, "--org", "acme", "--role", ""]);
    let listed = place.json(["user", "list", "--org", "acme"]);
    assert_eq!(listed, serde_json::json!([]));
    assert_eq!(place.json(["user", "list"])[0]["email"], ann);
    let role = ["user", "role", ann, "--everywhere", "--role", ""];
    for taken in [
        &role[..],
        &["user", "disable", ann],
        &["user", "delete", ann],
    ] {
        assert_eq!(
            place.refused(1, taken),
            "`ann@acme.example` is the last operator; make somebody else an owner everywhere \
             first, or write `--force`"
        );
    }
    let disabled = place.json(["user", "disable", ann, "--force"]);
    assert_eq!(disabled["disabled"], true);
    assert_eq!(
        place.refused(1, ["session", "create", ann]),
        "user: `ann@acme.example` is disabled; enable them first"
    );
    place.good(["user", "enable", ann]);
    place.good(["user", "delete", ann, "--force"]);
    assert_eq!(
        place.refused(1, ["user", "show", ann]),
        "there is no user `ann@acme.example`"
    );
    place.good(["audit", "verify"]);
}

#[tokio::test]
async fn a_user_that_cannot_be_made_is_told_why() {
    let place = Place::new().await;
    ann(&place);
    let create = |email: &str, more: &[&str], input: &str| {
        let args = [&["user", "create", email, "--role", "viewer"], more].concat();
        let done = with_input(&place, &args, input);
        assert_eq!(done.stdout, "");
        (done.code, done.stderr)
    };
    let acme = &["--org", "acme"];
    for (email, more, input, code, told) in [
        (
            "ann@acme.example",
            &acme[..],
            "a good password\n",
            1,
            "user `ann@acme.example` exists",
        ),
        (
            "bob",
            acme,
            "a good password\n",
            2,
            "`bob` is not an address",
        ),
        (
            "bob@acme.example",
            acme,
            "",
            1,
            "there is no password on standard input",
        ),
        (
            "bob@acme.example",
            acme,
            "canary\n",
            1,
            "it has fewer than 8 characters",
        ),
        (
            "bob@acme.example",
            acme,
            "sunshine\n",
            1,
            "it is among those that are tried first",
        ),
        (
            "bob@acme.example",
            &["--org", "nobody"],
            "a good password\n",
            1,
            "no organization `nobody`",
        ),
        (
            "bob@acme.example",
            &[],
            "a good password\n",
            2,
            "--org <ORG>",
        ),
    ] {
        let (was, stderr) = create(email, more, input);
        assert_eq!(was, code, "{email}: {stderr}");
        assert!(stderr.contains(told), "{stderr}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
    let said = place.refused(
        2,
        [
            "user",
            "role",
            "ann@acme.example",
            "--org",
            "acme",
            "--role",
            "root",
        ],
    );
    assert!(
        said.contains("`root` is not viewer, admin or owner"),
        "{said}"
    );
}

#[tokio::test]
pub(crate) async fn a_session_is_a_cookie_that_is_printed_once() {
    let place = Place::new().await;
    ann(&place);
    let printed = place.good(["session", "create", "ann@acme.example"]);
    let (name, token) = printed.trim_end().split_once('=').unwrap();
    assert_eq!(name, "__Host-tollgate_session");
    assert_eq!(token.len(), 64);
    let other = place.json(["session", "create", "ann@acme.example", "--cookie", "sid"]);
    assert!(text(&other["cookie"]).starts_with("sid="));
    let listed = place.json(["session", "list", "ann@acme.example"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    place.good(["session", "end", &text(&listed[0]["id"])]);
    let listed = place.json(["session", "list", "ann@acme.example"]);
    assert_eq!(listed[0]["id"], other["id"]);
    let said = place.refused(
        2,
        ["session", "create", "ann@acme.example", "--cookie", "a b"],
    );
    assert!(said.contains("`a b` is not a name for a cookie"), "{said}");
    assert_eq!(
        place.refused(1, ["session", "create", "eve@acme.example"]),
        "there is no user `eve@acme.example`"
    );
    // A new password ends what began with the old one.
    let done = with_input(
        &place,
        &["user", "password", "ann@acme.example"],
        "another good one\n",
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(
        place.json(["session", "list", "ann@acme.example"]),
        serde_json::json!([])
    );
}

#[tokio::test]
async fn no_file_has_a_password_or_a_cookie() {
    let place = Place::new().await;
    // As an app that runs meanwhile: it keeps the log of the database from being cleared away.
    let app = place.store().await;
    ann(&place);
    let printed = place.good(["session", "create", "ann@acme.example"]);
    let (_, token) = printed.trim_end().split_once('=').unwrap();
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for file in place.path(".").read_dir().unwrap() {
        let path = file.unwrap().path();
        places.push((path.display().to_string(), std::fs::read(path).unwrap()));
    }
    for args in [
        &["audit", "export"][..],
        &["user", "list"],
        &["session", "list", "ann@acme.example"],
    ] {
        places.push((args.join(" "), place.good(args).into_bytes()));
    }
    let bytes: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&token[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    for secret in [PASSWORD.as_bytes(), token.as_bytes(), &bytes] {
        for (name, content) in &places {
            let found = content.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{name}");
        }
    }
    let seen = places.iter().any(|(name, content)| {
        let hash = b"$argon2id$";
        name.ends_with("keys.db-wal") && content.windows(hash.len()).any(|part| part == hash)
    });
    assert!(seen, "the log is looked at");
    drop(app);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_cookie_that_nobody_saw_opens_nothing() {
    let place = Place::new().await;
    ann(&place);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = place.command();
    command.args(["session", "create", "ann@acme.example"]);
    let done = Done::of(&command.stdout(full.unwrap()).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(
        done.stderr
            .contains("nobody saw the cookie, so its session was ended"),
        "{}",
        done.stderr
    );
    let left = place.json(["session", "list", "ann@acme.example"]);
    assert_eq!(left, serde_json::json!([]));
}
