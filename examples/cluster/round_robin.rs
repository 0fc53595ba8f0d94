//! Gives each connection to the next node.
//!
//! It stands for the load balancer that there is elsewhere. It reads nothing of what it passes on,
//! so one that is kept open stays with its node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on for as long as this value lives.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    address: Option<SocketAddr>,
    backends: Arc<Backends>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Backends {
    next: AtomicUsize,
    nodes: Vec<Backend>,
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    given: AtomicU64,
}

impl RoundRobin {
    /// Passes what comes to the listener on to these nodes.
    pub(crate) fn start(listener: TcpListener, nodes: &[SocketAddr]) -> Self {
        let nodes = nodes.iter().map(|&address| Backend {
            address,
            given: AtomicU64::new(0),
        });
        let backends = Arc::new(Backends {
            next: AtomicUsize::new(0),
            nodes: nodes.collect(),
        });
        let address = listener.local_addr().ok();
        let task = tokio::spawn(accept(listener, Arc::clone(&backends)));
        Self {
            address,
            backends,
            task,
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// How many connections each node was given.
    pub(crate) fn given(&self) -> Vec<u64> {
        let nodes = self.backends.nodes.iter();
        nodes
            .map(|node| node.given.load(Ordering::Relaxed))
            .collect()
    }
}

impl Drop for RoundRobin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, backends: Arc<Backends>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let backends = Arc::clone(&backends);
                tokio::spawn(async move { backends.pass(client).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Backends {
    /// To the next node that takes it: one that is gone is passed over.
    async fn pass(&self, mut client: TcpStream) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let length = self.nodes.len();
        let in_turn = self.nodes.iter().cycle();
        let first = turn.checked_rem(length).unwrap_or(0);
        for node in in_turn.skip(first).take(length) {
            let Ok(mut server) = TcpStream::connect(node.address).await else {
                continue;
            };
            node.given.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
                tracing::debug!(%error, "a connection broke");
            }
            return;
        }
        tracing::warn!("no node takes connections");
    }
}
