//! An app that mounts the management routes, and people with every role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tollgate::access::scope;
use tollgate::core::accounts::{Accounts, Email, NewUser, Password, Role, User};
use tollgate::core::change::Actor;
use tollgate::core::clock::Clock as _;
use tollgate::core::credits::{Grant, Ledger, Settle};
use tollgate::core::id::{HoldId, KeyId, OrgId};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::store::Store;
use tollgate::routes::PermissionMap;
use tollgate::{Catalog, Gate, Principal};
use tollgate_admin::{Admin, Operation, SessionCookies};
use tollgate_sqlx::SqliteStore;
use tollgate_testkit::clock::ManualClock;
use tower::ServiceExt as _;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) struct App {
    pub(crate) gate: Gate,
    pub(crate) accounts: Accounts,
    pub(crate) clock: ManualClock,
    pub(crate) operations: Vec<Operation>,
    pub(crate) permissions: PermissionMap,
    pub(crate) ledger: Arc<dyn Ledger>,
    service: tollgate::GateService<Router>,
    _directory: Option<tempfile::TempDir>,
}

/// Runs a test on every store.
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(crate::support::App::memory().await).await; })+
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::support::App::sqlite().await).await; })+
        }
    };
}
pub(crate) use on_every_store;

pub(crate) fn catalog() -> Catalog {
    Catalog::from_toml(
        r#"
        [keys]
        rotation_age = "90d"

        [scopes]
        "iocs:read" = "Look up indicators"
        "iocs:write" = { description = "Submit indicators", implies = ["iocs:read"], reserved = true }
        "keys:admin" = { description = "For owners to give", granted_by = "owner", reserved = true }
        "api:full" = { description = "Everything", implies = "everything" }
        "old:read" = { description = "Of old", legacy = true, deprecated = "use iocs:read" }

        [presets]
        reader = ["iocs:read"]
        everything = ["api:full"]

        [plans.free]
        rank = 0

        [plans.pro]
        rank = 1
        "#,
    )
    .unwrap()
}

