//! The whole show, with servers of its own.

use std::io::{self, Write as _};
use std::process::Output;
use std::time::Duration;

use crate::running::example;

/// For two servers and three nodes to start, beside all other tests.
const PATIENCE: Duration = Duration::from_secs(120);

async fn show(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = example("cluster", directory.path());
    command.args(["--listen", "127.0.0.1:0", "--once"]);
    let output = tokio::time::timeout(PATIENCE, command.args(arguments).output());
    output.await.unwrap().unwrap()
}

#[tokio::test]
async fn nodes_share_limits_and_credits_and_all_refuse_a_revoked_key() {
    let output = show(&[]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    for sentence in [
        "3 nodes run over one database and one Redis, behind http://127.0.0.1:",
        "60 were sent, and ",
        "10 were admitted (200), 50 were over the rate (429), 0 had another answer.",
        "150 were asked for, ",
        "100 were made (200), 50 were over the credits (402), 0 had another answer; 0 credits are left.",
        "Revocation: 10 keys that all 3 nodes had just admitted were revoked",
    ] {
        assert!(
            told.contains(sentence),
            "`{sentence}` is not in: {told}{errors}"
        );
    }
    // What a busy machine had no time to answer was sent again.
    for (what, each) in [("were sent, and ", 20), ("were asked for, ", 50)] {
        let shares = shares(&told, what);
        assert_eq!(shares.len(), 3, "{told}");
        assert!(shares.iter().all(|share| *share >= each), "{told}");
    }
    let (_, slowest) = told.rsplit_once("in the median, ").unwrap();
    let (slowest, _) = slowest.split_once(" ms at most.").unwrap();
    // How soon that is, the tests of nodes say; here it may be any machine, as busy as can be.
    let slowest: f64 = slowest.parse().unwrap();
    let line = format!("every node refused a revoked key after {slowest} ms\n");
    io::stdout().lock().write_all(line.as_bytes()).unwrap();
    assert!(
        !told.contains("listening on"),
        "it ends after the show: {told}"
    );
}

/// How many requests each node was given: `20 + 20 + 20`.
fn shares(told: &str, after: &str) -> Vec<u32> {
    let (_, rest) = told.split_once(after).unwrap();
    let (shares, _) = rest.split_once(" the nodes:").unwrap();
    let (shares, _) = shares.rsplit_once(' ').unwrap();
    shares.split(" + ").map(|it| it.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_in_one_sentence_without_its_password() {
    let database = "postgres://u:hunter2@127.0.0.1:1/keys";
    let output = show(&["--database", database, "--redis", "redis://127.0.0.1:1"]).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    let told = "error: the database `keys` on 127.0.0.1:1 cannot be opened";
    assert!(errors.starts_with(told), "{errors}");
    assert!(
        !errors.contains("hunter2") && errors.lines().count() == 1,
        "{errors}"
    );
}
