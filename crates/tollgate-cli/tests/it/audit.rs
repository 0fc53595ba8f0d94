//! `tollgate audit`.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_core::audit::{AuditKey, AuditRecord, AuditVerifier};
use tollgate_core::catalog::Catalog;
use tollgate_core::change::Actor;
use tollgate_core::clock::SystemClock;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::{Keyring, NewOrganization};
use tollgate_core::secret::Digester;
use tollgate_sqlx::SqliteOptions;

use crate::place::{CATALOG, Place};

/// A trail of three records of `acme` and one of `beta`.
async fn place() -> Place {
    let place = Place::new().await;
    place.good(["org", "suspend", "acme", "--reason", "did not pay"]);
    place.good(["org", "activate", "acme"]);
    place.good(["org", "create", "beta", "--plan", "free"]);
    place
}

/// Writes over a text in the database's file, wherever it is, with another of its length.
fn tamper(place: &Place, text: &str, with: &str) {
    assert_eq!(text.len(), with.len());
    let path = place.path("keys.db");
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() - text.len() {
        if &bytes[at..at + text.len()] == text.as_bytes() {
            bytes[at..at + text.len()].copy_from_slice(with.as_bytes());
        }
    }
    fs::write(&path, bytes).unwrap();
}

#[tokio::test]
pub(crate) async fn records_are_listed_the_newest_first_of_one_chain_or_all() {
    let place = place().await;
    let actions = |args: &[&str]| {
        let listed = place.json(["audit", "list"].into_iter().chain(args.iter().copied()));
        let listed = listed.as_array().unwrap().iter();
        listed.map(|it| it["action"].clone()).collect::<Vec<_>>()
    };
    let (create, suspend) = ("organization.create", "organization.suspend");
    let activate = "organization.activate";
    assert_eq!(actions(&[]), [create, activate, suspend, create]);
    assert_eq!(actions(&["--org", "acme"]), [activate, suspend, create]);
    assert_eq!(actions(&["--org", "acme", "--limit", "1"]), [activate]);
    assert_eq!(actions(&["--limit", "1"]), [create]);
    let said = place.refused(1, ["audit", "list", "--org", "nobody"]);
    assert_eq!(said, "there is no organization `nobody`");
}

#[tokio::test]
pub(crate) async fn what_is_exported_can_be_verified_elsewhere() {
    let place = place().await;
    let exported = place.good(["audit", "export"]);
    let records: Vec<AuditRecord> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 4);
    let key = AuditKey::default();
    let acme = records[0].organization.clone();
    let mut verifier = AuditVerifier::new(&key, acme, None);
    for record in &records[..3] {
        verifier.follow(record).unwrap();
    }
    let head = verifier.finish().unwrap();
    let heads = place.good(["audit", "heads"]);
    assert_eq!(heads.lines().next().unwrap(), head.to_string());
    let one = place.good(["audit", "export", "--org", "beta"]);
    assert_eq!(one.lines().count(), 1);
}

#[tokio::test]
pub(crate) async fn a_whole_trail_is_whole_also_past_heads_that_were_kept() {
    let place = place().await;
    let whole = place.good(["audit", "verify"]);
    assert_eq!(whole, "whole (chains: 2, records: 4)\n");
    let first = place.good(["audit", "heads"]);
    place.good(["org", "suspend", "acme"]);
    let second = place.good(["audit", "heads"]);
    fs::write(place.path("heads"), format!("# kept\n\n{first}{second}")).unwrap();
    let told = place.json(["audit", "verify", "--head", "heads"]);
    assert_eq!(
        told,
        json!({ "whole": true, "chains": 2, "records": 5, "faults": [] })
    );
}

/// A row whose organization can be none keeps nobody from following the others, or from acting.
#[tokio::test]
async fn a_chain_of_a_name_that_is_none_hides_no_other() {
    let place = place().await;
    tamper(&place, "did not pay", "asked us to");
    let path = place.path("keys.db");
    let mut bytes = fs::read(&path).unwrap();
    let at = (0..bytes.len() - 40).find(|at| {
        // The beginning of a record of the trail: the organization, a time, the action.
        let rest = &bytes[at + 4..at + 36];
        bytes[*at..].starts_with(b"beta") && rest.windows(19).any(|it| it == b"organization.create")
    });
    bytes[at.unwrap() + 1] = b' ';
    fs::write(&path, bytes).unwrap();
    let done = place.run(["audit", "verify"]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(
        done.stdout.contains("-: the list of chains cannot be read"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .contains("acme: record 2 is not what was written there"),
        "{}",
        done.stdout
    );
    place.good(["org", "suspend", "acme"]);
}

#[tokio::test]
async fn a_changed_record_is_found() {
    let place = place().await;
    tamper(&place, "did not pay", "asked us to");
    let done = place.run(["audit", "verify"]);
    assert_eq!(done.code, 3);
    assert_eq!(
        done.stdout,
        "acme: record 2 is not what was written there\n"
    );
    assert_eq!(
        done.stderr,
        "error: the audit trail is not whole (broken chains: 1 of 2)\n"
    );
    let done = place.run(["audit", "verify", "--json"]);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &told["whole"]), (3, &json!(false)));
    assert_eq!(told["faults"][0]["organization"], "acme");
    assert_eq!(told["faults"][0]["good"], 1);
}

