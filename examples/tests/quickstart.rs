//! The quickstart, as whoever meets it first: started, tried with the requests that it prints,
//! stopped, and started again.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails loudly, outside of its functions too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// Beside this test's binary: `cargo test` builds the examples before it runs any test.
fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let path = profile
        .join("examples")
        .join(format!("quickstart{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "there is no {}; run `cargo build --examples`",
        path.display()
    );
    path
}

/// The quickstart, deaf to the environment of whoever runs the tests.
fn quickstart(directory: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(directory)
        .env_remove("RUST_LOG")
        .env_remove("TOLLGATE_DATABASE")
        .env_remove("TOLLGATE_LISTEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(command: &mut Command) -> Output {
    let output = tokio::time::timeout(PATIENCE, command.output());
    output.await.unwrap().unwrap()
}

/// A running quickstart, and what it printed until it listened.
struct Running {
    child: Child,
    printed: Vec<String>,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn start(directory: &Path) -> Self {
        let mut child = quickstart(directory)
            .args(["--listen", "127.0.0.1:0"])
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        loop {
            let line = tokio::time::timeout(PATIENCE, stdout.next_line());
            let Some(line) = line.await.unwrap().unwrap() else {
                let mut told = String::new();
                let mut stderr = child.stderr.take().unwrap();
                stderr.read_to_string(&mut told).await.unwrap();
                panic!("it ended before it listened: {told}");
            };
            let listens = line.starts_with("listening on http://");
            printed.push(line);
            if listens {
                return Self {
                    child,
                    printed,
                    _stdout: stdout,
                };
            }
        }
    }

    /// Each printed request, with the status that is printed above it.
    fn promised(&self) -> Vec<(u16, &str)> {
        let lines = self.printed.iter().zip(self.printed.iter().skip(1));
        lines
            .filter(|(_, line)| line.starts_with("curl "))
            .map(|(comment, line)| {
                let status = comment.strip_prefix("# ").and_then(|text| text.get(..3));
                (status.unwrap().parse().unwrap(), &**line)
            })
            .collect()
    }

    /// Ctrl-C.
    #[cfg(unix)]
    async fn interrupt(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().await;
        assert!(sent.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.unwrap().unwrap().success());
    }

    #[cfg(not(unix))]
    async fn interrupt(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The words of a line, as a shell reads them. No printed line has quotes within quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

/// Sends what a `curl` line sends, and returns the status of the last answer. Cookies are kept in
/// the jars that it names.
async fn send(line: &str, jars: &mut BTreeMap<String, String>) -> u16 {
    let mut request = Request::builder();
    let (mut body, mut url, mut keep) = (None, None, None);
    let mut words = words(line).into_iter().skip(1);
    while let Some(word) = words.next() {
        match &*word {
            "-sS" => {}
            "-w" => drop(words.next()),
            "-c" => keep = words.next(),
            "-b" => request = request.header("cookie", &jars[&words.next().unwrap()]),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            "-d" => {
                body = words.next();
                request = request.method("POST");
            }
            other => url = Some(other.to_owned()),
        }
    }
    let (url, body) = (url.unwrap(), body.unwrap_or_default());
    let (url, times) = match url.split_once("[1-") {
        Some((start, times)) => (start, times.trim_end_matches(']').parse().unwrap()),
        None => (&*url, 1),
    };
    let request = request.uri(url).body(body).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut status = 0;
    for _ in 0..times {
        let answer = client.request(request.clone().map(Body::from));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap().unwrap();
        status = answer.status().as_u16();
        if let Some(jar) = &keep {
            let cookie = answer.headers()["set-cookie"].to_str().unwrap();
            let pair = cookie.split(';').next().unwrap();
            jars.insert(jar.clone(), pair.to_owned());
        }
    }
    status
}

#[tokio::test]
async fn each_printed_request_gets_the_printed_status() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path()).await;
    let promised = running.promised();
    let statuses: Vec<u16> = promised.iter().map(|(status, _)| *status).collect();
    let keys = [200, 200, 201, 200, 401, 402, 403, 403, 429];
    let people = [200, 200, 201];
    assert_eq!(statuses, [&keys[..], &people].concat());
    let mut jars = BTreeMap::new();
    for (status, line) in promised {
        assert_eq!(send(line, &mut jars).await, status, "{line}");
    }
    running.interrupt().await;
}

#[tokio::test]
async fn a_second_start_shows_no_secret_and_keeps_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    let first = Running::start(directory.path()).await;
    let first_address = first.printed.last().unwrap().clone();
    let readable = |(_, line): &(u16, &str)| line.ends_with("/iocs'") && line.contains("Bearer");
    let line = first.promised().into_iter().find(readable).unwrap();
    let line = line.1.to_owned();
    first.interrupt().await;

    let second = Running::start(directory.path()).await;
    let printed = second.printed.join("\n");
    assert!(!printed.contains("sk_live_"), "{printed}");
    assert!(printed.contains("tollgate-quickstart.db"), "{printed}");
    let origin = |listening: &str| listening.strip_prefix("listening on ").unwrap().to_owned();
    let (old, new) = (
        origin(&first_address),
        origin(second.printed.last().unwrap()),
    );
    assert_eq!(
        send(&line.replace(&old, &new), &mut BTreeMap::new()).await,
        200
    );
    second.interrupt().await;
}

#[tokio::test]
async fn the_permission_map_is_a_table_and_makes_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let output = output(quickstart(directory.path()).arg("--permissions")).await;
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "\
| Method | Path | Permission | Credits | Description |
| --- | --- | --- | --- | --- |
| GET | /health | None (public) | 0 | Is the server up? |
| GET | /iocs | iocs:read | 0 | List indicators, of one kind if asked |
| POST | /iocs | iocs:write | 0 | Submit an indicator |
| GET | /iocs/{value} | iocs:read | 0 | Look an indicator up |
| GET | /iocs/{value}/report | reports:read | 5 | What is known about an indicator |
"
    );
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

/// Arguments, an environment variable, and what stderr has to say.
type Case<'a> = (&'a [&'a str], (&'a str, &'a str), &'a [&'a str]);

#[tokio::test]
async fn what_cannot_work_is_told_in_one_sentence_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let nowhere = "no/such/directory/keys.db";
    let free = ("TOLLGATE_LISTEN", "127.0.0.1:0");
    let cases: [Case<'_>; 7] = [
        (
            &["--listen", "nonsense"],
            ("A", ""),
            &["`nonsense` (from --listen)"],
        ),
        (
            &[],
            ("TOLLGATE_LISTEN", "x"),
            &["`x` (from TOLLGATE_LISTEN)"],
        ),
        (
            &["--database", nowhere],
            free,
            &[nowhere, "(from --database)"],
        ),
        (
            &["--listen", "127.0.0.1:0"],
            ("TOLLGATE_DATABASE", "postgres://db/keys"),
            &["(from TOLLGATE_DATABASE)", "not SQLite"],
        ),
        (&[], ("RUST_LOG", "tollgate=loud"), &["cannot use RUST_LOG"]),
        (&["--lisen", "x"], free, &["--lisen"]),
        (
            &["--listen", &address],
            ("A", ""),
            &[&address, "(from --listen)"],
        ),
    ];
    for (arguments, (name, value), told) in cases {
        let mut command = quickstart(directory.path());
        let output = output(command.args(arguments).env(name, value)).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?} {name}={value}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        for part in told {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}
