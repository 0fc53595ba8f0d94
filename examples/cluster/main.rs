//! The threat-intel app on several nodes, over one Postgres and one Redis, on this machine.
//!
//! ```sh
//! cargo run --example cluster
//! ```
//!
//! It starts throw-away servers and some processes of the app, puts a round-robin before these, and
//! shows what they do together: a limit is admitted once, credits are charged to the last one, and
//! a key that is revoked is soon refused by all. Then it serves until Ctrl-C, or ends if it was
//! told `--once`. See `--help` for the other flags. All that it started ends with it.

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::net::TcpListener;
use tollgate::Gate;
use tollgate_examples::failure::{self, Failure};
use tollgate_examples::flags::log_to_stderr;
use tollgate_examples::interrupt::interrupted;
use tollgate_examples::tour::{Curl, Tour, origin};

use self::app::api;
use self::flags::Flags;
use self::nodes::Nodes;
use self::round_robin::RoundRobin;
use self::servers::Servers;
use self::show::Show;

/// The app itself is another example's.
#[path = "../threat_intel"]
mod app {
    pub(crate) mod api;
}

mod client;
mod flags;
mod node;
mod nodes;
mod round_robin;
mod servers;
mod show;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read();
    failure::exit(run(&flags).await)
}

async fn run(flags: &Flags) -> Result<(), Failure> {
    log_to_stderr()?;
    if flags.is_node() {
        return node::run(flags).await;
    }
    // A port that is in use is told before anything is started.
    let listener = flags.listen().await?;
    let servers = Servers::start(flags).await?;
    // A process of its own among the nodes, as the command `tollgate` is: it makes keys and
    // revokes them, and answers no requests.
    let store = servers.open().await?;
    let gate = api::configure(Gate::builder(api::catalog()?));
    let gate = gate.store(store.clone()).build().await?;
    let served = serve(flags, &servers, listener, &gate).await;
    gate.shutdown().await;
    store.close().await;
    served
}

async fn serve(
    flags: &Flags,
    servers: &Servers,
    listener: TcpListener,
    gate: &Gate,
) -> Result<(), Failure> {
    // Ctrl-C is listened for from here on, so that the nodes are told to end.
    let interrupted = interrupted()?;
    let nodes = Nodes::start(flags.nodes(), servers).await?;
    let address = listener.local_addr()?;
    let round_robin = RoundRobin::start(listener, nodes.addresses());
    let shown = async {
        let show = Show::prepare(gate, nodes.addresses(), &round_robin).await?;
        show.run().await?;
        if flags.once() {
            return Ok(());
        }
        let mut tour = Tour::new(address);
        let request = Curl::get("/api/v1/lookup?ioc=198.51.100.20").bearer(show.secret());
        tour.add(200, "any node answers", request);
        let mut out = io::stdout();
        writeln!(
            out,
            "Try it in another terminal, and stop a node:\n\n{tour}"
        )?;
        for (number, process) in (1..).zip(nodes.processes()) {
            writeln!(out, "node {number} is process {process}")?;
        }
        writeln!(out, "listening on {}", origin(address))?;
        std::future::pending().await
    };
    let shown = tokio::select! {
        shown = shown => shown,
        () = interrupted => Ok(()),
    };
    nodes.end().await;
    shown
}
