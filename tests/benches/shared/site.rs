//! An app in this process, its hot keys, and a store that counts: what a flood runs into.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tollgate::access::{authenticated, public};
use tollgate::core::change::{Actor, Change};
use tollgate::core::id::{KeyId, OrgId};
use tollgate::core::key_format::KeyFormat;
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::core::memory::MemoryStore;
use tollgate::core::record::{ApiKey, KeyRecord, Organization};
use tollgate::core::reply::Reply;
use tollgate::core::secret::KeyDigest;
use tollgate::core::store::{KeyPage, KeyQuery, KeyStore, Rotation};
use tollgate::{Catalog, Gate, GateBuilder, Plan};
use tollgate_testkit::clock::ManualClock;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt};

pub(crate) struct Site {
    pub(crate) gate: Gate,
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<Counting>,
    pub(crate) format: KeyFormat,
    service: BoxCloneService<Request<Body>, Response<Body>, std::convert::Infallible>,
}

/// Counts look-ups of keys that there are, and of keys that there are not.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: Arc<MemoryStore>,
    found: AtomicU64,
    unknown: AtomicU64,
}

impl Counting {
    pub(crate) fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}

/// One request's key, as a header has it.
pub(crate) fn bearer(secret: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {secret}")).unwrap()
}

impl Site {
    /// Its clock stands still until the flood moves it.
    pub(crate) async fn new(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let catalog = Catalog::builder().plan(Plan::new("free")).build().unwrap();
        let format = KeyFormat::new(&catalog.keys().format);
        let (clock, store) = (ManualClock::new(), Arc::new(Counting::default()));
        let builder = Gate::builder(catalog)
            .shared_store(Arc::clone(&store.inner))
            .key_store(Shared(Arc::clone(&store)))
            .clock(Arc::new(clock.clone()));
        let gate = configure(builder).build().await.unwrap();
        let new = NewOrganization::new(OrgId::new("acme").unwrap(), "free");
        let actor = Actor::system();
        let created = gate.keyring().create_organization(new, &actor);
        created.await.unwrap();
        let routes = gate.routes().get("/", async || "", authenticated());
        let routes = routes.get("/public", async || "", public());
        let service = BoxCloneService::new(routes.into_service().unwrap());
        Self {
            gate,
            clock,
            store,
            format,
            service,
        }
    }

    /// The text of a key that there is.
    pub(crate) async fn key(&self) -> String {
        let new = NewKey::new(OrgId::new("acme").unwrap(), "a key");
        let actor = Actor::system();
        let issued = self.gate.keyring().issue(new, &actor);
        issued.await.unwrap().secret.expose().to_owned()
    }

    /// A key that nobody was given, with a good checksum or a bad one.
    pub(crate) fn made_up(&self, checksum: bool) -> HeaderValue {
        let made_up = self.format.generate("live").unwrap().secret;
        let text = made_up.expose();
        if checksum {
            return bearer(text);
        }
        let (body, last) = text.split_at(text.len() - 1);
        let other = if last == "a" { "b" } else { "a" };
        bearer(&format!("{body}{other}"))
    }

    pub(crate) async fn ask(
        &mut self,
        path: &'static str,
        key: Option<HeaderValue>,
        from: IpAddr,
    ) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static(path);
        let peer = SocketAddr::from((from, 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(key) = key {
            request.headers_mut().insert(header::AUTHORIZATION, key);
        }
        let service = self.service.ready().await.unwrap();
        service.call(request).await.unwrap()
    }

    pub(crate) async fn status(&mut self, key: &HeaderValue, from: IpAddr) -> StatusCode {
        self.ask("/", Some(key.clone()), from).await.status()
    }
}

#[derive(Debug)]
struct Shared(Arc<Counting>);

impl KeyStore for Shared {
    fn find(&self, digest: &KeyDigest) -> Reply<Option<KeyRecord>> {
        let found = self.0.inner.find(digest);
        let count = match &found {
            Reply::Now(Ok(Some(_))) => &self.0.found,
            _ => &self.0.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn key(&self, id: &KeyId) -> Reply<Option<ApiKey>> {
        self.0.inner.key(id)
    }

    fn list_keys(&self, query: KeyQuery) -> Reply<KeyPage> {
        self.0.inner.list_keys(query)
    }

    fn insert_key(&self, key: ApiKey, digest: KeyDigest, change: Change) -> Reply<()> {
        self.0.inner.insert_key(key, digest, change)
    }

    fn update_key(&self, key: ApiKey, rotation: Option<Rotation>, change: Change) -> Reply<ApiKey> {
        self.0.inner.update_key(key, rotation, change)
    }

    fn delete_key(&self, id: &KeyId, change: Change) -> Reply<()> {
        self.0.inner.delete_key(id, change)
    }

    fn organization(&self, id: &OrgId) -> Reply<Option<Organization>> {
        self.0.inner.organization(id)
    }

    fn organizations(&self, after: Option<OrgId>, limit: u32) -> Reply<Vec<Organization>> {
        self.0.inner.organizations(after, limit)
    }

    fn insert_organization(&self, organization: Organization, change: Change) -> Reply<()> {
        self.0.inner.insert_organization(organization, change)
    }

    fn update_organization(&self, org: Organization, change: Change) -> Reply<Organization> {
        self.0.inner.update_organization(org, change)
    }
}
