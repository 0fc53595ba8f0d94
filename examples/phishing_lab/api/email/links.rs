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
    let is_link = |start: &usize| {
        let name_ends = lower.get(start.saturating_add(2)..);
        name_ends.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_whitespace()))
    };
    let starts = lower.match_indices("<a").map(|(start, _)| start);
    let starts: Vec<usize> = starts.filter(is_link).collect();
    // A link ends where the next one begins, if not before, so each place is read once.
    let ends = starts.iter().copied().skip(1).chain([html.len()]);
    let links = starts.iter().zip(ends).filter_map(|(start, end)| {
        let (tag, rest) = html.get(*start..end)?.split_once('>')?;
        let close = rest.to_ascii_lowercase().find("</a");
        let shown = plain(rest.get(..close.unwrap_or(rest.len()))?);
        Some(Link {
            url: Url::try_from(href(tag)?).ok()?,
            shown: Some(shown).filter(|text| !text.is_empty()),
        })
    });
    links.take(super::MOST_LINKS).collect()
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
    fn a_mail_full_of_links_is_read_in_one_pass() {
        let open = "<a href=http://a.example>".to_owned() + "x";
        for html in [
            open.repeat(40_000),
            "<a ".repeat(300_000),
            "<a>".repeat(300_000),
        ] {
            let found = in_html(&html);
            let shown = found.iter().filter_map(|link| link.shown.as_ref());
            assert!(found.len() <= super::super::MOST_LINKS);
            assert!(shown.clone().all(|text| text == "x"), "{:?}", shown.max());
        }
    }

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
