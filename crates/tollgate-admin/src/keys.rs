//! The keys of an organization.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tollgate::{Denial, DenialKind};
use tollgate_core::keyring::{Issued, KeyringError};
use tollgate_core::record::ApiKey;
use tollgate_core::store::ListedKey;
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Body, ExactBody, MaybeBody, Nothing, Params, Time, Why, WhyParams};
use crate::manager::{Held, Member};
use crate::once;
use crate::page::{List, One};

use bodies::{EditKeyBody, NewKeyBody, RotateBody};
use list::KeyParams;
pub(crate) use view::KeyView;

mod bodies;
mod list;
mod view;

/// A key, and its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuedKey {
    /// The key.
    data: KeyView,
    /// The secret. It is not kept anywhere; null where the request came again.
    #[schema(example = "sk_live_zIc8…")]
    secret: Option<String>,
    /// Whether this `Idempotency-Key` came before: then this is the key that was made, without its
    /// secret.
    replayed: bool,
    /// Until when the secret before this one is good; null if there is none.
    old_secret_valid_until: Option<Time>,
}

/// The path of a key.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes a path")]
pub(crate) struct KeyPath {
    /// The organization.
    organization: String,
    /// The key's id.
    key: String,
}

/// Lists keys, the newest first. Revoked ones are listed too.
#[utoipa::path(
    get, path = "/organizations/{organization}/keys", tag = "keys",
    params(crate::organizations::OrganizationPath, KeyParams),
    responses((status = 200, description = "A page of keys", body = List<KeyView>))
)]
pub(crate) async fn list(
    member: Member,
    Params(params): Params<KeyParams>,
) -> Result<Json<List<KeyView>>, Denial> {
    list::page(&member, params).await.map(Json)
}

/// Makes a key. Its secret is shown this once.
///
/// With an `Idempotency-Key`, a request that comes again within 24 hours is told the key that it
/// made, without the secret.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys", tag = "keys",
    params(
        crate::organizations::OrganizationPath,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes one key, however often \
            the request is sent: 1 to 255 visible characters.")
    ),
    request_body = NewKeyBody,
    responses(
        (status = 201, description = "The key, and its secret", body = IssuedKey),
        (status = 200, description = "The key that this `Idempotency-Key` made before, without its \
            secret", body = IssuedKey),
        (status = 409, description = "A request with this `Idempotency-Key` is under way, or the \
            key that it made was deleted", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn create(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    headers: HeaderMap,
    ExactBody(mut body, bytes): ExactBody<NewKeyBody>,
) -> Result<Response, Denial> {
    let actor = member.actor(body.reason.take()).await?;
    let new = body.new_key(&member)?;
    let made = once::issue(&member, new, &actor, &headers, &bytes).await?;
    let (status, data, secret) = match made {
        once::Made::Now(issued) => {
            let Issued { key, secret, .. } = *issued;
            let shown = shown(&member, key).await?;
            (StatusCode::CREATED, shown, Some(secret))
        }
        once::Made::Before(listed) => (StatusCode::OK, view(&member, *listed).await?, None),
    };
    let issued = IssuedKey {
        data,
        replayed: secret.is_none(),
        secret: secret.map(|secret| secret.expose().to_owned()),
        old_secret_valid_until: None,
    };
    Ok((status, Json(issued)).into_response())
}

/// Shows a key.
#[utoipa::path(
    get, path = "/organizations/{organization}/keys/{key}", tag = "keys", params(KeyPath),
    responses((status = 200, description = "The key", body = One<KeyView>))
)]
pub(crate) async fn show(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
) -> Result<Json<One<KeyView>>, Denial> {
    let data = view(&member, held).await?;
    Ok(Json(One { data }))
}

