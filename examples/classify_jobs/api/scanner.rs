//! Finds in a text what should not be there: addresses, card numbers, secrets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::classifier::{self, Verdict};

/// How often an encoding inside an encoding is looked into.
const DEEPEST: u8 = 3;
/// From this length on, a word is long enough to judge how random it is.
const LONG_WORD: usize = 20;
/// More bits for each character than words of a language have.
const DENSE_BITS: f64 = 4.0;
/// Shorter words that happen to be base64 are words.
const SHORTEST_ENCODED: usize = 16;

/// One thing that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: &'static str,
    /// What it is; of a card or a secret, what is left after most was struck out.
    pub(crate) value: String,
}

/// What a deep scan found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeepScan {
    /// As of a scan.
    pub(crate) findings: Vec<Finding>,
    /// What was found in base64 inside the text.
    pub(crate) encoded: Vec<Finding>,
    /// Words so random that they may be keys.
    pub(crate) dense: Vec<Finding>,
    /// What the text is about.
    pub(crate) verdict: Verdict,
}

/// Looks at each word, and at each run of digits.
pub(crate) fn scan(text: &str) -> Vec<Finding> {
    let words = words(text).filter_map(|word| {
        let (kind, value) = judge(word)?;
        Some(Finding { kind, value })
    });
    let cards = digit_runs(text).filter(|run| is_card(run)).map(|run| {
        let kind = "card_number";
        let value = struck_out(&run);
        Finding { kind, value }
    });
    words.chain(cards).collect()
}

/// As [`scan`], and looks into what is encoded, for what is random, and what it is all about.
pub(crate) fn deep_scan(text: &str) -> DeepScan {
    let dense = words(text)
        .filter(|word| word.len() >= LONG_WORD && bits_per_character(word) >= DENSE_BITS)
        .filter(|word| judge(word).is_none() && decoded(word).is_none());
    DeepScan {
        findings: scan(text),
        encoded: encoded(text, DEEPEST),
        dense: dense
            .map(|word| Finding {
                kind: "random",
                value: struck_out(word),
            })
            .collect(),
        verdict: classifier::classify(text),
    }
}

fn encoded(text: &str, depth: u8) -> Vec<Finding> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Vec::new();
    };
    let inner = words(text).filter_map(decoded);
    inner
        .flat_map(|text| [scan(&text), encoded(&text, deeper)].concat())
        .collect()
}

/// What stands between blanks, without the punctuation of a sentence around it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| {
        matches!(
            c,
            ',' | ';' | '.' | '!' | '?' | '"' | '\'' | '(' | ')' | ':'
        )
    };
    text.split_whitespace()
        .map(move |word| word.trim_matches(around))
        .filter(|word| !word.is_empty())
}

fn judge(word: &str) -> Option<(&'static str, String)> {
    if word.starts_with("http://") || word.starts_with("https://") {
        return Some(("url", word.to_owned()));
    }
    if let Some((name, domain)) = word.split_once('@')
        && !name.is_empty()
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
    {
        return Some(("email", word.to_owned()));
    }
    if word.parse::<IpAddr>().is_ok() {
        return Some(("ip", word.to_owned()));
    }
    let secret = ["op_live_", "sk_live_", "ghp_", "AKIA", "xoxb-"];
    let is_secret = word.len() >= LONG_WORD && secret.iter().any(|start| word.starts_with(start));
    is_secret.then(|| ("secret", struck_out(word)))
}

/// All but the last four characters are struck out: results are read by more people than texts.
fn struck_out(text: &str) -> String {
    let keep = text.chars().count().saturating_sub(4);
    let last: String = text.chars().skip(keep).collect();
    format!("…{last}")
}

/// Digits, with single blanks and dashes between them left out.
fn digit_runs(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_digit() && c != ' ' && c != '-')
        .map(|run| run.chars().filter(char::is_ascii_digit).collect())
}

/// Of 13 to 19 digits, with a right check digit (ISO/IEC 7812-1).
fn is_card(digits: &str) -> bool {
    let values = digits.chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = values
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit) {
            (0, digit) => digit,
            (_, 0..=4) => digit.saturating_mul(2),
            _ => digit.saturating_mul(2).saturating_sub(9),
        })
        .sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

/// Shannon's, over the word's own characters.
fn bits_per_character(word: &str) -> f64 {
    let mut counts = BTreeMap::new();
    for character in word.chars() {
        *counts.entry(character).or_insert(0.0) += 1.0;
    }
    let total: f64 = counts.values().sum();
    let share = |count: &f64| -(count / total) * (count / total).log2();
    counts.values().map(share).sum()
}

/// The text of a word that is base64 (RFC 4648) of text.
fn decoded(word: &str) -> Option<String> {
    let digits = word.trim_end_matches('=');
    if word.len() < SHORTEST_ENCODED || !word.len().is_multiple_of(4) {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u8);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit.checked_sub(b'A'),
            b'a'..=b'z' => digit.checked_sub(b'a').and_then(|n| n.checked_add(26)),
            b'0'..=b'9' => digit.checked_sub(b'0').and_then(|n| n.checked_add(52)),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        }?;
        bits = (bits << 6) | u32::from(value);
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            let [.., byte] = bits.checked_shr(u32::from(held))?.to_be_bytes();
            bytes.push(byte);
            bits &= 0xff;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(|c: char| c.is_control())).then_some(text)
}
