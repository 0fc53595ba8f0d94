//! The intelligence: bundled samples, which age from the start on.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate::core::clock::Timestamp;
use tollgate_examples::failure::Failure;

use super::articles::Article;
use super::ioc::{Ioc, IocType};

/// What every answer says of where it is from.
pub(crate) const NOTICE: &str = "Bundled sample data; nothing was asked of the internet.";

/// Everything that is known. It never changes.
#[derive(Debug)]
pub(crate) struct Feed {
    iocs: Vec<Ioc>,
    articles: Vec<Article>,
    techniques: Vec<Technique>,
    hunts: Vec<Hunt>,
}

/// A technique of MITRE ATT&CK.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Technique {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tactic: String,
}

/// A query to hunt an indicator with, where `{value}` stands for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Hunt {
    #[serde(rename = "type")]
    pub(crate) kind: IocType,
    pub(crate) language: String,
    pub(crate) query: String,
}

/// A sample, and how old it is at the start.
#[derive(Deserialize)]
struct Aged<T> {
    minutes_old: u64,
    #[serde(flatten)]
    item: T,
}

impl Feed {
    /// The samples, each as old at `now` as it says.
    pub(crate) fn samples(now: Timestamp) -> Result<Self, Failure> {
        let aged = |minutes: u64| now.before(Duration::from_secs(minutes.saturating_mul(60)));
        let iocs: Vec<Aged<Ioc>> = read("iocs.json", include_str!("../samples/iocs.json"))?;
        let articles = include_str!("../samples/articles.json");
        let articles: Vec<Aged<Article>> = read("articles.json", articles)?;
        let techniques = include_str!("../samples/techniques.json");
        let iocs = iocs.into_iter().map(|aged_ioc| Ioc {
            first_seen: aged(aged_ioc.minutes_old),
            ..aged_ioc.item
        });
        let articles = articles.into_iter().map(|aged_article| Article {
            published_at: aged(aged_article.minutes_old),
            ..aged_article.item
        });
        Ok(Self {
            iocs: iocs.collect(),
            articles: articles.collect(),
            techniques: read("techniques.json", techniques)?,
            hunts: read("hunts.json", include_str!("../samples/hunts.json"))?,
        })
    }

    /// The indicators that were first seen after a point, the newest first.
    pub(crate) fn iocs(&self, since: Timestamp) -> impl DoubleEndedIterator<Item = &Ioc> {
        self.iocs.iter().filter(move |ioc| ioc.first_seen > since)
    }

    /// The articles that were published after a point, the newest first.
    pub(crate) fn articles(&self, since: Timestamp) -> impl Iterator<Item = &Article> {
        let articles = self.articles.iter();
        articles.filter(move |article| article.published_at > since)
    }

    /// When the oldest indicator was first seen.
    pub(crate) fn begin(&self) -> Timestamp {
        let oldest = self.iocs.iter().map(|ioc| ioc.first_seen).min();
        oldest.unwrap_or_default()
    }

    /// An indicator, however old it is.
    pub(crate) fn find(&self, value: &str) -> Option<&Ioc> {
        self.iocs.iter().find(|ioc| ioc.is(value))
    }

    /// The articles that name an indicator.
    pub(crate) fn reports_of<'a>(&'a self, ioc: &'a Ioc) -> impl Iterator<Item = &'a Article> {
        let articles = self.articles.iter();
        articles.filter(|article| article.iocs.contains(&ioc.value))
    }

    pub(crate) fn technique(&self, id: &str) -> Option<&Technique> {
        self.techniques.iter().find(|technique| technique.id == id)
    }

    pub(crate) fn hunts(&self, kind: IocType) -> impl Iterator<Item = &Hunt> {
        self.hunts.iter().filter(move |hunt| hunt.kind == kind)
    }
}

fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(format!("the bundled `samples/{file}` is broken: {error}")))
}
