//! Every place and form in which a key may be presented.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};

use super::search::each_byte;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What is put into one request.
#[derive(Default)]
pub(super) struct Presented {
    pub(super) query: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Presented {
    fn query(query: String) -> Self {
        Self {
            query: Some(query),
            headers: Vec::new(),
        }
    }

    fn header(self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        let mut headers = self.headers;
        headers.push((name, HeaderValue::from_bytes(value.as_ref()).unwrap()));
        Self { headers, ..self }
    }

    fn authorization(self, value: impl AsRef<[u8]>) -> Self {
        self.header(header::AUTHORIZATION, value)
    }

    fn own(self, value: impl AsRef<[u8]>) -> Self {
        self.header(X_API_KEY, value)
    }
}

pub(super) fn everywhere(secret: &str) -> Vec<Presented> {
    let nothing = Presented::default;
    let bearer = format!("Bearer {secret}");
    let escaped = each_byte(secret.as_bytes(), "", |byte| format!("%{byte:02x}"));
    let basic = STANDARD.encode(format!("{secret}:"));
    let headers = [
        nothing().authorization(&bearer),
        nothing().authorization(format!("bEARER {secret}")),
        nothing().own(secret),
        // Two, or one twice.
        nothing().authorization(&bearer).own(secret),
        nothing().authorization(&bearer).authorization(&bearer),
        nothing().own(secret).own(format!("{secret}x")),
        nothing().own(format!("{secret},{secret}")),
        // In a way that no key is sent.
        nothing().authorization(secret),
        nothing().authorization(format!("Basic {basic}")),
        nothing().authorization(format!("Token {secret}")),
        nothing().authorization(format!("Bearer  {secret}")),
        nothing().authorization(format!("Bearer \"{secret}\"")),
        // With a mistake in it.
        nothing().own(format!("{secret}x")),
        nothing().own(format!(" {secret}\t!")),
        nothing().own(&secret[..secret.len() - 1]),
        nothing().own([b"\xff", secret.as_bytes()].concat()),
        nothing().authorization(format!("Bearer {}", secret.repeat(8))),
    ];
    let queries = [
        format!("api_key={secret}"),
        format!("a=1&api%5Fkey={secret}&b=2"),
        format!("%61pi_key={secret}"),
        format!("api_key={escaped}"),
        format!("api_key={secret}&api_key={secret}"),
        format!("api_key=%zz{secret}"),
        format!("api_key={secret}x&number=none"),
    ];
    let mut all: Vec<_> = headers.into();
    all.extend(queries.map(Presented::query));
    all.push(Presented::query(format!("api_key={secret}")).authorization(&bearer));
    all
}
