//! Lists in JSON: the data, and what is to be known of it.

use serde::Serialize;

use super::feed::NOTICE;

/// `{"data": […], "meta": {…}}`.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    data: Vec<T>,
    meta: Meta,
}

#[derive(Debug, Serialize)]
struct Meta {
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

impl<T> List<T> {
    /// All there is, of the app's own data.
    pub(crate) fn all(data: Vec<T>) -> Self {
        let meta = Meta {
            total: data.len(),
            notice: None,
        };
        Self { data, meta }
    }

    /// All there is, or a part of `total`, of the bundled samples.
    pub(crate) const fn samples(data: Vec<T>, total: usize) -> Self {
        let meta = Meta {
            total,
            notice: Some(NOTICE),
        };
        Self { data, meta }
    }
}
