//! Redis stops, dies, refuses, or is behind a black hole: a node goes on by its share, or says 503
//! where the app chose so, and nobody is charged for what was not served.

use tokio::task::spawn_blocking;
use tollgate_redis::WhenDown;
use tollgate_servers::Proxy;

use super::outages::{Asks, Key, Outage, Runs, Tally, charges, settled};
use super::*;

/// The default.
const RATE: Duration = Duration::from_millis(50);
/// PostgreSQL ends a statement of a charge that takes longer.
const CHARGE: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_millis(800);
const HOUR: Duration = Duration::from_secs(3600);
const GRANTED: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Stopped,
    Killed,
    Refused,
    BlackHole,
}

const FAULTS: [Fault; 4] = [
    Fault::Stopped,
    Fault::Killed,
    Fault::Refused,
    Fault::BlackHole,
];

struct Stage {
    server: Arc<Redis>,
    proxy: Proxy,
    url: String,
    /// One that goes on by its share, and one that refuses.
    nodes: [Node; 2],
    key: String,
    runs: Runs,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_redis_admits_its_share_or_refuses_and_charges_what_it_served() {
    let _alone = ALONE.lock().await;
    let stage = Stage::new().await;
    let asks = stage.asks();
    let mut told = Tally::default();
    for fault in FAULTS {
        let what = format!("Redis: {fault:?}");
        let outage = Outage {
            what: &what,
            lasts: LASTS,
        };
        let begin = async || stage.begin(fault).await;
        let survived = outage.survive(&asks, begin, async || stage.end(fault).await);
        told.add(&survived.await);
    }
    stage.admits_its_share_and_no_more().await;
    for node in &stage.nodes {
        node.gate.shutdown().await;
    }
    let direct = store_of_our_time(&stage.url).await;
    let served = told.of("/report", 200);
    // Only Redis was away: whatever was held is ended.
    let settled = settled(&direct, &acme(), 0).await;
    say(&format!(
        "through all of them: {served} served, {settled} charged"
    ));
    assert_eq!((served, settled), (stage.runs.count(), served));
    let charged = charges(Postgres::shared(), &stage.url, "GET /report");
    assert_eq!(charged, (served, served, served));
    direct.close().await;
}

impl Stage {
    async fn new() -> Self {
        let server = spawn_blocking(Redis::start).await.unwrap();
        let proxy = Proxy::before(server.port()).await;
        let (url, runs) = (Postgres::shared().fresh(), Runs::default());
        let options = || RedisOptions::new(proxy.url_for(&server.url())).nodes(2);
        let mut nodes = Vec::new();
        for when_down in [WhenDown::Share, WhenDown::Refuse] {
            let limiter = options().when_down(when_down).open().await.unwrap();
            let catalog = Catalog::builder()
                .scope("iocs:read")
                .plan(Plan::new("pro").rate(RateLimit::exact(10_000_000, HOUR).unwrap()))
                .plan(
                    Plan::new("small")
                        .rank(1)
                        .rate(RateLimit::exact(41, HOUR).unwrap()),
                );
            let gate = Gate::builder(catalog.build().unwrap())
                .store(store(&url).await)
                .limiter(limiter)
                .charge_deadline(PATIENCE);
            let runs = runs.clone();
            let routes = |gate: &Gate| {
                gate.routes()
                    .get("/iocs", async || "[]", scope("iocs:read"))
                    .get(
                        "/report",
                        async move || runs.note(),
                        scope("iocs:read").credits(1),
                    )
            };
            nodes.push(Node::of(gate, routes).await);
        }
        let nodes: [Node; 2] = nodes.try_into().ok().unwrap();
        let gate = &nodes[0].gate;
        let (_, key) = customer(gate, &acme()).await;
        grant(gate, GRANTED).await;
        Self {
            server: Arc::new(server),
            proxy,
            url,
            nodes,
            key,
            runs,
        }
    }

    fn asks(&self) -> Vec<Asks> {
        let [share, refuse] = &self.nodes;
        let asks = |what, node: &Node, path, meanwhile| Asks {
            what,
            node: node.clone(),
            path,
            keys: vec![Key::Known(self.key.clone()); 2],
            is_new: false,
            well: 200,
            meanwhile,
            deadline: RATE,
            besides: Duration::ZERO,
        };
        vec![
            asks("by its share", share, "/iocs", 200),
            Asks {
                besides: CHARGE,
                ..asks("by its share, charged", share, "/report", 200)
            },
            asks("refused", refuse, "/iocs", 503),
            asks("refused, not charged", refuse, "/report", 503),
        ]
    }

    /// Of 41 units, one of two nodes has 20 while it counts alone.
    async fn admits_its_share_and_no_more(&self) {
        let [share, refuse] = &self.nodes;
        let small = OrgId::new("small").unwrap();
        let new = NewOrganization::new(small.clone(), "small");
        let keyring = share.gate.keyring();
        keyring
            .create_organization(new, &Actor::system())
            .await
            .unwrap();
        let (_, key) = key_of(&share.gate, &small).await;
        self.begin(Fault::Killed).await;
        let mut statuses = Vec::new();
        for _ in 0..60 {
            statuses.push(share.status("/iocs", &key).await);
        }
        let admitted = statuses.iter().filter(|it| **it == 200).count();
        assert!(statuses.iter().all(|it| matches!(it, 200 | 429)));
        assert_eq!(admitted, 20);
        assert_eq!(refuse.status("/iocs", &key).await, 503);
        self.end(Fault::Killed).await;
    }

    async fn begin(&self, fault: Fault) {
        match fault {
            Fault::Stopped => self.on_server(Redis::pause).await,
            Fault::Killed => self.on_server(Redis::kill).await,
            Fault::Refused => self.proxy.cut(),
            Fault::BlackHole => self.proxy.black_hole(),
        }
    }

    async fn end(&self, fault: Fault) {
        match fault {
            Fault::Stopped => self.on_server(Redis::resume).await,
            Fault::Killed => self.on_server(Redis::restart).await,
            _ => self.proxy.pass(),
        }
    }

    async fn on_server(&self, what: fn(&Redis)) {
        let server = Arc::clone(&self.server);
        spawn_blocking(move || what(&server)).await.unwrap();
    }
}
