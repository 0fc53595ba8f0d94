//! `threat_intel` against its document: `docs/SEEDS.md` says which sentence is tested where.

use serde_json::Value;
use tollgate::core::accounts::Role;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_testkit::app::{TestApp, TestGate, TestKey, TestSession};

use crate::stores;

use self::app::api;

#[path = "../threat_intel"]
mod app {
    pub(crate) mod api;
}

mod access;
mod articles;
mod errors;
mod formats;
mod keys;
mod look_back;
mod lookup;
mod places;
mod rates;
mod rules;
mod taxii;

/// Every scope there is.
const SCOPES: [&str; 4] = [
    "read:iocs",
    "read:articles",
    "read:articles:export",
    "read:stix",
];

/// The app, an organization on each plan, and a key with every scope of each.
struct World {
    kit: TestGate,
    app: TestApp,
    free: TestKey,
    pro: TestKey,
}

impl World {
    async fn new() -> Self {
        let builder = stores::kit(api::catalog().unwrap()).configure(api::configure);
        let people = SessionCookies::new(builder.accounts());
        let people = people.named(api::SESSION_COOKIE).unwrap();
        let sessions = people.clone();
        let kit = builder
            .configure(|gate| gate.sessions(sessions))
            .build()
            .await;
        let admin = Admin::new(kit.gate()).with_sign_in(people).routes();
        let intel = api::Intel::samples(kit.gate()).unwrap();
        let routes = api::routes(kit.gate()).with_state(intel);
        let app = kit.app(routes.nest("/admin", admin).into_service().unwrap());
        kit.organization("lab").plan("free").make().await;
        kit.organization("soc").plan("pro").make().await;
        Self {
            free: kit.key("lab").scopes(SCOPES).make().await,
            pro: kit.key("soc").scopes(SCOPES).make().await,
            kit,
            app,
        }
    }

    /// A good answer on the pro plan.
    async fn good(&self, path: &str) -> tollgate_testkit::app::Answer {
        let answer = self.app.get(path).key(&self.pro).send().await;
        answer.assert_status(200);
        answer
    }

    /// The same, as JSON.
    async fn json(&self, path: &str) -> Value {
        self.good(path).await.json()
    }

    async fn session(&self, email: &str, organizations: &[&str]) -> TestSession {
        let session = self.kit.session(email).cookie(api::SESSION_COOKIE);
        let session = organizations.iter().fold(session, |session, organization| {
            session.member(organization, Role::Viewer)
        });
        session.begin().await
    }
}

/// The values of a list, by one of their members.
fn all<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    let data = list["data"].as_array().unwrap();
    data.iter()
        .map(|one| one[member].as_str().unwrap())
        .collect()
}
