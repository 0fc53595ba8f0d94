//! Doors for the fuzz targets in `tests/fuzz`; there is nothing here without `--cfg fuzzing`.

use axum::response::Response;
use http::response::Parts;
use http::{HeaderMap, Request, Uri};
use tollgate_core::key_format::KeyFormat;
use tollgate_core::secret::{Digester, KeyDigest};

use crate::credential::{Credentials, Presented, Reader};
use crate::idempotency::outcome;

/// An answer as it is stored for requests that come again.
#[must_use]
pub fn write_outcome(head: &Parts, body: &[u8]) -> Vec<u8> {
    outcome::write(head, body).to_vec()
}

/// The answer that stored bytes are, if they are one.
#[must_use]
pub fn read_outcome(bytes: &[u8]) -> Option<Response> {
    outcome::read(bytes)
}

/// Takes credentials out of requests, as a gate does.
#[derive(Debug)]
pub struct Taker(Reader);

/// What a request brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Taken {
    /// Nothing.
    Nothing,
    /// One key that looks right.
    Key(KeyDigest),
    /// One that cannot be a key.
    Malformed,
    /// More than one.
    Several,
}

impl Taker {
    /// Accepts keys of this format.
    #[must_use]
    pub fn new(format: KeyFormat) -> Self {
        Self(Reader::new(format, Digester::sha256()))
    }

    /// Takes every credential out, and says what was there.
    pub fn take(&self, places: &Credentials, headers: &mut HeaderMap, uri: &mut Uri) -> Taken {
        let mut request = Request::new(());
        std::mem::swap(request.headers_mut(), headers);
        std::mem::swap(request.uri_mut(), uri);
        let presented = places.take(&mut request, &self.0);
        std::mem::swap(request.headers_mut(), headers);
        std::mem::swap(request.uri_mut(), uri);
        match presented {
            Presented::Nothing => Taken::Nothing,
            Presented::Key(digest, _) => Taken::Key(digest),
            Presented::Malformed(_) => Taken::Malformed,
            Presented::Several => Taken::Several,
        }
    }
}
