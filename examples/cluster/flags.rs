//! The flags of the cluster.

use clap::Parser;
use clap::builder::BoolishValueParser;
use tokio::net::TcpListener;
use tollgate_examples::failure::Failure;

/// The variables that a node reads its URLs from, which may hold passwords: who lists processes
/// sees their arguments.
pub(crate) const DATABASE: &str = "TOLLGATE_DATABASE";
pub(crate) const REDIS: &str = "TOLLGATE_REDIS";
pub(crate) const ALLOW_LOST_COMMITS: &str = "TOLLGATE_ALLOW_LOST_COMMITS";

/// The threat-intel app on several nodes, over one Postgres and one Redis
#[derive(Debug, Parser)]
pub(crate) struct Flags {
    /// Starts so many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,

    /// Listens here; port 0 takes any free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "TOLLGATE_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: String,

    /// Uses this database, and leaves two organizations in it, in place of a Postgres that is
    /// thrown away: `postgres://user:password@host/name`
    #[arg(long, value_name = "URL", env = DATABASE, hide_env_values = true)]
    database: Option<String>,

    /// Uses this Redis or Valkey in place of one that is thrown away: `redis://host`
    #[arg(long, value_name = "URL", env = REDIS, hide_env_values = true)]
    redis: Option<String>,

    /// Works on a Postgres that does not wait for its disk
    #[arg(long, env = ALLOW_LOST_COMMITS, value_parser = BoolishValueParser::new())]
    allow_lost_commits: bool,

    /// Ends after the show
    #[arg(long)]
    once: bool,

    /// Is one of the nodes
    #[arg(long, hide = true)]
    node: bool,
}

impl Flags {
    /// Reads the command line and the environment. Ends the process at `--help`, and with a
    /// sentence at flags that make no sense.
    pub(crate) fn read() -> Self {
        Self::parse()
    }

    pub(crate) const fn nodes(&self) -> u8 {
        self.nodes
    }

    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    pub(crate) fn redis(&self) -> Option<&str> {
        self.redis.as_deref()
    }

    pub(crate) const fn allow_lost_commits(&self) -> bool {
        self.allow_lost_commits
    }

    pub(crate) const fn once(&self) -> bool {
        self.once
    }

    /// Whether this process is a node, started by another one that has no such flag.
    pub(crate) const fn is_node(&self) -> bool {
        self.node
    }

    /// Listens where it was told to.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names the address.
    pub(crate) async fn listen(&self) -> Result<TcpListener, Failure> {
        let address = &self.listen;
        TcpListener::bind(address).await.map_err(|error| {
            Failure::new(format!("cannot listen on `{address}`: {error}"))
                .with_remedy("name another address and port, such as `--listen 127.0.0.1:0`")
        })
    }
}
