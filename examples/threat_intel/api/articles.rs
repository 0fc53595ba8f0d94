//! News articles: a page at a time, or all at once.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tollgate::core::clock::Timestamp;
use tollgate::{Denial, Principal};
use uuid::Uuid;

use super::Intel;
use super::formats::csv;
use super::ioc::as_text;
use super::look_back::{self, bad_request};
use super::page::List;

const LONGEST_PAGE: usize = 100;
const PAGE: usize = 20;

/// An article, as the feed has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Article {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    pub(crate) source: String,
    pub(crate) url: String,
    pub(crate) category: String,
    pub(crate) tags: Vec<String>,
    pub(crate) summary: String,
    /// The indicators that it names.
    pub(crate) iocs: Vec<String>,
    #[serde(skip_deserializing, serialize_with = "as_text")]
    pub(crate) published_at: Timestamp,
}

/// Which articles are asked for: those that match all of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Filter {
    days: Option<u32>,
    source: Option<String>,
    category: Option<String>,
    tag: Option<String>,
    /// What the title or the summary contains.
    q: Option<String>,
    /// An indicator that the article names.
    ioc: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: Option<usize>,
    offset: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Json,
    Csv,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    format: Format,
}

impl Filter {
    fn matches(&self, article: &Article) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        let any = |wanted: &Option<String>, found: &[String]| {
            wanted.is_none() || found.iter().any(|found| is(wanted, found))
        };
        is(&self.source, &article.source)
            && is(&self.category, &article.category)
            && any(&self.tag, &article.tags)
            && any(&self.ioc, &article.iocs)
            && self.q.as_deref().is_none_or(|words| {
                let text = format!("{} {}", article.title, article.summary).to_lowercase();
                text.contains(&words.to_lowercase())
            })
    }

    /// Those that match, as far back as the caller may look.
    fn apply<'a>(&self, intel: &'a Intel, caller: &Principal) -> Result<Vec<&'a Article>, Denial> {
        let since = look_back::since(intel, caller, self.days)?;
        let articles = intel.feed.articles(since);
        Ok(articles.filter(|article| self.matches(article)).collect())
    }
}

pub(crate) async fn list(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Result<Response, Denial> {
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        let message = format!("`limit` is {limit}; ask for 1 to {LONGEST_PAGE} articles.");
        return Err(bad_request(message));
    }
    let found = filter.apply(&intel, &caller)?;
    let total = found.len();
    let rest = found.into_iter().skip(page.offset.unwrap_or(0));
    Ok(Json(List::samples(rest.take(limit).collect(), total)).into_response())
}

/// All that match, in one answer.
pub(crate) async fn export(
    State(intel): State<Intel>,
    caller: Principal,
    Query(filter): Query<Filter>,
    Query(Chosen { format }): Query<Chosen>,
) -> Result<Response, Denial> {
    let found = filter.apply(&intel, &caller)?;
    Ok(match format {
        Format::Json => {
            let total = found.len();
            Json(List::samples(found, total)).into_response()
        }
        Format::Csv => csv::response(&csv::articles(found.into_iter())),
    })
}
