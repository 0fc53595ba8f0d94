//! Queries and JSON bodies. What is wrong with one is told in the API's own shape.
//!
//! axum's own extractors tell it in plain text, which the envelope leaves alone where it is longer
//! than 4 KiB, since it repeats what it could not read.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tollgate::{Denial, DenialKind};

/// The most characters that a caller is told of what was wrong.
const LONGEST_MESSAGE: usize = 300;

/// The query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denial> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value))
            .map_err(|refused| unreadable(refused.status(), &refused.body_text()))
    }
}

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Denial;

    async fn from_request(request: Request, state: &S) -> Result<Self, Denial> {
        let read = Json::from_request(request, state).await;
        read.map(|Json(value)| Self(value))
            .map_err(|refused| unreadable(refused.status(), &refused.body_text()))
    }
}

fn unreadable(status: StatusCode, text: &str) -> Denial {
    let told: String = text.chars().take(LONGEST_MESSAGE).collect();
    Denial::new(DenialKind::Status(status.as_u16())).with_message(told)
}
