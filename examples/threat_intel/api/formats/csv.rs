//! CSV as in RFC 4180.

use axum::response::Response;

use super::super::articles::Article;
use super::super::ioc::Ioc;
use super::text;

/// What the last column says of where a row is from.
const ORIGIN: &str = "bundled sample";

/// An answer with a header line.
pub(crate) fn response(rows: &str) -> Response {
    text("text/csv; charset=utf-8; header=present", rows.to_owned())
}

pub(crate) fn iocs(iocs: &[&Ioc]) -> String {
    let mut csv = row(&[
        "id",
        "type",
        "value",
        "threat",
        "score",
        "level",
        "sources",
        "techniques",
        "tags",
        "first_seen",
        "origin",
    ]);
    for ioc in iocs {
        csv += &row(&[
            &ioc.id.to_string(),
            ioc.kind.as_str(),
            &ioc.value,
            &ioc.threat,
            &ioc.score.to_string(),
            ioc.level(),
            &ioc.sources.join(";"),
            &ioc.techniques.join(";"),
            &ioc.tags.join(";"),
            &ioc.first_seen.to_string(),
            ORIGIN,
        ]);
    }
    csv
}

pub(crate) fn articles<'a>(articles: impl Iterator<Item = &'a Article>) -> String {
    let mut csv = row(&[
        "id",
        "title",
        "source",
        "url",
        "category",
        "tags",
        "summary",
        "iocs",
        "published_at",
        "origin",
    ]);
    for article in articles {
        csv += &row(&[
            &article.id.to_string(),
            &article.title,
            &article.source,
            &article.url,
            &article.category,
            &article.tags.join(";"),
            &article.summary,
            &article.iocs.join(";"),
            &article.published_at.to_string(),
            ORIGIN,
        ]);
    }
    csv
}

/// A record: fields with a comma, a quote or an end of line in quotes, quotes doubled.
fn row(fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    format!("{}\r\n", fields.join(","))
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
