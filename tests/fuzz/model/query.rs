//! Parameters of a query, read by another's decoder.

/// The query split at `&`: those parameters that decode to the name, and the others.
#[must_use]
pub fn split<'a>(query: &'a str, name: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    query.split('&').partition(|pair| names(pair, name))
}

/// Whether this one parameter decodes to the name.
#[must_use]
pub fn names(pair: &str, name: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).any(|(decoded, _)| decoded == name)
}

/// The bytes that a value stands for; `None` if an escape is broken, which that decoder passes on.
#[must_use]
pub fn value(pair: &str) -> Option<Vec<u8>> {
    let (_, raw) = pair.split_once('=')?;
    let mut out = Vec::new();
    let mut rest = raw.as_bytes();
    loop {
        match rest {
            [] => return Some(out),
            [b'%', high, low, ..] => {
                let text = [*high, *low];
                let text = std::str::from_utf8(&text).ok()?;
                // `from_str_radix` takes a sign too.
                let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                out.push(u8::from_str_radix(text, 16).ok().filter(|_| hexadecimal)?);
                rest = &rest[3..];
            }
            [b'%', ..] => return None,
            [byte, ..] => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                rest = &rest[1..];
            }
        }
    }
}
