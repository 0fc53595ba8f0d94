//! How soon another node knows what one was told.

use tollgate::core::keyring::EditKey;

use super::*;

/// How often each is tried; `TOLLGATE_TRIALS` says otherwise.
const TRIALS: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_sees_a_change_within_a_second_and_its_own_at_once() {
    let trials = std::env::var("TOLLGATE_TRIALS").map_or(TRIALS, |it| it.parse().unwrap());
    let fleet = Fleet::start(2, Plan::new("pro")).await;
    let [own, other] = fleet.nodes.as_slice() else {
        panic!("there are two");
    };
    let (keys, system) = (own.gate.keyring(), Actor::system());
    let (id, text) = fleet.keys.first().unwrap().clone();
    let status = async |node: &Node| node.ask("/iocs", &text).await.status().as_u16();
    let mut took = Vec::new();
    for trial in 0..trials {
        assert_eq!(status(own).await, 200);
        seen(&status, other, 200).await;
        let none = EditKey::new().scopes::<&str>([]);
        let refused = match trial % 3 {
            0 => keys.disable(&id, &system).await.map(|_| 401),
            1 => keys.edit(&id, none, &system).await.map(|_| 403),
            _ => keys.suspend(&acme(), &system).await.map(|_| 403),
        };
        let told = Instant::now();
        let refused = refused.unwrap();
        assert_eq!(status(own).await, refused, "on the node that was told");
        seen(&status, other, refused).await;
        took.push(told.elapsed());
        let all = EditKey::new().scopes(["iocs:read"]);
        match trial % 3 {
            0 => keys.enable(&id, &system).await.map(drop),
            1 => keys.edit(&id, all, &system).await.map(drop),
            _ => keys.activate(&acme(), &system).await.map(drop),
        }
        .unwrap();
    }
    took.sort_unstable();
    let of = |percent: usize| took.get(took.len() * percent / 100).unwrap();
    let slowest = took.last().unwrap();
    let line = format!(
        "changes seen by another node: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, at most {slowest:.1?} of {trials}\n",
        of(50),
        of(90),
        of(99),
    );
    std::io::Write::write_all(&mut std::io::stdout().lock(), line.as_bytes()).unwrap();
    assert!(*of(99) <= Duration::from_secs(1), "{line}");
    // Who had to be asked would not know before the next look, a quarter of a second apart.
    assert!(*of(50) <= Duration::from_millis(100), "{line}");
    fleet.stop().await;
}

async fn seen(status: &impl AsyncFn(&Node) -> u16, node: &Node, expected: u16) {
    let began = Instant::now();
    while status(node).await != expected {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{expected} was never seen"
        );
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}
