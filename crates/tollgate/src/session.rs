//! The sessions of people, for management routes: an app brings its own.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request;
use tollgate_core::reply::Reply;

use crate::denial::{Denial, DenialKind};
use crate::passage::Ticket;

/// Finds the session of a request: a cookie of the app's, or whatever it uses.
///
/// It is asked only if no API key was sent: a key beside a good session is a 401.
pub trait Sessions: fmt::Debug + Send + Sync + 'static {
    /// The good session of this request, if it has one.
    fn verify(&self, head: &request::Parts) -> Reply<Option<Session>>;
}

/// Somebody who is signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    user: Arc<str>,
}

impl Session {
    /// A session of this user.
    pub fn of(user: impl Into<Arc<str>>) -> Self {
        Self { user: user.into() }
    }

    /// Who is signed in, in the app's own words.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Denial> {
        let Some(ticket) = Ticket::find(&parts.extensions) else {
            return Err(Denial::misplaced("the gate's own service"));
        };
        let session = ticket.with(|passage| passage.session.clone());
        session.ok_or_else(|| DenialKind::SessionRequired.into())
    }
}
