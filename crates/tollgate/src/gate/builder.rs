//! Puts a gate together.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Once};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tollgate_core::audit::AuditStore;
use tollgate_core::catalog::Catalog;
use tollgate_core::change::ChangeFeed;
use tollgate_core::clock::{Clock, SystemClock};
use tollgate_core::credits::Ledger;
use tollgate_core::deadline::within;
use tollgate_core::id::OrgId;
use tollgate_core::key_format::KeyFormat;
use tollgate_core::keyring::Keyring;
use tollgate_core::plan::Limits;
use tollgate_core::quota::{QuotaBlocks, QuotaStore};
use tollgate_core::rate::{InFlight, Limiter, LocalLimiter, RateLimit};
use tollgate_core::secret::Digester;
use tollgate_core::store::{CatalogStore, KeyStore, Store};
use tollgate_core::usage::UsageStore;

use crate::authenticate::Failures;
use crate::background::{self, Tasks};
use crate::cache::{CacheSettings, KeyCache};
use crate::client_address::TrustedProxies;
use crate::credential::{Credentials, Reader};
use crate::envelope::Errors;
use crate::gate::{Gate, Inner, StartError};
use crate::leases::Leases;
use crate::meter::CreditHeaders;
use crate::rate_limit::{RateHeaders, Rates};
use crate::request_id::IdMaker;
use crate::session::Sessions;
use crate::tab::{Jumps, Live, LowBalance, Till};
use crate::telemetry::{Decisions, Telemetry};
use crate::usage::UsageLog;

/// Shorter ones could not be renewed in time.
const SHORTEST_HOLD: Duration = Duration::from_secs(3);

/// Puts a [`Gate`] together. Only a store has to be named; everything else has a safe default.
#[must_use = "a builder does nothing until `build`"]
pub struct GateBuilder {
    catalog: Catalog,
    stores: Option<Stores>,
    keys: Option<Arc<dyn KeyStore>>,
    ledger: Option<Arc<dyn Ledger>>,
    limiter: Option<Arc<dyn Limiter>>,
    clock: Arc<dyn Clock>,
    digester: Digester,
    credentials: Credentials,
    proxies: TrustedProxies,
    id_maker: IdMaker,
    errors: Errors,
    cache: CacheSettings,
    rate_headers: RateHeaders,
    stranger_limits: Option<Limits>,
    failures_per_minute: u32,
    tells_key_state: bool,
    strict_path: bool,
    charge_deadline: Duration,
    hold_for: Duration,
    remember_for: Duration,
    remember_outcomes_for: Duration,
    low_balance: LowBalance,
    lease: Option<u64>,
    credit_headers: Option<CreditHeaders>,
    sessions: Option<Arc<dyn Sessions>>,
}

struct Stores {
    keys: Arc<dyn KeyStore>,
    ledger: Arc<dyn Ledger>,
    quotas: Arc<dyn QuotaStore>,
    usage: Arc<dyn UsageStore>,
    audit: Arc<dyn AuditStore>,
    feed: Arc<dyn ChangeFeed>,
    declarations: Arc<dyn CatalogStore>,
}

