//! Keys of another system go on working here, once their import is activated.

use std::sync::Arc;

use tollgate::access::scope;
use tollgate::core::change::Actor;
use tollgate::core::error::StoreErrorKind;
use tollgate::core::id::OrgId;
use tollgate::core::keyring::{ForeignKey, Import, KeyringError, NewKey, RefusedKey};
use tollgate::core::secret::{Digester, KeyDigest};
use tollgate::core::store::{KeyImport, KeyQuery};
use tollgate::{Catalog, GateBuilder};

use crate::support::{self, MINUTE, TestApp};

const SECRET: &str = "oldco_9f86d081884c7d65";
const PEPPER: &[u8] = b"a pepper of this test";

fn catalog(foreign: bool) -> Catalog {
    let mut spec = support::catalog().spec().clone();
    if foreign {
        spec.keys.format = spec.keys.format.foreign("oldco_");
    }
    Catalog::new(spec).unwrap()
}

async fn app_of(catalog: Catalog, change: impl FnOnce(GateBuilder) -> GateBuilder) -> TestApp {
    TestApp::of(catalog, change, |gate| {
        gate.routes()
            .get("/iocs", async || "iocs", scope("iocs:read"))
    })
    .await
}

/// What a call with a secret is answered.
async fn status(app: &TestApp, secret: &str) -> u16 {
    let bearer = format!("Bearer {secret}");
    let call = app.get("/iocs").header("authorization", bearer);
    call.status().await
}

fn sha256(secret: &str) -> KeyDigest {
    Digester::sha256().digest(secret)
}

fn key(name: &str) -> NewKey {
    NewKey::new(OrgId::new("acme").unwrap(), name).scopes(["iocs:read"])
}

fn foreign(secret: &str) -> ForeignKey {
    ForeignKey::new(key("imported"), sha256(secret))
}

fn actor() -> Actor {
    Actor::named("cli:root")
}

async fn begin(app: &TestApp) -> Result<Import, KeyringError> {
    let store = Arc::clone(&app.store) as Arc<dyn KeyImport>;
    app.gate.keyring().importer(store).begin(&actor()).await
}

fn told(refused: &[RefusedKey]) -> Vec<(usize, String)> {
    let told = refused.iter().map(|it| (it.index, it.error.to_string()));
    told.collect()
}

async fn opens_once_activated(app: &TestApp) {
    // That it is unknown is remembered from here on.
    assert_eq!(status(app, SECRET).await, 401);
    let mut import = begin(app).await.unwrap();
    assert_eq!(told(&import.add(vec![foreign(SECRET)]).await.unwrap()), []);
    assert_eq!(status(app, SECRET).await, 401);
    assert_eq!(import.activate().await.unwrap(), 1);
    assert_eq!(status(app, SECRET).await, 200);
    assert_eq!(status(app, "oldco_9f86d081884c7d66").await, 401);
}

#[tokio::test]
async fn an_imported_key_opens_a_route_once_its_import_is_activated() {
    let app = app_of(catalog(true), |gate| gate).await;
    opens_once_activated(&app).await;
    let page = app.gate.keyring().list_keys(KeyQuery::new()).await.unwrap();
    let listed = &page.keys.first().unwrap().key;
    assert_eq!(
        (&*listed.display_prefix, &*listed.creator),
        ("oldco_", "cli:root")
    );
}

#[tokio::test]
async fn an_imported_key_opens_a_route_where_digests_have_a_pepper() {
    let app = app_of(catalog(true), |gate| gate.pepper(PEPPER)).await;
    opens_once_activated(&app).await;
}

#[tokio::test]
async fn digests_without_the_pepper_are_not_imported_where_they_are_never_found() {
    let app = app_of(catalog(false), |gate| gate.pepper(PEPPER)).await;
    let error = begin(&app).await.unwrap_err().to_string();
    assert!(error.contains("declare the prefix"), "{error}");
}

#[tokio::test]
async fn a_foreign_prefix_that_is_not_declared_is_no_key() {
    let app = app_of(catalog(false), |gate| gate).await;
    let mut import = begin(&app).await.unwrap();
    import.add(vec![foreign(SECRET)]).await.unwrap();
    import.activate().await.unwrap();
    assert_eq!(status(&app, SECRET).await, 401);
}

/// As a key that is issued would be, each by itself.
fn records() -> Vec<ForeignKey> {
    let nobody = NewKey::new(OrgId::new("nobody").unwrap(), "lost");
    vec![
        foreign("oldco_1"),
        ForeignKey::new(key("twin"), sha256("oldco_1")),
        ForeignKey::new(key("other scope").scopes(["iocs:sell"]), sha256("oldco_2")),
        ForeignKey::new(key("lost preset").preset("none"), sha256("oldco_3")),
        ForeignKey::new(nobody, sha256("oldco_4")),
        ForeignKey::new(key("nowhere").environment("moon"), sha256("oldco_5")),
        foreign("oldco_6").display_prefix("a b"),
        foreign("oldco_7").display_prefix("oldco_7f"),
        foreign("oldco_0"),
    ]
}

