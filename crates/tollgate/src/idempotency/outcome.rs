//! An answer as bytes: its status, its headers, its body.

use axum::body::Body;
use axum::response::Response;
use http::response::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tollgate_core::credits::Outcome;

/// Bytes of another form are not read.
const VERSION: u8 = 1;

/// What each answer has anew, and what is for whoever asked first.
const NOT_KEPT: [HeaderName; 5] = [
    header::SET_COOKIE,
    header::DATE,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
];

pub(crate) fn write(head: &Parts, body: &[u8]) -> Outcome {
    let mut bytes = vec![VERSION];
    bytes.extend(head.status.as_u16().to_le_bytes());
    for (name, value) in &head.headers {
        if !NOT_KEPT.contains(name) {
            put(&mut bytes, name.as_str().as_bytes());
            put(&mut bytes, value.as_bytes());
        }
    }
    // No header has an empty name.
    put(&mut bytes, &[]);
    bytes.extend_from_slice(body);
    bytes.into()
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // No header is longer: hyper reads less.
    bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(part);
}

/// The answer, if that is what the bytes are.
pub(crate) fn read(bytes: &[u8]) -> Option<Response> {
    let mut rest = bytes;
    let [VERSION] = *take(&mut rest, 1)? else {
        return None;
    };
    let status = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    loop {
        let name = part(&mut rest)?;
        if name.is_empty() {
            break;
        }
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(part(&mut rest)?).ok()?;
        response.headers_mut().append(name, value);
    }
    *response.body_mut() = Body::from(rest.to_vec());
    Some(response)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_as_it_was_written() {
        let response = Response::builder()
            .status(201)
            .header("content-type", "text/plain")
            .header("link", "</a>")
            .header("link", "</b>")
            .header("set-cookie", "a=1")
            .header("date", "today")
            .body(())
            .unwrap();
        let bytes = write(&response.into_parts().0, b"\0body");
        let again = read(&bytes).unwrap();
        assert_eq!(again.status(), 201);
        let links: Vec<_> = again.headers().get_all("link").iter().collect();
        assert_eq!(links, ["</a>", "</b>"]);
        assert!(!again.headers().contains_key("set-cookie"));
        assert_eq!(again.headers()["content-type"], "text/plain");
        assert!(!again.headers().contains_key("date"));
        let body = again.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, &b"\0body"[..]);
    }

    #[test]
    fn what_is_cut_or_of_another_form_is_not_read() {
        let response = Response::builder().header("a", "b").body(()).unwrap();
        let bytes = write(&response.into_parts().0, b"");
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_none(), "{end}");
        }
        let mut other = bytes.to_vec();
        other[0] = 2;
        assert!(read(&other).is_none());
    }
}
