//! Postgres stops, dies, refuses, or is behind a black hole, and once Redis with it: keys that are
//! known are let in, nobody is turned away for a reason that is not theirs, and what was answered
//! is charged once.

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tollgate::CacheSettings;
use tollgate_servers::Proxy;

use super::outages::{Asks, Key, Outage, Runs, Tally, charges, settled};
use super::*;

const LOOKUP: Duration = Duration::from_millis(500);
const CHARGE: Duration = Duration::from_secs(1);
const RATE: Duration = Duration::from_millis(50);
/// Who has waited for the end of a charge when it begins waits for the next one too.
const LASTS: Duration = Duration::from_millis(2_300);
const GRANTED: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The server's processes are stopped, and go on.
    Stopped,
    /// They are killed, and started anew.
    Killed,
    /// Connections are cut, and refused.
    Refused,
    /// Everything is lost on the way.
    BlackHole,
    /// The same, and Redis is gone too.
    Everything,
}

const FAULTS: [Fault; 5] = [
    Fault::Stopped,
    Fault::Killed,
    Fault::Refused,
    Fault::BlackHole,
    Fault::Everything,
];

struct Stage {
    server: Arc<Postgres>,
    url: String,
    proxies: [Proxy; 2],
    /// A node that goes past the proxy.
    manager: Node,
    node: Node,
    keys: [String; 2],
    /// Nobody asks with it but to see whether the node knows what became of it.
    probe: (KeyId, String),
    report: Runs,
    durable: Runs,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_store_serves_the_keys_that_it_knows_and_charges_once() {
    let _alone = ALONE.lock().await;
    let stage = Stage::new().await;
    let mut told = Tally::default();
    for fault in FAULTS {
        let asks = stage.asks(fault).await;
        let what = format!("Postgres: {fault:?}");
        let outage = Outage {
            what: &what,
            lasts: LASTS,
        };
        let begin = async || {
            stage.is_told_of_changes().await;
            stage.begin(fault).await;
        };
        let survived = outage.survive(&asks, begin, async || stage.end(fault).await);
        told.add(&survived.await);
    }
    stage.node.gate.shutdown().await;
    let direct = store_of_our_time(&stage.url).await;
    let [report, durable] = ["/report", "/durable"].map(|path| told.of(path, 200));
    let unended = ["/report", "/durable"].map(|path| told.of(path, 503));
    let settled = settled(&direct, &acme(), unended.iter().sum()).await;
    let of = |route: &str| charges(&stage.server, &stage.url, route);
    let (of_report, of_durable) = (of("GET /report"), of("GET /durable"));
    say(&format!(
        "through all of them: {report} + {durable} answers to {} + {} runs, {settled} charged",
        stage.report.count(),
        stage.durable.count(),
    ));
    // A handler that ran has answered, and its charge was made once the store was back.
    assert_eq!(stage.report.count(), report);
    assert_eq!(of_report, (report, report, report));
    // Here the answer waits for the charge, which may have been made when it is a 503.
    let (charges, holds, credits) = of_durable;
    assert!(durable <= charges && charges <= stage.durable.count());
    assert_eq!((charges, credits), (holds, charges));
    assert_eq!(settled, report + charges);
    direct.close().await;
}

impl Stage {
    async fn new() -> Self {
        let server = spawn_blocking(Postgres::start).await.unwrap();
        let url = server.url();
        let proxies = [
            Proxy::before(server.port()).await,
            Proxy::before(Redis::shared().port()).await,
        ];
        let (report, durable) = (Runs::default(), Runs::default());
        let rate = RateLimit::exact(10_000_000, Duration::from_secs(3600)).unwrap();
        let plan = || Plan::new("pro").rate(rate.clone());
        let manager = node(&url, "faults", plan()).await;
        let limiter = RedisOptions::new(proxies[1].url_for(&Redis::shared().url()));
        let gate = Gate::builder(catalog(plan()))
            .store(store(&proxies[0].url_for(&url)).await)
            .limiter(limiter.prefix("faults").open().await.unwrap())
            // Nothing is read again because it is old.
            .cache(CacheSettings::new().with_max_age(Duration::from_secs(300)));
        let node = Node::of(gate, |gate| {
            let (report, durable) = (report.clone(), durable.clone());
            gate.routes()
                .get("/iocs", async || "[]", scope("iocs:read"))
                .get(
                    "/report",
                    async move || report.note(),
                    scope("iocs:read").credits(1),
                )
                .get(
                    "/durable",
                    async move || durable.note(),
                    scope("iocs:read").credits(1).settle_before_reply(),
                )
        })
        .await;
        let gate = &manager.gate;
        let keys = [
            customer(gate, &acme()).await.1,
            key_of(gate, &acme()).await.1,
        ];
        let probe = key_of(gate, &acme()).await;
        grant(gate, GRANTED).await;
        Self {
            server: Arc::new(server),
            url,
            proxies,
            manager,
            node,
            keys,
            probe,
            report,
            durable,
        }
    }

