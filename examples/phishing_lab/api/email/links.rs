//! The links in the bodies of an e-mail.

use serde::Serialize;

use super::super::input::{Host, Url};

/// Where a link goes, and what it shows to its reader.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub(super) struct Link {
    pub(super) url: Url,
    pub(super) shown: Option<String>,
}

impl Link {
    /// The host that its reader believes it goes to, if the shown text names one.
    pub(super) fn shown_host(&self) -> Option<Host> {
        let shown = self.shown.as_ref()?.trim();
        if let Ok(url) = Url::try_from(shown.to_owned()) {
            return Some(url.host().clone());
        }
        let host = shown.split('/').next()?;
        Host::try_from(host.to_owned()).ok()
    }
}

/// The `<a href="…">` of a body in HTML.
pub(super) fn in_html(html: &str) -> Vec<Link> {
    // Of the same length as the original, so that places in one are places in the other.
    let lower = html.to_ascii_lowercase();
    let tags = lower.match_indices("<a").filter_map(|(start, _)| {
        let end = lower.get(start..)?.find('>')?.saturating_add(start);
        let close = lower
            .get(end..)?
            .find("</a")
            .map(|at| at.saturating_add(end));
        let tag = html.get(start..end)?;
        let shown = html.get(end.saturating_add(1)..close.unwrap_or(html.len()));
        Some(Link {
            url: Url::try_from(href(tag)?).ok()?,
            shown: shown.map(plain).filter(|text| !text.is_empty()),
        })
    });
    tags.collect()
}

/// The URLs in a body of plain text.
pub(super) fn in_text(text: &str) -> Vec<Link> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    let urls = words.filter_map(|word| {
        let word = word.trim_end_matches(['.', ',', ';', ')', '!']);
        Url::try_from(word.to_owned()).ok()
    });
    urls.map(|url| Link { url, shown: None }).collect()
}

/// The value of a tag's `href`, with or without quotes.
fn href(tag: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find("href")?;
    let value = tag.get(at..)?.split_once('=')?.1.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value.split(quote).nth(1)?,
        _ => value.split_ascii_whitespace().next()?,
    };
    Some(value.replace("&amp;", "&"))
}

/// The text without its tags.
fn plain(html: &str) -> String {
    let parts = html.split('<').enumerate();
    let texts = parts.filter_map(|(place, part)| match place {
        0 => Some(part),
        _ => part.split_once('>').map(|(_, text)| text),
    });
    let text: String = texts.collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_with_what_they_show() {
        let html = r#"<p>Dear customer</p><abbr>a</abbr>
            <A class=x HREF='https://evil.example/login?a=1&amp;b=2'><b>https://acmebank.example</b>/in</A>
            <a href=https://acme.example/>home</a><a href="mailto:ann@acme.example">Ann</a>
            <a href="https://late.example/">no end"#;
        let found = in_html(html);
        let told: Vec<_> = found
            .iter()
            .map(|link| (link.url.to_string(), link.shown.clone().unwrap_or_default()))
            .collect();
        let expected = [
            (
                "https://evil.example/login?a=1&b=2",
                "https://acmebank.example/in",
            ),
            ("https://acme.example/", "home"),
            ("https://late.example/", "no end"),
        ];
        assert_eq!(
            told,
            expected.map(|(url, shown)| (url.to_owned(), shown.to_owned()))
        );
        assert_eq!(
            found[0].shown_host().unwrap().to_string(),
            "acmebank.example"
        );
        assert_eq!(found[1].shown_host(), None);
    }

    #[test]
    fn urls_in_plain_text_end_where_the_sentence_goes_on() {
        let found =
            in_text("See https://evil.example/a, or <http://198.51.100.23/b>. Not ftp://x.");
        let urls: Vec<_> = found.iter().map(|link| link.url.to_string()).collect();
        assert_eq!(urls, ["https://evil.example/a", "http://198.51.100.23/b"]);
    }
}
