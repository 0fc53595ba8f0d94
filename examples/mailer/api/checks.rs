//! What callers may write: how long it is, and of which form.

use std::collections::BTreeMap;

use tollgate::{Denial, DenialKind};

/// The longest name or subject, in bytes.
pub(crate) const LONGEST_LINE: usize = 200;

/// The longest text of an email, in bytes.
pub(crate) const LONGEST_TEXT: usize = 20_000;

/// The most entries of a list or a map.
pub(crate) const MOST_ENTRIES: usize = 50;

const LONGEST_ADDRESS: usize = 254;
const LONGEST_DOMAIN: usize = 253;

/// A body that can be read, but makes no sense.
pub(crate) fn invalid(field: &str, reason: impl AsRef<str>) -> Denial {
    let message = format!("{field}: {}", reason.as_ref());
    Denial::new(DenialKind::Status(422)).with_message(message)
}

/// One line of text, such as a name or a subject.
pub(crate) fn line(field: &str, value: &str) -> Result<(), Denial> {
    text(field, value, LONGEST_LINE)?;
    if value.contains(char::is_control) {
        return Err(invalid(field, "it has a control character; write one line"));
    }
    Ok(())
}

/// Text of any lines.
pub(crate) fn text(field: &str, value: &str, longest: usize) -> Result<(), Denial> {
    let length = value.len();
    if value.trim().is_empty() || length > longest {
        let reason = format!("it has {length} bytes; write 1 to {longest}, not all blank");
        return Err(invalid(field, reason));
    }
    Ok(())
}

/// A list or a map of so many entries.
pub(crate) fn count(field: &str, entries: usize) -> Result<(), Denial> {
    if entries > MOST_ENTRIES {
        let reason = format!("it has {entries} entries; name {MOST_ENTRIES} at most");
        return Err(invalid(field, reason));
    }
    Ok(())
}

/// A map of names to short texts.
pub(crate) fn map(field: &str, map: &BTreeMap<String, String>) -> Result<(), Denial> {
    count(field, map.len())?;
    for (name, value) in map {
        line(field, name)?;
        if value.len() > LONGEST_LINE {
            let reason = format!("`{name}` has more than {LONGEST_LINE} bytes; shorten it");
            return Err(invalid(field, reason));
        }
    }
    Ok(())
}

/// An email address. Returns its domain.
pub(crate) fn email<'a>(field: &str, value: &'a str) -> Result<&'a str, Denial> {
    let parts = value.rsplit_once('@').filter(|(local, domain)| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>');
        value.len() <= LONGEST_ADDRESS
            && !local.is_empty()
            && !local.contains(odd)
            && is_domain(domain)
    });
    parts.map(|(_, domain)| domain).ok_or_else(|| {
        let shown = shown(value);
        let reason = format!("{shown} is no email address; write one like `ann@acme.example`");
        invalid(field, reason)
    })
}

/// The name of a domain, in lower case.
pub(crate) fn domain(field: &str, value: &str) -> Result<String, Denial> {
    if is_domain(value) {
        return Ok(value.to_ascii_lowercase());
    }
    let shown = shown(value);
    let reason = format!("{shown} is no domain; write one like `acme.example`");
    Err(invalid(field, reason))
}

/// A telephone number as E.164 has it: a plus, and up to fifteen digits.
pub(crate) fn phone(field: &str, value: &str) -> Result<(), Denial> {
    let digits = value.strip_prefix('+').unwrap_or_default();
    let numbers = digits.bytes().all(|byte| byte.is_ascii_digit());
    if (7..=15).contains(&digits.len()) && numbers && !digits.starts_with('0') {
        return Ok(());
    }
    let shown = shown(value);
    let reason = format!("{shown} is no telephone number; write one like `+15550100`");
    Err(invalid(field, reason))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= LONGEST_DOMAIN && text.contains('.') && text.split('.').all(label)
}

/// A value as an error repeats it: not all of it, if it is long.
pub(crate) fn shown(value: &str) -> String {
    let start: String = value.chars().take(64).collect();
    let more = if start.len() < value.len() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}
