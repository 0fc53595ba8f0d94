//! The three built-in shapes.

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::envelope::errors::{Envelope, Report};

pub(super) struct Json;

pub(super) struct Flat;

pub(super) struct Problem;

#[derive(Serialize)]
struct JsonBody<'a> {
    error: JsonError<'a>,
}

#[derive(Serialize)]
struct JsonError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Envelope for Json {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/json")
    }

    fn body(&self, report: &Report<'_>) -> Bytes {
        write(&JsonBody {
            error: JsonError {
                code: report.code,
                message: report.message,
                details: report.details,
                request_id: report.request_id,
            },
        })
    }
}

#[derive(Serialize)]
struct FlatBody<'a> {
    error: &'a str,
}

impl Envelope for Flat {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/json")
    }

    fn body(&self, report: &Report<'_>) -> Bytes {
        write(&FlatBody {
            error: report.message,
        })
    }
}

/// RFC 9457 §3.1; `type` is `about:blank`, so `title` is the status's own phrase.
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Envelope for Problem {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/problem+json")
    }

    fn body(&self, report: &Report<'_>) -> Bytes {
        write(&ProblemBody {
            r#type: "about:blank",
            title: report.status.canonical_reason().unwrap_or("Error"),
            status: report.status.as_u16(),
            detail: report.message,
            code: report.code,
            details: report.details,
            request_id: report.request_id,
        })
    }
}

/// These bodies are strings, numbers and string-keyed maps, which serialization cannot refuse.
fn write(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}
