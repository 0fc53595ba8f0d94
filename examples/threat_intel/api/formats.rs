//! The formats that indicators are exported in.

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tollgate::core::clock::Timestamp;

use super::ioc::Ioc;
use super::page::List;

mod cef;
pub(crate) mod csv;
mod misp;
mod openioc;
pub(crate) mod sigma;
pub(crate) mod stix;

/// What `?format=` may say. STIX, TAXII and Sigma have routes of their own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Json,
    Csv,
    Misp,
    Cef,
    OpenIoc,
}

impl Format {
    /// What a plan calls it.
    pub(crate) const fn feature(self) -> &'static str {
        match self {
            Self::Json => "format.json",
            Self::Csv => "format.csv",
            Self::Misp => "format.misp",
            Self::Cef => "format.cef",
            Self::OpenIoc => "format.openioc",
        }
    }
}

/// Writes indicators in a format.
pub(crate) fn write(format: Format, iocs: &[&Ioc], now: Timestamp) -> Response {
    match format {
        Format::Json => Json(List::samples(iocs.to_vec(), iocs.len())).into_response(),
        Format::Csv => csv::response(&csv::iocs(iocs)),
        Format::Misp => Json(misp::event(iocs, now)).into_response(),
        Format::Cef => text("text/plain; charset=utf-8", cef::lines(iocs)),
        Format::OpenIoc => text(
            "application/xml; charset=utf-8",
            openioc::document(iocs, now),
        ),
    }
}

/// An answer that is no JSON.
pub(crate) fn text(content_type: &'static str, text: String) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
