//! Signing in and out.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tollgate::client_address::ClientAddress;
use tollgate::{Denial, DenialKind};
use tollgate_core::accounts::{Begun, Email, Password, User, UserSession};
use tollgate_core::change::Actor;
use tollgate_core::error::StoreErrorKind;
use tollgate_core::id::SessionId;
use tollgate_core::keyring::KeyringError;
use utoipa::{IntoParams, ToSchema};

use crate::cookies::SessionCookies;
use crate::desk::Desk;
use crate::extract::{Body, Nothing, Params};
use crate::manager::{Manager, missing, required_param};
use crate::page::{List, One};

pub(crate) use passwords::Passwords;
pub(crate) use throttle::Throttle;
pub(crate) use view::UserView;
use view::{MySession, SessionView};

mod passwords;
mod throttle;
mod view;

/// Who wants to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// The address of a user.
    #[schema(example = "ann@acme.example")]
    email: String,
    /// Their password.
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
}

/// A new password of one's own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    /// The password so far.
    #[schema(format = Password)]
    current: String,
    /// The password from now on: 8 characters at least.
    #[schema(format = Password)]
    new: String,
}

/// The path of a session.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct SessionPath {
    /// The session's id.
    session: String,
}

/// The session that the path names.
#[derive(Debug)]
pub(crate) struct Named(SessionId);

impl FromRequestParts<Desk> for Named {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &Desk) -> Result<Self, Denial> {
        let id = required_param(parts, "session").await?;
        id.parse().map(Self).map_err(|_| missing("session", &id))
    }
}

/// Signs somebody in: always with a new session. One whose cookie came along is ended.
#[utoipa::path(
    post, path = "/session", tag = "session", request_body = Credentials,
    responses(
        (status = 200, description = "Who they are; the cookie is in `Set-Cookie`",
            body = One<MySession>),
        (status = 401, description = "No such user, another password, or a user who may not sign \
            in", body = crate::openapi::ErrorBody),
        (status = 429, description = "Too many attempts; come back after `Retry-After`",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn sign_in(
    State(desk): State<Desk>,
    ClientAddress(address): ClientAddress,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
    Body(body): Body<Credentials>,
) -> Result<Response, Denial> {
    let cookies = cookies(&desk)?;
    let now = desk.gate.clock().now();
    let turn = cookies.throttle.turn(&body.email, address, now);
    if let Err(denial) = turn {
        tracing::warn!(?address, "too many attempts to sign in");
        return Err(denial);
    }
    let user = verified(cookies, &body.email, body.password).await?;
    let Some(user) = user else {
        tracing::warn!(?address, "an attempt to sign in failed");
        return Err(wrong());
    };
    cookies.throttle.succeeded(&body.email, address);
    let actor = Actor::user(user.email.as_str());
    let actor = match address {
        Some(address) => actor.from_address(address),
        None => actor,
    };
    let old = cookies.find(&headers).await?;
    let begun = match cookies.accounts.begin_session(&user, &actor).await {
        // They were changed since their password was compared: it may be another by now.
        Err(KeyringError::Store(error)) if error.kind() == StoreErrorKind::Conflict => {
            return Err(wrong());
        }
        begun => begun?,
    };
    if let Some(old) = old {
        let ended = cookies.accounts.end_session(&old.session.id, &actor).await;
        match ended {
            // Somebody else ended it meanwhile.
            Err(KeyringError::NotFound(_)) => {}
            ended => ended?,
        }
    }
    tracing::info!(user = %user.id, session = %begun.session.id, ?address, "somebody signed in");
    signed_in(cookies, &begun, &user)
}

/// Says who is signed in.
#[utoipa::path(
    get, path = "/session", tag = "session",
    responses((status = 200, description = "Who they are", body = One<MySession>))
)]
pub(crate) async fn show(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
) -> Result<Json<One<MySession>>, Denial> {
    let found = cookies(&manager.desk)?.find(&headers).await?;
    let found = found.ok_or(DenialKind::SessionRequired)?;
    let data = MySession::new(&found.user, &found.session);
    Ok(Json(One { data }))
}

