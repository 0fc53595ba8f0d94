//! Finds paths that two servers may read in two ways.
//!
//! | in a path | what somebody makes of it |
//! | --- | --- |
//! | `//` | `/`, in front of another route |
//! | `/./`, `/../`, also at the end | nothing, or one segment less |
//! | `%2e` | a dot, and with it the row above |
//! | `%2f`, `%5c`, `\` | a slash |
//! | `%00` | the end of the path |
//! | `;` | the beginning of parameters that are no part of it |
//!
//! axum matches a path as it came, and what a route demands sits on the route, so none of these
//! opens a route here. A proxy in front that has rules for paths, or a handler that decodes
//! `{name}` and opens a file, may see another path than the router did. Such a path is therefore
//! refused before the router runs, unless the app says [`allow_unusual_paths`].
//!
//! [`allow_unusual_paths`]: crate::GateBuilder::allow_unusual_paths

/// What the bytes since the last slash are.
#[derive(Clone, Copy)]
enum Segment {
    Empty,
    Dot,
    TwoDots,
    Other,
}

/// Whether somebody may read this path as another. One pass, up to the first such byte.
pub(crate) fn is_unusual(path: &str) -> bool {
    // Before the first slash there is no segment: `*`, or nothing at all.
    let mut segment = Segment::Other;
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        segment = match (byte, segment) {
            (b'/', Segment::Other) => Segment::Empty,
            (b'/' | b';' | b'\\', _) => return true,
            (b'%', _) => {
                let mut ahead = bytes.clone();
                if hides(ahead.next(), ahead.next()) {
                    return true;
                }
                Segment::Other
            }
            (b'.', Segment::Empty) => Segment::Dot,
            (b'.', Segment::Dot) => Segment::TwoDots,
            _ => Segment::Other,
        };
    }
    matches!(segment, Segment::Dot | Segment::TwoDots)
}

/// Whether an escape stands for a byte that means something in a path: `/`, `\`, `.` or NUL.
const fn hides(high: Option<u8>, low: Option<u8>) -> bool {
    matches!(
        (high, low),
        (Some(b'2'), Some(b'f' | b'F' | b'e' | b'E'))
            | (Some(b'5'), Some(b'c' | b'C'))
            | (Some(b'0'), Some(b'0'))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_have_one_reading_are_usual() {
        for path in [
            "",
            "*",
            "/",
            "/iocs",
            "/iocs/",
            "/v1/iocs/2024-01-01T00:00:00Z",
            "/.well-known/security.txt",
            "/files/..hidden",
            "/files/...",
            "/files/a..b/c.",
            "/caf%C3%A9/a%20b",
            "/%252f",
            "/%zz",
            "/%",
            "/%2",
            "/a=b,c@d!$&'()*+",
        ] {
            assert!(!is_unusual(path), "{path}");
        }
    }

    #[test]
    fn paths_that_have_two_readings_are_unusual() {
        for path in [
            "//",
            "//admin",
            "/v1//items",
            "/items//",
            "/./admin",
            "/v1/../admin",
            "/v1/.",
            "/v1/..",
            "/..",
            "/%2e%2e/admin",
            "/.%2E/admin",
            "/report%2epdf",
            "/..%2fadmin",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/admin;x=y",
            "/;/admin",
            "/%%2f",
            "/%/../admin",
            "/%2/./admin",
        ] {
            assert!(is_unusual(path), "{path}");
        }
    }

    /// The rule again, the slow way: decode what may be hidden, then look at the segments.
    fn reference(path: &str) -> bool {
        let lower = path.to_ascii_lowercase();
        let hidden = ["%2f", "%5c", "%2e", "%00", ";", "\\"];
        let segments = || path.split('/').skip(1);
        let last = segments().count().saturating_sub(1);
        hidden.iter().any(|hidden| lower.contains(hidden))
            || segments().any(|segment| matches!(segment, "." | ".."))
            || segments().take(last).any(str::is_empty)
    }

    #[test]
    fn all_short_paths_are_judged_as_the_rule_says() {
        const PARTS: [&str; 12] = ["/", ".", "a", "%", "2", "f", "E", "5", "c", "0", ";", "\\"];
        let mut paths = vec!["/".to_owned()];
        let mut start = 0;
        for _ in 0..5 {
            let end = paths.len();
            for index in start..end {
                for part in PARTS {
                    paths.push(format!("{}{part}", paths[index]));
                }
            }
            start = end;
        }
        let unusual = paths.iter().filter(|path| is_unusual(path)).count();
        assert!(unusual > 1000 && unusual < paths.len(), "{unusual}");
        for path in paths {
            assert_eq!(is_unusual(&path), reference(&path), "{path}");
        }
    }
}
