//! Members and users.

use serde_json::{Value, json};
use tollgate::core::accounts::Role;

use crate::support::{App, PASSWORD, on_every_store, system};

on_every_store!(
    an_owner_gives_and_takes_roles_but_stays_the_last_one,
    who_runs_the_installation_manages_users_but_not_the_last_of_their_kind,
    a_viewer_everywhere_sees_all_and_changes_nothing,
    the_last_operator_stays_unless_somebody_means_it,
);

const MEMBERS: &str = "/admin/organizations/acme/members";

async fn an_owner_gives_and_takes_roles_but_stays_the_last_one(app: App) {
    let owner = app.user("owner", Some("acme"), Role::Owner).await;
    let cookie = app.cookie(&owner).await;
    let add = |body: Value| app.post(MEMBERS).cookie(&cookie).json(body);
    let ben = json!({"email": "ben@acme.example", "role": "admin"});
    assert_eq!(add(ben.clone()).status().await, 422);
    let mut with_password = ben.clone();
    with_password["password"] = json!(PASSWORD);
    let added = add(with_password.clone()).ok().await;
    assert_eq!(added["data"]["role"], "admin");
    assert_eq!(add(with_password).status().await, 409);
    assert_eq!(add(ben).status().await, 409);
    let signed_in = json!({"email": "ben@acme.example", "password": PASSWORD});
    assert_eq!(
        app.post("/admin/session").json(signed_in).status().await,
        200
    );
    let ben = format!("{MEMBERS}/{}", added["data"]["id"].as_str().unwrap());
    let me = format!("{MEMBERS}/{}", owner.id);
    let set = |path: &str, role: &str| {
        app.call("PATCH", path)
            .cookie(&cookie)
            .json(json!({"role": role}))
    };
    assert_eq!(set(&me, "admin").status().await, 409);
    assert_eq!(app.call("DELETE", &me).cookie(&cookie).status().await, 409);
    assert_eq!(set(&ben, "root").status().await, 422);
    set(&ben, "owner").ok().await;
    set(&me, "admin").ok().await;
    assert_eq!(app.get(MEMBERS).cookie(&cookie).status().await, 403);
    // One who has no role here is not there, whoever else they are.
    let operator = app.operator().await;
    let stranger = app.user("stranger", Some("umbra"), Role::Viewer).await;
    let stranger = format!("{MEMBERS}/{}", stranger.id);
    assert_eq!(
        app.call("DELETE", &stranger)
            .cookie(&operator)
            .status()
            .await,
        404
    );
    app.call("DELETE", &ben).cookie(&operator).ok().await;
}

async fn who_runs_the_installation_manages_users_but_not_the_last_of_their_kind(app: App) {
    let root = app.user("operator", None, Role::Owner).await;
    let cookie = app.cookie(&root).await;
    let me = format!("/admin/users/{}", root.id);
    let edit = |path: &str, body: Value| app.call("PATCH", path).cookie(&cookie).json(body);
    assert_eq!(edit(&me, json!({"disabled": true})).status().await, 409);
    assert_eq!(
        edit(&me, json!({"role_everywhere": null})).status().await,
        409
    );
    assert_eq!(app.call("DELETE", &me).cookie(&cookie).status().await, 409);

    let nowhere = json!([{"organization": "nowhere", "role": "owner"}]);
    let body = |memberships: Value| json!({"email": "ann@acme.example", "password": PASSWORD, "memberships": memberships});
    let create = |memberships: Value| {
        app.post("/admin/users")
            .cookie(&cookie)
            .json(body(memberships))
    };
    assert_eq!(create(nowhere).status().await, 404);
    let made = create(json!([{"organization": null, "role": "owner"}]))
        .send()
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(
        !made.text.contains(PASSWORD) && !made.text.contains("argon2"),
        "{made:?}"
    );
    assert_eq!(create(json!([])).status().await, 409);
    let ann = format!(
        "/admin/users/{}",
        made.json()["data"]["id"].as_str().unwrap()
    );
    let sign_in = json!({"email": "ann@acme.example", "password": PASSWORD});
    let anns = app
        .post("/admin/session")
        .json(sign_in.clone())
        .send()
        .await
        .cookie();
    assert_eq!(app.get("/admin/users").cookie(&anns).status().await, 200);
    edit(&ann, json!({"disabled": true, "reason": "left"}))
        .ok()
        .await;
    assert_eq!(app.get("/admin/session").cookie(&anns).status().await, 401);
    assert_eq!(app.post("/admin/session").json(sign_in).status().await, 401);
    let trail = app.get("/admin/audit?limit=1").cookie(&cookie).ok().await;
    assert_eq!(trail["data"][0]["action"], "user.disable");
    assert_eq!(trail["data"][0]["reason"], "left");
    app.call("DELETE", &ann).cookie(&cookie).ok().await;
    assert_eq!(app.get(&ann).cookie(&cookie).status().await, 404);
}

async fn a_viewer_everywhere_sees_all_and_changes_nothing(app: App) {
    let viewer = app.user("auditor", None, Role::Viewer).await;
    let cookie = app.cookie(&viewer).await;
    for organization in ["acme", "umbra"] {
        let keys = format!("/admin/organizations/{organization}/keys");
        assert_eq!(app.get(&keys).cookie(&cookie).status().await, 200);
        assert_eq!(
            app.post(&keys)
                .cookie(&cookie)
                .json(json!({"name": "k"}))
                .status()
                .await,
            403
        );
    }
    // Of an organization that is not there, every list is a 404.
    for list in [
        "keys",
        "usage",
        "credits",
        "credits/entries",
        "audit",
        "resources",
    ] {
        let path = format!("/admin/organizations/nowhere/{list}");
        assert_eq!(app.get(&path).cookie(&cookie).status().await, 404, "{list}");
    }
    assert_eq!(app.get("/admin/audit").cookie(&cookie).status().await, 403);
}

/// By the rule of the accounts, which the command keeps too.
async fn the_last_operator_stays_unless_somebody_means_it(app: App) {
    let (accounts, by) = (&app.accounts, system());
    let ann = app.user("ann", None, Role::Owner).await;
    let ben = app.user("ben", None, Role::Owner).await;
    let eve = app.user("eve", None, Role::Admin).await;
    // Who may not sign in is no operator, and so keeps nobody from being the last.
    accounts.set_disabled(&ben.id, true, &by).await.unwrap();
    accounts.delete_user(&eve.id, &by).await.unwrap();
    let less = (Role::Owner, Some(Role::Admin));
    for refused in [
        accounts.set_role(&ann.id, None, None, &by).await.err(),
        accounts.change_role(&ann.id, None, less, &by).await.err(),
        accounts.set_disabled(&ann.id, true, &by).await.err(),
        accounts.delete_user(&ann.id, &by).await.err(),
    ] {
        let said = refused.map(|error| error.to_string());
        let last = "`ann@acme.example` is the last operator; make somebody else an owner \
                    everywhere first";
        assert_eq!(said.as_deref(), Some(last));
    }
    accounts.delete_user(&ben.id, &by).await.unwrap();
    let forced = accounts.forced();
    forced.set_role(&ann.id, None, None, &by).await.unwrap();
    accounts.delete_user(&ann.id, &by).await.unwrap();
}
