//! `tollgate session`: sessions of people, for signing in without a browser.

use std::net::IpAddr;

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use tollgate_core::accounts::{Accounts, Begun, Email, UserSession};
use tollgate_core::id::SessionId;
use tollgate_core::invalid::Invalid;

use crate::args::Why;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::out::{Out, Shown, note, or_dash};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Begins a session, and prints its cookie as `name=value` this once
    Create {
        /// Whose
        email: Email,
        /// The name of the cookie, if the app has another
        #[arg(long, value_name = "NAME", default_value = Accounts::COOKIE, value_parser = cookie_name)]
        cookie: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lists the sessions of a user that are not over
    List {
        /// Whose
        email: Email,
    },
    /// Ends a session: the next request with its cookie is refused
    End {
        /// Which
        id: SessionId,
        #[command(flatten)]
        why: Why,
    },
}

/// A token, as RFC 6265 wants the name of a cookie to be.
pub(crate) fn is_cookie_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(good)
}

fn cookie_name(text: &str) -> Result<String, Invalid> {
    if is_cookie_name(text) {
        return Ok(text.to_owned());
    }
    let reason = format!("`{}` is not a name for a cookie", text.escape_debug());
    Err(Invalid::new("cookie", reason))
}

impl SessionCommand {
    pub(crate) async fn run(self, desk: &Desk, out: &mut Out) -> Result<(), Failure> {
        let accounts = desk.accounts();
        match self {
            Self::Create { email, cookie, why } => {
                let user = accounts.user_by_email(&email).await?;
                let actor = desk.actor(why).await?;
                let begun = accounts.begin_session(&user, &actor).await?;
                if let Err(failure) = show_once(&begun, &cookie, out) {
                    // Nobody has it, so nobody may use it.
                    accounts.end_session(&begun.session.id, &actor).await?;
                    return Err(failure.within("nobody saw the cookie, so its session was ended"));
                }
                if !out.json() {
                    note("whoever has this cookie is signed in; it is shown this once");
                }
                Ok(())
            }
            Self::List { email } => {
                let user = accounts.user_by_email(&email).await?;
                let mut printed = out.list::<ShownSession>();
                for session in accounts.sessions(&user.id).await? {
                    if !printed.add(&ShownSession::of(&session))? {
                        break;
                    }
                }
                printed.end()
            }
            Self::End { id, why } => {
                let actor = desk.actor(why).await?;
                accounts.end_session(&id, &actor).await?;
                if out.json() {
                    out.value(&json!({ "id": id, "ended": true }))
                } else {
                    out.line(format_args!("ended {id}"))
                }
            }
        }
    }
}

/// Prints what opens a session, which is gone with this process.
fn show_once(begun: &Begun, cookie: &str, out: &mut Out) -> Result<(), Failure> {
    let Begun { session, token, .. } = begun;
    let pair = format!("{cookie}={}", token.expose());
    let shown = if out.json() {
        out.value(&json!({
            "id": session.id,
            "cookie": pair,
            "expires_at": session.expires_at.to_string(),
        }))
    } else {
        out.line(&pair)
    };
    shown?;
    out.arrived()
}

/// A session as it is printed; it has no token.
#[derive(Debug, Serialize)]
struct ShownSession {
    id: SessionId,
    address: Option<IpAddr>,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
}

impl ShownSession {
    fn of(session: &UserSession) -> Self {
        Self {
            id: session.id,
            address: session.address,
            created_at: session.created_at.to_string(),
            last_seen_at: session.last_seen_at.to_string(),
            expires_at: session.expires_at.to_string(),
        }
    }
}

impl Shown for ShownSession {
    const COLUMNS: &'static [&'static str] = &["ID", "FROM", "BEGUN", "LAST SEEN", "EXPIRES"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            or_dash(self.address),
            self.created_at.clone(),
            self.last_seen_at.clone(),
            self.expires_at.clone(),
        ]
    }
}
