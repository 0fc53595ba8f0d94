//! What is explained of a request is what happens to it.

use http::Method;
use tollgate::access::{
    Access, all_of, any_of, authenticated, optional, public, scope, session, without_key,
};
use tollgate::core::clock::Clock as _;
use tollgate::core::demand::{RouteDemand, routes_from_json};
use tollgate::core::explain::Question;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::NewKey;
use tollgate::core::record::KeyRecord;
use tollgate::core::reply::Reply;
use tollgate::core::store::{CatalogStore, KeyStore};
use tollgate::{Catalog, Plan, Preset, Scope, Session, Sessions};

use crate::support::{MINUTE, TestApp, TestKey, actor, eventually, org};

#[derive(Debug)]
struct Nobody;

impl Sessions for Nobody {
    fn verify(&self, _: &http::request::Parts) -> Reply<Option<Session>> {
        Reply::ready(None)
    }
}

fn catalog() -> Catalog {
    Catalog::builder()
        .scope("a:read")
        .scope(Scope::new("a:write").implies("a:read"))
        .scope(Scope::new("b:read").requires_plan("pro"))
        .scope(Scope::new("c:read").requires_plan("team"))
        .scope(Scope::new("all").implies_everything().reserved())
        .preset(Preset::new("readers").scopes(["a:read", "b:read"]))
        .plan(Plan::new("free").rank(0))
        .plan(Plan::new("team").rank(1).feature("stix"))
        .plan(Plan::new("pro").rank(2).feature("stix").feature("taxii"))
        .build()
        .unwrap()
}

fn accesses() -> Vec<Access> {
    vec![
        public(),
        optional(),
        session(),
        without_key(),
        authenticated(),
        authenticated().credits(3),
        authenticated().allow_billing_restricted(),
        authenticated().feature("stix").feature("taxii"),
        scope("a:read"),
        scope("a:write").plan("team"),
        scope("b:read").credits_between(2, 9),
        scope("c:read"),
        all_of(["a:read", "b:read"]).credits_per_item(5),
        any_of(["b:read", "c:read"]),
        any_of(["a:read", "b:read"]).plan("pro"),
        scope("a:read").rate_cost(3).allow_billing_restricted(),
    ]
}

async fn recorded(app: &TestApp) -> Vec<RouteDemand> {
    let mut routes = Vec::new();
    eventually("the app has recorded its routes", async || {
        let declaration = app.store.store().declaration().await.unwrap();
        if let Some(declaration) = declaration {
            routes = routes_from_json(&declaration.permissions).unwrap();
        }
        !routes.is_empty()
    })
    .await;
    routes
}

/// Any key, in any state, of any organization.
async fn any_key(app: &TestApp, random: &mut fastrand::Rng, n: usize) -> (String, TestKey) {
    let name = format!("org{n}");
    let plan = ["free", "team", "pro"][random.usize(..3)];
    app.organization(&name, plan).await;
    let keyring = app.gate.keyring();
    match random.u8(..4) {
        0 => drop(keyring.suspend(&org(&name), &actor()).await.unwrap()),
        1 => drop(
            keyring
                .restrict_billing(&org(&name), &actor())
                .await
                .unwrap(),
        ),
        _ => {}
    }
    if random.u8(..4) == 0 {
        let rules = IpRules::allowing("198.51.100.0/24".parse().unwrap());
        let set = keyring.set_ip_rules(&org(&name), &rules, &actor()).await;
        set.unwrap();
    }
    let credits = random.u64(..8);
    if credits > 0 {
        app.grant(&name, credits).await;
    }
    let mut new = NewKey::new(org(&name), "a key");
    new = match random.u8(..4) {
        0 => new.preset("readers"),
        1 => new.scopes(["all"]),
        _ => {
            let scopes = ["a:read", "a:write", "b:read", "c:read"];
            new.scopes(scopes.into_iter().filter(|_| random.bool()))
        }
    };
    if random.u8(..4) == 0 {
        new = new.plan(["free", "team", "pro"][random.usize(..3)]);
    }
    if random.u8(..3) == 0 {
        new = new.environment("test");
    }
    if random.u8(..4) == 0 {
        new = new.ip_rules(IpRules::allowing("198.51.100.7".parse().unwrap()));
    }
    if random.u8(..6) == 0 {
        new = new.expires_at(app.clock.now().wall.after(MINUTE));
    }
    let issued = keyring.issue(new, &actor()).await.unwrap();
    match random.u8(..8) {
        0 => drop(keyring.revoke(&issued.key.id, &actor()).await.unwrap()),
        1 => drop(keyring.disable(&issued.key.id, &actor()).await.unwrap()),
        _ => {}
    }
    let secret = issued.secret.expose().to_owned();
    let id = issued.key.id;
    (name, TestKey { id, secret })
}

#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let app = TestApp::of(
        catalog(),
        |builder| builder.sessions(Nobody),
        |gate| {
            let mut routes = gate.routes();
            for (n, access) in accesses().into_iter().enumerate() {
                routes = routes.get(&format!("/{n}"), async || "done", access);
            }
            routes
        },
    )
    .await;
    let routes = recorded(&app).await;
    let seed = 5;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut refused, mut passed) = (0, 0);
    for n in 0..300 {
        let (name, key) = any_key(&app, &mut random, n).await;
        app.clock.advance(MINUTE / 4);
        for route in &routes {
            let from = ["198.51.100.7", "203.0.113.9"][random.usize(..2)];
            let record = KeyRecord {
                key: app.store.key(&key.id).await.unwrap().unwrap(),
                organization: app.store.organization(&org(&name)).await.unwrap().unwrap(),
                secret_valid_until: None,
            };
            let question = Question {
                catalog: app.gate.catalog(),
                demand: &route.demand,
                record: &record,
                address: Some(from.parse().unwrap()),
                now: app.clock.now().wall,
                balance: Some(app.balance(&name)),
                live: None,
            };
            let explained = question.explain();
            let call = app.call(Method::GET, &route.path).key(&key).from(from);
            let answer = call.send().await;
            let code = (answer.status != 200).then(|| answer.code());
            assert_eq!(
                explained.refused.as_deref(),
                code.as_deref(),
                "seed {seed}, key {n}, {route:?}, {record:?}: {explained:#?}"
            );
            if code.is_some() {
                refused += 1;
            } else {
                passed += 1;
            }
            app.settled().await;
        }
    }
    assert!(refused > 1_000 && passed > 300, "{refused} and {passed}");
}
