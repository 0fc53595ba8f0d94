//! `Debug` of whatever a running gate hands out, on one line and on many.

use std::fmt::{Debug, Write};
use std::sync::Arc;

use axum::extract::{OriginalUri, Request};
use http::{Extensions, HeaderMap};
use parking_lot::Mutex;
use tollgate::access::{authenticated, scope};
use tollgate::authenticate::AuthenticateLayer;
use tollgate::client_address::{ClientAddress, ClientAddressLayer, TrustedProxies};
use tollgate::core::clock::Clock;
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::{EditKey, NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::reply::Reply;
use tollgate::core::secret::{Digester, KeyDigest, Secret};
use tollgate::core::store::{KeyQuery, KeyStore, Rotation};
use tollgate::credential::Credentials;
use tollgate::{Bill, CacheSettings, Denial, DenialKind, Gate, Principal};
use tollgate_sqlx::{SqliteOptions, SqliteStore};
use tollgate_testkit::clock::ManualClock;
use tollgate_testkit::faults::FaultyStore;
use tower::{Layer, Service};

use super::search::Search;
use super::stage::{PEPPER, Stage, routes};
use crate::support::{DAY, actor, catalog, org, unknown_secret};

#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn of(&self, name: &str, value: &impl Debug) {
        writeln!(self.0.lock(), "{name}: {value:?}\n{value:#?}").unwrap();
    }
}

fn search_for(secrets: &[&str]) -> Search {
    let mut search = Search::default();
    search.text("the pepper", PEPPER);
    for secret in secrets {
        search.key("a key", secret);
    }
    search
}

#[tokio::test]
async fn nothing_that_keeps_keys_shows_one() {
    let told = Told::default();
    let stage = Stage::set().await;
    let keyring = stage.gate.keyring();
    let new = NewKey::new(org("umbra"), "a key").scopes(["iocs:read"]);
    told.of("NewKey", &new);
    let issued = stage.issue(new).await;
    let rotated = keyring.rotate(&issued.key.id, DAY, &actor()).await.unwrap();
    let digester = Digester::with_pepper(PEPPER.as_bytes());
    let digest = digester.digest(rotated.secret.expose());
    let record = stage.store.find(&digest).await.unwrap();
    assert!(record.is_some(), "the store knows the key");
    let format = KeyFormat::new(&catalog().keys().format);
    let generated = format.generate("test").unwrap();
    let secret = Secret::new(unknown_secret());

    told.of("Issued", &issued);
    told.of("Issued by a rotation", &rotated);
    told.of("Secret", &secret);
    told.of("KeyDigest", &digest);
    told.of("Digester", &digester);
    told.of("Generated", &generated);
    told.of("KeyFormat", &format);
    told.of("KeyRecord", &record);
    told.of("ApiKey", &keyring.key(&issued.key.id).await.unwrap());
    told.of("keys", &keyring.list_keys(KeyQuery::new()).await.unwrap());
    told.of(
        "Organization",
        &keyring.organization(&org("umbra")).await.unwrap(),
    );
    told.of("EditKey", &EditKey::new().name("another"));
    told.of(
        "NewOrganization",
        &NewOrganization::new(org("acme"), "free"),
    );
    let old_valid_until = stage.clock.now().wall;
    told.of(
        "Rotation",
        &Rotation {
            digest,
            old_valid_until,
        },
    );
    told.of(
        "an error",
        &keyring.rotate(&issued.key.id, DAY * 4000, &actor()).await,
    );
    told.of("Reply", &Reply::<_, ()>::Now(Ok(record)));
    told.of("Gate", &stage.gate);
    told.of("Keyring", keyring);
    told.of("Catalog", stage.gate.catalog());
    told.of("SqliteStore", stage.store.store());
    told.of("FaultyStore", &stage.store);
    told.of("Faults", &stage.faults);
    told.of("ManualClock", &stage.clock);

    let secrets = [issued.secret.expose(), rotated.secret.expose()];
    let more = [generated.secret.expose(), secret.expose()];
    let search = search_for(&[secrets, more].concat());
    let text = told.0.lock();
    search.assert_none("what Debug tells", text.as_bytes());
    // Shown on purpose: listings have it.
    assert!(text.contains(&issued.key.display_prefix));
}

