//! The clients: connections that never rest, and what each was answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::body::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::app::{EACH, FIXED, MOST, ONCE, ORGANIZATIONS, SURE, WORK};

const CONNECTIONS: usize = 16;
/// How many milliseconds a work takes that is seldom done when its process dies.
const SLOW: u64 = 25;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Fixed,
    Items(u64),
    Between(u64),
    Once,
    Sure,
    Stream(u64),
    /// Work of so many milliseconds.
    Slow(u64),
    /// The same, charged before it is answered.
    SlowSure(u64),
    Failing,
    Free,
}

impl Kind {
    pub(crate) fn any() -> Self {
        match fastrand::u8(0..16) {
            0..3 => Self::Fixed,
            3..5 => Self::Items(fastrand::u64(1..=5)),
            5..7 => Self::Between(fastrand::u64(1..=MOST)),
            7..10 => Self::Once,
            10..12 => Self::Sure,
            12..14 => Self::Stream(fastrand::u64(1..=40)),
            14 => *fastrand::choice(&[Self::Slow(SLOW), Self::SlowSure(SLOW)]).unwrap(),
            _ => *fastrand::choice(&[Self::Failing, Self::Free]).unwrap(),
        }
    }

    fn path(self) -> String {
        match self {
            Self::Fixed => "/fixed".to_owned(),
            Self::Items(count) => format!("/items/{count}"),
            Self::Between(credits) => format!("/between/{credits}"),
            Self::Once => "/once".to_owned(),
            Self::Sure => "/sure".to_owned(),
            Self::Stream(count) => format!("/stream/{count}"),
            Self::Slow(millis) => format!("/slow/{millis}"),
            Self::SlowSure(millis) => format!("/slow-sure/{millis}"),
            Self::Failing => "/failing".to_owned(),
            Self::Free => "/free".to_owned(),
        }
    }

    /// Whether its charge is durable before it is answered.
    pub(crate) const fn is_durable(self) -> bool {
        matches!(self, Self::Once | Self::Sure | Self::SlowSure(_))
    }

    /// The most that it may cost.
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::Fixed => FIXED,
            Self::Items(count) => EACH * count,
            Self::Between(credits) => credits,
            Self::Once => ONCE,
            Self::Sure => SURE,
            Self::Stream(count) => count,
            Self::Slow(_) | Self::SlowSure(_) => WORK,
            Self::Failing | Self::Free => 0,
        }
    }
}

/// A request, and what came back of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) organization: &'static str,
    pub(crate) kind: Kind,
    pub(crate) idempotency_key: Option<String>,
    /// Whether it was sent before, to a process that is dead.
    pub(crate) again: bool,
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What it says that it costs.
    pub(crate) charged: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) retry_after: bool,
    pub(crate) body: String,
    /// Whether it came to its end.
    pub(crate) whole: bool,
}

impl Sent {
    /// The answer, if it came to its end.
    pub(crate) fn answered(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|answer| answer.whole)
    }
}

/// A request whose idempotency key was sent before.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    pub(super) organization: &'static str,
    pub(super) idempotency_key: String,
}

/// What all connections to one process share.
pub(crate) struct Load {
    name: String,
    secrets: HashMap<&'static str, String>,
    next: AtomicU64,
    repeats: Mutex<Vec<Repeat>>,
    /// Whether there is an end of it, once all repeats are sent.
    ends: bool,
    sent: Mutex<Vec<Sent>>,
    dying: AtomicBool,
    broken: Mutex<Option<String>>,
    pub(crate) answered: Notify,
}

impl Load {
    pub(super) fn new(
        name: String,
        secrets: HashMap<&'static str, String>,
        repeats: Vec<Repeat>,
        ends: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            secrets,
            next: AtomicU64::new(0),
            repeats: Mutex::new(repeats),
            ends,
            sent: Mutex::default(),
            dying: AtomicBool::new(false),
            broken: Mutex::default(),
            answered: Notify::new(),
        })
    }

    /// Opens the connections. Each ends with the process, or when it fails.
    pub(crate) fn start(self: &Arc<Self>, address: SocketAddr) -> JoinSet<()> {
        (0..CONNECTIONS)
            .map(|_| {
                let load = Arc::clone(self);
                async move {
                    // From here on it is no surprise that connections break.
                    if let Err(error) = connection(&load, address).await
                        && !load.dying.load(Ordering::SeqCst)
                    {
                        *load.broken.lock() = Some(error);
                    }
                }
            })
            .collect()
    }

    /// From now on connections may break.
    pub(crate) fn dies(&self) {
        self.dying.store(true, Ordering::SeqCst);
    }

    /// What was sent, once all connections have ended.
    pub(crate) fn finish(&self) -> Result<Vec<Sent>, String> {
        match self.broken.lock().take() {
            Some(error) => Err(format!("a connection broke by itself: {error}")),
            None => Ok(std::mem::take(&mut *self.sent.lock())),
        }
    }

    fn draw(&self) -> Option<Sent> {
        let n = self.next.fetch_add(1, Ordering::SeqCst);
        let mut sent = Sent {
            id: format!("{}-{n}", self.name),
            organization: fastrand::choice(&ORGANIZATIONS).unwrap(),
            kind: Kind::any(),
            idempotency_key: None,
            again: false,
            answer: None,
        };
        if let Some(repeat) = self.repeats.lock().pop() {
            sent.organization = repeat.organization;
            sent.kind = Kind::Once;
            sent.idempotency_key = Some(repeat.idempotency_key);
            sent.again = true;
        } else if self.ends {
            return None;
        } else if sent.kind == Kind::Once {
            // Some keys are sent twice at almost the same time.
            sent.idempotency_key = Some(format!("{}-{}", self.name, n / 4));
        }
        Some(sent)
    }
}

async fn connection(load: &Load, address: SocketAddr) -> Result<(), String> {
    let mut sender = open(address).await?;
    while let Some(mut sent) = load.draw() {
        let secret = &load.secrets[sent.organization];
        let ended = send(&mut sender, secret, &mut sent).await;
        load.sent.lock().push(sent);
        load.answered.notify_one();
        ended.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A connection that is kept alive.
pub(crate) async fn open(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let opened = handshake(TokioIo::new(stream)).await;
    let (sender, driver) = opened.map_err(|error| error.to_string())?;
    // It ends with the sender, or with the peer.
    tokio::spawn(driver);
    Ok(sender)
}

/// Sends a request, and keeps as much of the answer as there is.
pub(crate) async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    secret: &str,
    sent: &mut Sent,
) -> Result<(), hyper::Error> {
    sender.ready().await?;
    let mut request = Request::post(sent.kind.path())
        .header("host", "app.example")
        .header("x-api-key", secret)
        .header("x-request-id", &sent.id);
    if let Some(key) = &sent.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let response = sender.send_request(request.body(Full::default()).unwrap());
    let (head, mut body) = response.await?.into_parts();
    let header = |name| Some(head.headers.get(name)?.to_str().unwrap());
    let answer = sent.answer.insert(Answer {
        status: head.status.as_u16(),
        charged: header("x-credits-charged").map(|text| text.parse().unwrap()),
        replayed: header("idempotency-replayed") == Some("true"),
        retry_after: header("retry-after").is_some(),
        body: String::new(),
        whole: false,
    });
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            answer.body.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
    answer.whole = true;
    Ok(())
}