/// Edits a key; what is left out stays. The next request with the key sees it.
#[utoipa::path(
    patch, path = "/organizations/{organization}/keys/{key}", tag = "keys", params(KeyPath),
    request_body = EditKeyBody,
    responses(
        (status = 200, description = "The key", body = One<KeyView>),
        (status = 409, description = "The key is revoked", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn edit(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    Body(mut body): Body<EditKeyBody>,
) -> Result<Json<One<KeyView>>, Denial> {
    let actor = member.actor(body.reason.take()).await?;
    let edit = body.edit(&member)?;
    let edited = member.keyring().edit(&held.key.id, edit, &actor).await;
    let key = edited.map_err(refused)?;
    one(&member, key).await
}

/// Deletes a key for ever, with its usage. To keep it listed, revoke it.
#[utoipa::path(
    delete, path = "/organizations/{organization}/keys/{key}", tag = "keys",
    params(KeyPath, WhyParams),
    responses((status = 204, description = "It is gone"))
)]
pub(crate) async fn delete(
    member: Member,
    Params(why): Params<WhyParams>,
    Held(held): Held,
) -> Result<StatusCode, Denial> {
    let actor = member.actor(why.reason).await?;
    member.keyring().delete(&held.key.id, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key a new secret, which is shown this once. The old one stays good for a while.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys/{key}/rotate", tag = "keys", params(KeyPath),
    request_body = RotateBody,
    responses(
        (status = 200, description = "The key, and its new secret", body = IssuedKey),
        (status = 409, description = "The key is revoked", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn rotate(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    Body(mut body): Body<RotateBody>,
) -> Result<Json<IssuedKey>, Denial> {
    let actor = member.actor(body.reason.take()).await?;
    let grace = body.grace()?;
    let issued = member.keyring().rotate(&held.key.id, grace, &actor).await?;
    let old_until = issued.key.rotated_at.map(|at| Time(at.after(grace)));
    Ok(Json(IssuedKey {
        data: shown(&member, issued.key).await?,
        secret: Some(issued.secret.expose().to_owned()),
        replayed: false,
        old_secret_valid_until: old_until,
    }))
}

/// Revokes a key for ever. It stays listed. Revoking it again changes nothing.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys/{key}/revoke", tag = "keys", params(KeyPath),
    request_body = Option<Why>,
    responses((status = 200, description = "The key", body = One<KeyView>))
)]
pub(crate) async fn revoke(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<KeyView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    let key = member.keyring().revoke(&held.key.id, &actor).await?;
    one(&member, key).await
}

/// Switches a disabled key on again.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys/{key}/enable", tag = "keys", params(KeyPath),
    request_body = Option<Why>,
    responses(
        (status = 200, description = "The key", body = One<KeyView>),
        (status = 409, description = "The key is revoked", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn enable(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<KeyView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    let key = member.keyring().enable(&held.key.id, &actor).await?;
    one(&member, key).await
}

/// Switches a key off for now.
#[utoipa::path(
    post, path = "/organizations/{organization}/keys/{key}/disable", tag = "keys", params(KeyPath),
    request_body = Option<Why>,
    responses(
        (status = 200, description = "The key", body = One<KeyView>),
        (status = 409, description = "The key is revoked", body = crate::openapi::ErrorBody),
    )
)]
pub(crate) async fn disable(
    member: Member,
    Params(Nothing {}): Params<Nothing>,
    Held(held): Held,
    MaybeBody(why): MaybeBody<Why>,
) -> Result<Json<One<KeyView>>, Denial> {
    let actor = member.actor(why.reason).await?;
    let key = member.keyring().disable(&held.key.id, &actor).await?;
    one(&member, key).await
}

/// As any refusal; but an end that a key cannot have is a 400.
pub(crate) fn refused(error: KeyringError) -> Denial {
    match error {
        KeyringError::Invalid(invalid) if invalid.place() == "expires_at" => {
            Denial::new(DenialKind::Status(400)).with_message(invalid.to_string())
        }
        error => error.into(),
    }
}

async fn one(member: &Member, key: ApiKey) -> Result<Json<One<KeyView>>, Denial> {
    let data = shown(member, key).await?;
    Ok(Json(One { data }))
}

/// A key, as it is shown after a change: as it is now.
async fn shown(member: &Member, key: ApiKey) -> Result<KeyView, Denial> {
    let listed = member
        .keyring()
        .listed_key(&key.organization, &key.id)
        .await?;
    view(member, listed).await
}

async fn view(member: &Member, listed: ListedKey) -> Result<KeyView, Denial> {
    let gate = &member.desk.gate;
    let organization = gate.keyring().organization(&member.organization).await?;
    let now = member.desk.now();
    Ok(KeyView::new(listed, &organization, gate.catalog(), now))
}
