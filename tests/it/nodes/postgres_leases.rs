//! Credits on lease, and blocks of quotas, of several nodes: together they spend what there is and
//! no more; what a node does not spend comes back, from one that died or sleeps when its lease is
//! over. Each node has a clock of its own, which the test moves.

use tollgate::CacheSettings;
use tollgate::core::credits::{Balance, Ledger as _};
use tollgate_testkit::clock::{ManualClock, START};
use tollgate_testkit::faults::{Fault, Faults, FaultyStore, Operation};

use super::node::store_of_our_time;
use super::*;
use crate::support::eventually;

const GRANTED: u64 = 2_000;
/// A hundredth of the wallet, which is less than the nodes may lease at most.
const LEASE: u64 = 20;
const AT_MOST: u64 = 1_000;
/// How long a hold lasts, by default, and for how much of that a lease is spent.
const HOLD_FOR: Duration = Duration::from_secs(60);
const SPENT_FOR: Duration = Duration::from_secs(40);
const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_micros(1);

/// A node that leases, by its own clock.
struct Leasing {
    node: Node,
    clock: ManualClock,
    faults: Faults,
}

/// Some of them, over one wallet.
struct Site {
    url: String,
    key: String,
    store: PostgresStore,
    plan: Plan,
}

impl Site {
    async fn new(plan: Plan) -> Self {
        let url = Postgres::shared().fresh();
        let store = store_of_our_time(&url).await;
        let mut site = Self {
            url,
            key: String::new(),
            store,
            plan,
        };
        let first = site.node().await.node;
        site.key = customer(&first.gate, &acme()).await.1;
        grant(&first.gate, GRANTED).await;
        first.gate.shutdown().await;
        site
    }

    async fn node(&self) -> Leasing {
        let clock = ManualClock::new();
        let shared: Arc<ManualClock> = Arc::new(clock.clone());
        let store = FaultyStore::new(store_of_our_time(&self.url).await, shared.clone());
        let faults = store.faults();
        let gate = Gate::builder(catalog(self.plan.clone()))
            .store(store)
            .clock(shared)
            .charge_deadline(HOLD_FOR)
            .cache(CacheSettings::new().with_deadline(HOLD_FOR))
            .lease_credits(AT_MOST);
        Leasing {
            node: Node::of(gate, routes).await,
            clock,
            faults,
        }
    }

    async fn balance(&self) -> Balance {
        let balance = self.store.balance(&acme(), START, None).await.unwrap();
        assert!(
            balance.settled + balance.held <= balance.granted,
            "{balance:?}"
        );
        balance
    }

    async fn comes_to(&self, settled: u64, held: u64) {
        let what = format!("{settled} charged and {held} held");
        eventually(&what, async || {
            let balance = self.balance().await;
            (balance.settled, balance.held) == (settled, held)
        })
        .await;
    }

    /// The same, by what a node does each second.
    async fn sweeps(&self, node: &Leasing, settled: u64, held: u64) {
        let what = format!("{settled} charged and {held} held after a sweep");
        eventually(&what, async || {
            node.clock.advance(SECOND);
            // What the store is asked meanwhile has a deadline by this clock.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let balance = self.balance().await;
            (balance.settled, balance.held) == (settled, held)
        })
        .await;
    }

    /// Asks a node until it refuses, and says how often it did not.
    async fn spend(&self, node: &Leasing, path: &str, refused: u16) -> u64 {
        let mut served = 0;
        loop {
            match node.node.status(path, &self.key).await {
                200 => served += 1,
                status => {
                    assert_eq!(status, refused);
                    return served;
                }
            }
        }
    }

    async fn serve(&self, node: &Leasing, requests: u64) {
        for _ in 0..requests {
            assert_eq!(node.node.status("/report", &self.key).await, 200);
        }
    }

    fn owed(&self) -> String {
        let asked = "SELECT sum(owed) FROM tollgate_holds WHERE state = 'open'";
        let owed = Postgres::shared().query(&self.url, asked).unwrap();
        owed.trim().to_owned()
    }
}

/// What it noted is charged; what it spent since is lost; the rest comes back, no sooner and no
/// later than its hold ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_node_that_died_comes_back_when_its_hold_ends() {
    let site = Site::new(Plan::new("pro")).await;
    let (dies, lives) = (site.node().await, site.node().await);
    site.serve(&dies, 3).await;
    assert_eq!(site.balance().await.held, LEASE);
    dies.clock.advance(SECOND);
    eventually("three credits are noted", async || site.owed() == "3").await;
    site.serve(&dies, 2).await;
    let renewed = START.after(SECOND);
    // Its clock stands still from here on, and with it everything that it does by itself.
    drop(dies);
    let spent = site.spend(&lives, "/report", 402).await;
    assert_eq!(spent, GRANTED - LEASE);
    // Its own lease is over by then, and given back.
    lives.clock.advance(SPENT_FOR);
    site.comes_to(spent, LEASE).await;
    let ends = renewed.after(HOLD_FOR);
    let early = site.store.expire(ends.before(MOMENT), 1_000).await;
    assert_eq!(early.unwrap(), 0);
    lives.clock.advance(HOLD_FOR.saturating_sub(SPENT_FOR));
    site.sweeps(&lives, spent + 3, 0).await;
    assert_eq!(site.spend(&lives, "/report", 402).await, LEASE - 3);
    lives.node.gate.shutdown().await;
    site.comes_to(GRANTED, 0).await;
}

