//! Lists, a page at a time.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tollgate::{Denial, DenialKind};
use utoipa::{IntoParams, ToSchema};

/// The longest page.
pub(crate) const MOST: u32 = 1_000;

/// The length of a page that nobody chose.
const USUAL: u32 = 50;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub(crate) data: Vec<T>,
    /// Where the list goes on.
    pub(crate) meta: Meta,
}

/// What is said of a page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// How many there are in all; null where that is not counted.
    pub(crate) total: Option<u64>,
    /// The `cursor` of the next page; null on the last.
    pub(crate) next: Option<String>,
}

/// One thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct One<T> {
    /// The thing.
    pub(crate) data: T,
}

/// Which page is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// How many rows, 1 to 1000; 50 unless said otherwise.
    pub(crate) limit: Option<u32>,
    /// Where to go on: `meta.next` of the page before.
    pub(crate) cursor: Option<String>,
}

impl PageParams {
    pub(crate) fn limit(&self) -> Result<u32, Denial> {
        limit(self.limit)
    }

    pub(crate) fn after<T: FromStr>(&self, list: &str) -> Result<Option<T>, Denial> {
        after(self.cursor.as_deref(), list)
    }
}

/// The length of a page.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Denial> {
    let limit = asked.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let message = format!("limit: {limit} is not 1 to {MOST}");
        return Err(Denial::new(DenialKind::Status(400)).with_message(message));
    }
    Ok(limit)
}

/// What a cursor of this list stands for.
pub(crate) fn after<T: FromStr>(cursor: Option<&str>, list: &str) -> Result<Option<T>, Denial> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let read = unhex(cursor).and_then(|text| {
        let (of, place) = text.split_once(' ')?;
        (of == list).then(|| place.parse().ok()).flatten()
    });
    read.map(Some).ok_or_else(|| {
        let shown: String = cursor.chars().take(64).collect();
        let message =
            format!("cursor: `{shown}` is not `meta.next` of a page of this list; begin again");
        Denial::new(DenialKind::Status(400)).with_message(message)
    })
}

impl<T> List<T> {
    /// A page, of rows of which there was one asked for beyond it; `place` says what the next page
    /// comes after.
    pub(crate) fn page<P: ToString>(
        list: &str,
        limit: u32,
        mut rows: Vec<T>,
        place: impl FnOnce(&T) -> P,
    ) -> Self {
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > length;
        rows.truncate(length);
        let end = rows.last().filter(|_| more).map(place);
        Self {
            meta: Meta {
                total: None,
                next: end.map(|end| cursor(list, &end.to_string())),
            },
            data: rows,
        }
    }

    /// Says how many there are in all.
    pub(crate) const fn of(mut self, total: Option<u64>) -> Self {
        self.meta.total = total;
        self
    }

    /// The whole list.
    pub(crate) fn whole(data: Vec<T>) -> Self {
        let total = u64::try_from(data.len()).ok();
        Self {
            data,
            meta: Meta { total, next: None },
        }
    }
}

/// One more than a page has, to see whether there is another.
pub(crate) const fn one_more(limit: u32) -> u32 {
    limit.saturating_add(1)
}

/// Opaque to clients, so that a list may count otherwise one day.
fn cursor(list: &str, place: &str) -> String {
    let text = format!("{list} {place}");
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unhex(text: &str) -> Option<String> {
    if text.len() > 512 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_list_and_of_nothing_else() {
        let text = cursor("keys", "42");
        assert_eq!(after::<u64>(Some(&text), "keys").unwrap(), Some(42));
        assert_eq!(after::<u64>(None, "keys").unwrap(), None);
        for (bad, list) in [
            (&*text, "users"),
            ("", "keys"),
            ("zz", "keys"),
            ("6", "keys"),
        ] {
            assert!(after::<u64>(Some(bad), list).is_err(), "{bad} {list}");
        }
    }

    #[test]
    fn a_page_tells_of_the_next_only_if_there_is_one() {
        let full = List::page("n", 2, vec![1, 2, 3], |last| *last);
        assert_eq!(full.data, [1, 2]);
        let next = full.meta.next.unwrap();
        assert_eq!(after::<i32>(Some(&next), "n").unwrap(), Some(2));
        assert!(
            List::page("n", 2, vec![1, 2], |last| *last)
                .meta
                .next
                .is_none()
        );
    }
}