#[tokio::test]
async fn a_database_of_yesterday_is_found_by_todays_head() {
    let place = place().await;
    let yesterday = fs::read(place.path("keys.db")).unwrap();
    place.good(["org", "suspend", "acme"]);
    place.good(["org", "create", "gone", "--plan", "free"]);
    fs::write(place.path("heads"), place.good(["audit", "heads"])).unwrap();
    fs::write(place.path("keys.db"), yesterday).unwrap();
    place.good(["audit", "verify"]);
    let done = place.run(["audit", "verify", "--head", "heads"]);
    assert_eq!(done.code, 3);
    assert_eq!(
        done.stdout,
        "acme: the trail ends at record 3, but had 4 when its head was kept\n\
         gone: the trail ends at record 0, but had 1 when its head was kept\n"
    );
}

#[tokio::test]
async fn a_trail_that_was_written_anew_is_found_by_any_head_that_was_kept() {
    let place = place().await;
    let heads = place.good(["audit", "heads"]);
    place.good(["org", "suspend", "acme"]);
    let (acme, _) = heads.split_once('\n').unwrap();
    let (start, last) = acme.split_at(acme.len() - 1);
    let forged = format!("{start}{}", if last == "0" { '1' } else { '0' });
    let now = place.good(["audit", "heads"]);
    fs::write(place.path("heads"), format!("{forged}\n{now}")).unwrap();
    let done = place.run(["audit", "verify", "--head", "heads"]);
    assert_eq!(done.code, 3);
    assert!(
        done.stdout.starts_with("acme: record 3 is another than"),
        "{}",
        done.stdout
    );
}

/// A line a day and chain for years is a long file, and each line of it counts.
#[tokio::test]
async fn heads_of_many_chains_are_kept_for_years() {
    const CHAINS: usize = 1100;
    let place = place().await;
    let options = SqliteOptions::new(place.path("keys.db").to_str().unwrap());
    let store = options.synchronous_normal().open().await.unwrap();
    let keyring = Keyring::new(
        Arc::new(store.clone()),
        Catalog::from_toml(CATALOG).unwrap(),
        Digester::sha256(),
        Arc::new(SystemClock::default()),
    );
    for n in 2..CHAINS {
        let new = NewOrganization::new(OrgId::new(&format!("org-{n}")).unwrap(), "free");
        keyring
            .create_organization(new, &Actor::system())
            .await
            .unwrap();
    }
    store.close().await;
    let heads = place.good(["audit", "heads"]);
    assert_eq!(heads.lines().count(), CHAINS);
    let years = heads.repeat(5 * 1024 * 1024 / heads.len() + 1);
    fs::write(place.path("heads"), &years).unwrap();
    let told = place.json(["audit", "verify", "--head", "heads"]);
    assert_eq!(
        (&told["whole"], &told["chains"]),
        (&json!(true), &json!(CHAINS))
    );
    let forged = format!("beta 1 {}\n", "0".repeat(64));
    let gone = format!("gone 7 {}\n", "0".repeat(64));
    for kept in [
        format!("{years}{forged}{gone}"),
        format!("{gone}{forged}{years}"),
    ] {
        fs::write(place.path("heads"), kept).unwrap();
        let done = place.run(["audit", "verify", "--head", "heads"]);
        assert_eq!(done.code, 3, "{}", done.stderr);
        let lines: Vec<_> = done.stdout.lines().collect();
        assert!(
            lines[0].starts_with("beta: record 1 is another than"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("gone: the trail ends at record 0"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2);
    }
}

#[tokio::test]
async fn a_head_that_is_none_is_told_with_its_line() {
    let place = place().await;
    fs::write(place.path("heads"), "\nacme 3 beef\n").unwrap();
    let said = place.refused(1, ["audit", "verify", "--head", "heads"]);
    assert_eq!(
        said,
        "`heads`, line 2: audit head: `acme 3 beef` is not `<organization> <seq> <64 hex digits>`"
    );
    let said = place.refused(1, ["audit", "verify", "--head", "none"]);
    assert!(
        said.starts_with("cannot read the file of heads `none`: "),
        "{said}"
    );
}

#[test]
pub(crate) fn a_change_with_another_key_is_refused_before_it_breaks_the_trail() {
    let place = Place::bare();
    place.keep("app.key", "the app's");
    place.keep("other.key", "the app's\n");
    let with = |key: &'static str, args: &[&'static str]| {
        let mut all = vec!["--catalog", "catalog.toml", "--audit-key-file", key];
        all.extend(args);
        all
    };
    place.good(with(
        "app.key",
        &["org", "create", "acme", "--plan", "free"],
    ));
    place.good(with("app.key", &["audit", "verify"]));
    let said = place.refused(1, with("other.key", &["org", "suspend", "acme"]));
    assert!(
        said.starts_with("the audit trail of `acme` was sealed with another key"),
        "{said}"
    );
    let said = place.refused(1, ["org", "suspend", "acme"]);
    assert!(
        said.ends_with("give the app's with `--audit-key-file`"),
        "{said}"
    );
    let done = place.run(["audit", "verify"]);
    assert_eq!(done.code, 3);
    assert!(
        done.stderr.contains("give that with `--audit-key-file`"),
        "{}",
        done.stderr
    );
    place.good(with("app.key", &["audit", "verify"]));
    place.good(["org", "list"]);
}
