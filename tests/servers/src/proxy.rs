//! A proxy in this process, before a server, that does to its connections what networks do.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{Shutdown, TcpStream as Socket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::keeper::free_port;
use crate::stop;

/// As much as is passed on at once.
const PIECE: usize = 64 * 1024;

/// What stands before a server, and can be told at any time to do it harm. It passes everything at
/// first, and ends with all its connections when it is dropped.
///
/// A switch has taken effect when its method returns. It is for connections that are open and for
/// new ones, and replaces the one before it. Connections of which something was lost, in a
/// [black hole](Self::black_hole) or when [half open](Self::half_open), are dropped by the next
/// switch that passes something: a stream has no gaps.
#[derive(Debug)]
pub struct Proxy {
    state: Arc<State>,
    port: u16,
    runtime: Handle,
    accepts: AbortHandle,
}

#[derive(Debug)]
struct State {
    server: u16,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    mode: Mode,
    /// There unless new connections are refused.
    listener: Option<TcpListener>,
    /// Who waits for a listener.
    waits: Option<Waker>,
    chance: fastrand::Rng,
    connections: HashMap<u64, Connection>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Pass,
    Cut,
    BlackHole,
    HalfOpen,
    Delay(Duration),
    CutReplies(f64),
}

#[derive(Debug)]
struct Connection {
    client: Socket,
    server: Option<Socket>,
    /// Whether something that was sent on it has not arrived, and will not.
    has_gap: bool,
    task: Option<AbortHandle>,
}

/// What becomes of a piece, or of the end that comes after the last.
enum Fate {
    Passes,
    PassesAfter(Duration),
    Lost,
    Cuts,
}

/// One of the two directions of a connection.
#[derive(Clone, Copy)]
struct Direction<'a> {
    state: &'a State,
    id: u64,
    way: Way,
    /// Whether a request was sent of which no reply has come yet.
    is_asked: &'a AtomicBool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Request,
    Reply,
}

impl Proxy {
    /// One before the server on this port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// Where it cannot listen on any port.
    pub async fn before(server: u16) -> Self {
        let (port, listener) = loop {
            let port = free_port();
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break (port, listener),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => stop(&format!("the proxy cannot listen on port {port}: {error}")),
            }
        };
        let now = Now {
            mode: Mode::Pass,
            listener: Some(listener),
            waits: None,
            chance: fastrand::Rng::with_seed(0),
            connections: HashMap::new(),
            next: 0,
        };
        let now = Mutex::new(now);
        let state = Arc::new(State { server, now });
        let accepts = tokio::spawn(accept(Arc::clone(&state))).abort_handle();
        Self {
            state,
            port,
            runtime: Handle::current(),
            accepts,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// This URL of the server, with the proxy's port for the server's own.
    ///
    /// # Panics
    ///
    /// Where the URL does not name the server's port.
    #[must_use]
    pub fn url_for(&self, url: &str) -> String {
        let server = format!("127.0.0.1:{}", self.state.server);
        let Some((before, after)) = url.split_once(&server) else {
            stop(&format!(
                "`{url}` is not of the server on {server}, which the proxy is before"
            ));
        };
        format!("{before}127.0.0.1:{}{after}", self.port)
    }

    /// Passes everything, as at first.
    ///
    /// # Panics
    ///
    /// Where others took the port after a [cut](Self::cut), as with all that follow.
    pub fn pass(&self) {
        self.switch(Mode::Pass);
    }

    /// Drops every connection, and refuses new ones.
    pub fn cut(&self) {
        self.switch(Mode::Cut);
    }

    /// Keeps every connection open and takes new ones, and loses what is sent in both directions,
    /// the end of a connection included.
    pub fn black_hole(&self) {
        self.switch(Mode::BlackHole);
    }

    /// Drops every connection on the server's side, of which the client is told nothing: it may send
    /// and hears no more. New ones do not reach the server.
    pub fn half_open(&self) {
        self.switch(Mode::HalfOpen);
    }

    /// Keeps back each reply for so long, while requests pass at once.
    pub fn delay(&self, reply: Duration) {
        self.switch(Mode::Delay(reply));
    }

    /// Passes each request, and with this probability (0 to 1) cuts the connection when the reply
    /// comes, which is lost: the server has done what it was asked, and the client cannot know. The
    /// greetings of a new connection are requests too.
    pub fn cut_replies(&self, probability: f64, seed: u64) {
        self.state.lock().chance = fastrand::Rng::with_seed(seed);
        self.switch(Mode::CutReplies(probability));
    }

    fn switch(&self, mode: Mode) {
        let mut now = self.state.lock();
        now.mode = mode;
        now.connections.retain(|_, connection| {
            let stays = match mode {
                Mode::Cut => false,
                Mode::BlackHole => true,
                Mode::HalfOpen => {
                    connection.end_server();
                    true
                }
                _ => !connection.has_gap,
            };
            if !stays {
                connection.end();
            }
            stays
        });
        match mode {
            Mode::Cut => now.listener = None,
            _ if now.listener.is_none() => match self.listen() {
                Ok(listener) => now.listener = Some(listener),
                Err(error) => {
                    let port = self.port;
                    stop(&format!(
                        "the proxy cannot listen on port {port} again: {error}"
                    ));
                }
            },
            _ => {}
        }
        if let Some(waits) = now.waits.take() {
            waits.wake();
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let _inside = self.runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4()?;
        // Old connections to the port are still being forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], self.port).into())?;
        socket.listen(1024)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
        let mut now = self.state.lock();
        now.listener = None;
        for (_, mut connection) in now.connections.drain() {
            connection.end();
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, id: u64) {
        if let Some(mut connection) = self.lock().connections.remove(&id) {
            connection.end();
        }
    }
}

impl Connection {
    /// Closes both sides at once, whatever the task is about.
    fn end(&mut self) {
        // Whoever hung up before cannot be hung up on.
        let _was_open = self.client.shutdown(Shutdown::Both);
        self.end_server();
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    fn end_server(&mut self) {
        self.has_gap = true;
        if let Some(server) = self.server.take() {
            let _was_open = server.shutdown(Shutdown::Both);
        }
    }
}

/// Takes connections for as long as there is a listener, and waits where there is none.
async fn accept(state: Arc<State>) {
    loop {
        let client = poll_fn(|context| {
            // Under the lock, so that none is taken that a switch does not see.
            let mut now = state.lock();
            let listener = now.listener.as_ref();
            if let Some(Poll::Ready(taken)) = listener.map(|it| it.poll_accept(context)) {
                return Poll::Ready(taken.and_then(|(client, _)| now.take(client)));
            }
            now.waits = Some(context.waker().clone());
            Poll::Pending
        });
        // What fails is one connection's own affair.
        let Ok((id, client)) = client.await else {
            continue;
        };
        let task = tokio::spawn(serve(Arc::clone(&state), id, client)).abort_handle();
        match state.lock().connections.get_mut(&id) {
            Some(connection) => connection.task = Some(task),
            None => task.abort(),
        }
    }
}

impl Now {
    fn take(&mut self, client: TcpStream) -> io::Result<(u64, TcpStream)> {
        let id = self.next;
        self.next = id.wrapping_add(1);
        let (client, twin) = twins(client)?;
        let connection = Connection {
            client: twin,
            server: None,
            has_gap: false,
            task: None,
        };
        self.connections.insert(id, connection);
        Ok((id, client))
    }
}

/// The same socket twice: one to read and write, one to close it by from outside.
fn twins(stream: TcpStream) -> io::Result<(TcpStream, Socket)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, twin))
}

async fn serve(state: Arc<State>, id: u64, mut client: TcpStream) {
    if state.lock().reaches_server(id) {
        let server = TcpStream::connect(("127.0.0.1", state.server)).await;
        if let Ok((mut server, twin)) = server.and_then(twins)
            && state.lock().reached(id, twin)
        {
            let is_asked = AtomicBool::new(false);
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let request = Direction {
                state: &state,
                id,
                way: Way::Request,
                is_asked: &is_asked,
            };
            let reply = Direction {
                way: Way::Reply,
                ..request
            };
            tokio::join!(
                request.pump(from_client, to_server),
                reply.pump(from_server, to_client),
            );
        }
    } else {
        let mut piece = vec![0; PIECE];
        while client.read(&mut piece).await.is_ok_and(|length| length > 0) {}
        // It hung up; a switch lets go of the rest.
    }
    state.end(id);
}

impl Now {
    fn reaches_server(&mut self, id: u64) -> bool {
        let reaches = !matches!(self.mode, Mode::BlackHole | Mode::HalfOpen);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.has_gap = !reaches;
        }
        reaches
    }

