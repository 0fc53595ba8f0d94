//! The mailer: its permission levels, its IP restrictions and its operations, as its product's
//! document has them.
#![expect(
    clippy::indexing_slicing,
    reason = "an answer without the field that is asked for fails the test"
)]

use serde_json::{Value, json};
use tollgate::core::accounts::Role;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_testkit::app::{Answer, TestApp, TestGate, TestKey, TestSession};

use crate::stores;

use self::app::api;

#[path = "../mailer"]
mod app {
    pub(crate) mod api;
}

mod addresses;
mod audience;
mod connection;
mod domains;
mod emails;
mod keys;
mod permissions;
mod tenants;

/// The mailer with its samples, and an owner of `acme` who is signed in.
pub(crate) struct Mailer {
    pub(crate) kit: TestGate,
    pub(crate) app: TestApp,
    owner: TestSession,
}

impl Mailer {
    pub(crate) async fn new() -> Self {
        let builder = stores::kit(api::catalog().unwrap());
        let cookies = SessionCookies::new(builder.accounts());
        let kit = builder
            .configure(|gate| gate.sessions(cookies.clone()))
            .build()
            .await;
        kit.organization("acme").make().await;
        kit.organization("globex").make().await;
        let owner = kit.session("ann@acme.example").member("acme", Role::Owner);
        let admin = Admin::new(kit.gate()).with_sign_in(cookies).routes();
        let app = api::routes(kit.gate())
            .with_state(api::Mailer::with_samples(kit.gate()).unwrap())
            .nest("/admin", admin)
            .into_service()
            .unwrap();
        Self {
            app: kit.app(app),
            owner: owner.begin().await,
            kit,
        }
    }

    /// A key that follows a permission level.
    pub(crate) async fn level(&self, level: &str) -> TestKey {
        self.kit.key("acme").preset(level).make().await
    }

    /// A key with scopes of its own.
    pub(crate) async fn custom<const N: usize>(&self, scopes: [&str; N]) -> TestKey {
        self.kit.key("acme").scopes(scopes).make().await
    }

    pub(crate) async fn get(&self, key: &TestKey, path: &str) -> Answer {
        self.app.get(path).key(key).send().await
    }

    pub(crate) async fn post(&self, key: &TestKey, path: &str, body: Value) -> Answer {
        self.app.post(path).key(key).json(body).send().await
    }

    pub(crate) async fn put(&self, key: &TestKey, path: &str, body: Value) -> Answer {
        self.app.put(path).key(key).json(body).send().await
    }

    pub(crate) async fn delete(&self, key: &TestKey, path: &str) -> Answer {
        self.app.delete(path).key(key).send().await
    }

    /// What management shows of a key to the owner.
    pub(crate) async fn shown(&self, key: &TestKey) -> Value {
        let answer = self.app.get(&admin_path(key)).session(&self.owner);
        answer.send().await.assert_status(200).json()["data"].clone()
    }

    /// An edit by the owner.
    pub(crate) async fn edit(&self, key: &TestKey, body: Value) -> Answer {
        let edit = self.app.patch(&admin_path(key)).session(&self.owner);
        edit.json(body).send().await
    }

    /// A request of the owner to the management routes of `acme`.
    pub(crate) async fn manage(&self, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/admin/organizations/acme{path}");
        let call = self.app.request(method.parse().unwrap(), &path);
        let call = call.session(&self.owner);
        if body.is_null() {
            call.send().await
        } else {
            call.json(body).send().await
        }
    }
}

fn admin_path(key: &TestKey) -> String {
    format!("/admin/organizations/acme/keys/{}", key.id())
}

/// An email that can be sent.
pub(crate) fn email() -> Value {
    json!({
        "from": "hello@acme.example",
        "to": ["ann@customer.example"],
        "subject": "Your parcel",
        "text": "It is on its way.",
    })
}

/// The code and the message of an error.
pub(crate) fn told(answer: &Answer) -> (String, String) {
    let error = &answer.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}