/// Signs out: ends the session, and takes the cookie away.
#[utoipa::path(
    delete, path = "/session", tag = "session",
    responses((status = 204, description = "Signed out"))
)]
pub(crate) async fn sign_out(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Denial> {
    let cookies = cookies(&manager.desk)?;
    if let Some(id) = current(&manager) {
        let actor = manager.actor(None).await?;
        cookies.accounts.end_session(&id, &actor).await?;
        tracing::info!(session = %id, "somebody signed out");
    }
    let cookie = [(header::SET_COOKIE, cookies.clear()?)];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

/// Gives oneself another password. All of one's sessions end, and a new one begins.
#[utoipa::path(
    put, path = "/session/password", tag = "session", request_body = NewPassword,
    responses(
        (status = 200, description = "Who they are; the new cookie is in `Set-Cookie`",
            body = One<MySession>),
        (status = 429, description = "Too many attempts; come back after `Retry-After`",
            body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn change_password(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    ClientAddress(address): ClientAddress,
    Body(body): Body<NewPassword>,
) -> Result<Response, Denial> {
    let cookies = cookies(&manager.desk)?;
    let email = manager.session.user();
    let now = manager.desk.gate.clock().now();
    cookies.throttle.turn(email, address, now)?;
    let new = Password::new(body.new)?;
    let Some(user) = verified(cookies, email, body.current).await? else {
        tracing::warn!(?address, "an attempt to change a password failed");
        let message = "current: it is not the password";
        return Err(Denial::new(DenialKind::Status(403)).with_message(message));
    };
    let (accounts, actor) = (cookies.accounts.clone(), manager.actor(None).await?);
    let (id, by) = (user.id, actor.clone());
    let changed = cookies
        .passwords
        .work(async move { accounts.set_password(&id, &new, &by).await });
    let user = changed.await??;
    let begun = cookies.accounts.begin_session(&user, &actor).await?;
    tracing::info!(user = %id, "somebody changed their password");
    signed_in(cookies, &begun, &user)
}

/// Lists one's own sessions, the oldest first.
#[utoipa::path(
    get, path = "/sessions", tag = "session",
    responses((status = 200, description = "The sessions", body = List<SessionView>))
)]
pub(crate) async fn list(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<List<SessionView>>, Denial> {
    let current = current(&manager);
    let sessions = mine(&manager).await?;
    let views = sessions
        .iter()
        .map(|session| SessionView::new(session, current));
    Ok(Json(List::whole(views.collect())))
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete, path = "/sessions/{session}", tag = "session", params(SessionPath),
    responses((status = 204, description = "It is over"))
)]
pub(crate) async fn end(
    manager: Manager,
    Params(Nothing {}): Params<Nothing>,
    Named(id): Named,
) -> Result<StatusCode, Denial> {
    if !mine(&manager).await?.iter().any(|session| session.id == id) {
        return Err(missing("session", &id.to_string()));
    }
    let accounts = &cookies(&manager.desk)?.accounts;
    let actor = manager.actor(None).await?;
    accounts.end_session(&id, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The user of this address, if this is their password and they may sign in. It takes as long if
/// there is none.
async fn verified(
    cookies: &SessionCookies,
    email: &str,
    password: String,
) -> Result<Option<User>, Denial> {
    // One that cannot be an address is nobody's.
    let email = Email::new(email).or_else(|_| Email::new("nobody@invalid"))?;
    let (user, hash) = cookies.accounts.credentials(&email).await?;
    let checked = cookies
        .passwords
        .work(async move { hash.verify(&password) });
    let good = checked.await?;
    Ok(user.filter(|user| good && !user.disabled))
}

async fn mine(manager: &Manager) -> Result<Vec<UserSession>, Denial> {
    let accounts = &cookies(&manager.desk)?.accounts;
    let email = Email::new(manager.session.user())?;
    let user = accounts.user_by_email(&email).await?;
    Ok(accounts.sessions(&user.id).await?)
}

fn current(manager: &Manager) -> Option<SessionId> {
    manager.session.id()?.parse().ok()
}

pub(crate) fn cookies(desk: &Desk) -> Result<&SessionCookies, Denial> {
    let cookies = desk.sign_in.as_ref();
    cookies.ok_or_else(|| Denial::new(DenialKind::Internal).with_reason("there is no sign-in"))
}

fn signed_in(cookies: &SessionCookies, begun: &Begun, user: &User) -> Result<Response, Denial> {
    let headers = [
        (header::SET_COOKIE, cookies.set(begun)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let data = MySession::new(user, &begun.session);
    Ok((headers, Json(One { data })).into_response())
}

/// The same for who there is not, for another password, and for who may not sign in.
fn wrong() -> Denial {
    Denial::new(DenialKind::Status(401)).with_message("The address or the password is wrong.")
}
