//! Tells what a text is about: naive Bayes over a few words of each category.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Serialize;

/// Words of each category, as a text about it may use them.
const CATEGORIES: [(&str, &str); 6] = [
    (
        "finance",
        "bank share shares stock stocks market markets investor investors bond bonds interest \
         fund funds loan loans profit earnings dividend currency price inflation tax credit \
         percent economy debt trading",
    ),
    (
        "health",
        "doctor doctors patient patients hospital vaccine fever infection treatment disease \
         medicine drug drugs symptom symptoms nurse surgery clinic virus therapy diet cancer \
         blood health appointment",
    ),
    (
        "sports",
        "team teams goal goals match matches player players coach league season final striker \
         score scored won win cup tournament race champion football tennis olympic referee \
         stadium defeat",
    ),
    (
        "technology",
        "software computer computers code program server servers network data database \
         encryption chip chips phone app apps cloud internet developer developers bug release \
         algorithm browser hardware robot compiler",
    ),
    (
        "travel",
        "flight flights hotel hotels airport beach passport visa tourist tourists journey trip \
         train ticket tickets luggage island mountain cruise booking guide museum city holiday \
         destination",
    ),
    (
        "food",
        "flour water salt yeast dough oven bread butter recipe cook bake baked kitchen sugar \
         egg eggs cheese sauce meal dish restaurant wine vegetable vegetables fruit chicken soup \
         serve",
    ),
];

/// For each word, how often each category has it.
type Counts = [f64; CATEGORIES.len()];

static WORDS: LazyLock<HashMap<&str, Counts>> = LazyLock::new(|| {
    let mut words: HashMap<&str, Counts> = HashMap::new();
    for (at, (_, text)) in CATEGORIES.iter().enumerate() {
        for word in text.split_whitespace() {
            if let Some(count) = words.entry(word).or_default().get_mut(at) {
                *count += 1.0;
            }
        }
    }
    words
});

/// What a text is about.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// The likeliest category; none if no word of any is in the text.
    pub(crate) category: Option<&'static str>,
    /// How likely each is, all together 1; the likeliest first.
    pub(crate) scores: Vec<Score>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Score {
    pub(crate) category: &'static str,
    pub(crate) probability: f64,
}

/// Tells what a text is about, with one occurrence of each word added to each category so that
/// no single word rules one out.
pub(crate) fn classify(text: &str) -> Verdict {
    let vocabulary: f64 = WORDS.values().map(|_| 1.0).sum();
    let sizes = CATEGORIES.map(|(_, words)| words.split_whitespace().map(|_| 1.0).sum::<f64>());
    let mut logs = Counts::default();
    let mut known = false;
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let Some(counts) = WORDS.get(&*word.to_lowercase()) else {
            continue;
        };
        known = true;
        for ((log, count), size) in logs.iter_mut().zip(counts).zip(sizes) {
            *log += ((count + 1.0) / (size + vocabulary)).ln();
        }
    }
    // Relative to the best, so that a long text does not underflow to nothing.
    let best = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let weights = logs.map(|log| (log - best).exp());
    let total: f64 = weights.iter().sum();
    let mut scores: Vec<Score> = CATEGORIES
        .iter()
        .zip(weights)
        .map(|((category, _), weight)| Score {
            category,
            probability: weight / total,
        })
        .collect();
    scores.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let category = scores.first().filter(|_| known);
    Verdict {
        category: category.map(|score| score.category),
        scores,
    }
}
