//! The management routes as an OpenAPI document.

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use tollgate::Denial;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::server::Server;
use utoipa::{OpenApi, ToSchema};

use crate::desk::Desk;
use crate::extract::{Nothing, Params};

/// An error, in the gate's envelope: this is its default shape.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"error": {
    "code": "not_found",
    "message": "there is no key `019b76da-a800-7000-8000-000000000000`",
    "request_id": "019b76da-a800-7000-8000-000000000001"
}}))]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// For programs: it does not change.
    code: String,
    /// For people.
    message: String,
    /// More for programs; not always there.
    #[schema(value_type = Option<Object>)]
    details: Option<serde_json::Value>,
    /// Names the request in the log.
    request_id: String,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate management",
        description = "Keys, organizations, credits, usage and the audit trail, for people with a \
            session."
    ),
    components(schemas(ErrorBody)),
    paths(
        crate::organizations::list,
        crate::organizations::create,
        crate::organizations::show,
        crate::organizations::edit,
        crate::organizations::suspend,
        crate::organizations::activate,
        crate::organizations::restrict_billing,
        crate::organizations::resources::list,
        crate::organizations::resources::add,
        crate::organizations::resources::remove,
        crate::keys::list,
        crate::keys::create,
        crate::keys::show,
        crate::keys::edit,
        crate::keys::delete,
        crate::keys::rotate,
        crate::keys::revoke,
        crate::keys::enable,
        crate::keys::disable,
        crate::sign_in::sign_in,
        crate::sign_in::show,
        crate::sign_in::sign_out,
        crate::sign_in::change_password,
        crate::sign_in::list,
        crate::sign_in::end,
        show,
    )
)]
struct Described;

/// Describes these routes.
#[utoipa::path(
    get, path = "/openapi.json", tag = "description",
    responses((status = 200, description = "This document"))
)]
pub(crate) async fn show(
    State(_desk): State<Desk>,
    OriginalUri(uri): OriginalUri,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Json<Document>, Denial> {
    let mut document = Described::openapi();
    let mount = uri.path().strip_suffix("/openapi.json").unwrap_or_default();
    document.servers = Some(vec![Server::new(if mount.is_empty() {
        "/"
    } else {
        mount
    })]);
    Ok(Json(document))
}
