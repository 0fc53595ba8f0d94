//! Waits until somebody wants the server to stop.

use std::io;

/// Resolves at Ctrl-C, and at SIGTERM where there is such a thing. Listens from now on, not only
/// once it is awaited.
///
/// # Errors
///
/// The system's, if it lets nobody listen.
#[cfg(unix)]
pub fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C. Listens from now on, not only once it is awaited.
///
/// # Errors
///
/// The system's, if it lets nobody listen.
#[cfg(windows)]
pub fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
