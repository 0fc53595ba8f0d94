//! The plumbing that every guard shares: judge a request, then call or deny.
//!
//! A guard is one judgement on what is known of a request. [`Guarded`] makes a service of it, so
//! that readiness, cloning and pinning are written, and tested, once. A judgement that is known
//! at once costs no box.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tollgate_core::reply::{BoxFuture, Reply};
use tower_service::Service;

use crate::denial::Denial;
use crate::passage::Ticket;

/// One judgement on a request.
pub(crate) trait Guard: Clone {
    /// Whether [`leave`](Self::leave) does anything. What is in the way of each request keeps no
    /// ticket for nothing.
    const MARKS_RESPONSES: bool = false;

    /// Admits a request, or turns it away.
    fn admit(&self, request: &mut Request<Body>) -> Reply<(), Denial>;

    /// Marks the response of a request that was admitted, or turned away.
    fn leave(&self, _ticket: &Ticket, _response: &mut Response<Body>) {}
}

/// A service behind a guard.
#[derive(Clone, Debug)]
pub struct Guarded<S, G> {
    inner: S,
    guard: G,
}

impl<S, G> Guarded<S, G> {
    pub(crate) const fn new(inner: S, guard: G) -> Self {
        Self { inner, guard }
    }
}

impl<S, G> Service<Request<Body>> for Guarded<S, G>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone,
    G: Guard,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S, G>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let marks = G::MARKS_RESPONSES.then(|| {
            let ticket = Ticket::find_or_issue(request.extensions_mut()).clone();
            (self.guard.clone(), ticket)
        });
        let state = match self.guard.admit(&mut request) {
            Reply::Now(Ok(())) => State::Calling {
                call: self.inner.call(request),
            },
            Reply::Now(Err(denial)) => State::Denied {
                denial: Some(denial),
            },
            Reply::Later(verdict) => {
                // The service that was polled ready is the one to call; its clone need not be.
                let clone = self.inner.clone();
                State::Judging {
                    verdict,
                    held: Some((mem::replace(&mut self.inner, clone), request)),
                }
            }
        };
        ResponseFuture { state, marks }
    }
}

pin_project! {
    /// The response of a guarded service.
    pub struct ResponseFuture<S, G>
    where
        S: Service<Request<Body>>,
        G: Guard,
    {
        #[pin]
        state: State<S, S::Future>,
        marks: Option<(G, Ticket)>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Judging {
            verdict: BoxFuture<Result<(), Denial>>,
            held: Option<(S, Request<Body>)>,
        },
        Calling {
            #[pin]
            call: F,
        },
        Denied {
            denial: Option<Denial>,
        },
    }
}

impl<S, G> Future for ResponseFuture<S, G>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    G: Guard,
{
    type Output = Result<Response<Body>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut response = loop {
            match this.state.as_mut().project() {
                StateProj::Judging { verdict, held } => {
                    let verdict = ready!(verdict.as_mut().poll(cx));
                    let next = match (verdict, held.take()) {
                        (Ok(()), Some((mut inner, request))) => State::Calling {
                            call: inner.call(request),
                        },
                        (Err(denial), _) => State::Denied {
                            denial: Some(denial),
                        },
                        (Ok(()), None) => return Poll::Pending,
                    };
                    this.state.set(next);
                }
                StateProj::Calling { call } => break ready!(call.poll(cx))?,
                StateProj::Denied { denial } => match denial.take() {
                    Some(denial) => break denial.into_response(),
                    None => return Poll::Pending,
                },
            }
        };
        if let Some((guard, ticket)) = this.marks {
            guard.leave(ticket, &mut response);
        }
        Poll::Ready(Ok(response))
    }
}

impl<S, G> fmt::Debug for ResponseFuture<S, G>
where
    S: Service<Request<Body>>,
    G: Guard,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
