//! T10, T19 and T20: what hyper makes of bytes, kept in files, so that a change is noticed.
//!
//! Behind each request stands another, which closes the connection: if its answer is missing, the
//! first ended the connection. `TOLLGATE_BLESS=1` writes the files anew.

use std::fmt::Write as _;
use std::path::Path;

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate::access::{authenticated, public};

use self::requests::{REQUEST_LINES, SMUGGLED};
use super::Ran;
use crate::bypass::wire::{RawAnswer, parse};
use crate::support::TestApp;

mod requests;

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

async fn golden_app() -> (TestApp, Ran) {
    let ran = Ran::default();
    let echo = async |headers: HeaderMap, body: String| {
        let told = |name: &str| headers.get(name).is_some();
        let (length, coding) = (told("content-length"), told("transfer-encoding"));
        format!("body {body:?}, content-length {length}, transfer-encoding {coding}")
    };
    let app = TestApp::new(|gate| {
        gate.routes()
            .any("/echo", echo, public())
            .get("/next", async || "the next", public())
            .get("/key", ran.clone(), authenticated().rate_cost(0))
    });
    (app.await, ran)
}

/// Everything that comes back. A server that closes while there is more to read resets the
/// connection, and what it said may be lost; then it is asked again.
async fn answers(app: &TestApp, request: &[u8]) -> Vec<RawAnswer> {
    for _ in 0..5 {
        let answers = answers_once(app, request).await;
        if !answers.is_empty() {
            return answers;
        }
    }
    panic!("no answer to {}", String::from_utf8_lossy(request));
}

async fn answers_once(app: &TestApp, request: &[u8]) -> Vec<RawAnswer> {
    let (mut read, mut write) = app.connect().await.into_split();
    let bytes = [request, NEXT].concat();
    let writing = async { drop(write.write_all(&bytes).await) };
    let mut buffer = Vec::new();
    let reading = async { while let Ok(1..) = read.read_buf(&mut buffer).await {} };
    tokio::join!(writing, reading);
    let mut answers = Vec::new();
    while let Some((answer, length)) = parse(&buffer, "GET") {
        buffer.drain(..length);
        answers.push(answer);
    }
    assert!(buffer.is_empty(), "{buffer:?}");
    answers
}

/// Whether an answer is the documented exception: hyper's own, which has no request id.
fn is_hypers_own(answer: &RawAnswer) -> bool {
    answer.header("x-request-id").is_none()
        && matches!(answer.status, 400 | 414 | 431)
        && answer.body.is_empty()
        && answer.header("connection") == Some("close")
}

/// An answer without what differs each time.
fn shown(answer: &RawAnswer) -> String {
    let mut shown = String::new();
    let body = String::from_utf8(answer.body.clone()).unwrap();
    let id = answer.header("x-request-id").unwrap_or("no id");
    for line in answer.head.lines().chain(body.lines()) {
        let line = line.replace(id, "…");
        if !line.is_empty() && !line.starts_with("date: ") {
            writeln!(shown, "    {line}").unwrap();
        }
    }
    shown
}

async fn compare(name: &str, app: &TestApp, cases: Vec<(&str, String)>) {
    let mut transcript = String::new();
    for (case, request) in cases {
        let mut answers = answers(app, request.as_bytes()).await;
        let next = answers.pop_if(|answer| answer.body == b"the next");
        for answer in &answers {
            let known = answer.header("x-request-id").is_some() || is_hypers_own(answer);
            assert!(known, "{case}: {answer:?}");
        }
        let answers: Vec<String> = answers.iter().map(shown).collect();
        let answers = answers.join("    and\n");
        let end = next.map_or("is closed", |_| "stays open");
        write!(transcript, "# {case}\n{answers}  the connection {end}\n\n").unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/threats/golden");
    let file = folder.join(name);
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&file, &transcript).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    for (is, was) in transcript.split("# ").zip(golden.split("# ")) {
        assert_eq!(is, was, "{name} has another answer than before");
    }
    assert_eq!(transcript, golden, "{name} has other cases than before");
}

