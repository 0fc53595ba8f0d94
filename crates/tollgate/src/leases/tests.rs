use proptest::prelude::*;
use tollgate_core::change::Actor;
use tollgate_core::clock::{Moment, Steady};
use tollgate_core::credits::{EntryKind, MemoryLedger, Price};
use tollgate_core::id::{KeyId, RequestId};

use super::*;

/// A clock that a test moves.
#[derive(Debug)]
struct Moved(Mutex<Moment>);

impl Moved {
    fn new() -> Self {
        Self(Mutex::new(Moment {
            wall: Timestamp::from_secs(1_000_000),
            steady: Steady::from_nanos(1_000_000_000),
        }))
    }

    fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        let mut now = self.0.lock();
        now.wall = now.wall.after(time);
        now.steady = now.steady.after(time);
    }

    fn wall(&self) -> Timestamp {
        self.0.lock().wall
    }
}

impl Clock for Moved {
    fn now(&self) -> Moment {
        *self.0.lock()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(std::future::pending())
    }
}

/// Two processes that lease from one ledger.
struct World {
    clock: Arc<Moved>,
    ledger: Arc<MemoryLedger>,
    nodes: [Leases; 2],
    next: u32,
}

const MOST: u64 = 100;
const LEASE: Duration = Duration::from_secs(60);

fn acme() -> OrgId {
    OrgId::new("acme").unwrap()
}

/// The memory answers at once, so what is spawned is done at once too.
fn at_once(mut task: BoxFuture<()>) {
    assert!((&mut task).now_or_never().is_some());
}

fn now<T: fmt::Debug + Send + 'static>(reply: Reply<T>) -> T {
    reply.into_future().now_or_never().unwrap().unwrap()
}

impl World {
    fn new(granted: u64) -> Self {
        let clock = Arc::new(Moved::new());
        let ledger = Arc::new(MemoryLedger::default());
        let this = Self {
            nodes: [(); 2].map(|()| Self::node(&ledger, &clock)),
            clock,
            ledger,
            next: 0,
        };
        this.grant(granted);
        this
    }

    fn node(ledger: &Arc<MemoryLedger>, clock: &Arc<Moved>) -> Leases {
        let (ledger, clock) = (Arc::clone(ledger), Arc::clone(clock));
        Leases::new(ledger, clock, Arc::new(at_once), MOST, LEASE)
    }

    fn grant(&self, credits: u64) {
        let change = self.change();
        now(self.ledger.grant(Grant::new(acme(), credits), change));
    }

    fn change(&self) -> Change {
        Change {
            actor: Actor::system(),
            at: self.clock.wall(),
            reason: None,
        }
    }

    fn request(&mut self, least: u64, most: u64) -> HoldRequest {
        self.next += 1;
        let mut random = [0; 10];
        random[..4].copy_from_slice(&self.next.to_be_bytes());
        let at = self.clock.wall();
        HoldRequest {
            id: HoldId::from_parts(at, &random),
            organization: acme(),
            key: KeyId::from_bytes([u8::try_from(self.next % 3).unwrap(); 16]),
            route: "GET /".into(),
            request_id: RequestId::new(b"r"),
            price: Price::Between { least, most },
            least,
            most,
            at,
            deadline: at.after(LEASE),
            allowance: None,
            idempotency: None,
        }
    }

    /// Asks a process, and says what it holds.
    fn hold(&mut self, node: usize, least: u64, most: u64) -> Result<(HoldId, u64), u64> {
        let request = self.request(least, most);
        match now(self.nodes[node].hold(&request)) {
            HoldAnswer::Held { credits, .. } => Ok((request.id, credits)),
            HoldAnswer::Insufficient { available } => Err(available),
            HoldAnswer::Repeated(repeat) => panic!("{repeat:?}"),
        }
    }

    fn settle(&self, node: usize, id: HoldId, credits: u64) -> Settlement {
        now(self.nodes[node].settle(Settle {
            id,
            credits,
            at: self.clock.wall(),
            outcome: None,
            parts: Vec::new(),
        }))
    }

