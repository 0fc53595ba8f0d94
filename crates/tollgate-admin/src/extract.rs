//! What handlers take: bodies and queries that say nothing unknown.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::response::IntoResponse;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::error::Category;
use tollgate::{Denial, DenialKind};
use tollgate_core::clock::Timestamp;
use tollgate_core::invalid::Invalid;
use utoipa::{IntoParams, ToSchema};

/// A JSON body of `application/json`, and nothing else: a form of another site can send neither.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

/// A body as [`Body`], or none.
#[derive(Debug)]
pub(crate) struct MaybeBody<T>(pub(crate) T);

/// A body as [`Body`], with its bytes.
#[derive(Debug)]
pub(crate) struct ExactBody<T>(pub(crate) T, pub(crate) Bytes);

/// The query. What it does not know is refused.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

/// A query without parameters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Nothing {}

/// A body that may say why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// Why, for the audit trail.
    #[schema(value_type = Option<String>, example = "ticket 4711")]
    pub(crate) reason: Option<Reason>,
}

/// A query that may say why: for DELETE, which has no body.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhyParams {
    /// Why, for the audit trail.
    #[param(value_type = Option<String>)]
    pub(crate) reason: Option<Reason>,
}

/// Why somebody changes something: 1 to 500 characters of one line.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Reason(pub(crate) String);

impl TryFrom<String> for Reason {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if text.trim().is_empty() || length > 500 || text.chars().any(char::is_control) {
            let reason = format!("{length} characters are not 1 to 500 of one line");
            return Err(Invalid::new("reason", reason));
        }
        Ok(Self(text))
    }
}

/// A point in time as RFC 3339.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-01T00:00:00Z")]
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = text.parse().map(Self);
        read.map_err(serde::de::Error::custom)
    }
}

/// Tells a member that is null from one that is not there.
pub(crate) fn told<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let ExactBody(value, _) = ExactBody::from_request(request, state).await?;
        Ok(Self(value))
    }
}

impl<T, S> FromRequest<S> for ExactBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if !json {
            return Err(not_json());
        }
        Ok(Self(parse(&bytes)?, bytes))
    }
}

impl<T, S> FromRequest<S> for MaybeBody<T>
where
    T: DeserializeOwned + Default,
    S: Send + Sync,
{
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !json {
            return Err(not_json());
        }
        parse(&bytes).map(Self)
    }
}

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Sync,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denial> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(value)| Self(value)).map_err(|error| {
            let text = error.body_text();
            let (_, text) = text.rsplit_once("query string: ").unwrap_or(("", &text));
            Denial::new(DenialKind::Status(400)).with_message(format!("query: {text}"))
        })
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Denial> {
    let read = Bytes::from_request(request, state).await;
    read.map_err(|error| {
        let status = error.into_response().status();
        Denial::new(DenialKind::Status(status.as_u16()))
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Denial> {
    let refused = |error: serde_json::Error| {
        let status = match error.classify() {
            Category::Data => 422,
            _ => 400,
        };
        Denial::new(DenialKind::Status(status)).with_message(format!("body: {error}"))
    };
    // A list of values would be taken for the members in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(refused)?;
        let denial = Denial::new(DenialKind::Status(422));
        return Err(denial.with_message("body: it is not an object"));
    }
    serde_json::from_slice(bytes).map_err(refused)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn not_json() -> Denial {
    let message = "Send the body as JSON, with `content-type: application/json`.";
    Denial::new(DenialKind::Status(415)).with_message(message)
}
