//! Every example, as whoever meets it first: each request that it prints gets the status that it
//! prints, and among them is a good one for each of its routes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::running::{Running, example, output, send};

/// The routes of the permission map, as a method and a path whose parameters match anything.
async fn routes(name: &str, directory: &Path) -> BTreeSet<(String, String)> {
    let output = output(example(name, directory).arg("--permissions")).await;
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let cells = |line: &str| {
        let mut cells = line.split('|').map(|cell| cell.trim().to_owned()).skip(1);
        (cells.next().unwrap(), cells.next().unwrap())
    };
    table.lines().skip(2).map(cells).collect()
}

fn is_of(path: &str, template: &str) -> bool {
    let mut segments = path.split('/');
    for wanted in template.split('/') {
        if wanted.starts_with("{*") {
            return segments.next().is_some();
        }
        let same = |segment: &str| wanted.starts_with('{') || segment == wanted;
        if !segments.next().is_some_and(same) {
            return false;
        }
    }
    segments.next().is_none()
}

/// Sends each request that an example prints.
pub(crate) async fn follow(name: &str) {
    follow_with(name, &[]).await;
}

/// The same, started with these arguments.
async fn follow_with(name: &str, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut untried = routes(name, directory.path()).await;
    assert!(!untried.is_empty());
    let mut command = example(name, directory.path());
    command.args(arguments);
    let running = Running::of(command).await;
    let promised = running.promised();
    let mut jars = BTreeMap::new();
    for (status, line) in &promised {
        let answer = send(line, &mut jars).await;
        assert_eq!(answer.status, *status, "{line}\n{answer:?}");
        assert!(answer.headers.contains_key("x-request-id"), "{line}");
        assert!(answer.status < 400 || !answer.body.is_empty(), "{line}");
        if (200..300).contains(&answer.status) {
            untried.retain(|(method, path)| *method != answer.method || !is_of(&answer.path, path));
        }
    }
    running.interrupt().await;
    assert!(
        untried.is_empty(),
        "no good request is printed for {untried:?}"
    );
}

macro_rules! tours {
    ($($test:ident: $example:literal),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                follow($example).await;
            }
        )+

        mod postgres_and_redis {
            $(
                #[tokio::test]
                async fn $test() {
                    super::servers::follow($example).await;
                }
            )+
        }
    };
}

tours! {
    the_quickstart: "quickstart",
    the_phishing_lab: "phishing_lab",
    classify_jobs: "classify_jobs",
    dataleaks: "dataleaks",
    the_mailer: "mailer",
    threat_intel: "threat_intel",
}

/// The same, over servers.
mod servers {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use tollgate_servers::{Postgres, Redis};

    use super::{Running, example, follow_with};

    pub(super) async fn follow(name: &str) {
        let (database, redis) = (Postgres::shared().fresh(), Redis::shared().url());
        let arguments = ["--database", &database, "--redis", &redis];
        follow_with(name, &[&arguments[..], &["--allow-lost-commits"]].concat()).await;
        let (names, prefix) = (names(), name.replace('_', "-"));
        assert!(names.contains(&prefix), "no rate of {name} in {names}");
    }

    /// The names of everything in Redis.
    fn names() -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", Redis::shared().port())).unwrap();
        stream.write_all(b"KEYS *\r\nQUIT\r\n").unwrap();
        let mut names = String::new();
        stream.read_to_string(&mut names).unwrap();
        names
    }

    #[tokio::test]
    async fn a_second_start_on_postgres_shows_no_secret_and_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let url = Postgres::shared().fresh();
        let url = url.replacen("postgres@", "postgres:hunter2@", 1);
        let start = async || {
            let mut command = example("threat_intel", directory.path());
            command.env("TOLLGATE_DATABASE", &url);
            command.env("TOLLGATE_ALLOW_LOST_COMMITS", "true");
            let running = Running::of(command).await;
            let printed = running.printed.join("\n");
            running.interrupt().await;
            printed
        };
        let first = start().await;
        assert!(first.contains("Production SIEM"), "{first}");
        let second = start().await;
        assert!(!second.contains("Production SIEM"), "{second}");
        assert!(
            second.contains("drop this one (`DROP DATABASE`"),
            "{second}"
        );
        assert!(!first.contains("hunter2") && !second.contains("hunter2"));
        // No file of a database is left.
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    /// One makes the demo, and the others wait until it has.
    #[tokio::test]
    async fn nodes_on_postgres_may_start_together() {
        let directory = tempfile::tempdir().unwrap();
        let url = Postgres::shared().fresh();
        let start = || {
            let mut command = example("quickstart", directory.path());
            command.args(["--database", &url, "--allow-lost-commits"]);
            Running::of(command)
        };
        let nodes = tokio::join!(start(), start(), start());
        let mut makers = Vec::new();
        for node in [nodes.0, nodes.1, nodes.2] {
            makers.push(!node.promised().is_empty());
            node.interrupt().await;
        }
        makers.sort_unstable();
        assert_eq!(makers, [false, false, true]);
    }
}
