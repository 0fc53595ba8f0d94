use std::error::Error;
use std::fmt;

use crate::invalid::Invalid;

/// The most characters of a name that are told back.
const TOLD: usize = 128;

/// The most characters of a parser's message that are told.
const TOLD_OF_A_MESSAGE: usize = 300;

/// The longest name that is compared with the known ones.
const COMPARED: usize = 64;

/// The most unknown names that one error tells.
const TOLD_NAMES: usize = 8;

/// A catalog that cannot be used: everything that is wrong with it.
///
/// Each problem is one sentence that names the culprit and says what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatalogError {
    problems: Vec<Invalid>,
}

impl CatalogError {
    pub(super) fn new(problems: Vec<Invalid>) -> Self {
        Self { problems }
    }

    /// Everything that is wrong, in the catalog's order. There is at least one problem.
    #[must_use]
    pub fn problems(&self) -> &[Invalid] {
        &self.problems
    }

    /// The same, found inside something larger: `"file tollgate.toml"`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let problems = self.problems.into_iter();
        Self::new(problems.map(|problem| problem.within(outer)).collect())
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the catalog cannot be used")?;
        for problem in &self.problems {
            write!(f, "\n- {problem}")?;
        }
        Ok(())
    }
}

impl Error for CatalogError {}

/// Why names are refused; the reasons past [`TOLD_NAMES`] are counted, not made.
#[derive(Default)]
pub(super) struct Refused {
    reasons: Vec<String>,
    more: usize,
}

impl Refused {
    pub(super) fn push(&mut self, reason: impl FnOnce() -> String) {
        if self.reasons.len() < TOLD_NAMES {
            self.reasons.push(reason());
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    pub(super) fn or<T>(mut self, value: T) -> Result<T, Invalid> {
        if self.reasons.is_empty() {
            return Ok(value);
        }
        if self.more > 0 {
            self.reasons.push(format!("and {} more", self.more));
        }
        Err(Invalid::new("scopes", self.reasons.join("; ")))
    }
}

/// A name as an error tells it: no control characters, and no more of it than helps.
pub(super) fn told(name: &str) -> String {
    match name
        .char_indices()
        .nth(TOLD)
        .and_then(|(end, _)| name.get(..end))
    {
        Some(start) => format!("`{}…`", start.escape_debug()),
        None => format!("`{}`", name.escape_debug()),
    }
}

/// A parser's message as an error tells it. It may quote any text of the file, and have a line of
/// its own for what was expected.
pub(super) fn sentence(message: &str) -> String {
    let mut told = String::new();
    for c in message.trim_end().chars().take(TOLD_OF_A_MESSAGE) {
        match c {
            '\n' => told.push_str(", "),
            c if c.is_control() => told.extend(c.escape_debug()),
            c => told.push(c),
        }
    }
    if message.trim_end().chars().nth(TOLD_OF_A_MESSAGE).is_some() {
        told.push('…');
    }
    told
}

/// `; did you mean …?` if a known name is near, else the remedy.
pub(super) fn hint<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    remedy: &str,
) -> String {
    match nearest(name, known) {
        Some(near) => format!("; did you mean {}?", told(near)),
        None if remedy.is_empty() => String::new(),
        None => format!("; {remedy}"),
    }
}

fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names come from clients too, and the search is quadratic.
    if name.len() > COMPARED {
        return None;
    }
    let near = name.len().div_ceil(3).min(3);
    known
        .into_iter()
        .filter(|other| other.len().abs_diff(name.len()) <= near)
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, other)| other)
}

/// The fewest bytes to insert, remove or replace (Levenshtein), one row at a time.
fn distance(one: &str, two: &str) -> usize {
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (above, a) in one.bytes().enumerate() {
        let mut diagonal = above;
        let mut left = above.saturating_add(1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, b) in cells.zip(two.bytes()) {
            let replaced = diagonal.saturating_add(usize::from(a != b));
            diagonal = *cell;
            left = replaced.min(left.min(*cell).saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_edits() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("iocs:raed", "iocs:read", 2),
            ("flaw", "lawn", 2),
        ];
        for (one, two, expected) in cases {
            assert_eq!(distance(one, two), expected, "{one} {two}");
            assert_eq!(distance(two, one), expected, "{two} {one}");
        }
    }

    #[test]
    fn a_hint_is_the_nearest_known_name_or_the_remedy() {
        let known = ["iocs:read", "iocs:write", "ai:chat"];
        assert_eq!(hint("iocs:raed", known, "x"), "; did you mean `iocs:read`?");
        assert_eq!(hint("Ai:chat", known, "x"), "; did you mean `ai:chat`?");
        assert_eq!(hint("webhooks:read", known, "declare it"), "; declare it");
        assert_eq!(hint(&"i".repeat(100_000), known, "x"), "; x");
    }

    #[test]
    fn a_told_name_is_short_and_printable() {
        assert_eq!(told("a\u{1b}b"), r"`a\u{1b}b`");
        assert!(told(&"é".repeat(1000)).len() < 300);
    }
}
