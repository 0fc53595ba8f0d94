//! Sessions in a cookie, over the users that Tollgate keeps.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header, request};
use tollgate::{Denial, DenialKind, Session, Sessions};
use tollgate_core::accounts::{Accounts, Begun, FoundSession, SessionToken};
use tollgate_core::invalid::Invalid;
use tollgate_core::reply::Reply;

use crate::sign_in::{Passwords, Throttle};

/// Which requests of other sites a browser sends the cookie with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SameSite {
    /// None: who follows a link to the dashboard has to reload it, or sign in.
    #[default]
    Strict,
    /// Those that open a page by GET.
    Lax,
}

/// Finds sessions by a cookie, and signs people in and out. Clones share everything.
///
/// The cookie is `__Host-tollgate_session`, `Secure`, `HttpOnly`, `SameSite=Strict`, for this very
/// host.
///
/// ```
/// use std::sync::Arc;
///
/// use tollgate_admin::SessionCookies;
/// use tollgate_core::accounts::Accounts;
/// use tollgate_core::clock::SystemClock;
/// use tollgate_core::memory::MemoryStore;
///
/// let accounts = Accounts::new(Arc::new(MemoryStore::default()), Arc::new(SystemClock::default()));
/// let cookies = SessionCookies::new(accounts);
/// assert_eq!(cookies.name(), "__Host-tollgate_session");
/// ```
#[derive(Clone)]
pub struct SessionCookies {
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) throttle: Arc<Throttle>,
    name: Arc<str>,
    same_site: SameSite,
    secure: bool,
}

impl SessionCookies {
    /// Sessions of these users.
    #[must_use]
    pub fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            passwords: Arc::new(Passwords::new()),
            throttle: Arc::new(Throttle::new()),
            name: Accounts::COOKIE.into(),
            same_site: SameSite::Strict,
            secure: true,
        }
    }

    /// Gives the cookie another name. One that does not begin with `__Host-` may be set by
    /// neighbouring hosts too.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is no cookie name (RFC 6265), or longer than 64 bytes.
    pub fn named(mut self, name: &str) -> Result<Self, Invalid> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            let shown = name.escape_debug();
            let reason = format!("`{shown}` is not 1 to 64 of a token's characters");
            return Err(Invalid::new("cookie name", reason));
        }
        self.name = name.into();
        Ok(self)
    }

    /// Says which requests of other sites the cookie comes with.
    #[must_use]
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Lets the cookie go over plain http, for development: without `Secure`, and so without
    /// `__Host-` before its name.
    #[must_use]
    pub fn insecure_cookie(mut self) -> Self {
        self.secure = false;
        if let Some(rest) = self.name.strip_prefix("__Host-") {
            self.name = rest.into();
        }
        self
    }

    /// The users whose sessions these are.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a browser sent. Of two, a neighbouring host may have set one, so neither counts.
    fn token(&self, headers: &HeaderMap) -> Option<SessionToken> {
        let lines = headers.get_all(header::COOKIE).iter();
        let mut found = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == &*self.name);
        let (_, token) = found.next()?;
        if found.next().is_some() || token.is_empty() || token.len() > 128 {
            return None;
        }
        Some(SessionToken::new(token.to_owned()))
    }

    /// The good session that a request came with.
    pub(crate) async fn find(&self, headers: &HeaderMap) -> Result<Option<FoundSession>, Denial> {
        match self.token(headers) {
            Some(token) => Ok(self.accounts.session(&token).await?),
            None => Ok(None),
        }
    }

    /// The `Set-Cookie` of a session that has begun.
    pub(crate) fn set(&self, begun: &Begun) -> Result<HeaderValue, Denial> {
        let life = begun.session.expires_at.since(begun.session.created_at);
        self.cookie(begun.token.expose(), life.as_secs())
    }

    /// The `Set-Cookie` that takes the cookie away.
    pub(crate) fn clear(&self) -> Result<HeaderValue, Denial> {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, seconds: u64) -> Result<HeaderValue, Denial> {
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
        };
        let secure = if self.secure { "; Secure" } else { "" };
        let name = &self.name;
        let text = format!(
            "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
        );
        let value = HeaderValue::from_str(&text);
        value
            .map(|mut value| {
                value.set_sensitive(true);
                value
            })
            .map_err(|_| Denial::new(DenialKind::Internal).with_reason("the cookie is no header"))
    }
}

impl Sessions for SessionCookies {
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>> {
        let Some(token) = self.token(&head.headers) else {
            return Reply::ready(None);
        };
        let accounts = self.accounts.clone();
        Reply::later(async move {
            let found = accounts.session(&token).await?;
            Ok(found.map(|found| session(&found)))
        })
    }
}

/// A session, as routes see it: its user by address, which people know.
fn session(found: &FoundSession) -> Session {
    let session = Session::of(found.user.email.as_str()).with_id(found.session.id.to_string());
    let memberships = found.user.memberships.iter();
    memberships.fold(session, |session, of| match &of.organization {
        Some(organization) => session.with_role(organization.clone(), of.role),
        None => session.with_role_everywhere(of.role),
    })
}

impl fmt::Debug for SessionCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCookies")
            .field("name", &self.name)
            .field("same_site", &self.same_site)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}