    fn charge(&mut self, node: usize, credits: u64) -> bool {
        let held = self.hold(node, credits, credits);
        if let Ok((id, held)) = held {
            let settled = self.settle(node, id, held);
            assert_eq!(settled, Settlement::Settled { charged: held });
        }
        held.is_ok()
    }

    fn renew(&self, node: usize) {
        self.nodes[node].renew().now_or_never().unwrap();
    }

    fn release(&self, node: usize) {
        self.nodes[node].release().now_or_never().unwrap();
    }

    /// What the ledger behind says.
    fn balance(&self) -> Balance {
        now(self.ledger.balance(&acme(), self.clock.wall(), None))
    }

    fn expire(&self) -> u64 {
        now(self.ledger.expire(self.clock.wall(), 1000))
    }
}

#[test]
fn most_requests_ask_nobody() {
    let mut world = World::new(100_000);
    for _ in 0..1000 {
        assert!(world.charge(0, 1));
    }
    let held = world.balance().held;
    assert!((1000..=1100).contains(&held), "{held}");
    assert_eq!(world.balance().settled, 0);
    world.release(0);
    let balance = world.balance();
    assert_eq!((balance.settled, balance.held), (1000, 0));
    let entries = now(world.ledger.entries(&acme(), None, 100));
    let charges: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Charge)
        .map(|entry| (entry.credits, entry.reason.clone().unwrap()))
        .collect();
    let part = |n: i64| (-n, format!("{n} requests"));
    assert_eq!(charges, [part(333), part(334), part(333)]);
    assert_eq!(entries[0].balance, 99_000);
}

/// As many processes as there are, to the last credit.
#[test]
fn a_wallet_is_spent_to_its_last_credit_and_not_one_more() {
    for granted in [1, 7, 99, 1000, 12_345] {
        let mut world = World::new(granted);
        let mut charged = 0;
        // Whoever is refused comes again a second later, when the other has given back the rest.
        let mut refused = 0;
        while refused < 5 {
            for node in [0, 1] {
                while world.charge(node, 1) {
                    charged += 1;
                    refused = 0;
                }
            }
            refused += 1;
            world.clock.pass(1);
            world.renew(0);
            world.renew(1);
        }
        assert_eq!(charged, granted);
        world.release(0);
        world.release(1);
        assert_eq!(world.balance().settled, granted);
    }
}

#[test]
fn the_last_credits_serve_one_process_without_a_false_refusal() {
    let mut world = World::new(103);
    let open: Vec<_> = (0..34).map(|_| world.hold(0, 3, 3).unwrap()).collect();
    assert_eq!(world.hold(0, 3, 3), Err(1));
    assert_eq!(world.hold(0, 1, 3).unwrap().1, 1);
    for (id, _) in open {
        world.settle(0, id, 0);
    }
    assert_eq!(world.hold(0, 102, 102).unwrap().1, 102);
}

#[test]
fn a_crash_charges_what_was_noted_and_gives_back_the_rest() {
    let mut world = World::new(10_000);
    for _ in 0..50 {
        assert!(world.charge(0, 1));
    }
    world.renew(0);
    for _ in 0..7 {
        assert!(world.charge(0, 1));
    }
    world.nodes[0] = World::node(&world.ledger, &world.clock);
    world.clock.pass(59);
    assert_eq!(world.expire(), 0);
    world.clock.pass(1);
    assert_eq!(world.expire(), 1);
    let balance = world.balance();
    assert_eq!((balance.settled, balance.held), (50, 0));
}

/// It slept past its lease, which is somebody else's by now.
#[test]
fn who_slept_past_its_lease_spends_nothing_more_of_it() {
    let mut world = World::new(2);
    let (id, _) = world.hold(0, 1, 1).unwrap();
    world.clock.pass(60);
    assert_eq!(world.expire(), 1);
    assert!(world.charge(1, 1) && world.charge(1, 1));
    world.settle(0, id, 1);
    assert!(!world.charge(0, 1));
    world.renew(0);
    world.renew(1);
    world.clock.pass(1);
    world.renew(1);
    let balance = world.balance();
    assert_eq!((balance.settled, balance.held), (2, 0));
}

