//! One call and its answer.

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{TestApp, TestKey, in_time};

/// One call, on its way.
pub(crate) struct Call<'a> {
    pub(super) app: &'a TestApp,
    pub(super) request: Request<Full<Bytes>>,
}

impl Call<'_> {
    pub(crate) fn key(self, key: &TestKey) -> Self {
        let bearer = format!("Bearer {}", key.secret);
        self.header("authorization", bearer)
    }

    pub(crate) fn from(self, address: &str) -> Self {
        self.header("x-forwarded-for", address)
    }

    /// Adds a header, beside others of its name.
    pub(crate) fn header(
        mut self,
        name: &'static str,
        value: impl TryInto<HeaderValue, Error: std::fmt::Debug>,
    ) -> Self {
        let name = HeaderName::from_static(name);
        let headers = self.request.headers_mut();
        headers.append(name, value.try_into().unwrap());
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        *self.request.body_mut() = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        self
    }

    pub(crate) fn json(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self.header("content-type", "application/json")
    }

    pub(crate) async fn send(self) -> Answer {
        let answer = self.send_to_anybody().await;
        answer.check_id();
        answer
    }

    pub(crate) async fn status(self) -> u16 {
        self.send().await.status
    }

    /// For what may not be the gate's own: it need not have a request id.
    pub(crate) async fn bare_status(self) -> u16 {
        self.send_to_anybody().await.status
    }

    async fn send_to_anybody(self) -> Answer {
        let answered = self.app.client.request(self.request);
        let response = in_time("an answer", answered).await.unwrap();
        let (head, body) = response.into_parts();
        let body = in_time("its body", body.collect()).await.unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap();
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        Some(value)
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.header(name);
        value
            .unwrap_or_else(|| panic!("no {name}: {self:?}"))
            .parse()
            .unwrap()
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.number("x-ratelimit-remaining")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The machine code of the default envelope.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    /// Every response has an id, and says the same in its body if it says one there.
    fn check_id(&self) {
        let id = self.header("x-request-id").expect("a request id");
        assert!(!id.is_empty());
        if let Ok(body) = serde_json::from_slice::<Value>(&self.body) {
            for told in [&body["request_id"], &body["error"]["request_id"]] {
                assert!(told.is_null() || told == id, "{told} is not {id}");
            }
        }
    }
}
