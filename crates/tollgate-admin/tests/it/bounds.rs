//! What is refused whoever asks for it.

use std::sync::Arc;

use serde_json::json;
use tollgate::core::accounts::Role;
use tollgate::core::keyring::{ForeignKey, Keyring, KeyringError, NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::secret::Digester;
use tollgate_testkit::clock::ManualClock;

use crate::support::{App, catalog, on_every_store, org, system};

on_every_store!(
    a_grace_and_a_name_that_nobody_could_use_are_refused,
    a_role_that_somebody_lost_is_not_changed,
);

async fn a_grace_and_a_name_that_nobody_could_use_are_refused(app: App) {
    let operator = app.operator().await;
    let (id, _) = app.key("acme", &[]).await;
    let path = format!("/admin/organizations/acme/keys/{id}/rotate");
    let rotate = async |grace: &str| {
        let call = app.post(&path).cookie(&operator);
        call.json(json!({ "grace": grace })).status().await
    };
    assert_eq!(rotate("36501d").await, 422);
    assert_eq!(rotate("36500d").await, 200);
    let create = async |id: &str| {
        let call = app.post("/admin/organizations").cookie(&operator);
        call.json(json!({ "id": id, "plan": "free" }))
            .status()
            .await
    };
    for id in [".", "..", "-"] {
        assert_eq!(create(id).await, 422, "{id}");
    }
    assert_eq!(create("...").await, 201);
}

async fn a_role_that_somebody_lost_is_not_changed(app: App) {
    let (acme, by) = (org("acme"), system());
    let ann = app.user("ann", Some("acme"), Role::Admin).await.id;
    let change = async |from, to| {
        let changed = app.accounts.change_role(&ann, Some(&acme), (from, to), &by);
        changed.await.map(|user| user.role_in(&acme))
    };
    let stale = change(Role::Owner, Some(Role::Owner)).await;
    assert!(matches!(stale, Err(KeyringError::NotFound(_))), "{stale:?}");
    assert_eq!(change(Role::Admin, None).await.unwrap(), None);
    let gone = change(Role::Admin, Some(Role::Owner)).await;
    assert!(matches!(gone, Err(KeyringError::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn an_import_gives_no_more_than_the_role_of_who_makes_it() {
    let store = Arc::new(MemoryStore::default());
    let clock = Arc::new(ManualClock::new());
    let keyring = Keyring::new(store.clone(), catalog(), Digester::sha256(), clock);
    let new = NewOrganization::new(org("acme"), "free");
    keyring.create_organization(new, &system()).await.unwrap();
    for (role, refusals) in [(Role::Admin, 1), (Role::Owner, 0)] {
        let importer = keyring.granting(role).importer(store.clone());
        let mut import = importer.dry_run().begin(&system()).await.unwrap();
        let key = NewKey::new(org("acme"), "strong").scopes(["keys:admin"]);
        let digest = Digester::sha256().digest("of another system");
        let refused = import
            .add(vec![ForeignKey::new(key, digest)])
            .await
            .unwrap();
        assert_eq!(refused.len(), refusals, "{role}: {refused:?}");
    }
}
