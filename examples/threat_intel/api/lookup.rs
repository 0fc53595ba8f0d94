//! The look-up of one indicator, enriched.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tollgate::Denial;

use super::Intel;
use super::feed::{Feed, NOTICE, Technique};
use super::ioc::{Ioc, IocType, LONGEST_VALUE};
use super::look_back::bad_request;

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    ioc: String,
}

/// What is known of a text. Of most texts nothing is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    value: String,
    r#type: IocType,
    known: bool,
    risk: Risk,
    sources: Vec<Value>,
    mitre_techniques: Vec<Technique>,
    hunting_queries: Vec<Value>,
    notice: &'static str,
}

/// What a model made of the reports.
#[derive(Debug, Serialize)]
struct Risk {
    score: u8,
    level: &'static str,
    summary: String,
    /// No model was asked: the scores are a part of the samples.
    model: &'static str,
}

/// Looks at all that is known, however old it is.
pub(crate) async fn one(
    State(intel): State<Intel>,
    Query(Asked { ioc: text }): Query<Asked>,
) -> Result<Json<Report>, Denial> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_VALUE {
        let message = format!("`ioc` has {} bytes; send 1 to {LONGEST_VALUE}.", text.len());
        return Err(bad_request(message));
    }
    let Some(kind) = IocType::detect(text) else {
        let shown: String = text.chars().take(64).collect();
        let known =
            "an IP address, a domain, a URL, an MD5, SHA-1 or SHA-256, or an e-mail address";
        return Err(bad_request(format!("`{shown}` is not {known}.")));
    };
    let feed = &intel.feed;
    let ioc = feed.find(text);
    Ok(Json(Report {
        value: text.to_owned(),
        r#type: kind,
        known: ioc.is_some(),
        risk: ioc.map_or_else(Risk::unknown, Risk::of),
        sources: ioc.map(|ioc| sources(feed, ioc)).unwrap_or_default(),
        mitre_techniques: ioc.map(|ioc| techniques(feed, ioc)).unwrap_or_default(),
        hunting_queries: hunts(feed, kind, text),
        notice: NOTICE,
    }))
}

impl Risk {
    fn of(ioc: &Ioc) -> Self {
        let (level, threat) = (ioc.level(), &ioc.threat);
        Self {
            score: ioc.score,
            level,
            summary: format!("Reported as a part of {threat}; the risk is {level}."),
            model: "bundled sample",
        }
    }

    fn unknown() -> Self {
        Self {
            score: 0,
            level: "unknown",
            summary: "No source has reported it.".to_owned(),
            model: "bundled sample",
        }
    }
}

/// Who has reported it, and in which articles.
fn sources(feed: &Feed, ioc: &Ioc) -> Vec<Value> {
    let feeds = ioc
        .sources
        .iter()
        .map(|source| json!({ "name": source, "first_seen": ioc.first_seen.to_string() }));
    let articles = feed.reports_of(ioc).map(|article| {
        json!({
            "name": article.source,
            "first_seen": article.published_at.to_string(),
            "article": article.url,
        })
    });
    feeds.chain(articles).collect()
}

fn techniques(feed: &Feed, ioc: &Ioc) -> Vec<Technique> {
    let techniques = ioc.techniques.iter();
    let known = techniques.filter_map(|id| feed.technique(id));
    known.cloned().collect()
}

/// The queries of this type with the text in them, as a string of their language.
fn hunts(feed: &Feed, kind: IocType, text: &str) -> Vec<Value> {
    let text = text.replace('\\', r"\\").replace('"', r#"\""#);
    let filled = |query: &str| query.replace("{value}", &text);
    feed.hunts(kind)
        .map(|hunt| json!({ "language": hunt.language, "query": filled(&hunt.query) }))
        .collect()
}
