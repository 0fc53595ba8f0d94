//! `tollgate move`.

use std::fmt::Write as _;

use crate::people::ann;
use crate::place::{Done, Place, text};
use crate::running::{App, eventually};

/// What tells all that there is.
const TOLD: [&[&str]; 11] = [
    &["org", "list"],
    &["org", "resource", "list", "acme"],
    &["key", "list"],
    &["credits", "balance", "acme"],
    &["credits", "entries", "acme"],
    &[
        "usage",
        "list",
        "--org",
        "acme",
        "--per",
        "day",
        "--by",
        "key,route",
    ],
    &["audit", "export"],
    &["audit", "heads"],
    &["user", "list"],
    &["session", "list", "ann@acme.example"],
    &["catalog", "show"],
];

fn told(place: &Place) -> Vec<String> {
    let told = TOLD.iter().map(|args| place.good(*args));
    told.collect()
}

/// Three thousand keys, one that was used and charged, somebody who is signed in.
async fn filled() -> (Place, String) {
    let place = Place::bare();
    let app = App::start(&place).await;
    place.good(["org", "create", "acme", "--plan", "free"]);
    place.good(["org", "resource", "add", "acme", "domain", "acme.example"]);
    place.good(["credits", "grant", "acme", "10", "--reference", "payment-1"]);
    let mut file = String::from("name,digest,scopes\n");
    for n in 0..3_000 {
        writeln!(file, "key {n},{n:064x},iocs:read").unwrap();
    }
    std::fs::write(place.path("keys.csv"), file).unwrap();
    place.good(["key", "import", "keys.csv", "--org", "acme"]);
    let (id, secret) = place.key(&["--scope", "iocs:write"]);
    let (gone, _) = place.key(&[]);
    place.good(["key", "delete", &gone]);
    app.answers(&secret, 200).await;
    assert_eq!(app.charge(&secret).await, 200);
    app.stop().await;
    ann(&place);
    place.good(["session", "create", "ann@acme.example"]);
    place.good(["key", "rotate", &id, "--grace", "1h"]);
    (place, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_moved_and_an_app_goes_on_with_it() {
    let (old, secret) = filled().await;
    let new = Place::on_a_server();
    let before = told(&old);
    let counted = old.json(["move", "--to", new.url(), "--dry-run"]);
    assert_eq!(counted["tables"]["tollgate_keys"], 3_001);
    assert_eq!(counted["dry_run"], true);
    let none = new.refused(1, ["org", "list"]);
    assert!(none.contains("it has none of its tables"), "{none}");

    let moved = old.json(["move", "--to", new.url()]);
    assert_eq!(moved["tables"], counted["tables"]);
    assert_eq!(moved["rows"], counted["rows"]);
    for (place, what) in [(&new, "it is moved"), (&old, "it stays as it was")] {
        for ((now, before), args) in told(place).iter().zip(&before).zip(TOLD) {
            assert!(now == before, "{what}: {args:?}");
        }
    }
    let heads = old.good(["audit", "heads"]);
    std::fs::write(new.path("heads"), heads).unwrap();
    let whole = new.json(["audit", "verify", "--head", "heads"]);
    assert_eq!(whole["whole"], true);

    let app = App::start(&new).await;
    app.answers(&secret, 200).await;
    assert_eq!(app.charge(&secret).await, 200);
    let entry = &new.json(["credits", "entries", "acme"])[0];
    let last = &old.json(["credits", "entries", "acme"])[0];
    assert_eq!(entry["balance"], 4);
    assert_eq!(
        entry["seq"].as_u64().unwrap(),
        last["seq"].as_u64().unwrap() + 1
    );
    app.gate.shutdown().await;
    let used = &new.json(["key", "list", "--search", "ci"])[0];
    new.good(["key", "revoke", &text(&used["id"])]);
    new.good(["audit", "verify", "--head", "heads"]);
}

#[tokio::test]
async fn what_cannot_be_moved_is_told() {
    let (old, new) = (Place::new().await, Place::on_a_server());
    old.good(["move", "--to", new.url()]);
    for more in [&[][..], &["--dry-run"]] {
        let args = [&["move", "--to", new.url()][..], more].concat();
        assert_eq!(
            old.refused(1, args),
            "the target is in use: `tollgate_organizations` has rows; name a database in which no \
             app has started"
        );
    }
    let said = new.refused(2, ["move", "--to", new.url()]);
    assert!(
        said.starts_with("only a database on SQLite can be moved"),
        "{said}"
    );
    let said = old.refused(2, ["move", "--to", "sqlite://new.db"]);
    assert!(
        said.starts_with("a database is moved to PostgreSQL"),
        "{said}"
    );
    let secret = "postgres://u:hunter2@127.0.0.1:1/d";
    let mut command = old.command();
    command.env("TOLLGATE_MOVE_TO", secret).arg("move");
    let done = Done::of(&command.output().unwrap());
    assert!(
        done.code == 1 && !done.stderr.contains("hunter2"),
        "{}",
        done.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_an_app_has_open_is_not_moved() {
    let (old, new) = (Place::bare(), Place::on_a_server());
    let app = App::start(&old).await;
    let said = old.refused(1, ["move", "--to", new.url()]);
    assert!(
        said.ends_with("is open in another process; stop the app first"),
        "{said}"
    );
    old.good(["move", "--to", new.url(), "--dry-run"]);
    app.stop().await;
    old.good(["move", "--to", new.url()]);
}

/// Killed in the middle of its copy, which a trigger makes wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_move_leaves_the_target_without_a_row() {
    let server = tollgate_servers::Postgres::shared();
    let (old, new) = (Place::new().await, Place::on_a_server());
    new.store().await.close().await;
    let wait = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                PERFORM pg_sleep(60); RETURN NEW; END $$; \
                CREATE TRIGGER wait BEFORE INSERT ON tollgate_audit FOR EACH ROW \
                EXECUTE FUNCTION wait()";
    server.query(new.url(), wait).unwrap();
    let mut command = old.command();
    let mut child = command.args(["move", "--to", new.url()]).spawn().unwrap();
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                   AND datname = current_database()";
    let at_work = async || server.query(new.url(), at_work).unwrap().trim() == "1";
    eventually("it copies", at_work).await;
    child.kill().unwrap();
    child.wait().unwrap();
    server
        .query(new.url(), "DROP TRIGGER wait ON tollgate_audit")
        .unwrap();
    let moved = old.json(["move", "--to", new.url()]);
    assert_eq!(moved["tables"]["tollgate_audit"], 1);
}
