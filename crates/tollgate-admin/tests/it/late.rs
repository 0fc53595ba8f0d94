//! What is decided while a request is under way counts for it too.

use axum::body::{Body, Bytes};
use futures_util::future::join;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tollgate::core::accounts::Role;

use crate::support::{App, on_every_store, org};

on_every_store!(
    a_body_that_comes_late_is_judged_by_who_its_sender_is_by_then,
    of_two_operators_who_take_each_others_role_one_stays,
    only_an_operator_brings_a_user_into_another_organization,
);

/// A body that ends once it is told to.
fn late(body: &Value) -> (oneshot::Sender<()>, Body) {
    let (sender, sent) = oneshot::channel::<()>();
    let text = body.to_string();
    let last = stream::once(async move {
        sent.await.unwrap();
        Ok::<_, std::io::Error>(Bytes::from(text))
    });
    (sender, Body::from_stream(last))
}

async fn a_body_that_comes_late_is_judged_by_who_its_sender_is_by_then(app: App) {
    app.user("other", Some("acme"), Role::Owner).await;
    let owner = app.user("owner", Some("acme"), Role::Owner).await;
    let cookie = app.cookie(&owner).await;
    let acme = "/admin/organizations/acme";
    let role = json!({ "role": "owner" });
    let key = json!({ "name": "late" });
    let (member, by) = (
        format!("{acme}/members/{}", owner.id),
        crate::support::system(),
    );
    for step in ["removed", "disabled"] {
        let (send_role, late_role) = late(&role);
        let (send_key, late_key) = late(&key);
        let call = |method: &str, path: &str, body: Body| {
            let call = app.call(method, path).cookie(&cookie).body(body);
            call.header("content-type", "application/json").send()
        };
        let calls = join(
            call("PATCH", &member, late_role),
            call("POST", &format!("{acme}/keys"), late_key),
        );
        let meanwhile = async {
            // Both have been let in, and wait for their bodies.
            tokio::task::yield_now().await;
            if step == "removed" {
                let acme = org("acme");
                let set = app.accounts.set_role(&owner.id, Some(&acme), None, &by);
                set.await.unwrap();
            } else {
                app.accounts
                    .set_disabled(&owner.id, true, &by)
                    .await
                    .unwrap();
            }
            send_role.send(()).unwrap();
            send_key.send(()).unwrap();
        };
        let ((role, key), ()) = join(calls, meanwhile).await;
        for answer in [role, key] {
            assert!(
                matches!(answer.status, 401 | 403 | 404),
                "{step}: {answer:?}"
            );
        }
        let now = app.accounts.user(&owner.id).await.unwrap();
        assert_eq!(now.role_in(&org("acme")).is_none(), step == "removed");
        let acme = org("acme");
        let set = app
            .accounts
            .set_role(&owner.id, Some(&acme), Some(Role::Owner), &by);
        set.await.unwrap();
    }
}

async fn of_two_operators_who_take_each_others_role_one_stays(app: App) {
    let (ann, ben) = (
        app.user("ann", None, Role::Owner).await,
        app.user("ben", None, Role::Owner).await,
    );
    let (of_ann, of_ben) = (app.cookie(&ann).await, app.cookie(&ben).await);
    let less = json!({ "role_everywhere": "viewer" });
    let take = |whose: &tollgate::core::accounts::User, cookie: &str| {
        let call = app.call("PATCH", &format!("/admin/users/{}", whose.id));
        call.cookie(cookie).json(less.clone()).send()
    };
    let (first, second) = join(take(&ben, &of_ann), take(&ann, &of_ben)).await;
    let taken = [first.status, second.status];
    assert_eq!(
        taken.iter().filter(|status| **status == 200).count(),
        1,
        "{taken:?}"
    );
    let left = [of_ann, of_ben];
    let mut operators = 0;
    for cookie in &left {
        operators += u32::from(app.get("/admin/users").cookie(cookie).status().await == 200);
    }
    assert_eq!(operators, 1);
}

async fn only_an_operator_brings_a_user_into_another_organization(app: App) {
    let owner = app.signed_in(Role::Owner).await;
    let operator = app.operator().await;
    let elsewhere = app.user("cfo", Some("umbra"), Role::Viewer).await;
    let add = |cookie: &str, password: Option<&str>| {
        let body = json!({ "email": "cfo@acme.example", "role": "owner", "password": password });
        let call = app.post("/admin/organizations/acme/members");
        call.cookie(cookie).json(body).send()
    };
    for password in [None, Some("a password of mine")] {
        assert_eq!(add(&owner, password).await.status, 409);
    }
    assert_eq!(add(&operator, None).await.status, 201);
    let now = app.accounts.user(&elsewhere.id).await.unwrap();
    assert_eq!(now.role_in(&org("acme")), Some(Role::Owner));
}