impl GateBuilder {
    pub(super) fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            stores: None,
            keys: None,
            ledger: None,
            limiter: None,
            clock: Arc::new(SystemClock::default()),
            digester: Digester::sha256(),
            credentials: Credentials::default(),
            proxies: TrustedProxies::none(),
            id_maker: IdMaker::uuid(),
            errors: Errors::json(),
            cache: CacheSettings::new(),
            rate_headers: RateHeaders::new(),
            stranger_limits: None,
            failures_per_minute: 300,
            tells_key_state: false,
            strict_path: true,
            charge_deadline: Duration::from_secs(1),
            hold_for: Duration::from_secs(60),
            remember_for: Duration::from_secs(90 * 86_400),
            remember_outcomes_for: Duration::from_secs(86_400),
            low_balance: LowBalance::default(),
            lease: None,
            credit_headers: None,
            sessions: None,
        }
    }

    /// Keeps everything in this store.
    pub fn store(self, store: impl Store) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// Keeps everything in this store, which the app uses too.
    pub fn shared_store<T: Store>(mut self, store: Arc<T>) -> Self {
        self.stores = Some(Stores {
            keys: Arc::clone(&store) as _,
            ledger: Arc::clone(&store) as _,
            quotas: Arc::clone(&store) as _,
            usage: Arc::clone(&store) as _,
            audit: Arc::clone(&store) as _,
            feed: Arc::clone(&store) as _,
            declarations: store as _,
        });
        self
    }

    /// Counts rates with this limiter, in place of this process's memory.
    pub fn limiter(mut self, limiter: impl Limiter) -> Self {
        self.limiter = Some(Arc::new(limiter));
        self
    }

    /// Looks keys up, and changes them, in this store, in place of the one for everything.
    pub fn key_store(mut self, keys: impl KeyStore) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Charges this ledger, in place of the store.
    pub fn ledger(mut self, ledger: impl Ledger) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Asks this clock for the time.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes digests with a pepper. All processes on one store need the same.
    pub fn pepper(mut self, pepper: &[u8]) -> Self {
        self.digester = Digester::with_pepper(pepper);
        self
    }

    /// Says where keys are looked for.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Believes these proxies about the client's address and the request's id.
    ///
    /// What anybody else says in `Forwarded`, `X-Forwarded-For` or `X-Real-IP` is taken out of the
    /// request.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Makes other request ids.
    pub fn request_ids(mut self, maker: IdMaker) -> Self {
        self.id_maker = maker;
        self
    }

    /// Says how errors look.
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = errors;
        self
    }

    /// Says how much is cached, and for how long.
    pub const fn cache(mut self, settings: CacheSettings) -> Self {
        self.cache = settings;
        self
    }

    /// Says which headers tell callers what they have left.
    pub const fn rate_headers(mut self, headers: RateHeaders) -> Self {
        self.rate_headers = headers;
        self
    }

    /// Limits requests of nobody in particular by address: public and anonymous ones, those whose
    /// credential is refused, and those that are answered before a route is looked for (CORS
    /// preflights, paths with two readings). IPv6 counts by /64.
    pub fn address_rate(mut self, rate: RateLimit) -> Self {
        self.stranger_limits = Some(Limits::new().with_rate(rate));
        self
    }

    /// How many bad credentials an address may send in a minute before its uncached look-ups
    /// are slowed; 300 unless said otherwise. From there one a second is looked up at once, and
    /// ten of those that come back after the second that they were told to wait.
    pub const fn failures_per_minute(mut self, failures: u32) -> Self {
        self.failures_per_minute = failures;
        self
    }

    /// Tells callers whether their key is revoked, expired or disabled, in place of the same
    /// answer as for an unknown one.
    pub const fn tell_key_state(mut self) -> Self {
        self.tells_key_state = true;
        self
    }

    /// Lets paths through that proxies, routers and file systems may read in two ways: with `//`,
    /// a dot segment, `;`, `\\`, or one of `%2f`, `%5c`, `%2e` and `%00`.
    ///
    /// Without this they are a 400 before any route is looked for. No route opens by such a path
    /// either way, since what a route demands sits on the route; but an app whose `{name}` may
    /// hold a slash, or that serves a `{*rest}` from elsewhere, has to check what it is given.
    pub const fn allow_unusual_paths(mut self) -> Self {
        self.strict_path = false;
        self
    }

    /// Gives up on the ledger, the quota store and the limiter after this long; one second
    /// unless said otherwise.
    pub const fn charge_deadline(mut self, deadline: Duration) -> Self {
        self.charge_deadline = deadline;
        self
    }

    /// How long credits stay held if the process dies; a minute unless said otherwise, and three
    /// seconds at least.
    ///
    /// As long as a handler works, its hold is renewed at a third of this.
    pub const fn hold_for(mut self, time: Duration) -> Self {
        self.hold_for = time;
        self
    }

    /// How long a charge can be refunded, and a hold that is asked for again is known; 90 days
    /// unless said otherwise. The entries of the books are kept for ever.
    pub const fn remember_holds_for(mut self, time: Duration) -> Self {
        self.remember_for = time;
        self
    }

    /// How long an idempotency key is remembered, with its outcome; a day unless said otherwise.
    pub const fn remember_outcomes_for(mut self, time: Duration) -> Self {
        self.remember_outcomes_for = time;
        self
    }

    /// Leases credits ahead, up to so many for an organization at once, and charges requests from
    /// them in memory: the fast path, for many cheap requests.
    ///
    /// Nobody is charged twice or for more than was spent, and no wallet is overspent; but a crash
    /// loses the charges of its last second, at most a lease's. What an organization has on lease
    /// is a hundredth of its wallet at most. Routes with `.settle_before_reply()`, and requests
    /// with an idempotency key, are charged without a lease.
    pub const fn lease_credits(mut self, most: u64) -> Self {
        self.lease = Some(most);
        self
    }

    /// Tells callers on routes that have a price what they were charged, and what they have left.
    pub fn credit_headers(mut self, headers: CreditHeaders) -> Self {
        self.credit_headers = Some(headers);
        self
    }

    /// Calls the function when a hold leaves a wallet with fewer than `below` credits that had as
    /// many before: with the organization, and what is left. It is called in the middle of a
    /// request, so it must not block; have it send the news to a task.
    pub fn on_low_balance(
        mut self,
        below: u64,
        tell: impl Fn(&OrgId, u64) + Send + Sync + 'static,
    ) -> Self {
        self.low_balance = LowBalance::new(below, tell);
        self
    }

    /// Asks the app for sessions, on routes that demand one.
    pub fn sessions(mut self, sessions: impl Sessions) -> Self {
        self.sessions = Some(Arc::new(sessions));
        self
    }

    /// Builds the gate and starts its work behind the requests. Needs tokio.
    ///
    /// # Errors
    ///
    /// [`StartError`] if no store was named, there is no tokio runtime, or the store fails.
    pub async fn build(self) -> Result<Gate, StartError> {
        let Some(mut stores) = self.stores else {
            let problem = "the gate has no store; name one with `.store(…)`";
            return Err(StartError::new(vec![problem.to_owned()]));
        };
        stores.keys = self.keys.unwrap_or(stores.keys);
        stores.ledger = self.ledger.unwrap_or(stores.ledger);
        let Ok(runtime) = Handle::try_current() else {
            let problem = "a gate needs a tokio runtime; build it inside one";
            return Err(StartError::new(vec![problem.to_owned()]));
        };
        let tasks = Tasks::new(runtime);
        let failures = Failures::new(self.failures_per_minute)
            .map_err(|error| StartError::new(vec![format!("failures per minute: {error}")]))?;
        let clock = self.clock;
        let telemetry = Telemetry::new();
        let cache = KeyCache::new(
            Arc::clone(&stores.keys),
            self.catalog.clone(),
            Arc::clone(&clock),
            self.cache,
            telemetry.clone(),
        );
        let format = KeyFormat::new(&self.catalog.keys().format);
        let newest = stores.feed.newest();
        let newest = within(&*clock, Duration::from_secs(5), "the change feed", newest).await?;
        let keyring = Keyring::new(
            Arc::clone(&stores.keys),
            self.catalog.clone(),
            self.digester.clone(),
            Arc::clone(&clock),
        )
        .with_listener(Arc::new(cache.clone()));
        let hold_for = self.hold_for.max(SHORTEST_HOLD);
        let durable = stores.ledger;
        let leases = self.lease.map(|most| {
            let (ledger, clock) = (Arc::clone(&durable), Arc::clone(&clock));
            Leases::new(ledger, clock, tasks.spawner(), most, hold_for)
        });
        let ledger = match &leases {
            Some(leases) => Arc::new(leases.clone()),
            None => Arc::clone(&durable),
        };
        let gate = Gate(Arc::new(Inner {
            keyring,
            missing_key_message: missing_key_message(&self.credentials, &format),
            reader: Reader::new(format, self.digester),
            vary: self.credentials.vary(),
            credentials: self.credentials,
            proxies: self.proxies,
            id_maker: self.id_maker,
            errors: self.errors,
            tells_key_state: self.tells_key_state,
            strict_path: self.strict_path,
            cache,
            failures,
            rates: Rates {
                limiter: self
                    .limiter
                    .unwrap_or_else(|| Arc::new(LocalLimiter::new())),
                quotas: QuotaBlocks::new(stores.quotas, tasks.spawner()),
                in_flight: InFlight::new(),
                clock: Arc::clone(&clock),
                deadline: self.charge_deadline,
            },
            rate_headers: self.rate_headers,
            credit_headers: self.credit_headers,
            stranger_limits: self.stranger_limits,
            till: Till {
                durable,
                ledger,
                leases,
                clock: Arc::clone(&clock),
                tasks,
                telemetry,
                deadline: self.charge_deadline,
                hold_for,
                remember_for: self.remember_for,
                remember_outcomes_for: self.remember_outcomes_for,
                low_balance: self.low_balance,
                live: Live::default(),
                jumps: Jumps::since(clock.now()),
            },
            usage: UsageLog::default(),
            usage_store: stores.usage,
            audit: stores.audit,
            feed: stores.feed,
            feed_seen: Arc::new(AtomicU64::new(newest)),
            declarations: stores.declarations,
            routes: Mutex::default(),
            sessions: self.sessions,
            unmatched: Decisions::new("(none)".into()),
            no_peer: Once::new(),
            catalog: self.catalog,
            clock,
        }));
        background::start(&gate);
        Ok(gate)
    }
}

fn missing_key_message(credentials: &Credentials, format: &KeyFormat) -> String {
    let (place, scheme) = credentials.advice();
    format!("API key is required. Include it in the {place} as \"{scheme}{format}\"")
}

impl fmt::Debug for GateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateBuilder")
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}