#[test]
fn what_nobody_spends_is_given_back_within_two_seconds() {
    let mut world = World::new(10_000);
    assert!(world.charge(0, 1) && world.charge(0, 1));
    for _ in 0..2 {
        assert!(world.balance().held > 0);
        world.clock.pass(1);
        world.renew(0);
    }
    let balance = world.balance();
    assert_eq!((balance.settled, balance.held), (2, 0));
}

/// A lease that is always in use is ended all the same, so that the books hear of it.
#[test]
fn an_old_lease_makes_way_for_a_new_one() {
    let mut world = World::new(100_000);
    for _ in 0..61 {
        assert!(world.charge(0, 1));
        world.clock.pass(1);
        world.renew(0);
    }
    assert!(world.balance().settled >= 60);
}

#[test]
fn a_request_may_raise_what_it_has_and_owes_of_it() {
    let mut world = World::new(500);
    let (id, _) = world.hold(0, 1, 1).unwrap();
    let raise = |world: &World, credits, owed| {
        let at = world.clock.wall();
        now(world.nodes[0].extend(Extension {
            id,
            credits,
            owed,
            deadline: at.after(LEASE),
            at,
        }))
    };
    let answer = raise(&world, 400, 30);
    assert!(
        matches!(answer, HoldAnswer::Held { credits: 400, .. }),
        "{answer:?}"
    );
    let answer = raise(&world, 501, 30);
    assert!(
        matches!(answer, HoldAnswer::Insufficient { .. }),
        "{answer:?}"
    );
    assert_eq!(world.hold(0, 101, 101).unwrap_err(), 100);
    world.renew(0);
    // The process dies: what was owed is charged.
    world.clock.pass(60);
    world.expire();
    assert_eq!(world.balance().settled, 30);
}

#[test]
fn a_balance_shows_what_is_spent_and_a_withdrawal_gets_what_is_leased() {
    let mut world = World::new(1000);
    assert!(world.charge(0, 5) && world.charge(0, 5));
    let (id, _) = world.hold(0, 7, 7).unwrap();
    let at = world.clock.wall();
    let seen = now(world.nodes[0].balance(&acme(), at, None));
    assert_eq!((seen.settled, seen.held, seen.available()), (10, 7, 983));
    world.settle(0, id, 7);
    let left = now(world.nodes[0].withdraw(&acme(), 983, world.change()));
    assert_eq!((left.settled, left.held, left.available()), (17, 0, 0));
}

#[test]
fn a_hold_of_the_ledger_behind_is_ended_there() {
    let mut world = World::new(10);
    let request = world.request(4, 4);
    now(world.ledger.hold(&request));
    assert_eq!(
        world.settle(0, request.id, 3),
        Settlement::Settled { charged: 3 }
    );
    assert_eq!(world.balance().settled, 3);
}

#[test]
fn a_new_month_brings_its_allowance_to_who_still_has_a_lease() {
    let mut world = World::new(1);
    let month = |n: i64| Allowance {
        month: Timestamp::from_secs(n),
        credits: 10,
        expires_at: None,
    };
    assert!(world.charge(0, 1));
    let mut request = world.request(5, 5);
    request.allowance = Some(month(1));
    let answer = now(world.nodes[0].hold(&request));
    assert!(
        matches!(answer, HoldAnswer::Held { credits: 5, .. }),
        "{answer:?}"
    );
}