const REFUSED: [(usize, &str); 7] = [
    (1, "a key of this digest exists already"),
    (2, "`iocs:sell` is not declared"),
    (3, "preset: `none` is not declared in the catalog"),
    (4, "there is no organization `nobody`"),
    (
        5,
        "key environment: `moon` is not declared; use one of live, test",
    ),
    (6, "display prefix: `a b` is not at most 32 visible"),
    (8, "a key of this digest exists already"),
];

fn assert_refused(refused: &[RefusedKey]) {
    let refused = told(refused);
    assert_eq!(refused.len(), REFUSED.len(), "{refused:?}");
    for ((index, error), (at, part)) in refused.iter().zip(REFUSED) {
        assert!(*index == at && error.contains(part), "{index}: {error}");
    }
}

#[tokio::test]
async fn records_that_are_no_good_are_told_and_the_others_imported() {
    let app = app_of(catalog(true), |gate| gate).await;
    let mut import = begin(&app).await.unwrap();
    assert_eq!(
        told(&import.add(vec![foreign("oldco_0")]).await.unwrap()),
        []
    );
    assert_refused(&import.add(records()).await.unwrap());
    // What was refused may come again, put right.
    let right = ForeignKey::new(key("right"), sha256("oldco_2"));
    assert_eq!(told(&import.add(vec![right]).await.unwrap()), []);
    assert_eq!(import.activate().await.unwrap(), 4);
}

/// They are written in several steps, ordered by their digests, the next while the last is written.
#[tokio::test]
async fn of_many_records_each_is_imported_once_and_each_twin_told() {
    let app = app_of(catalog(true), |gate| gate).await;
    let of = |n: usize| foreign(&format!("oldco_{:08}", n % 5_000));
    let mut import = begin(&app).await.unwrap();
    let refused = import.add((0..9_000).map(of).collect()).await.unwrap();
    assert!(refused.iter().map(|it| it.index).eq(5_000..9_000));
    let again = import.add((0..2_500).map(of).collect()).await.unwrap();
    assert!(again.iter().map(|it| it.index).eq(0..2_500));
    assert_eq!(import.activate().await.unwrap(), 5_000);
    assert_eq!(status(&app, "oldco_00004999").await, 200);
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_writes_nothing() {
    let app = app_of(catalog(true), |gate| gate).await;
    let store = Arc::clone(&app.store) as Arc<dyn KeyImport>;
    let importer = app.gate.keyring().importer(store).dry_run();
    let mut import = importer.begin(&actor()).await.unwrap();
    assert_eq!(
        told(&import.add(vec![foreign("oldco_0")]).await.unwrap()),
        []
    );
    assert_refused(&import.add(records()).await.unwrap());
    assert_eq!(import.activate().await.unwrap(), 0);
    let page = app.gate.keyring().list_keys(KeyQuery::new()).await.unwrap();
    assert_eq!(page.keys, []);
    assert_eq!(app.store.pending_imports().await.unwrap(), []);
}

#[tokio::test]
async fn what_an_import_left_behind_is_in_nobodys_way_after_a_minute() {
    let app = app_of(catalog(true), |gate| gate).await;
    let mut killed = begin(&app).await.unwrap();
    killed.add(vec![foreign(SECRET)]).await.unwrap();
    let error = begin(&app).await.unwrap_err();
    assert!(
        matches!(&error, KeyringError::Store(it) if it.kind() == StoreErrorKind::Conflict),
        "{error}"
    );
    app.clock.advance(MINUTE);
    let mut import = begin(&app).await.unwrap();
    assert_eq!(told(&import.add(vec![foreign(SECRET)]).await.unwrap()), []);
    // The one that was taken for dead finds out.
    let error = killed.add(vec![foreign("oldco_8")]).await.unwrap_err();
    assert!(error.to_string().contains("begin again"), "{error}");
    assert_eq!(import.activate().await.unwrap(), 1);
    assert_eq!(status(&app, SECRET).await, 200);
}

#[tokio::test]
async fn an_import_that_is_given_up_leaves_nothing() {
    let app = app_of(catalog(true), |gate| gate).await;
    let mut import = begin(&app).await.unwrap();
    import.add(vec![foreign(SECRET)]).await.unwrap();
    import.abandon().await.unwrap();
    assert_eq!(status(&app, SECRET).await, 401);
    assert_eq!(app.store.pending_imports().await.unwrap(), []);
}
