//! The management routes as an OpenAPI document.

use axum::Json;
use axum::extract::{OriginalUri, State};
use serde::Serialize;
use utoipa::openapi::path::{Operation as Described, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

use crate::cookies::SessionCookies;
use crate::desk::Desk;
use crate::extract::{Nothing, Params};
use crate::operation::{Operation, Required};

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
        crate::explain::explain,
        crate::usage::of_key,
        crate::usage::of_organization,
        crate::credits::balance,
        crate::credits::entries,
        crate::credits::grant,
        crate::credits::adjust,
        crate::credits::refund,
        crate::audit::of_organization,
        crate::audit::of_none,
        crate::catalog::show,
        crate::people::members,
        crate::people::add_member,
        crate::people::edit_member,
        crate::people::remove_member,
        crate::people::users,
        crate::people::create_user,
        crate::people::show_user,
        crate::people::edit_user,
        crate::people::delete_user,
        crate::sign_in::sign_in,
        crate::sign_in::show,
        crate::sign_in::sign_out,
        crate::sign_in::change_password,
        crate::sign_in::list,
        crate::sign_in::end,
        show,
    )
)]
struct Everything;

/// Describes these routes.
#[utoipa::path(
    get, path = "/openapi.json", tag = "description",
    responses((status = 200, description = "This document"))
)]
pub(crate) async fn show(
    State(desk): State<Desk>,
    OriginalUri(uri): OriginalUri,
    Params(Nothing {}): Params<Nothing>,
) -> Json<Document> {
    let mount = uri.path().strip_suffix("/openapi.json").unwrap_or_default();
    let cookie = desk.sign_in.as_ref().map(SessionCookies::name);
    Json(describe(&desk.operations, mount, cookie))
}

/// The document of these operations, mounted there; the sessions are in this cookie, or the app's.
fn describe(operations: &[Operation], mount: &str, cookie: Option<&str>) -> Document {
    let mut document = Everything::openapi();
    let server = if mount.is_empty() { "/" } else { mount };
    document.servers = Some(vec![Server::new(server)]);
    let name = cookie.unwrap_or("session");
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
        name,
        match cookie {
            Some(_) => "From `POST /session`. An API key is refused, even beside it.",
            None => "The app's own session. An API key is refused, even beside it.",
        },
    )));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("session", session);
    let described = std::mem::take(&mut document.paths.paths);
    for operation in operations {
        let Some(found) = described
            .get(operation.path)
            .and_then(|item| of(item, operation))
        else {
            continue;
        };
        let item = document.paths.paths.entry(operation.path.to_owned());
        let completed = complete(found.clone(), operation);
        *place(item.or_default(), operation) = Some(completed);
    }
    document
}

/// An operation, with what follows from its row: who may, and how it may be refused.
fn complete(mut described: Described, operation: &Operation) -> Described {
    let required = operation.required;
    // The function's name, which others have too, behind the group's.
    let group = described.tags.iter().flatten().next();
    let id = described.operation_id.take().unwrap_or_default();
    described.operation_id = Some(group.map_or(id.clone(), |group| format!("{group}_{id}")));
    let mut extensions = described.extensions.take().unwrap_or_default();
    extensions.insert("x-required-role".to_owned(), required.as_str().into());
    described.extensions = Some(extensions);
    described.security = Some(match required {
        Required::Nothing => vec![SecurityRequirement::default()],
        _ => vec![SecurityRequirement::new::<_, _, String>("session", [])],
    });
    let mut refusals = vec![(400, "The path or the query cannot be understood")];
    refusals.push(match required {
        Required::Nothing => (401, "An API key was sent"),
        _ => (401, "There is no good session, or an API key was sent"),
    });
    if operation.method != "GET" {
        refusals.push((403, "The role is too low, or the request is another site's"));
    } else if matches!(required, Required::Member(_) | Required::Operator) {
        refusals.push((403, "The role is too low"));
    }
    if operation.path.contains('{') {
        refusals.push((404, "There is no such thing, or it is not theirs"));
    }
    if described.request_body.is_some() {
        refusals.push((413, "The body is longer than 64 KiB"));
        refusals.push((415, "The body is not `application/json`"));
        refusals.push((422, "The body says something unknown, or makes no sense"));
    }
    if required == Required::Nothing {
        refusals.push((429, "Too many requests come from this address"));
    }
    refusals.push((
        503,
        "The store is unavailable; come back after `Retry-After`",
    ));
    let known = &mut described.responses.responses;
    for (status, why) in refusals {
        known.entry(status.to_string()).or_insert_with(|| {
            let schema = Ref::from_schema_name("ErrorBody");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new().description(why);
            response.content("application/json", content).build().into()
        });
    }
    described
}

fn of<'a>(item: &'a PathItem, operation: &Operation) -> Option<&'a Described> {
    match operation.method {
        "GET" => item.get.as_ref(),
        "POST" => item.post.as_ref(),
        "PUT" => item.put.as_ref(),
        "PATCH" => item.patch.as_ref(),
        _ => item.delete.as_ref(),
    }
}

const fn place<'a>(item: &'a mut PathItem, operation: &Operation) -> &'a mut Option<Described> {
    match operation.method.as_bytes() {
        b"GET" => &mut item.get,
        b"POST" => &mut item.post,
        b"PUT" => &mut item.put,
        b"PATCH" => &mut item.patch,
        _ => &mut item.delete,
    }
}
