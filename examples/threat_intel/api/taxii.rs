//! A TAXII 2.1 server, for reading: discovery, one API root, its collections and their objects.
//!
//! Errors have this API's envelope, in place of TAXII's own.

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tollgate::{Denial, DenialKind, Principal};

use self::collection::{COLLECTIONS, Collection, Entry};
use self::page::{Filters, Page};
use super::feed::NOTICE;
use super::formats::{stix, text};
use super::{Intel, look_back};

mod collection;
mod page;

/// The media type of every answer.
const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";

const ROOT: &str = "/api/taxii2/feed/";

/// How far back collections go: as far as a plan with TAXII may look.
const DAYS: u32 = 365;

pub(crate) async fn discovery(_: Acceptable) -> Response {
    answer(&json!({
        "title": "SOC Defenders threat intelligence",
        "description": NOTICE,
        "contact": "support@socdefenders.ai",
        "default": ROOT,
        "api_roots": [ROOT],
    }))
}

pub(crate) async fn api_root(_: Acceptable) -> Response {
    answer(&json!({
        "title": "Feed",
        "description": NOTICE,
        "versions": [MEDIA_TYPE],
        // Nothing can be written here.
        "max_content_length": 1,
    }))
}

pub(crate) async fn collections(_: Acceptable) -> Response {
    let collections: Vec<Value> = COLLECTIONS.iter().map(Collection::resource).collect();
    answer(&json!({ "collections": collections }))
}

pub(crate) async fn collection(_: Acceptable, Path(id): Path<String>) -> Result<Response, Denial> {
    Ok(answer(&find(&id)?.resource()))
}

pub(crate) async fn manifest(
    _: Acceptable,
    State(intel): State<Intel>,
    caller: Principal,
    Path(id): Path<String>,
    Query(filters): Query<Filters>,
) -> Result<Response, Denial> {
    let entries = find(&id)?.entries(&intel.feed, since(&intel, &caller)?);
    let page = Page::of(entries, &filters)?;
    Ok(enveloped("objects", &page, |entry| {
        json!({
            "id": entry.id,
            "date_added": entry.added.to_string(),
            "version": entry.version,
            "media_type": stix::MEDIA_TYPE,
        })
    }))
}

pub(crate) async fn objects(
    _: Acceptable,
    State(intel): State<Intel>,
    caller: Principal,
    Path(id): Path<String>,
    Query(filters): Query<Filters>,
) -> Result<Response, Denial> {
    let entries = find(&id)?.entries(&intel.feed, since(&intel, &caller)?);
    let page = Page::of(entries, &filters)?;
    Ok(enveloped("objects", &page, |entry| entry.object.clone()))
}

pub(crate) async fn object(
    _: Acceptable,
    State(intel): State<Intel>,
    caller: Principal,
    Path((id, object)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Denial> {
    let entries = find(&id)?.entries(&intel.feed, since(&intel, &caller)?);
    let page = Page::of(only(entries, &object)?, &filters)?;
    Ok(enveloped("objects", &page, |entry| entry.object.clone()))
}

pub(crate) async fn versions(
    _: Acceptable,
    State(intel): State<Intel>,
    caller: Principal,
    Path((id, object)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Denial> {
    let entries = find(&id)?.entries(&intel.feed, since(&intel, &caller)?);
    let page = Page::of(only(entries, &object)?, &filters)?;
    Ok(enveloped("versions", &page, |entry| json!(entry.version)))
}

fn find(id: &str) -> Result<&'static Collection, Denial> {
    let found = COLLECTIONS.iter().find(|collection| collection.id == id);
    found.ok_or_else(|| missing("collection", id))
}

fn since(intel: &Intel, caller: &Principal) -> Result<tollgate::core::clock::Timestamp, Denial> {
    look_back::since(intel, caller, Some(DAYS))
}

fn only(entries: Vec<Entry>, id: &str) -> Result<Vec<Entry>, Denial> {
    let found = entries.into_iter().find(|entry| entry.id == id);
    found
        .map(|entry| vec![entry])
        .ok_or_else(|| missing("object", id))
}

fn missing(what: &str, id: &str) -> Denial {
    let shown: String = id.chars().take(64).collect();
    Denial::new(DenialKind::Status(404)).with_message(format!("There is no {what} `{shown}`."))
}

fn answer(resource: &Value) -> Response {
    text(MEDIA_TYPE, resource.to_string())
}

/// A page, with the headers that tell when its first and its last object were added.
fn enveloped(member: &str, page: &Page, show: impl Fn(&Entry) -> Value) -> Response {
    let (Some(first), Some(last)) = (page.entries.first(), page.entries.last()) else {
        return answer(&json!({ "more": false }));
    };
    let shown: Vec<Value> = page.entries.iter().map(show).collect();
    let mut envelope = json!({ "more": page.more });
    if let Value::Object(members) = &mut envelope {
        members.insert(member.to_owned(), Value::Array(shown));
        if page.more {
            members.insert("next".to_owned(), Value::String(last.id.clone()));
        }
    }
    let headers = [
        ("x-taxii-date-added-first", first.added.to_string()),
        ("x-taxii-date-added-last", last.added.to_string()),
    ];
    (headers, answer(&envelope)).into_response()
}

/// A client that takes TAXII 2.1; any other gets a 406.
#[derive(Debug)]
pub(crate) struct Acceptable;

impl<S: Sync> FromRequestParts<S> for Acceptable {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        if accepts_taxii(&parts.headers) {
            return Ok(Self);
        }
        let status = StatusCode::NOT_ACCEPTABLE.as_u16();
        Err(Denial::new(DenialKind::Status(status)).with_message(format!("Accept `{MEDIA_TYPE}`.")))
    }
}

fn accepts_taxii(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(ACCEPT).iter().peekable();
    let ranges = |value: &axum::http::HeaderValue| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            match parts.next() {
                Some("*/*" | "application/*") => true,
                Some("application/taxii+json") => {
                    let mut versions = parts.filter_map(|part| part.strip_prefix("version="));
                    versions.all(|version| version.trim_matches('"') == "2.1")
                }
                _ => false,
            }
        })
    };
    named.peek().is_none() || named.any(ranges)
}
