//! Asks, as clients of the app do, and keeps what was answered.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tollgate::core::secret::Secret;
use tollgate_examples::failure::Failure;
use tollgate_examples::tour::origin;

/// How many requests are under way at once.
const AT_ONCE: usize = 12;
/// How often a request is sent that a node could not decide, and after what wait again.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

/// A client of one address, with a key.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    hyper: Hyper<HttpConnector, Body>,
    origin: String,
    authorization: String,
}

/// How many requests got each of the answers that are spoken of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    pub(crate) good: u64,
    pub(crate) refused: u64,
    pub(crate) other: u64,
}

impl Client {
    /// One that keeps its connections.
    pub(crate) fn new(address: SocketAddr, secret: &Secret) -> Self {
        Self::over(
            Hyper::builder(TokioExecutor::new()).build_http(),
            address,
            secret,
        )
    }

    /// One that makes a connection for each request, as many clients with a request each do.
    pub(crate) fn of_many(address: SocketAddr, secret: &Secret) -> Self {
        let mut hyper = Hyper::builder(TokioExecutor::new());
        Self::over(
            hyper.pool_max_idle_per_host(0).build_http(),
            address,
            secret,
        )
    }

    fn over(hyper: Hyper<HttpConnector, Body>, address: SocketAddr, secret: &Secret) -> Self {
        Self {
            hyper,
            origin: origin(address),
            // On its way to be checked.
            authorization: format!("Bearer {}", secret.expose()),
        }
    }

    /// The status of an answer. Whoever is told that a server does not answer (503) asks again, a few
    /// times.
    ///
    /// # Errors
    ///
    /// A [`Failure`] if nobody answers.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<u16, Failure> {
        for _ in 1..TRIES {
            match self.ask_once(method.clone(), path).await? {
                503 => tokio::time::sleep(AGAIN).await,
                status => return Ok(status),
            }
        }
        self.ask_once(method, path).await
    }

    /// The status of an answer, whatever it is.
    ///
    /// # Errors
    ///
    /// A [`Failure`] if nobody answers.
    pub(crate) async fn ask_once(&self, method: Method, path: &str) -> Result<u16, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin))
            .header("authorization", &self.authorization)
            .body(Body::empty())?;
        let answer = self.hyper.request(request).await?;
        let status = answer.status().as_u16();
        // To its end, so that the connection can be used again.
        answer.into_body().collect().await?;
        Ok(status)
    }

    /// Asks so often, some at once, and counts the statuses: 200, the one that is named, others.
    ///
    /// # Errors
    ///
    /// A [`Failure`] if nobody answers.
    pub(crate) async fn ask_often(
        &self,
        method: Method,
        path: &'static str,
        times: u64,
        refused: u16,
    ) -> Result<Answers, Failure> {
        let mut answers = Answers::default();
        let mut asked = JoinSet::new();
        for _ in 0..times {
            if asked.len() >= AT_ONCE
                && let Some(status) = asked.join_next().await
            {
                answers.count(status??, refused);
            }
            let (client, method) = (self.clone(), method.clone());
            asked.spawn(async move { client.ask(method, path).await });
        }
        while let Some(status) = asked.join_next().await {
            answers.count(status??, refused);
        }
        Ok(answers)
    }
}

impl Answers {
    fn count(&mut self, status: u16, refused: u16) {
        let of = match status {
            200 => &mut self.good,
            other if other == refused => &mut self.refused,
            _ => &mut self.other,
        };
        *of = of.saturating_add(1);
    }
}
