//! `tollgate key`.

use serde_json::{Value, json};
use tollgate_core::change::{ChangeFeed as _, ChangeKind};
use tollgate_core::record::KeyFault;
use tollgate_core::secret::Digester;
use tollgate_core::store::KeyStore as _;

use crate::place::{CATALOG, Place, text};

fn show(place: &Place, id: &str) -> Value {
    place.json(["key", "show", id])
}

#[tokio::test]
pub(crate) async fn a_key_is_made_as_it_was_asked_for() {
    let place = Place::new().await;
    let (id, key) = place.key(&[
        "--scope",
        "iocs:read,iocs:write",
        "--scope",
        "iocs:read",
        "--plan",
        "pro",
        "--allow-ip",
        "10.0.0.0/8, 192.0.2.1",
        "--expires-in",
        "90d",
        "--reason",
        "ticket 7",
    ]);
    assert!(key.starts_with("sk_live_") && key.len() == 44);
    let shown = show(&place, &id);
    assert_eq!(shown["scopes"], json!(["iocs:read", "iocs:write"]));
    assert_eq!(shown["plan"], "pro");
    assert_eq!(
        shown["ip_rules"],
        json!({ "allow": ["10.0.0.0/8", "192.0.2.1"], "deny": [] })
    );
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["total_requests"], 0);
    let store = place.store().await;
    let digest = Digester::sha256().digest(&key);
    let found = store.find(&digest).await.unwrap().unwrap().key;
    let life = found.expires_at.unwrap().since(found.created_at);
    assert_eq!(
        life.as_secs() / 60,
        90 * 24 * 60 - 1,
        "90 days, rounded down"
    );
    assert!(found.creator.starts_with("cli:"), "{}", found.creator);
    let audit = place.json(["audit", "list", "--org", "acme", "--limit", "1"]);
    assert_eq!(audit[0]["reason"], "ticket 7");
    assert_eq!(audit[0]["actor"], found.creator);
}

#[tokio::test]
async fn a_key_may_have_no_scope_or_a_preset_or_another_environment() {
    let place = Place::new().await;
    let (none, _) = place.key(&[]);
    assert_eq!(show(&place, &none)["scopes"], json!([]));
    let (empty, _) = place.key(&["--scope", ""]);
    assert_eq!(show(&place, &empty)["scopes"], json!([]));
    let (preset, _) = place.key(&["--preset", "read-only"]);
    assert_eq!(show(&place, &preset)["preset"], "read-only");
    let (_, test) = place.key(&["--environment", "test"]);
    assert!(test.starts_with("sk_test_"));
}

