//! Three ways to charge: one transaction each, at the port of the ledger, over HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tollgate::access::authenticated;
use tollgate::core::change::{Actor, Change};
use tollgate::core::clock::{Clock, SystemClock};
use tollgate::core::credits::{Grant, HoldAnswer, HoldRequest, Ledger, Price, Settle, Settlement};
use tollgate::core::id::{HoldId, KeyId, OrgId, RequestId};
use tollgate::core::keyring::{NewKey, NewOrganization};
use tollgate::{Catalog, Gate, Plan};
use tollgate_sqlx::{SqliteOptions, SqliteStore};

const MUCH: u64 = 1 << 40;
const ANSWER_ENDS: &[u8] = b"hello";

async fn open(dir: &Path, full: bool) -> SqliteStore {
    let options = SqliteOptions::new(dir.join("charges.db").to_str().unwrap());
    let options = if full {
        options
    } else {
        options.synchronous_normal()
    };
    options.open().await.unwrap()
}

fn name(n: usize) -> OrgId {
    OrgId::new(&format!("org-{n}")).unwrap()
}

/// An update and a row, committed; and again.
pub(super) struct Raw {
    pool: SqlitePool,
    next: AtomicUsize,
    _dir: TempDir,
}

impl Raw {
    pub(super) async fn new(full: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("raw.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if full {
                SqliteSynchronous::Full
            } else {
                SqliteSynchronous::Normal
            });
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options).await.unwrap();
        let schema = "CREATE TABLE wallet (id INTEGER PRIMARY KEY, settled INTEGER, held INTEGER);
            INSERT INTO wallet VALUES (1, 0, 0);
            CREATE TABLE hold (id INTEGER PRIMARY KEY, state TEXT, credits INTEGER);";
        sqlx::raw_sql(schema).execute(&pool).await.unwrap();
        Self {
            pool,
            next: AtomicUsize::new(0),
            _dir: dir,
        }
    }

    pub(super) async fn charge(self: Arc<Self>) {
        let id = i64::try_from(self.next.fetch_add(1, Ordering::Relaxed)).unwrap();
        for [wallet, hold] in [
            [
                "UPDATE wallet SET held = held + 1 WHERE id = 1",
                "INSERT INTO hold VALUES ($1, 'open', 1)",
            ],
            [
                "UPDATE wallet SET held = held - 1, settled = settled + 1 WHERE id = 1",
                "UPDATE hold SET state = 'settled' WHERE id = $1",
            ],
        ] {
            let mut transaction = self.pool.begin().await.unwrap();
            let wallet = sqlx::query(wallet).execute(&mut *transaction);
            wallet.await.unwrap();
            let hold = sqlx::query(hold).bind(id).execute(&mut *transaction);
            hold.await.unwrap();
            transaction.commit().await.unwrap();
        }
    }
}

/// Holds and settles.
pub(super) struct Port {
    ledger: Arc<dyn Ledger>,
    clock: SystemClock,
    names: Vec<OrgId>,
    next: AtomicUsize,
    _dir: Option<TempDir>,
}

impl Port {
    pub(super) async fn new(full: bool, organizations: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let ledger = open(dir.path(), full).await;
        Self {
            _dir: Some(dir),
            ..Self::on(Arc::new(ledger), organizations).await
        }
    }

    pub(super) async fn on(ledger: Arc<dyn Ledger>, organizations: usize) -> Self {
        let clock = SystemClock::default();
        let names: Vec<OrgId> = (0..organizations).map(name).collect();
        for name in &names {
            let change = Change {
                actor: Actor::system(),
                at: clock.now().wall,
                reason: None,
            };
            let granted = ledger.grant(Grant::new(name.clone(), MUCH), change);
            granted.await.unwrap();
        }
        Self {
            ledger,
            clock,
            names,
            next: AtomicUsize::new(0),
            _dir: None,
        }
    }

    pub(super) async fn charge(self: Arc<Self>) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let at = self.clock.now().wall;
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let request = HoldRequest {
            id: HoldId::from_parts(at, &random),
            organization: self.names[n % self.names.len()].clone(),
            key: KeyId::from_bytes([1; 16]),
            route: "POST /enrichment/lookup".into(),
            request_id: RequestId::new(b"01a1fef7-85c5-7f1d-8421-8ee6756b2040"),
            price: Price::Fixed(1),
            least: 1,
            most: 1,
            at,
            deadline: at.after(Duration::from_secs(60)),
            allowance: None,
            idempotency: None,
        };
        let held = self.ledger.hold(&request).await.unwrap();
        assert!(matches!(held, HoldAnswer::Held { .. }), "{held:?}");
        let settle = Settle {
            id: request.id,
            credits: 1,
            at,
            outcome: None,
            parts: Vec::new(),
        };
        let settled = self.ledger.settle(settle).await.unwrap();
        assert_eq!(settled, Settlement::Settled { charged: 1 });
    }
}

/// Requests that answer when they are charged, on connections that are kept.
pub(super) struct Http {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    connections: Vec<Mutex<Option<TcpStream>>>,
    _gate: Gate,
    _dir: TempDir,
}

impl Http {
    /// With `lease`, a request answers when it is charged to the lease.
    pub(super) async fn new(full: bool, organizations: usize, lease: Option<u64>) -> Self {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path(), full).await;
        let catalog = Catalog::builder().plan(Plan::new("pro")).build().unwrap();
        let builder = Gate::builder(catalog).store(store);
        let builder = match lease {
            Some(most) => builder.lease_credits(most),
            None => builder,
        };
        let gate = builder.build().await.unwrap();
        let actor = Actor::system();
        let mut requests = Vec::new();
        for n in 0..organizations {
            let new = NewOrganization::new(name(n), "pro");
            let made = gate.keyring().create_organization(new, &actor);
            made.await.unwrap();
            gate.grant_credits(&name(n), MUCH, &actor).await.unwrap();
            let issued = gate.keyring().issue(NewKey::new(name(n), "bench"), &actor);
            let issued = issued.await.unwrap();
            let key = issued.secret.expose();
            let request = format!("GET / HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\n\r\n");
            requests.push(request.into_bytes());
        }
        let access = authenticated().credits(1);
        let access = match lease {
            Some(_) => access,
            None => access.settle_before_reply(),
        };
        let routes = gate.routes().get("/", async || "hello", access);
        let service = routes.into_service().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            address,
            requests,
            next: AtomicUsize::new(0),
            connections: (0..512).map(|_| Mutex::default()).collect(),
            _gate: gate,
            _dir: dir,
        }
    }

    pub(super) async fn charge(self: Arc<Self>, task: usize) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut slot = self.connections[task].lock().await;
        let stream = match &mut *slot {
            Some(stream) => stream,
            empty => {
                let stream = TcpStream::connect(self.address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                empty.insert(stream)
            }
        };
        let request = &self.requests[n % self.requests.len()];
        stream.write_all(request).await.unwrap();
        let (mut answer, mut read) = ([0; 4096], 0);
        while !answer[..read].ends_with(ANSWER_ENDS) {
            let more = stream.read(&mut answer[read..]).await.unwrap();
            assert_ne!(more, 0, "the server hung up");
            read += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "not a 200");
    }
}
