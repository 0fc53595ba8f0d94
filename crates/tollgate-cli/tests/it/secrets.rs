//! A secret is printed once, and is nowhere else.

use std::fs;

use tollgate_core::secret::Digester;
use tollgate_core::store::KeyStore as _;

use crate::place::{Place, text};

#[tokio::test]
async fn no_file_and_no_later_command_has_a_secret() {
    let place = Place::new().await;
    // As an app that runs meanwhile: it keeps the log of the database from being cleared away.
    let app = place.store().await;
    let (id, first) = place.key(&["--scope", "iocs:read"]);
    let rotated = place.json(["key", "rotate", &id, "--grace", "1h"]);
    let second = text(&rotated["key"]);
    place.good(["key", "edit", &id, "--name", "neu"]);
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for file in place.path(".").read_dir().unwrap() {
        let path = file.unwrap().path();
        places.push((path.display().to_string(), fs::read(path).unwrap()));
    }
    assert!(places.iter().any(|(name, _)| name.ends_with("keys.db-wal")));
    for args in [
        &["key", "show", &id][..],
        &["key", "list"],
        &["audit", "list"],
        &["audit", "export"],
        &["usage", "show", &id],
    ] {
        places.push((args.join(" "), place.good(args).into_bytes()));
        let json = [args, &["--json"]].concat();
        places.push((json.join(" "), place.good(&json).into_bytes()));
    }
    for secret in [&first, &second] {
        // Without its beginning, which is shown, and its checksum, any part tells.
        let part = &secret.as_bytes()[14..38];
        for (name, bytes) in &places {
            let found = bytes.windows(part.len()).any(|window| window == part);
            assert!(!found, "{name}");
        }
    }
    drop(app);
}

#[tokio::test]
async fn a_secret_is_printed_on_standard_output_alone() {
    let place = Place::new().await;
    let done = place.run(["key", "create", "--org", "acme", "--name", "ci"]);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    let id = lines[0].strip_prefix("id   ").unwrap();
    let secret = lines[1].strip_prefix("key  ").unwrap();
    assert!(secret.starts_with("sk_live_"));
    assert_eq!(
        done.stderr,
        "note: the secret is shown this once, and kept nowhere\n"
    );
    let rotated = place.good(["key", "rotate", id, "--grace", "0s"]);
    assert!(!rotated.contains(secret) && rotated.contains("\nkey  sk_live_"));
}

#[tokio::test]
async fn a_pepper_goes_into_every_digest() {
    let place = Place::new().await;
    place.keep("pepper", "salt\n");
    let store = place.store().await;
    let (_, secret) = place.key(&["--pepper-file", "pepper"]);
    let found = async |digester: Digester| {
        let digest = digester.digest(&secret);
        store.find(&digest).await.unwrap().is_some()
    };
    assert!(found(Digester::with_pepper(b"salt\n")).await);
    assert!(!found(Digester::sha256()).await);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_with_a_secret_is_not_for_everybody_to_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new().await;
    place.keep("pepper", "salt");
    let list = ["--pepper-file", "pepper", "org", "list"];
    for (mode, good) in [(0o600, true), (0o640, true), (0o604, false), (0o444, false)] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(place.path("pepper"), permissions).unwrap();
        if good {
            place.good(list);
        } else {
            let said = place.refused(1, list);
            assert!(
                said.starts_with("everybody may read the pepper file `pepper`; "),
                "{said}"
            );
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_that_nobody_reads_is_a_failure_with_its_remedy() {
    let place = Place::new().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command();
    command.args(["key", "create", "--org", "acme", "--name", "ci"]);
    let output = command
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let id = text(&place.json(["key", "list"])[0]["id"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: nobody saw the secret of key `{id}`, and it cannot be shown again; give the \
             key another with `tollgate key rotate {id} --grace 0s`: nobody reads standard output\n"
        )
    );
}
