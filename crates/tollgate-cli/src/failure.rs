//! Why a command ends before it is done, in one sentence, and with which exit code.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why a command ends: what went wrong, where, and what to do about it.
///
/// Any error becomes one, with its causes, so that `?` works in a command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    sentence: String,
}

impl Failure {
    /// Something was refused, or went wrong.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self {
            code: 1,
            sentence: sentence.into(),
        }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(sentence)
        }
    }

    /// The audit trail is not whole.
    pub(crate) fn not_whole(sentence: impl Into<String>) -> Self {
        Self {
            code: 3,
            ..Self::new(sentence)
        }
    }

    /// The same, with what was tried: `cannot grant 5 credits to acme`.
    pub(crate) fn within(self, tried: impl fmt::Display) -> Self {
        Self {
            sentence: format!("{tried}: {}", self.sentence),
            ..self
        }
    }

    /// The same, with what to do about it.
    pub(crate) fn with(mut self, remedy: &str) -> Self {
        self.sentence.push_str(remedy);
        self
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            cause = error.source();
        }
        Self::new(sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.sentence))
    }
}

/// The text as a terminal may show it: control characters, which could do anything to it, escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The text without what may be a password in a URL: what stands before its host, and its query.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (word, then) = after.split_at_checked(end).unwrap_or((after, ""));
        shown.push_str(before);
        shown.push_str("://");
        // A password that is not written as it should be may hold anything but a space.
        let place = match word.rsplit_once('@') {
            Some((_, place)) => {
                shown.push_str("…@");
                place
            }
            None => word,
        };
        match place.split_once('?') {
            Some((place, _)) => shown.extend([place, "?…"]),
            None => shown.push_str(place),
        }
        rest = then;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_without_what_may_be_a_password() {
        for (told, shown) in [
            ("'postgres://u:p@h/d' is odd", "'postgres://…@h/d' is odd"),
            (
                "postgres://u:p/@q@h/d https://x",
                "postgres://…@h/d https://x",
            ),
            ("sqlite://keys.db, a@b", "sqlite://keys.db, a@b"),
            ("a://b a://c@d a://", "a://b a://…@d a://"),
            ("'a://b?password=c' d", "'a://b?… d"),
        ] {
            assert_eq!(without_passwords(told), shown);
        }
    }

    #[test]
    fn a_failure_tells_its_causes_and_nothing_that_moves_a_cursor() {
        let failure = Failure::from(std::io::Error::other("a\u{1b}[2Jb\n")).within("cannot c");
        assert_eq!(failure.to_string(), r"cannot c: a\u{1b}[2Jb\n");
    }
}
