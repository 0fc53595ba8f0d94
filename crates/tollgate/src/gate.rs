//! The gate: everything that the layers share.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use axum::extract::OriginalUri;
use futures_util::future::{Either, select};
use http::{HeaderValue, Request};
use parking_lot::Mutex;
use tollgate_core::audit::AuditStore;
use tollgate_core::catalog::Catalog;
use tollgate_core::change::{Actor, ChangeFeed};
use tollgate_core::clock::{Clock, Moment};
use tollgate_core::credits::{Balance, Grant};
use tollgate_core::demand::RouteDemand;
use tollgate_core::error::StoreError;
use tollgate_core::id::OrgId;
use tollgate_core::keyring::{Keyring, KeyringError};
use tollgate_core::plan::Limits;
use tollgate_core::quota::QuotaTally;
use tollgate_core::rate::{Limiter, Subject, Take};
use tollgate_core::reply::Reply;
use tollgate_core::store::{CatalogStore, Declaration};
use tollgate_core::usage::UsageStore;

use crate::authenticate::Failures;
use crate::background;
use crate::cache::KeyCache;
use crate::client_address::TrustedProxies;
use crate::credential::{Credentials, Presented, Reader};
use crate::denial::{Denial, DenialKind};
use crate::envelope::Errors;
use crate::meter::CreditHeaders;
use crate::passage::{Passage, RateReport};
use crate::rate_limit::{RateHeaders, Rates};
use crate::request_id::IdMaker;
use crate::routes::{PermissionMap, Routes};
use crate::session::{Session, Sessions};
use crate::strict_path::is_unusual;
use crate::tab::Till;
use crate::telemetry::Decisions;
use crate::usage::UsageLog;
use crate::verified::VerifiedKey;

pub use audit::Audit;
pub use builder::GateBuilder;
pub use credits::Credits;
pub use error::StartError;
pub use usage::Usage;

mod audit;
mod builder;
mod credits;
mod error;
mod explain;
mod usage;

/// What guards an app: its catalog, its stores, and how it wants its answers to look.
///
/// Made once by [`Gate::builder`]; clones share everything.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

/// The longest that a shutdown takes.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(10);

/// A gate that does not keep itself alive.
pub(crate) struct WeakGate(Weak<Inner>);

struct Inner {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    keyring: Keyring,
    reader: Reader,
    credentials: Credentials,
    vary: Option<HeaderValue>,
    proxies: TrustedProxies,
    id_maker: IdMaker,
    errors: Errors,
    tells_key_state: bool,
    strict_path: bool,
    missing_key_message: String,
    cache: KeyCache,
    failures: Failures,
    rates: Rates,
    rate_headers: RateHeaders,
    credit_headers: Option<CreditHeaders>,
    stranger_limits: Option<Limits>,
    till: Till,
    usage: UsageLog<VerifiedKey>,
    usage_store: Arc<dyn UsageStore>,
    audit: Arc<dyn AuditStore>,
    feed: Arc<dyn ChangeFeed>,
    feed_seen: Arc<AtomicU64>,
    declarations: Arc<dyn CatalogStore>,
    /// What was mounted of it, for who wants a request explained.
    routes: Mutex<Vec<RouteDemand>>,
    sessions: Option<Arc<dyn Sessions>>,
    unmatched: Decisions,
    no_peer: Once,
}

