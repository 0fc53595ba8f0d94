//! The leaks API keeps each sentence of its document; `docs/SEEDS.md` says which test holds it to
//! which.

use std::collections::BTreeSet;

use axum::http::Method;
use tollgate::core::id::OrgId;
use tollgate::{Gate, GateBuilder};
use tollgate_admin::{Admin, SessionCookies};
use tollgate_testkit::app::{Answer, Call, TestApp, TestGate, TestKey};

use crate::stores;

use self::app::api::{self, Domain, Watchlist, Watchlists};

#[path = "../dataleaks"]
mod app {
    pub(crate) mod api;
    pub(crate) mod rotation;
}

mod credentials;
mod errors;
mod logs;
mod protected;
mod rotation;
mod scope;
mod table;
mod watchlists;

/// Watchlists that are there from the start, of `acme` and of `globex`.
const OF_ACME: &str = "5d0f7c1e-6f0b-4c57-9d0a-2f7f4e0c9a11";
const OF_GLOBEX: &str = "b3c5a0d2-1e6e-4f58-8a94-7f1f6d2f3c22";

/// The app, with two workspaces: `acme` owns `ACME.Example.` and the BIN 424242, and `globex`
/// owns `globex.example` and the BIN 51005100.
struct Bench {
    kit: TestGate,
    app: TestApp,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|gate| gate).await
    }

    /// The app, set up a little otherwise.
    async fn with(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let builder = stores::kit(api::catalog().unwrap()).configure(api::configure);
        let people = SessionCookies::new(builder.accounts());
        let sessions = people.clone();
        let builder = builder.configure(|gate| configure(gate.sessions(sessions)));
        let kit = builder.build().await;
        for (name, domain, bin) in [
            ("acme", "ACME.Example.", "424242"),
            ("globex", "globex.example", "51005100"),
        ] {
            let workspace = kit.organization(name).resource("domain", domain);
            workspace.resource("bin", bin).make().await;
        }
        let admin = Admin::new(kit.gate()).with_sign_in(people).routes();
        let routes = api::routes(kit.gate()).with_state(at_the_start());
        let app = kit.app(routes.nest("/admin", admin).into_service().unwrap());
        Self { kit, app }
    }

    /// A key of a workspace.
    async fn key(&self, workspace: &str) -> TestKey {
        self.kit.key(workspace).make().await
    }

    fn gate(&self) -> &Gate {
        self.kit.gate()
    }

    /// A request to each route, with its method and its path as they are declared. With a key of
    /// `acme` each is good, and the last deletes a watchlist.
    fn good(&self) -> [(&str, &str, Call<'_>); 9] {
        let list = "/api/v1/watchlists";
        let one = "/api/v1/watchlists/{id}";
        let this = format!("{list}/{OF_ACME}");
        let leaks = |of: &str| self.app.get(&format!("/api/v1/dataleaks/{of}"));
        let named = r#"{"name":"Ours","bins":["424242"]}"#;
        let search = self.app.post("/api/v1/dataleaks/search");
        [
            ("GET", list, self.app.get(list)),
            ("POST", list, self.app.post(list).json(named)),
            ("GET", one, self.app.get(&this)),
            (
                "PATCH",
                one,
                self.app.patch(&this).json(r#"{"name":"Theirs"}"#),
            ),
            (
                "GET",
                "/api/v1/dataleaks/domain",
                leaks("domain?domain=acme.example"),
            ),
            (
                "GET",
                "/api/v1/dataleaks/email",
                leaks("email?email=ann@acme.example"),
            ),
            ("GET", "/api/v1/dataleaks/bin", leaks("bin?bin=424242")),
            (
                "POST",
                "/api/v1/dataleaks/search",
                search.json(r#"{"bin":"424242"}"#),
            ),
            ("DELETE", one, self.app.delete(&this)),
        ]
    }

    /// What is asked of the leaks by GET: `domain?domain=acme.example`.
    async fn leaks(&self, key: &TestKey, asked: &str) -> Answer {
        let path = format!("/api/v1/dataleaks/{asked}");
        self.app.get(&path).key(key).send().await
    }

    /// What is asked of all leaks by POST.
    async fn search(&self, key: &TestKey, body: &str) -> Answer {
        let search = self.app.post("/api/v1/dataleaks/search");
        search.key(key).json(body).send().await
    }

    /// A request for a watchlist, or for all with an empty id.
    fn watchlist(&self, method: Method, id: &str) -> Call<'_> {
        let path = format!("/api/v1/watchlists/{id}");
        self.app.request(method, path.trim_end_matches('/'))
    }
}

fn at_the_start() -> Watchlists {
    [
        ("acme", OF_ACME, "acme.example"),
        ("globex", OF_GLOBEX, "globex.example"),
    ]
    .into_iter()
    .fold(Watchlists::default(), |all, (workspace, id, domain)| {
        let watchlist = Watchlist::of_domain("Our domain", Domain::read(domain).unwrap());
        all.with(OrgId::new(workspace).unwrap(), id, watchlist)
    })
}

/// The body is `{"error": "…"}` and nothing else, and there is an id to ask about it with. Returns
/// the sentence.
#[track_caller]
fn assert_flat(answer: &Answer, status: u16) -> String {
    answer
        .assert_status(status)
        .assert_header("content-type", "application/json");
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    let body = answer.json();
    let members: BTreeSet<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, [&"error".to_owned()].into(), "{answer:?}");
    let told = body["error"].as_str().unwrap();
    assert!(!told.is_empty(), "{answer:?}");
    told.to_owned()
}