impl App {
    pub(crate) async fn memory() -> Self {
        Self::on(Arc::new(MemoryStore::default()), None, |admin| admin).await
    }

    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db").display().to_string();
        let store = SqliteStore::open(&path).await.unwrap();
        Self::on(Arc::new(store), Some(directory), |admin| admin).await
    }

    pub(crate) async fn on<S: Store>(
        store: Arc<S>,
        directory: Option<tempfile::TempDir>,
        configure: impl FnOnce(Admin) -> Admin,
    ) -> Self {
        let clock = ManualClock::new();
        let accounts = Accounts::new(store.clone(), Arc::new(clock.clone()));
        let cookies = SessionCookies::new(accounts.clone());
        let gate = Gate::builder(catalog())
            .shared_store(Arc::clone(&store))
            .clock(Arc::new(clock.clone()))
            .sessions(cookies.clone())
            .build()
            .await
            .unwrap();
        let admin = configure(Admin::new(&gate).with_sign_in(cookies));
        let routes = gate
            .routes()
            .get("/iocs", look_up, scope("iocs:read"))
            .get("/reports/{n}", look_up, scope("iocs:read").credits(3))
            .nest("/admin", admin.routes());
        let permissions = routes.permissions();
        let service = routes.into_service().unwrap();
        let app = Self {
            gate,
            accounts,
            clock,
            operations: admin.operations(),
            permissions,
            ledger: store,
            service,
            _directory: directory,
        };
        for (organization, plan) in [("acme", "free"), ("umbra", "pro")] {
            let new = NewOrganization::new(org(organization), plan);
            let keyring = app.gate.keyring();
            keyring
                .create_organization(new, &Actor::system())
                .await
                .unwrap();
        }
        app
    }

    /// Somebody with a role in an organization, or in all of them.
    pub(crate) async fn user(&self, name: &str, place: Option<&str>, role: Role) -> User {
        let email = Email::new(&format!("{name}@acme.example")).unwrap();
        let new = NewUser::new(email, Password::new(PASSWORD.to_owned()).unwrap());
        let new = match place {
            Some(place) => new.member(org(place), role),
            None => new.everywhere(role),
        };
        self.accounts
            .create_user(new, &Actor::system())
            .await
            .unwrap()
    }

    /// A session of theirs, as a `Cookie` header.
    pub(crate) async fn cookie(&self, user: &User) -> String {
        let actor = Actor::user(user.email.as_str());
        let now = self.accounts.user(&user.id).await.unwrap();
        let begun = self.accounts.begin_session(&now, &actor).await.unwrap();
        format!("{}={}", Accounts::COOKIE, begun.token.expose())
    }

    /// Somebody new with this role in acme, signed in.
    pub(crate) async fn signed_in(&self, role: Role) -> String {
        let user = self.user(role.as_str(), Some("acme"), role).await;
        self.cookie(&user).await
    }

    /// Who runs the installation, signed in.
    pub(crate) async fn operator(&self) -> String {
        let user = self.user("operator", None, Role::Owner).await;
        self.cookie(&user).await
    }

    /// A key, and its secret.
    pub(crate) async fn key(&self, organization: &str, scopes: &[&str]) -> (KeyId, String) {
        let new = NewKey::new(org(organization), "a key").scopes(scopes.iter().copied());
        let issued = self
            .gate
            .keyring()
            .issue(new, &Actor::system())
            .await
            .unwrap();
        (issued.key.id, issued.secret.expose().to_owned())
    }

    /// A hold of an organization that was settled: one credit of it can be refunded.
    pub(crate) async fn charged(&self, organization: &str) -> HoldId {
        let now = self.clock.now();
        let grant = Grant::new(org(organization), 1);
        self.gate
            .credits()
            .grant(grant, &Actor::system())
            .await
            .unwrap();
        let mut request = tollgate_testkit::records::hold_request(1, organization, 1, 1);
        request.id = HoldId::new(now.wall).unwrap();
        request.at = now.wall;
        request.deadline = now.wall.after(HOUR);
        self.ledger.hold(&request).await.unwrap();
        let settle = Settle {
            id: request.id,
            credits: 1,
            at: now.wall,
            outcome: None,
            parts: Vec::new(),
        };
        self.ledger.settle(settle).await.unwrap();
        request.id
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let address = SocketAddr::from(([203, 0, 113, 7], 4711));
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("host", "acme.example")
            .extension(ConnectInfo(address));
        Call {
            app: self,
            request: request.body(Body::empty()).unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call("POST", path)
    }
}

async fn look_up(caller: Principal) -> String {
    caller.key_id().to_string()
}

pub(crate) fn system() -> Actor {
    Actor::system()
}

pub(crate) fn org(name: &str) -> OrgId {
    OrgId::new(name).unwrap()
}

pub(crate) struct Call<'a> {
    app: &'a App,
    request: Request<Body>,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        let headers = self.request.headers_mut();
        headers.append(HeaderName::from_static(name), value);
        self
    }

    pub(crate) fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    pub(crate) fn secret(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(crate) fn from(mut self, address: [u8; 4]) -> Self {
        let address = SocketAddr::from((address, 4711));
        self.request.extensions_mut().insert(ConnectInfo(address));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(…)")]
    pub(crate) fn json(self, body: Value) -> Self {
        self.body(body.to_string())
            .header("content-type", "application/json")
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self
            .app
            .service
            .clone()
            .oneshot(self.request)
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }

    pub(crate) async fn status(self) -> u16 {
        self.send().await.status
    }

    /// The answer to what has to succeed.
    pub(crate) async fn ok(self) -> Value {
        let answer = self.send().await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
        serde_json::from_str(&answer.text).unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The message of an error, without the id of its request.
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The `Cookie` header that a browser would send from now on.
    pub(crate) fn cookie(&self) -> String {
        let set = self.header("set-cookie");
        set.split(';').next().unwrap().to_owned()
    }
}
