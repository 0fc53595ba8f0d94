//! The nodes, as processes.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tollgate_examples::failure::Failure;

use crate::flags::{ALLOW_LOST_COMMITS, DATABASE, REDIS};
use crate::node::LISTENING;
use crate::servers::Servers;

/// How long a node may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Processes of this very program, which end with this one.
#[derive(Debug)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Node {
    process: Child,
    /// Kept open: who prints to nobody fails.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Nodes {
    /// Starts so many, one after the other: the first makes the tables.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where one ends before it listens; it has said why.
    pub(crate) async fn start(count: u8, servers: &Servers) -> Result<Self, Failure> {
        let mut this = Self {
            nodes: Vec::new(),
            addresses: Vec::new(),
        };
        for number in 1..=count {
            let (node, address) = Node::start(number, count, servers).await?;
            this.nodes.push(node);
            this.addresses.push(address);
        }
        Ok(this)
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The ids of their processes.
    pub(crate) fn processes(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().filter_map(|node| node.process.id())
    }

    /// Lets them end: they answer what is under way, and write what they have counted.
    pub(crate) async fn end(mut self) {
        for node in &mut self.nodes {
            drop(node.process.stdin.take());
        }
        for node in &mut self.nodes {
            if tokio::time::timeout(GRACE, node.process.wait())
                .await
                .is_err()
            {
                tracing::warn!("a node did not end in time, and is killed");
                node.process.start_kill().ok();
            }
        }
    }
}

impl Node {
    async fn start(
        number: u8,
        count: u8,
        servers: &Servers,
    ) -> Result<(Self, SocketAddr), Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--node", "--nodes", &count.to_string()])
            .env(DATABASE, servers.database())
            .env(REDIS, servers.redis())
            .env(ALLOW_LOST_COMMITS, servers.allow_lost_commits().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let failed = || Failure::new(format!("node {number} ended before it listened"));
        let stdout = process.stdout.take().ok_or_else(failed)?;
        let mut stdout = BufReader::new(stdout).lines();
        let line = stdout.next_line().await?.ok_or_else(failed)?;
        let address = line.strip_prefix(LISTENING).unwrap_or(&line);
        let address = address.trim_start_matches("http://").parse()?;
        let node = Self {
            process,
            _stdout: stdout,
        };
        Ok((node, address))
    }
}