/// A step of a process, or of time.
#[derive(Clone, Debug)]
enum Step {
    Hold(usize, u64, u64),
    Extend(usize, usize, u64),
    Settle(usize, usize, u64),
    Renew(usize),
    Release(usize),
    Crash(usize),
    Grant(u64),
    Withdraw(usize, u64),
    Pass(u64),
    Sleep(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..2_usize;
    prop_oneof![
        8 => (node(), 0..6_u64, 0..30_u64).prop_map(|(n, a, b)| Step::Hold(n, a, a + b)),
        2 => (node(), 0..8_usize, 0..60_u64).prop_map(|(n, i, c)| Step::Extend(n, i, c)),
        8 => (node(), 0..8_usize, 0..60_u64).prop_map(|(n, i, c)| Step::Settle(n, i, c)),
        3 => node().prop_map(Step::Renew),
        1 => node().prop_map(Step::Release),
        1 => node().prop_map(Step::Crash),
        1 => (0..2000_u64).prop_map(Step::Grant),
        1 => (node(), 0..50_u64).prop_map(|(n, c)| Step::Withdraw(n, c)),
        3 => (0..3_u64).prop_map(Step::Pass),
        1 => node().prop_map(Step::Sleep),
    ]
}

/// What requests of a process were told, and whether all of it is still to be charged.
#[derive(Default)]
struct Told {
    open: Vec<(HoldId, u64)>,
    charged: u64,
}

proptest! {
    /// Whatever happens: nobody is charged for what it did not spend, no more is spent than was
    /// granted, and without a crash all that was spent is charged.
    #[test]
    fn no_more_is_spent_than_granted(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(300);
        let mut told = [Told::default(), Told::default()];
        let mut lost = false;
        for step in steps {
            match step {
                Step::Hold(node, least, most) => {
                    if let Ok(held) = world.hold(node, least, most) {
                        prop_assert!((least..=most).contains(&held.1));
                        told[node].open.push(held);
                    }
                }
                Step::Extend(node, at, credits) => {
                    let at_time = world.clock.wall();
                    if let Some((id, held)) = told[node].open.get_mut(at) {
                        let extension = Extension {
                            id: *id, credits, owed: 0, deadline: at_time.after(LEASE), at: at_time,
                        };
                        let answer = world.nodes[node].extend(extension).into_future().now_or_never();
                        if let Some(Ok(HoldAnswer::Held { credits, .. })) = answer {
                            *held = credits;
                        }
                    }
                }
                Step::Settle(node, at, credits) => {
                    if at < told[node].open.len() {
                        let (id, held) = told[node].open.swap_remove(at);
                        let settled = world.settle(node, id, credits);
                        if let Settlement::Settled { charged } = settled {
                            prop_assert_eq!(charged, credits.min(held));
                        } else {
                            lost = true;
                        }
                        told[node].charged += settled.charged();
                    }
                }
                Step::Renew(node) => world.renew(node),
                Step::Release(node) => {
                    lost |= !told[node].open.is_empty();
                    world.release(node);
                }
                Step::Crash(node) => {
                    world.nodes[node] = World::node(&world.ledger, &world.clock);
                    told[node].open.clear();
                    lost = true;
                }
                Step::Grant(credits) => world.grant(credits),
                Step::Withdraw(node, credits) => {
                    let change = world.change();
                    drop(world.nodes[node].withdraw(&acme(), credits, change));
                }
                Step::Pass(seconds) => {
                    world.clock.pass(seconds);
                    world.expire();
                }
                Step::Sleep(node) => {
                    world.clock.pass(61);
                    world.expire();
                    world.renew(1 - node);
                    lost = true;
                }
            }
            let balance = world.balance();
            prop_assert!(balance.withdrawn + balance.settled + balance.held <= balance.granted);
            let held: u64 = told.iter().flat_map(|told| &told.open).map(|(_, held)| held).sum();
            if !lost {
                prop_assert!(balance.settled + balance.held >= held);
            }
        }
        for (node, told) in told.iter_mut().enumerate() {
            for (id, _) in told.open.drain(..) {
                world.settle(node, id, 0);
            }
            world.release(node);
        }
        world.clock.pass(61);
        world.expire();
        let balance = world.balance();
        let spent = told[0].charged + told[1].charged;
        prop_assert_eq!(balance.held, 0);
        prop_assert!(balance.settled <= spent);
        if !lost {
            prop_assert_eq!(balance.settled, spent);
        }
        let entries = now(world.ledger.entries(&acme(), None, 10_000));
        let sum: i64 = entries.iter().map(|entry| entry.credits).sum();
        prop_assert_eq!(u64::try_from(sum).unwrap(), balance.funds());
    }
}
