//! The life of a key, over HTTP.

use serde_json::json;
use tollgate::core::accounts::Role;
use tollgate::core::audit::{AuditKey, AuditVerifier};

use crate::support::{App, HOUR, on_every_store, org};

on_every_store!(
    a_key_lives_and_dies_by_what_was_last_said_of_it,
    a_role_gives_no_more_than_it_may,
    a_stronger_key_is_not_handed_over,
    a_key_tells_what_is_to_be_done_about_it,
    a_key_ends_at_a_time_that_is_to_come,
);

const KEYS: &str = "/admin/organizations/acme/keys";

async fn a_key_lives_and_dies_by_what_was_last_said_of_it(app: App) {
    let admin = app.signed_in(Role::Admin).await;
    let uses = async |secret: &str| app.get("/iocs").secret(secret).status().await;

    let body = json!({"name": "mailer", "scopes": ["iocs:read"], "reason": "ticket 1"});
    let made = app.post(KEYS).cookie(&admin).json(body).ok().await;
    let (id, secret) = (
        made["data"]["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    let path = format!("{KEYS}/{id}");
    assert_eq!(uses(secret).await, 200);

    let edit = |scopes: &[&str]| {
        app.call("PATCH", &path)
            .cookie(&admin)
            .json(json!({"scopes": scopes}))
    };
    edit(&[]).ok().await;
    assert_eq!(uses(secret).await, 403);
    edit(&["iocs:read"]).ok().await;
    assert_eq!(uses(secret).await, 200);

    let rotate = app.post(&format!("{path}/rotate")).cookie(&admin);
    let rotated = rotate.json(json!({"grace": "1h"})).ok().await;
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!((uses(secret).await, uses(new).await), (200, 200));
    app.clock.advance(HOUR);
    let admin = app
        .cookie(
            &app.accounts
                .user_by_email(&"admin@acme.example".parse().unwrap())
                .await
                .unwrap(),
        )
        .await;
    assert_eq!((uses(secret).await, uses(new).await), (401, 200));

    for (action, status) in [("disable", 401), ("enable", 200), ("revoke", 401)] {
        app.post(&format!("{path}/{action}"))
            .cookie(&admin)
            .ok()
            .await;
        assert_eq!(uses(new).await, status, "{action}");
    }
    let shown = app.get(&path).cookie(&admin).ok().await;
    assert_eq!(shown["data"]["status"], "revoked");
    let again = app
        .post(&format!("{path}/enable"))
        .cookie(&admin)
        .send()
        .await;
    assert_eq!(again.status, 409, "{again:?}");

    let trail = app
        .gate
        .audit()
        .oldest(Some(&org("acme")), 0, 1000)
        .await
        .unwrap();
    let key = AuditKey::default();
    let mut verifier = AuditVerifier::new(&key, Some(org("acme")), None);
    for record in &trail {
        verifier.follow(record).unwrap();
    }
    let steps: Vec<_> = trail
        .iter()
        .filter(|of| of.target == format!("key:{id}"))
        .collect();
    let actions: Vec<_> = steps.iter().map(|of| &*of.action).collect();
    let expected = [
        "create", "edit", "edit", "rotate", "disable", "enable", "revoke",
    ];
    assert_eq!(actions, expected.map(|action| format!("key.{action}")));
    for step in &steps {
        assert_eq!(step.actor, "user:admin@acme.example");
        assert!(step.session.is_some() && step.address.is_some());
    }
    assert_eq!(steps[0].reason.as_deref(), Some("ticket 1"));
}

async fn a_role_gives_no_more_than_it_may(app: App) {
    let (admin, owner) = (
        app.signed_in(Role::Admin).await,
        app.signed_in(Role::Owner).await,
    );
    let operator = app.operator().await;
    let forbidden = "can be given by an owner only";
    for (said, by_admin, by_owner, why) in [
        (json!({"scopes": ["iocs:write"]}), 201, 201, ""),
        (json!({"preset": "reader"}), 201, 201, ""),
        (json!({"scopes": ["keys:admin"]}), 403, 201, forbidden),
        (json!({"scopes": ["api:full"]}), 403, 201, forbidden),
        (json!({"preset": "everything"}), 403, 201, forbidden),
        (json!({"scopes": ["old:read"]}), 422, 422, "legacy"),
        (
            json!({"scopes": ["nope"]}),
            422,
            422,
            "`nope` is not declared",
        ),
        (
            json!({"scopes": [], "preset": "reader"}),
            422,
            422,
            "leave one out",
        ),
        (json!({"plan": "pro"}), 403, 403, "`plan`"),
        (
            json!({"limits": {"rates": ["10/minute"]}}),
            403,
            403,
            "`limits`",
        ),
        (json!({"force": true}), 422, 422, "unknown field `force`"),
    ] {
        let mut body = said.clone();
        body["name"] = json!("a key");
        for (who, status) in [(&admin, by_admin), (&owner, by_owner)] {
            let answer = app.post(KEYS).cookie(who).json(body.clone()).send().await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            assert!(
                answer.status < 300 || answer.message().contains(why),
                "{answer:?}"
            );
            // An edit is held to the same.
            let (id, _) = app.key("acme", &[]).await;
            let edit = app.call("PATCH", &format!("{KEYS}/{id}")).cookie(who);
            let edited = edit.json(said.clone()).status().await;
            assert_eq!(edited, if status == 201 { 200 } else { status }, "{said}");
        }
    }
    let body = json!({"name": "a key", "plan": "pro", "scopes": ["api:full"]});
    let made = app.post(KEYS).cookie(&operator).json(body).ok().await;
    assert_eq!(made["data"]["tier"], "pro");
}

async fn a_stronger_key_is_not_handed_over(app: App) {
    let (admin, owner) = (
        app.signed_in(Role::Admin).await,
        app.signed_in(Role::Owner).await,
    );
    let (id, _) = app.key("acme", &["api:full"]).await;
    let path = format!("{KEYS}/{id}");
    let rotate = |who: &str| {
        app.post(&format!("{path}/rotate"))
            .cookie(who)
            .json(json!({"grace": "0s"}))
    };
    assert_eq!(rotate(&admin).status().await, 403);
    assert_eq!(rotate(&owner).status().await, 200);
    let edit = |said| app.call("PATCH", &path).cookie(&admin).json(said);
    assert_eq!(edit(json!({"ip_rules": {"allow": []}})).status().await, 403);
    assert_eq!(edit(json!({"expires_at": null})).status().await, 403);
    assert_eq!(edit(json!({"name": "other"})).status().await, 200);
    let switch = |who: &str, to: &str| app.post(&format!("{path}/{to}")).cookie(who);
    assert_eq!(switch(&admin, "disable").status().await, 200);
    assert_eq!(switch(&admin, "enable").status().await, 403);
    assert_eq!(switch(&owner, "enable").status().await, 200);
    assert_eq!(edit(json!({"scopes": ["iocs:read"]})).status().await, 200);
    assert_eq!(rotate(&admin).status().await, 200);
}

async fn a_key_tells_what_is_to_be_done_about_it(app: App) {
    let admin = app.user("admin", Some("acme"), Role::Admin).await;
    let cookie = app.cookie(&admin).await;
    let body = json!({"name": "short", "expires_at": "2026-01-05T01:00:00+01:00"});
    let short = app.post(KEYS).cookie(&cookie).json(body).ok().await;
    assert_eq!(short["data"]["expires_at"], "2026-01-05T00:00:00Z");
    assert_eq!(short["data"]["expires_soon"], true);
    app.clock.advance(HOUR / 3600);
    let (id, _) = app.key("acme", &[]).await;
    app.clock.advance(HOUR * 24 * 90);
    let cookie = app.cookie(&admin).await;
    let names = async |query: &str| -> Vec<String> {
        let path = format!("{KEYS}?{query}");
        let page = app.get(&path).cookie(&cookie).ok().await;
        let rows = page["data"].as_array().unwrap();
        assert_eq!(page["meta"]["total"], rows.len());
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let key = format!("{KEYS}/{id}");
    let shown = app.get(&key).cookie(&cookie).ok().await;
    assert_eq!(
        (&shown["data"]["rotation_due"], &shown["data"]["old_secret"]),
        (&json!(true), &json!(null))
    );
    app.clock.advance(HOUR / 60);
    assert_eq!(names("rotation_due=true").await, ["a key", "short"]);
    assert_eq!(names("unused_for=90d&search=SHO").await, ["short"]);
    let rotate = app.post(&format!("{key}/rotate")).cookie(&cookie);
    rotate.json(json!({"grace": "1h"})).ok().await;
    assert_eq!(names("rotation_due=true").await, ["short"]);
    let shown = app.get(&key).cookie(&cookie).ok().await["data"].clone();
    assert_eq!(shown["rotation_due"], false);
    assert_eq!(shown["old_secret"]["valid_until"], "2026-04-01T01:01:01Z");
    let soon = json!({"expires_at": "2026-04-03T00:00:00Z"});
    app.call("PATCH", &key)
        .cookie(&cookie)
        .json(soon)
        .ok()
        .await;
    assert_eq!(names("expiring_within=7d").await, ["a key"]);
    assert_eq!(names("creator=user:admin@acme.example").await, ["short"]);
    app.post(&format!("{key}/revoke"))
        .cookie(&cookie)
        .ok()
        .await;
    assert_eq!(names("status=revoked").await, ["a key"]);
    assert_eq!(names("expiring_within=7d").await, Vec::<String>::new());
    let shown = app.get(&key).cookie(&cookie).ok().await["data"].clone();
    assert_eq!(
        (&shown["fault"], &shown["old_secret"]),
        (&json!("revoked"), &json!(null))
    );
}

async fn a_key_ends_at_a_time_that_is_to_come(app: App) {
    let cookie = app.signed_in(Role::Admin).await;
    let over = "expires_at: 2026-01-01T00:00:00Z is over; take a later time, or revoke the key to \
                end it now";
    let create = |end: &str| {
        let body = json!({"name": "short", "expires_at": end});
        app.post(KEYS).cookie(&cookie).json(body)
    };
    // It is that very point now.
    for once in [false, true] {
        let made = create("2026-01-01T00:00:00Z");
        let made = if once {
            made.header("idempotency-key", "1")
        } else {
            made
        };
        let refused = made.send().await;
        assert_eq!((refused.status, &*refused.message()), (400, over));
    }
    let made = create("2026-01-01T00:00:00.000001Z").ok().await;
    let key = format!("{KEYS}/{}", made["data"]["id"].as_str().unwrap());
    let edit = |said| app.call("PATCH", &key).cookie(&cookie).json(said);
    let refused = edit(json!({"expires_at": "2026-01-01T00:00:00Z"}))
        .send()
        .await;
    assert_eq!((refused.status, &*refused.message()), (400, over));
    app.clock.advance(HOUR / 3600);
    // What it has stays, also if it is told again.
    edit(json!({"name": "long", "expires_at": "2026-01-01T00:00:00.000001Z"}))
        .ok()
        .await;
    edit(json!({"expires_at": "2027-01-01T00:00:00Z"}))
        .ok()
        .await;
    let shown = edit(json!({"name": "longer"})).ok().await;
    assert_eq!(shown["data"]["expires_at"], "2027-01-01T00:00:00Z");
}