    /// What is asked while the store is away, with new keys each time.
    async fn asks(&self, fault: Fault) -> Vec<Asks> {
        // Who waits for Redis too waits for one after the other.
        let rates = match fault {
            Fault::Everything => RATE,
            _ => Duration::ZERO,
        };
        let known = |n: usize| self.keys.iter().cycle().take(n).cloned();
        let asks = |what, path, keys: Vec<Key>, deadline| Asks {
            what,
            node: self.node.clone(),
            path,
            keys,
            is_new: false,
            well: 200,
            meanwhile: 503,
            deadline: rates + deadline,
            besides: Duration::ZERO,
        };
        let mut new = Vec::new();
        for _ in 0..4 {
            new.push(Key::Known(key_of(&self.manager.gate, &acme()).await.1));
        }
        let cached: Vec<Key> = known(2).map(Key::Known).collect();
        let charged: Vec<Key> = known(6).map(Key::Known).collect();
        vec![
            Asks {
                meanwhile: 200,
                // Less than whoever asks the store waits for it.
                besides: LOOKUP / 2,
                ..asks("cached", "/iocs", cached, Duration::ZERO)
            },
            Asks {
                is_new: true,
                ..asks("uncached", "/iocs", new, LOOKUP)
            },
            Asks {
                is_new: true,
                well: 401,
                ..asks("unknown", "/iocs", vec![Key::Unknown, Key::Unknown], LOOKUP)
            },
            asks("charged", "/report", charged.clone(), CHARGE),
            // It waits for the hold, and may wait for its end.
            asks("charged before the reply", "/durable", charged, CHARGE),
        ]
    }

    /// Waits until the node listens, and has done what it does when it listens again: it drops every
    /// copy, and whoever goes away then takes known keys with them.
    async fn is_told_of_changes(&self) {
        const LISTENING: &str = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND state = 'idle' AND query LIKE 'LISTEN%'";
        let listen = async || {
            let (server, url) = (Arc::clone(&self.server), self.url.clone());
            let answer = spawn_blocking(move || server.query(&url, LISTENING)).await;
            // The manager does too.
            answer.unwrap().is_ok_and(|count| count.trim() == "2")
        };
        until("the node listens", listen).await;
        // What it reads for the second change comes after what it was told when it listened.
        let (id, text) = &self.probe;
        let (keyring, system) = (self.manager.gate.keyring(), Actor::system());
        let status = async |expected| self.node.status("/iocs", text).await == expected;
        until("the probe is let in", async || status(200).await).await;
        keyring.disable(id, &system).await.unwrap();
        until("the probe is refused", async || status(401).await).await;
        keyring.enable(id, &system).await.unwrap();
        until("the probe is let in again", async || status(200).await).await;
        for key in &self.keys {
            let is_known = async || self.node.status("/iocs", key).await == 200;
            until("a known key is let in", is_known).await;
        }
    }

    async fn begin(&self, fault: Fault) {
        match fault {
            Fault::Stopped => self.on_server(Postgres::pause).await,
            Fault::Killed => self.on_server(Postgres::kill).await,
            Fault::Refused => self.proxies[0].cut(),
            Fault::BlackHole => self.proxies[0].black_hole(),
            Fault::Everything => self.proxies.iter().for_each(Proxy::black_hole),
        }
    }

    async fn end(&self, fault: Fault) {
        match fault {
            Fault::Stopped => self.on_server(Postgres::resume).await,
            Fault::Killed => self.on_server(Postgres::restart).await,
            _ => self.proxies.iter().for_each(Proxy::pass),
        }
    }

    /// Does something to the server that takes its time.
    async fn on_server(&self, what: fn(&Postgres)) {
        let server = Arc::clone(&self.server);
        spawn_blocking(move || what(&server)).await.unwrap();
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