impl Gate {
    /// Starts to put a gate together.
    ///
    /// ```
    /// use tollgate::core::memory::MemoryStore;
    /// use tollgate::{Catalog, Gate, Plan};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let catalog = Catalog::builder().plan(Plan::new("free")).build()?;
    /// let gate = Gate::builder(catalog).store(MemoryStore::default()).build().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(catalog: Catalog) -> GateBuilder {
        GateBuilder::new(catalog)
    }

    /// Starts to declare routes.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Routes<S> {
        Routes::new(self.clone())
    }

    /// The one place where keys change. What it changes, this gate's next request sees.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// The credits of organizations: grants, refunds, balances, books.
    #[must_use]
    pub const fn credits(&self) -> Credits<'_> {
        Credits(self)
    }

    /// Who changed what.
    #[must_use]
    pub const fn audit(&self) -> Audit<'_> {
        Audit(self)
    }

    /// What keys were used for.
    #[must_use]
    pub const fn usage(&self) -> Usage<'_> {
        Usage(self)
    }

    /// Gives an organization credits that do not expire.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if there is no such organization, or a store fails.
    pub async fn grant_credits(
        &self,
        organization: &OrgId,
        credits: u64,
        actor: &Actor,
    ) -> Result<Balance, KeyringError> {
        let grant = Grant::new(organization.clone(), credits);
        self.credits().grant(grant, actor).await
    }

    /// Reads an organization's wallet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a store fails.
    pub async fn balance(&self, organization: &OrgId) -> Result<Balance, StoreError> {
        self.credits().balance(organization).await
    }

    /// The good session of a request, as the app's [`Sessions`] finds it now: for who has waited so
    /// long that it may have ended meanwhile.
    pub fn session_of(&self, head: &http::request::Parts) -> Reply<Option<Session>> {
        self.sessions()
            .map_or_else(|| Reply::ready(None), |sessions| sessions.verify(head))
    }

    /// Ends what goes on behind the requests: waits for charges that are under way, writes
    /// usage, gives unspent quota and leased credits back. Call it after the server has drained.
    ///
    /// It takes ten seconds at most, by the gate's clock; what a store that hangs keeps from
    /// being written by then is lost, and said to be.
    pub async fn shutdown(&self) {
        let work = std::pin::pin!(self.wind_up());
        let limit = self.clock().sleep(LONGEST_SHUTDOWN);
        if let Either::Right(_) = select(work, limit).await {
            tracing::error!("a store did not answer in time for the shutdown");
        }
    }

    async fn wind_up(&self) {
        let till = self.till();
        till.tasks.stop();
        // Nothing that hangs may keep the leases from being given back.
        let given_back = async {
            if let Some(leases) = &till.leases {
                leases.release().await;
            }
        };
        futures_util::join!(given_back, till.tasks.finish());
        if let Err(error) = background::write_usage(self).await {
            tracing::error!(%error, "could not write the last usage; it is lost");
        }
        if let Err(error) = self.rates().quotas.release().await {
            tracing::error!(%error, "could not give unspent quota back; it is forfeited");
        }
    }

    pub(crate) fn downgrade(&self) -> WeakGate {
        WeakGate(Arc::downgrade(&self.0))
    }

    /// The clock that everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn clock_handle(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    pub(crate) fn keys(&self) -> &KeyCache {
        &self.0.cache
    }

    pub(crate) fn failures(&self) -> &Failures {
        &self.0.failures
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(crate) fn credit_headers(&self) -> Option<&CreditHeaders> {
        self.0.credit_headers.as_ref()
    }

    pub(crate) fn rate_headers(&self) -> RateHeaders {
        self.0.rate_headers
    }

    pub(crate) fn till(&self) -> &Till {
        &self.0.till
    }

    pub(crate) fn usage_log(&self) -> &UsageLog<VerifiedKey> {
        &self.0.usage
    }

    pub(crate) fn usage_store(&self) -> &dyn UsageStore {
        &*self.0.usage_store
    }

    pub(crate) fn feed(&self) -> &dyn ChangeFeed {
        &*self.0.feed
    }

    pub(crate) fn feed_handle(&self) -> Arc<dyn ChangeFeed> {
        Arc::clone(&self.0.feed)
    }

    pub(crate) fn feed_seen(&self) -> &AtomicU64 {
        &self.0.feed_seen
    }

    pub(crate) fn errors(&self) -> &Errors {
        &self.0.errors
    }

    pub(crate) fn proxies(&self) -> &TrustedProxies {
        &self.0.proxies
    }

    pub(crate) fn id_maker(&self) -> &IdMaker {
        &self.0.id_maker
    }

    pub(crate) fn vary(&self) -> Option<&HeaderValue> {
        self.0.vary.as_ref()
    }

    pub(crate) fn sessions(&self) -> Option<&dyn Sessions> {
        self.0.sessions.as_deref()
    }

    pub(crate) fn tells_key_state(&self) -> bool {
        self.0.tells_key_state
    }

    pub(crate) fn missing_key_message(&self) -> &str {
        &self.0.missing_key_message
    }

    pub(crate) fn unmatched(&self) -> &Decisions {
        &self.0.unmatched
    }

    pub(crate) fn stranger_limits(&self) -> Option<&Limits> {
        self.0.stranger_limits.as_ref()
    }

    /// Whether the path is one of those that are refused, inside a bigger app also as it came.
    pub(crate) fn refuses_path<B>(&self, request: &Request<B>) -> bool {
        let original = || {
            let original = request.extensions().get::<OriginalUri>();
            original.is_some_and(|OriginalUri(uri)| is_unusual(uri.path()))
        };
        self.0.strict_path && (is_unusual(request.uri().path()) || original())
    }

    /// Says once that the server tells no addresses: what that breaks is quiet until it is needed.
    pub(crate) fn warn_of_no_peer(&self) {
        self.0.no_peer.call_once(|| {
            tracing::warn!(
                "the server does not say where requests come from: keys with IP rules are refused, \
                 and nothing is limited by address; serve `into_service()`, or a router with \
                 `into_make_service_with_connect_info::<SocketAddr>()`"
            );
        });
    }

    /// Takes the credential out of a request.
    pub(crate) fn take_credential<B>(&self, request: &mut Request<B>) -> Presented {
        let Inner {
            credentials,
            reader,
            ..
        } = &*self.0;
        // Inside a bigger app, its router has kept the URI as it came.
        if let Some(OriginalUri(original)) = request.extensions_mut().get_mut::<OriginalUri>() {
            credentials.hide(original);
        }
        credentials.take(request, reader)
    }

    /// Counts a request of nobody in particular by its address, where the app limits those.
    pub(crate) fn judge_stranger(&self, passage: &mut Passage, now: Moment) -> Result<(), Denial> {
        let (Some(limits), Some(address)) = (self.stranger_limits(), passage.address) else {
            return Ok(());
        };
        let subject = Subject::address(address);
        let take = Take {
            subject: &subject,
            limits: limits.rates(),
            cost: 1,
            now,
        };
        // The limiter of strangers is always in memory: what nobody pays for costs no I/O.
        let Reply::Now(Ok(rates)) = self.0.failures.limiter().take(&take) else {
            return Ok(());
        };
        let (admitted, wait) = (rates.admitted, rates.retry_after());
        let quotas = QuotaTally::default();
        passage.rates = Some(RateReport { rates, quotas });
        if admitted {
            return Ok(());
        }
        Err(Denial::new(DenialKind::RateLimited).with_retry_after(wait))
    }

    /// What an address has left, for a response that consumed nothing.
    pub(crate) fn stranger_report(&self, address: IpAddr, now: Moment) -> Option<RateReport> {
        let take = Take {
            subject: &Subject::address(address),
            limits: self.stranger_limits()?.rates(),
            cost: 0,
            now,
        };
        match self.0.failures.limiter().peek(&take) {
            Reply::Now(Ok(rates)) => Some(RateReport {
                rates,
                ..RateReport::default()
            }),
            _ => None,
        }
    }

    /// The denial of a request whose credential was refused: its own, or that its address sends
    /// too many.
    pub(crate) fn judge_refused(
        &self,
        passage: &mut Passage,
        denial: Denial,
        now: Moment,
    ) -> Denial {
        self.judge_stranger(passage, now).err().unwrap_or(denial)
    }

    /// Records what the app declares, for the command line and the management API.
    pub(crate) fn declare(&self, permissions: &PermissionMap) {
        self.0.routes.lock().extend(permissions.demands());
        let declaration = Declaration {
            catalog: self.catalog().to_json(),
            permissions: permissions.to_json(),
        };
        let recorded = self.0.declarations.record_declaration(declaration);
        let recorded = background::in_time(self.clock(), recorded);
        self.till().tasks.spawn(async move {
            if let Err(error) = recorded.await {
                tracing::error!(%error, "could not record the catalog and the permission map");
            }
        });
    }
}

impl WeakGate {
    pub(crate) fn upgrade(&self) -> Option<Gate> {
        self.0.upgrade().map(Gate)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("catalog", &self.0.catalog)
            .finish_non_exhaustive()
    }
}