#[tokio::test]
pub(crate) async fn keys_are_listed_of_one_organization_or_all() {
    let place = Place::new().await;
    place.good(["org", "create", "beta", "--plan", "free"]);
    let (first, _) = place.key(&[]);
    let (second, _) = place.key(&[]);
    let other = place.json(["key", "create", "--org", "beta", "--name", "x"]);
    let ids = |args: &[&str]| {
        let listed = place.json(["key", "list"].into_iter().chain(args.iter().copied()));
        let listed = listed.as_array().unwrap().iter();
        listed.map(|key| text(&key["id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--org", "acme"]), [second.clone(), first.clone()]);
    assert_eq!(ids(&["--org", "beta"]), [text(&other["id"])]);
    assert_eq!(ids(&[]), [text(&other["id"]), second, first]);
}

#[tokio::test]
async fn an_edit_replaces_what_it_names_and_the_empty_text_clears() {
    let place = Place::new().await;
    let (id, _) = place.key(&[
        "--scope",
        "iocs:read",
        "--plan",
        "pro",
        "--allow-ip",
        "10.0.0.0/8",
        "--deny-ip",
        "10.0.0.1",
        "--expires-in",
        "1h",
    ]);
    let before = show(&place, &id);
    let edit = |args: &[&str]| {
        place.good(["key", "edit", &id].into_iter().chain(args.iter().copied()));
        show(&place, &id)
    };
    let renamed = edit(&["--name", "neu"]);
    assert_eq!(renamed["name"], "neu");
    for kept in ["scopes", "plan", "ip_rules", "expires_at"] {
        assert_eq!(renamed[kept], before[kept], "{kept}");
    }
    let scopes = edit(&["--scope", "iocs:write", "--scope", "iocs:read"])["scopes"].clone();
    assert_eq!(scopes, json!(["iocs:read", "iocs:write"]));
    assert_eq!(edit(&["--preset", "read-only"])["preset"], "read-only");
    let cleared = edit(&[
        "--scope",
        "",
        "--plan",
        "",
        "--allow-ip",
        "",
        "--expires-in",
        "",
    ]);
    assert_eq!(cleared["scopes"], json!([]));
    assert_eq!(cleared["preset"], Value::Null);
    assert_eq!(cleared["plan"], Value::Null);
    let kept = json!({ "allow": [], "deny": ["10.0.0.1"] });
    assert_eq!(cleared["ip_rules"], kept, "which was not named");
    assert_eq!(cleared["expires_at"], Value::Null);
    assert_eq!(edit(&["--preset", "read-only"])["preset"], "read-only");
    assert_eq!(edit(&["--preset", ""])["preset"], Value::Null);
    assert_ne!(edit(&["--expires-in", "2w"])["expires_at"], Value::Null);
}

#[tokio::test]
pub(crate) async fn a_rotation_prints_a_new_secret_and_keeps_the_old_one_for_its_grace() {
    let place = Place::new().await;
    let store = place.store().await;
    let (id, old) = place.key(&[]);
    let rotated = place.json(["key", "rotate", &id, "--grace", "1h"]);
    assert_eq!(rotated["id"], id);
    let found = async |secret: &str| {
        let digest = Digester::sha256().digest(secret);
        store.find(&digest).await.unwrap().unwrap()
    };
    let (first, second) = (found(&old).await, found(&text(&rotated["key"])).await);
    let rotated_at = second.key.rotated_at.unwrap();
    let grace = first.secret_valid_until.unwrap().since(rotated_at);
    assert_eq!(grace.as_secs(), 3600);
    assert_eq!(second.secret_valid_until, None);
    let last = place.json(["key", "rotate", &id, "--grace", "0s"]);
    let (second, last) = (
        found(&text(&rotated["key"])).await,
        found(&text(&last["key"])).await,
    );
    let now = last.key.rotated_at.unwrap();
    assert_eq!(second.fault(now), Some(KeyFault::Superseded));
    assert_eq!(last.fault(now), None);
}

#[tokio::test]
pub(crate) async fn keys_are_switched_off_and_on_revoked_and_deleted() {
    let place = Place::new().await;
    let (id, _) = place.key(&[]);
    let status = |command: &str| place.json(["key", command, &id])["status"].clone();
    assert_eq!(status("disable"), "disabled");
    assert_eq!(status("enable"), "active");
    assert_eq!(status("revoke"), "revoked");
    assert_eq!(status("revoke"), "revoked", "again");
    assert_eq!(
        place.json(["key", "list", "--org", "acme"])[0]["status"],
        "revoked"
    );
    assert_eq!(
        place.refused(1, ["key", "enable", &id]),
        format!("key `{id}` is revoked, which is for ever; issue a new one")
    );
    let deleted = place.json(["key", "delete", &id]);
    assert_eq!(deleted, json!({ "id": id, "deleted": true }));
    assert_eq!(
        place.refused(1, ["key", "show", &id]),
        format!("there is no key `{id}`")
    );
}

#[tokio::test]
async fn a_running_app_is_told_of_each_change() {
    let place = Place::new().await;
    let app = place.store().await;
    let (id, _) = place.key(&[]);
    let seen = app.newest().await.unwrap();
    place.good(["key", "revoke", &id]);
    let changes = app.since(seen, 10).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].kind, ChangeKind::KeyChanged);
    assert_eq!(changes[0].key.unwrap().to_string(), id);
}