    /// Notes the way to the server, unless the connection was ended or lost it meanwhile.
    fn reached(&mut self, id: u64, server: Socket) -> bool {
        let is_half_open = matches!(self.mode, Mode::HalfOpen);
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        connection.server = Some(server);
        if is_half_open {
            connection.end_server();
        }
        true
    }
}

impl Direction<'_> {
    /// Passes pieces on until they end, or a switch ends it.
    async fn pump(self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) {
        let mut piece = vec![0; PIECE];
        loop {
            // A connection that breaks has ended.
            let length = from.read(&mut piece).await.unwrap_or(0);
            let mut fate = self.fate(length);
            if let Fate::PassesAfter(time) = fate {
                sleep(time).await;
                fate = self.fate(length);
            }
            match fate {
                Fate::Passes | Fate::PassesAfter(_) => {}
                Fate::Lost if length == 0 => pending().await,
                Fate::Lost => continue,
                Fate::Cuts => return self.state.end(self.id),
            }
            let sent = match piece.get(..length) {
                Some(sent) if length > 0 => to.write_all(sent).await,
                // Who hung up before need not be told.
                _ => return to.shutdown().await.unwrap_or_default(),
            };
            // Who is to read it is gone, or a switch says so.
            if sent.is_err() && !matches!(self.fate(0), Fate::Lost) {
                return self.state.end(self.id);
            }
        }
    }

    /// Decides about a piece, or about the end if it is empty, and notes what that does to the
    /// connection.
    fn fate(&self, length: usize) -> Fate {
        let mut now = self.state.lock();
        let mode = now.mode;
        let is_reply = self.way == Way::Reply;
        // A reply may come in many pieces; the first one decides.
        let is_first = length > 0 && self.is_asked.swap(!is_reply, Ordering::Relaxed) && is_reply;
        let is_unlucky = match mode {
            Mode::CutReplies(probability) => is_first && now.chance.f64() < probability,
            _ => false,
        };
        let Some(connection) = now.connections.get_mut(&self.id) else {
            return Fate::Cuts;
        };
        match mode {
            Mode::BlackHole | Mode::HalfOpen => {
                connection.has_gap = true;
                Fate::Lost
            }
            Mode::Delay(time) if is_reply => Fate::PassesAfter(time),
            Mode::Cut => Fate::Cuts,
            _ if is_unlucky => Fate::Cuts,
            _ => Fate::Passes,
        }
    }
}
