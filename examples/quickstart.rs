//! A small API behind a gate: keys, scopes, plans, rates, credits and IP rules, kept in SQLite.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! The first start makes two organizations with keys, and prints each secret once, together with
//! requests to try them with. See `--help` for the flags.

use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tollgate::Gate;
use tollgate::core::memory::MemoryStore;
use tollgate_admin::{Admin, SessionCookies};
use tollgate_examples::failure::{self, Failure};
use tollgate_examples::flags::{self, Flags};
use tollgate_examples::interrupt::interrupted;

use crate::api::Iocs;

#[path = "quickstart/api.rs"]
mod api;
#[path = "quickstart/keys.rs"]
mod keys;
#[path = "quickstart/people.rs"]
mod people;

/// How long requests that are under way may take to end, once the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read(
        "A small API of indicators of compromise, guarded by Tollgate",
        "tollgate-quickstart.db",
    );
    failure::exit(run(&flags).await)
}

async fn run(flags: &Flags) -> Result<(), Failure> {
    flags::log_to_stderr()?;
    if flags.permissions() {
        return print_permissions().await;
    }
    // A port that is in use is told before a database is made.
    let listener = flags.listen().await?;
    let store = flags.open().await?;
    let people = people::cookies(&store);
    let gate = Gate::builder(api::catalog()?)
        .store(store.clone())
        .sessions(people.clone())
        .build()
        .await?;
    let served = serve(flags, listener, &gate, people).await;
    gate.shutdown().await;
    store.close().await;
    served
}

async fn print_permissions() -> Result<(), Failure> {
    let gate = Gate::builder(api::catalog()?)
        .store(MemoryStore::default())
        .build()
        .await?;
    write!(io::stdout(), "{}", api::routes(&gate).permissions())?;
    Ok(())
}

/// Serves until Ctrl-C, then lets the requests that are under way end.
async fn serve(
    flags: &Flags,
    listener: TcpListener,
    gate: &Gate,
    people: SessionCookies,
) -> Result<(), Failure> {
    let app = api::routes(gate)
        .with_state(Iocs::samples())
        .nest(
            "/admin",
            Admin::new(gate).with_sign_in(people.clone()).routes(),
        )
        .into_service()?;
    let interrupted = interrupted()?;
    let address = listener.local_addr()?;
    let start_over = format!(
        "to start over, delete the file `{}` (and `-wal` and `-shm` beside it)",
        flags.database()
    );
    let keys = keys::make(gate)
        .await
        .map_err(|error| error.with_remedy(&start_over))?;
    match keys {
        Some(keys) => {
            let operator = people::make(people.accounts()).await?;
            write!(io::stdout(), "{}", keys.shown(address))?;
            write!(io::stdout(), "{}", operator.shown(address))?;
        }
        None => writeln!(
            io::stdout(),
            "The keys and the operator's password were shown at the first start, and cannot be \
             shown again;\n{start_over}."
        )?,
    }
    writeln!(io::stdout(), "listening on http://{address}")?;

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        stopped.await.ok();
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = interrupted => drop(stop),
    }
    let Ok(ended) = tokio::time::timeout(GRACE, server).await else {
        tracing::warn!("some requests did not end in time");
        return Ok(());
    };
    Ok(ended?)
}