#[tokio::test]
async fn nothing_that_an_app_is_built_of_shows_a_pepper() {
    let told = Told::default();
    let places = Credentials::new().with_query_parameter("api_key").unwrap();
    told.of("Credentials", &places);
    told.of("CacheSettings", &CacheSettings::new());
    told.of("SqliteOptions", &SqliteOptions::new("sqlite::memory:"));
    told.of("SqliteStore", &SqliteStore::open(":memory:").await.unwrap());
    let clock = Arc::new(ManualClock::new());
    told.of(
        "FaultyStore",
        &FaultyStore::new(MemoryStore::default(), clock),
    );
    let builder = Gate::builder(catalog())
        .store(MemoryStore::default())
        .credentials(places)
        .pepper(PEPPER.as_bytes());
    told.of("GateBuilder", &builder);
    let gate = builder.build().await.unwrap();
    told.of("Gate", &gate);
    told.of("AuthenticateLayer", &AuthenticateLayer::new(&gate));
    told.of(
        "ClientAddressLayer",
        &ClientAddressLayer::new(TrustedProxies::none()),
    );
    told.of("Access", &scope("iocs:read").credits(1));
    told.of("Routes", &routes(&gate));
    told.of("PermissionMap", &routes(&gate).permissions());
    told.of("GateService", &routes(&gate).into_service().unwrap());
    told.of("Authenticate", &AuthenticateLayer::new(&gate).layer(()));
    search_for(&[]).assert_none("what Debug tells", told.0.lock().as_bytes());
}

#[tokio::test]
async fn nothing_that_a_handler_is_given_shows_the_key_that_was_sent() {
    let told = Told::default();
    let stage = Stage::set().await;
    let issued = stage.issue(NewKey::new(org("umbra"), "a key")).await;
    let granted = stage.gate.grant_credits(&org("umbra"), 5, &actor()).await;
    told.of("Balance", &granted.unwrap());
    let seen = told.clone();
    let handler = async move |caller: Principal,
                              address: ClientAddress,
                              original: OriginalUri,
                              bill: Bill,
                              request: Request| {
        seen.of("Principal", &caller);
        seen.of("ClientAddress", &address);
        seen.of("OriginalUri", &original);
        seen.of("Bill", &bill);
        seen.of("Request", &request);
        seen.of("Extensions", request.extensions());
        Err::<(), _>(Denial::new(DenialKind::ResourceNotOwned).with_reason("not theirs"))
    };
    let routes = stage
        .gate
        .routes()
        .get("/paid", handler, authenticated().credits(1));
    let mut service = routes.into_service().unwrap();
    let secret = issued.secret.expose();
    let bearer = format!("Bearer {secret}");
    let sent = [
        (format!("/paid?api_key={secret}"), HeaderMap::new()),
        (
            "/paid".to_owned(),
            HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer.parse().unwrap())]),
        ),
        (
            "/paid?x=1".to_owned(),
            HeaderMap::from_iter([("x-api-key".parse().unwrap(), secret.parse().unwrap())]),
        ),
    ];
    for (uri, headers) in sent {
        let mut request = http::Request::get(uri)
            .body(axum::body::Body::empty())
            .unwrap();
        *request.headers_mut() = headers;
        let answering = service.call(request);
        told.of("GateFuture", &answering);
        let response = answering.await.unwrap();
        assert_eq!(response.status(), 403);
        told.of("Response", &response);
        told.of("its extensions", response.extensions());
        let none = Extensions::new();
        let denial = response.extensions().get::<Denial>();
        told.of("Denial", &(denial, none));
    }
    let digest: KeyDigest = Digester::with_pepper(PEPPER.as_bytes()).digest(secret);
    told.of("KeyRecord", &stage.store.find(&digest).await.unwrap());
    let text = told.0.lock();
    assert_eq!(
        text.matches("\nPrincipal: ").count(),
        3,
        "all three were let in"
    );
    search_for(&[secret]).assert_none("what Debug tells", text.as_bytes());
}
