//! Detection rules, generated from indicators.

use axum::Json;
use serde::{Deserialize, Serialize};

use super::TEMPLATES;
use super::input::{Few, Indicator, Text};

mod network;
mod sigma;
mod yara;

/// A rule's name is made of at most so many characters of what was asked for.
const LONGEST_NAME: usize = 64;

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Yara,
    Sigma,
    Snort,
    Suricata,
}

impl Format {
    const ALL: [Self; 4] = [Self::Yara, Self::Sigma, Self::Snort, Self::Suricata];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: Text,
    indicators: Few<Indicator>,
    /// All of them, unless it says which.
    formats: Option<Few<Format>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Generated {
    rules: Vec<Rules>,
    generated_by: &'static str,
}

/// The rules of one format, ready to be written into a file.
#[derive(Debug, Serialize)]
struct Rules {
    format: Format,
    text: String,
    /// Indicators that the format cannot look for.
    left_out: Vec<String>,
}

pub(super) async fn generate(Json(wanted): Json<Wanted>) -> Json<Generated> {
    let name = name(wanted.name.as_str());
    let indicators = wanted.indicators.as_slice();
    let mut formats = wanted.formats.map_or(Format::ALL.to_vec(), Few::into_vec);
    formats.sort_unstable();
    formats.dedup();
    let rules = formats
        .into_iter()
        .map(|format| rules(format, &name, indicators));
    Json(Generated {
        rules: rules.collect(),
        generated_by: TEMPLATES,
    })
}

fn rules(format: Format, name: &str, indicators: &[Indicator]) -> Rules {
    let fits = |of: &&Indicator| {
        let hash = matches!(of, Indicator::Hash(_));
        !hash || matches!(format, Format::Yara | Format::Sigma)
    };
    let (used, left_out): (Vec<&Indicator>, Vec<&Indicator>) = indicators.iter().partition(fits);
    Rules {
        format,
        text: match format {
            Format::Yara => yara::rule(name, &used),
            Format::Sigma => sigma::rules(name, &used),
            Format::Snort => network::snort(name, &used),
            Format::Suricata => network::suricata(name, &used),
        },
        left_out: left_out.iter().map(ToString::to_string).collect(),
    }
}

/// As an identifier, which every format takes without quotes.
fn name(text: &str) -> String {
    let characters = text.trim().chars().take(LONGEST_NAME);
    let name: String = characters
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    format!("lab_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn indicators(texts: &[&str]) -> Vec<Indicator> {
        let read = |text: &&str| Indicator::try_from((*text).to_owned()).unwrap();
        texts.iter().map(read).collect()
    }

    #[test]
    fn what_a_format_cannot_look_for_is_named() {
        let hash = "44d88612fea8a8f36de82e1278abb02f";
        let all = indicators(&["evil.example", hash]);
        for format in Format::ALL {
            let rules = rules(format, "lab_x", &all);
            let packets = matches!(format, Format::Snort | Format::Suricata);
            assert_eq!(rules.left_out, if packets { vec![hash] } else { vec![] });
            assert_eq!(rules.text.contains(hash), !packets, "{}", rules.text);
        }
    }

    #[test]
    fn a_name_is_an_identifier_whatever_was_asked_for() {
        assert_eq!(name(" 4\" or 1=1; } "), "lab_4__or_1_1___");
        assert_eq!(name(&"é".repeat(100)), format!("lab_{}", "_".repeat(64)));
    }
}
