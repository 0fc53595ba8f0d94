//! What 1, 2, 4 and 8 nodes admit together is what one would.

use tollgate::core::clock::{Clock as _, SystemClock};
use tollgate::core::credits::Ledger as _;

use super::*;

const WINDOW: Duration = Duration::from_secs(1);
const UNITS: u32 = 100;
const WINDOWS: u32 = 3;
/// An exact window is cut into sixty, in whole microseconds.
const SLOT: Duration = Duration::from_micros(16_667);

async fn an_exact_window_admits_its_units_and_no_more(count: usize) {
    let rate = RateLimit::exact(UNITS, WINDOW).unwrap();
    let fleet = Fleet::start(count, Plan::new("pro").rate(rate)).await;
    let end = Instant::now() + WINDOW * WINDOWS;
    // However slow the machine is, each goes on until it was refused.
    let until_refused = move || {
        let mut is_refused = false;
        move |asked: &Asked| {
            is_refused |= asked.status == 429;
            asked.ended > end + if is_refused { Duration::ZERO } else { PATIENCE }
        }
    };
    let asked = fleet.ask("/iocs", 4, until_refused).await;
    assert!(asked.iter().all(|it| matches!(it.status, 200 | 429)));
    let (mut admitted, refused): (Vec<Asked>, Vec<Asked>) =
        asked.into_iter().partition(|it| it.status == 200);
    admitted.sort_by_key(|it| it.began);
    // Redis decided between the two points in time: those that lie in a window whole were
    // admitted in it, and those that touch it may have been.
    let units = usize::try_from(UNITS).unwrap();
    let inside = |first: &Asked| {
        let inside = |it: &&Asked| it.began >= first.began && it.ended < first.began + WINDOW;
        admitted.iter().filter(inside).count()
    };
    let most = admitted.iter().map(inside).max().unwrap_or_default();
    assert!(most <= units, "{most} in a window of {UNITS}");
    // Whoever is refused comes too late for all units, each of which is free again after a window
    // and the rest of its slot: at least 60/61, or 0.98, of the units of any window are admitted.
    let before = |it: &Asked| {
        let touches =
            |other: &&Asked| other.ended + WINDOW + SLOT >= it.began && other.began <= it.ended;
        admitted.iter().filter(touches).count()
    };
    let least = refused.iter().map(before).min();
    let least = least.expect("more was asked for than is admitted");
    assert!(
        least >= units,
        "{least} of {UNITS} when {count} nodes refused"
    );
    say(&format!(
        "{count} nodes: {} admitted in {WINDOWS} windows of {UNITS}, {} refused",
        admitted.len(),
        refused.len()
    ));
    fleet.stop().await;
}

async fn a_quota_is_spent_to_the_last_unit(count: usize) {
    const QUOTA: u64 = 1_000;
    let quota = QuotaLimit::new(QUOTA, QuotaPeriod::Month).unwrap();
    let fleet = Fleet::start(count, Plan::new("pro").quota(quota)).await;
    let admitted = spend(&fleet, "/iocs", 2, 429, QUOTA).await;
    assert_eq!(admitted, QUOTA, "by {count} nodes");
    fleet.stop().await;
}

async fn credits_are_charged_to_the_last_one(count: usize) {
    const CREDITS: u64 = 1_000;
    let fleet = Fleet::start(count, Plan::new("pro")).await;
    grant(&fleet.first().gate, CREDITS).await;
    let admitted = spend(&fleet, "/report", 4, 402, CREDITS).await;
    assert_eq!(admitted, CREDITS, "by {count} nodes");
    let store = fleet.store.clone();
    for node in &fleet.nodes {
        // What is settled after the answer is settled by then.
        node.gate.shutdown().await;
    }
    let now = SystemClock::default().now().wall;
    let balance = store.balance(&acme(), now, None).await.unwrap();
    assert_eq!(
        (balance.granted, balance.settled, balance.held),
        (CREDITS, CREDITS, 0),
        "by {count} nodes"
    );
    store.close().await;
}

/// Asks until it is refused so, and says how often it was not.
///
/// On a machine that stands still for a second PostgreSQL ends a statement, and the answer is a 503.
/// What was held for it comes back, later than others may have been refused for it; so whatever is
/// left then is asked for again.
async fn spend(fleet: &Fleet, path: &'static str, tasks: usize, status: u16, all: u64) -> u64 {
    let (mut admitted, mut stalled, began) = (0, false, Instant::now());
    loop {
        let asked = fleet.ask(path, tasks, until_refused(status)).await;
        stalled |= asked.iter().any(|it| it.status == 503);
        let good = asked.iter().filter(|it| it.status == 200).count();
        admitted += u64::try_from(good).unwrap();
        if !stalled || admitted >= all || began.elapsed() > PATIENCE {
            return admitted;
        }
    }
}

/// A task asks until it is refused so, several times in a row: another node may hold a block of a
/// quota, or a hold that is given back.
fn until_refused(status: u16) -> impl Fn() -> Box<dyn FnMut(&Asked) -> bool + Send> + Send + Sync {
    move || {
        let mut refused = 0;
        Box::new(move |asked: &Asked| {
            match asked.status {
                200 => refused = 0,
                503 => {}
                other => {
                    assert_eq!(other, status);
                    refused += 1;
                }
            }
            refused == 20
        })
    }
}

macro_rules! nodes {
    ($($test:ident: $what:ident of $count:literal),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            $what($count).await;
        }
    )+};
}

nodes! {
    one_node_admits_the_units_of_a_window: an_exact_window_admits_its_units_and_no_more of 1,
    two_nodes_admit_the_units_of_a_window: an_exact_window_admits_its_units_and_no_more of 2,
    four_nodes_admit_the_units_of_a_window: an_exact_window_admits_its_units_and_no_more of 4,
    eight_nodes_admit_the_units_of_a_window: an_exact_window_admits_its_units_and_no_more of 8,
    one_node_spends_a_quota: a_quota_is_spent_to_the_last_unit of 1,
    two_nodes_spend_a_quota: a_quota_is_spent_to_the_last_unit of 2,
    four_nodes_spend_a_quota: a_quota_is_spent_to_the_last_unit of 4,
    eight_nodes_spend_a_quota: a_quota_is_spent_to_the_last_unit of 8,
    one_node_charges_the_last_credit: credits_are_charged_to_the_last_one of 1,
    two_nodes_charge_the_last_credit: credits_are_charged_to_the_last_one of 2,
    four_nodes_charge_the_last_credit: credits_are_charged_to_the_last_one of 4,
    eight_nodes_charge_the_last_credit: credits_are_charged_to_the_last_one of 8,
}
