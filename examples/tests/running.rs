//! An example that runs, and the `curl` lines that it prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// Beside this test's binary: `cargo test` builds the examples before it runs any test.
fn binary(example: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(Path::parent).unwrap();
    let path = profile
        .join("examples")
        .join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "there is no {}; run `cargo build --examples`",
        path.display()
    );
    path
}

/// An example, deaf to the environment of whoever runs the tests.
pub(crate) fn example(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(binary(name));
    command
        .current_dir(directory)
        .env_remove("RUST_LOG")
        .env_remove("TOLLGATE_DATABASE")
        .env_remove("TOLLGATE_LISTEN")
        .env_remove("TOLLGATE_REDIS")
        .env_remove("TOLLGATE_NODES")
        .env_remove("TOLLGATE_ALLOW_LOST_COMMITS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn output(command: &mut Command) -> Output {
    let output = tokio::time::timeout(PATIENCE, command.output());
    output.await.unwrap().unwrap()
}

/// A running example, and what it printed until it listened.
pub(crate) struct Running {
    child: Child,
    pub(crate) printed: Vec<String>,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) async fn start(name: &str, directory: &Path) -> Self {
        Self::of(example(name, directory)).await
    }

    /// An example that is set up already, but for where it listens.
    pub(crate) async fn of(mut command: Command) -> Self {
        let command = command.args(["--listen", "127.0.0.1:0"]);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        loop {
            let line = tokio::time::timeout(PATIENCE, stdout.next_line());
            let Some(line) = line.await.unwrap().unwrap() else {
                let mut told = String::new();
                if let Some(mut stderr) = child.stderr.take() {
                    stderr.read_to_string(&mut told).await.unwrap();
                }
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

    /// What its addresses begin with: `http://127.0.0.1:4711`.
    pub(crate) fn origin(&self) -> &str {
        let told = self.printed.last().unwrap();
        told.strip_prefix("listening on ").unwrap()
    }

    /// Each printed request, with the status that is printed above it. A body may have lines.
    pub(crate) fn promised(&self) -> Vec<(u16, String)> {
        let mut lines = self.printed.iter();
        let mut promised = Vec::new();
        while let Some(line) = lines.next() {
            let comment = line.strip_prefix("# ").and_then(|it| it.get(..3));
            let Some(status) = comment.and_then(|status| status.parse().ok()) else {
                continue;
            };
            let mut request = lines.next().unwrap().clone();
            assert!(request.starts_with("curl "), "{request}");
            while ends_within_quotes(&request) {
                request.push('\n');
                request.push_str(lines.next().unwrap());
            }
            promised.push((status, request));
        }
        promised
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub(crate) async fn interrupt(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().await;
        assert!(sent.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.unwrap().unwrap().success());
    }

    #[cfg(not(unix))]
    pub(crate) async fn interrupt(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Whether a shell would go on reading on the next line.
fn ends_within_quotes(text: &str) -> bool {
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => quoted = !quoted,
            '\\' if !quoted => drop(characters.next()),
            _ => {}
        }
    }
    quoted
}

/// The words of a line, as a shell reads them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            '\\' if !quoted => words.last_mut().unwrap().extend(characters.next()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

/// The answer to a `curl` line.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends what a `curl` line sends, and returns the last answer. Cookies are kept in the jars that
/// it names.
pub(crate) async fn send(line: &str, jars: &mut BTreeMap<String, String>) -> Answer {
    let mut request = Request::builder();
    let (mut body, mut url, mut keep) = (None, None, None);
    let mut words = words(line).into_iter().skip(1);
    while let Some(word) = words.next() {
        match &*word {
            "-sS" => {}
            "-w" => drop(words.next()),
            "-X" => request = request.method(&*words.next().unwrap()),
            "-c" => keep = words.next(),
            "-b" => request = request.header("cookie", &jars[&words.next().unwrap()]),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            "--data-binary" => body = words.next(),
            other => url = Some(other.to_owned()),
        }
    }
    // With a body and no method, curl sends a POST.
    if body.is_some() && request.method_ref() == Some(&Method::GET) {
        request = request.method("POST");
    }
    let (url, body) = (url.unwrap(), body.unwrap_or_default());
    let (url, times) = match url.split_once("[1-") {
        Some((start, times)) => (start, times.trim_end_matches(']').parse().unwrap()),
        None => (&*url, 1),
    };
    let request = request.uri(url).body(body).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut last = None;
    for _ in 0..times {
        let answer = client.request(request.clone().map(Body::from));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let (head, body) = answer.unwrap().unwrap().into_parts();
        if let Some(jar) = &keep {
            let cookie = head.headers.get("set-cookie").unwrap().to_str().unwrap();
            let pair = cookie.split(';').next().unwrap();
            jars.insert(jar.clone(), pair.to_owned());
        }
        let body = tokio::time::timeout(PATIENCE, body.collect()).await;
        last = Some(Answer {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.unwrap().unwrap().to_bytes(),
        });
    }
    last.unwrap()
}
