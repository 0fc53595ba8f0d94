//! Who sits at the terminal.

use tollgate_core::change::Actor;

/// `cli:` and the name of the user that the command runs as.
pub(crate) fn actor() -> Actor {
    Actor::named(format!("cli:{}", name()))
}

/// By the system's list of users, and not by the environment, which anybody can set.
#[cfg(unix)]
fn name() -> String {
    use nix::unistd::{Uid, User};

    let id = Uid::current();
    match User::from_uid(id) {
        Ok(Some(user)) => user.name,
        _ => id.to_string(),
    }
}

#[cfg(not(unix))]
fn name() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}