#[tokio::test]
async fn t10_header_names_are_read_as_the_golden_file_says() {
    let (app, ran) = golden_app().await;
    let key = app.key("umbra", []).await.secret;
    let cases = [
        ("the exact name", format!("X-API-Key: {key}\r\n")),
        ("no blank after the colon", format!("X-API-Key:{key}\r\n")),
        ("underscores", format!("X_API_Key: {key}\r\n")),
        ("a blank before the colon", format!("X-API-Key : {key}\r\n")),
        ("a tab before the colon", format!("X-API-Key\t: {key}\r\n")),
        ("a blank before the name", format!(" X-API-Key: {key}\r\n")),
        (
            "folded before the value",
            format!("X-API-Key:\r\n {key}\r\n"),
        ),
        (
            "folded below another",
            format!("A: b\r\n X-API-Key: {key}\r\n"),
        ),
        ("a bare LF ends the line", format!("X-API-Key: {key}\n")),
        (
            "a bare LF ends the line before",
            format!("A: b\nX-API-Key: {key}\r\n"),
        ),
        ("a bare CR before", format!("A: b\rX-API-Key: {key}\r\n")),
        ("a bare CR at the end", format!("X-API-Key: {key}\r\r\n")),
        ("NUL in the name", format!("X-API\0-Key: {key}\r\n")),
        ("NUL in the value", format!("X-API-Key: {key}\0\r\n")),
        (
            "a control in the value",
            format!("X-API-Key: {key}\x07\r\n"),
        ),
        ("no name", format!(": {key}\r\n")),
        ("no colon", format!("X-API-Key {key}\r\n")),
        ("a name that is no token", format!("X-API(Key): {key}\r\n")),
        (
            "a name that is not ASCII",
            format!("X-\u{c4}PI-Key: {key}\r\n"),
        ),
        ("two colons", format!("X-API-Key:: {key}\r\n")),
    ]
    .into_iter()
    .map(|(name, line)| (name, format!("GET /key HTTP/1.1\r\n{line}\r\n")));
    compare("t10.txt", &app, cases.collect()).await;
    assert_eq!(ran.times(), 4);
}

#[tokio::test]
async fn t19_smuggled_requests_are_answered_as_the_golden_file_says() {
    let (app, ran) = golden_app().await;
    let inner = "GET /key HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let hex = format!("{:x}", inner.len());
    let chunks = format!("{hex}\r\n{inner}\r\n0\r\n\r\n");
    let cases = SMUGGLED.iter().map(|(name, headers, body)| {
        let body = body.replace("{chunks}", &chunks);
        let body = body.replace("{hex}", &hex).replace("{inner}", inner);
        let headers = headers.replace("{inner's}", &inner.len().to_string());
        let headers = headers.replace("{chunks'}", &chunks.len().to_string());
        let request = format!("POST /echo HTTP/1.1\r\nHost: a.example\r\n{headers}\r\n{body}");
        (*name, request)
    });
    compare("t19.txt", &app, cases.collect()).await;
    assert_eq!(
        ran.times(),
        0,
        "however many requests there were, none had a key"
    );
}

#[tokio::test]
async fn t20_what_never_gets_to_the_gate_is_answered_as_the_golden_file_says() {
    let (app, ran) = golden_app().await;
    let headers = |count: usize| {
        let lines = (0..count).map(|number| format!("A{number}: b\r\n"));
        format!(
            "GET /key HTTP/1.1\r\n{}\r\n",
            lines.collect::<Vec<_>>().concat()
        )
    };
    let header = |length| format!("GET /key HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(length));
    let target = |length| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length));
    let key = app.key("umbra", []).await.secret;
    let with_key = format!("HTTP/1.1\r\nX-API-Key: {key}\r\n");
    let mut cases = vec![
        ("99 headers", headers(99)),
        ("100 headers", headers(100)),
        ("101 headers", headers(101)),
        (
            "101 headers, one a key",
            headers(100).replace("HTTP/1.1\r\n", &with_key),
        ),
        ("a header of 300,000 bytes", header(300_000)),
        ("a header of 500,000 bytes", header(500_000)),
        ("a target of 65,000 bytes", target(65_000)),
        ("a target of 66,000 bytes", target(66_000)),
    ];
    let lines = REQUEST_LINES.iter();
    cases.extend(lines.map(|(name, request)| (*name, format!("{request}\r\n"))));
    compare("t20.txt", &app, cases).await;
    assert_eq!(ran.times(), 0);
}