/// By the time that others can have what is left of its lease, it has long ceased to spend of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_past_its_lease_spends_nothing_more_of_it() {
    let site = Site::new(Plan::new("pro")).await;
    let (sleeps, wakes) = (site.node().await, site.node().await);
    site.serve(&sleeps, 3).await;
    for operation in [Operation::Hold, Operation::Settle] {
        sleeps.faults.set(operation, Fault::Fail);
    }
    let status = async |node: &Leasing| node.node.status("/report", &site.key).await;
    sleeps.clock.advance(SPENT_FOR.saturating_sub(MOMENT));
    assert_eq!(status(&sleeps).await, 200);
    sleeps.clock.advance(MOMENT);
    assert_eq!(status(&sleeps).await, 503);
    let spent = site.spend(&wakes, "/report", 402).await;
    assert_eq!(spent, GRANTED - LEASE);
    wakes.clock.advance(SPENT_FOR);
    site.comes_to(spent, LEASE).await;
    let early = site
        .store
        .expire(START.after(HOLD_FOR).before(MOMENT), 1_000)
        .await;
    assert_eq!(early.unwrap(), 0);
    wakes.clock.advance(HOLD_FOR.saturating_sub(SPENT_FOR));
    // The first of what it served was noted when its lease was raised; the rest is lost.
    site.sweeps(&wakes, spent + 1, 0).await;
    assert_eq!(site.spend(&wakes, "/report", 402).await, LEASE - 1);
    wakes.node.gate.shutdown().await;
    site.comes_to(GRANTED, 0).await;
    // Now it goes on, and finds that all is gone.
    sleeps.faults.set_all(Fault::None);
    sleeps.clock.advance(HOLD_FOR);
    assert_eq!(status(&sleeps).await, 402);
    sleeps.node.gate.shutdown().await;
    site.comes_to(GRANTED, 0).await;
}

/// While leases are noted, raised and given back, the sums are looked at all the time; and one more
/// node has a lease that nobody asks it for.
async fn nodes_never_overspend_and_give_back_what_is_left(count: usize) {
    let site = Arc::new(Site::new(Plan::new("pro")).await);
    let idle = site.node().await;
    site.serve(&idle, 2).await;
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Arc::new(site.node().await));
    }
    let mut tasks = Vec::new();
    for task in 0..count * 4 {
        let (site, node) = (Arc::clone(&site), Arc::clone(&nodes[task % count]));
        tasks.push(tokio::spawn(async move {
            let mut served = 0;
            for _ in 0..10 {
                served += site.spend(&node, "/report", 402).await;
            }
            served
        }));
    }
    let mut seconds = 0;
    while tasks.iter().any(|task| !task.is_finished()) {
        site.balance().await;
        // Sooner than any deadline, however slow the machine is.
        if seconds < 4 {
            seconds += 1;
            for node in &nodes {
                node.clock.advance(SECOND);
            }
        }
    }
    let mut served = 0;
    for task in tasks {
        served += task.await.unwrap();
    }
    for node in &nodes {
        node.node.gate.shutdown().await;
    }
    site.comes_to(served, LEASE).await;
    site.sweeps(&idle, served + 2, 0).await;
    let left = site.spend(&idle, "/report", 402).await;
    idle.node.gate.shutdown().await;
    site.comes_to(GRANTED, 0).await;
    assert_eq!(served + 2 + left, GRANTED);
    say(&format!(
        "{count} nodes on lease: {served} served by them, 2 and {left} by the one that was idle"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_overspend_and_give_back_what_is_left() {
    nodes_never_overspend_and_give_back_what_is_left(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_never_overspend_and_give_back_what_is_left() {
    nodes_never_overspend_and_give_back_what_is_left(4).await;
}

/// A block is a hundredth of the quota.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_forfeits_one_block_of_a_quota_and_one_that_ended_none() {
    const QUOTA: u64 = 1_000;
    const BLOCK: u64 = QUOTA / 100;
    for dies in [true, false] {
        let quota = QuotaLimit::new(QUOTA, QuotaPeriod::Month).unwrap();
        let site = Site::new(Plan::new("pro").quota(quota)).await;
        let (first, others) = (site.node().await, [site.node().await, site.node().await]);
        site.serve(&first, 3).await;
        if !dies {
            first.node.gate.shutdown().await;
        }
        drop(first);
        let mut served = 3;
        for _ in 0..10 {
            for node in &others {
                served += site.spend(node, "/iocs", 429).await;
            }
        }
        if dies {
            assert!((QUOTA - BLOCK..=QUOTA).contains(&served), "{served}");
            assert!(served < QUOTA, "nothing was in a block");
        } else {
            assert_eq!(served, QUOTA);
        }
    }
}