#[tokio::test]
async fn what_keys_cannot_be_is_told() {
    let place = Place::new().await;
    let (id, _) = place.key(&[]);
    let create = ["key", "create", "--org", "acme", "--name", "ci"];
    for (code, args, told) in [
        (
            1,
            &["--scope", "iocs:raed"][..],
            "`iocs:raed` is not declared; did you mean `iocs:read`?",
        ),
        (1, &["--scope", "iocs:read,"], "scopes: `` is not declared"),
        (1, &["--preset", "read-olny"], "did you mean `read-only`?"),
        (
            1,
            &["--plan", "prp"],
            "plan: `prp` is not declared in the catalog; did you mean `pro`?",
        ),
        (
            1,
            &["--environment", "prod"],
            "`prod` is not declared; use one of live, test",
        ),
        (
            2,
            &["--scope", "iocs:read", "--preset", "read-only"],
            "cannot be used with",
        ),
        (
            2,
            &["--allow-ip", "10.0.0.1/8"],
            "`10.0.0.1/8` has host bits set; write `10.0.0.0/8`",
        ),
        (
            2,
            &["--expires-in", "soon"],
            "`soon` is not like `90d`, `12h`, `30m`, `45s` or `2w`",
        ),
        (2, &["--expires-in", "0s"], "`0s` is no time at all"),
        (
            2,
            &["--expires-in", "99999999999999d"],
            "`99999999999999d` is not like",
        ),
        (
            2,
            &["--expires-in", "5300w"],
            "`5300w` is longer than 100 years",
        ),
        (
            2,
            &["--reason", "a\u{7}b"],
            r"`a\u{7}b` is not 1 to 500 bytes",
        ),
    ] {
        let said = place.refused(code, create.iter().chain(args));
        assert!(said.contains(told), "{said}");
    }
    for (code, args, told) in [
        (
            1,
            &["key", "create", "--org", "beta", "--name", "x"][..],
            "there is no organization `beta`",
        ),
        (
            1,
            &["key", "create", "--org", "acme", "--name", " "],
            "key name: ` ` is not 1 to 200 bytes",
        ),
        (
            1,
            &["key", "create", "--org", "acme", "--name", "a\u{1b}b"],
            r"`a\u{1b}b` is not 1 to 200",
        ),
        (
            1,
            &["key", "list", "--org", "beta"],
            "there is no organization `beta`",
        ),
        (2, &["key", "show", "7"], "key id: `7` is not a UUID"),
        (2, &["key", "rotate", &id], "--grace <DURATION>"),
        (
            2,
            &["key", "edit", &id],
            &format!("nothing is to change of key `{id}`"),
        ),
        (
            1,
            &["key", "revoke", "01a20070-4c7b-7298-8d51-8fe39914d77e"],
            "there is no key `01a2",
        ),
    ] {
        let said = place.refused(code, args);
        assert!(said.contains(told), "{said}");
    }
    assert_eq!(place.json(["key", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test]
pub(crate) async fn a_list_is_narrowed_down() {
    let place = Place::new().await;
    let with_age = format!("[keys]\nrotation_age = \"90d\"\n{CATALOG}");
    place.record(&with_age).await;
    let (soon, _) = place.key(&["--expires-in", "3d"]);
    let (off, _) = place.key(&[]);
    place.good(["key", "disable", &off]);
    place.good(["key", "edit", &off, "--name", "the mailer"]);
    let ids = |args: &[&str]| {
        let listed = place.json([&["key", "list", "--org", "acme"], args].concat());
        let keys = listed.as_array().unwrap().iter();
        keys.map(|key| text(&key["id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), [&*off, &*soon]);
    assert_eq!(ids(&["--expiring-within", "7d"]), [&*soon]);
    assert_eq!(ids(&["--expiring-within", "1d"]), [""; 0]);
    assert_eq!(ids(&["--status", "disabled"]), [&*off]);
    assert_eq!(ids(&["--search", "MAIL"]), [&*off]);
    assert_eq!(ids(&["--unused-for", "1d"]), [""; 0]);
    assert_eq!(ids(&["--creator", "nobody"]), [""; 0]);
    assert_eq!(ids(&["--rotation-due"]), [""; 0]);
    assert_eq!(place.json(["key", "show", &soon])["rotation_due"], false);
    place.record(&with_age.replace("90d", "1us")).await;
    assert_eq!(ids(&["--rotation-due"]), [&*soon]);
    let table = place.good(["key", "show", &soon]);
    assert!(table.contains("active, rotate"), "{table}");
    place.record(CATALOG).await;
    assert_eq!(
        place.refused(1, ["key", "list", "--rotation-due"]),
        "the catalog has no `rotation_age`, so no rotation is ever due"
    );
}
