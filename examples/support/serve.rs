//! What is printed before an app is served; and serves it until somebody wants it to stop, and lets
//! it end well.

use std::fmt;
use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tollgate::core::memory::MemoryStore;
use tollgate::routes::PermissionMap;
use tollgate::{Catalog, Gate, GateService};

use crate::failure::Failure;
use crate::flags::Flags;
use crate::interrupt::interrupted;
use crate::tour::{Tour, origin};

/// How long requests that are under way may take to end, once the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until Ctrl-C, then lets the requests that are under way end.
///
/// # Errors
///
/// A [`Failure`] if the system takes the listener away.
pub async fn until_interrupted(
    listener: TcpListener,
    app: GateService<Router>,
) -> Result<(), Failure> {
    let interrupted = interrupted()?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "listening on {}", origin(address))?;
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

/// Prints the secrets that were made at this first start, and requests to try them with.
///
/// # Errors
///
/// A [`Failure`] if nobody reads what is printed.
pub fn print_demo(secrets: &impl fmt::Display, tour: &Tour) -> Result<(), Failure> {
    writeln!(
        io::stdout(),
        "{secrets}\nTry them in another terminal:\n\n{tour}"
    )?;
    Ok(())
}

/// Prints what is said in place of the secrets, at every start but the first.
///
/// # Errors
///
/// A [`Failure`] if nobody reads what is printed.
pub fn print_secrets_were_shown(flags: &Flags) -> Result<(), Failure> {
    writeln!(io::stdout(), "{}", flags.secrets_were_shown())?;
    Ok(())
}

/// Prints what each route demands, as a table.
///
/// # Errors
///
/// A [`Failure`] if the gate cannot be built, or nobody reads what is printed.
pub async fn print_permissions(
    catalog: Catalog,
    permissions: impl FnOnce(&Gate) -> PermissionMap,
) -> Result<(), Failure> {
    let store = MemoryStore::default();
    let gate = Gate::builder(catalog).store(store).build().await?;
    write!(io::stdout(), "{}", permissions(&gate))?;
    Ok(())
}
