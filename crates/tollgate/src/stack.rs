//! The whole stack around a router: what happens first and last to every request.
//!
//! On the way in: request id, client's address, credential, the form of the path. They need no
//! route, so they cover 404 and 405 too; what a route demands is judged by the route's own guard, further in. On the
//! way out: the envelope, the charge, the headers, usage, metrics and the span.
//!
//! A client that hangs up drops the future; then the same end is reached by `Drop`.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use axum::serve::{IncomingStream, Listener};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tollgate_core::id::RequestId;
use tollgate_core::reply::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

use crate::client_address;
use crate::denial::{Denial, DenialKind, REQUEST_ID};
use crate::gate::Gate;
use crate::passage::{RateReport, Ticket};
use crate::stack::finish::{Finish, Finished};

mod finish;

/// Lays the stack around a router.
#[derive(Clone, Debug)]
pub(crate) struct StackLayer {
    gate: Gate,
}

impl StackLayer {
    pub(crate) const fn new(gate: Gate) -> Self {
        Self { gate }
    }
}

impl<S> Layer<S> for StackLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService {
            inner,
            gate: self.gate.clone(),
            peer: None,
        }
    }
}

/// A guarded app. `axum::serve` takes it as it is, and tells it each connection's peer.
#[derive(Clone)]
pub struct GateService<S> {
    inner: S,
    gate: Gate,
    peer: Option<SocketAddr>,
}

impl<S, B> Service<Request<B>> for GateService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let finish = enter(&self.gate, &mut request);
        let state = if let Some(kind) = refused(&self.gate, &request) {
            let denial = finish.judge_stranger().err();
            State::Refused {
                denial: Some(denial.unwrap_or_else(|| kind.into())),
            }
        } else if is_preflight(&request) {
            match finish.judge_stranger() {
                Ok(()) => State::Preflight,
                Err(denial) => State::Refused {
                    denial: Some(denial),
                },
            }
        } else {
            let _entered = finish.enter_span();
            State::Running {
                inner: self.inner.call(request),
            }
        };
        ResponseFuture { state, finish }
    }
}

/// Steps 1 to 4: the id, the address, the credential.
fn enter<B>(gate: &Gate, request: &mut Request<B>) -> Finish {
    let now = gate.clock().now();
    let peer = client_address::peer(request.extensions());
    let trusted = peer.is_some_and(|peer| gate.proxies().trusts(peer));
    let id = gate.id_maker().id_of(request.headers(), trusted, now.wall);
    let address = peer.map(|peer| gate.proxies().client(peer, request.headers()));
    gate.proxies().hide(trusted, request.headers_mut());
    if peer.is_none() {
        gate.warn_of_no_peer();
    }
    let presented = gate.take_credential(request);
    // The credential has made room for it.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let span = tracing::info_span!(
        "request",
        request.id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        route = tracing::field::Empty,
        key.id = tracing::field::Empty,
        organization = tracing::field::Empty,
        status = tracing::field::Empty,
        outcome = tracing::field::Empty,
    );
    let ticket = Ticket::of(now, address, RequestId::new(id.as_bytes()), presented);
    request.extensions_mut().insert(ticket.clone());
    let bodiless = request.method() == Method::HEAD;
    Finish::new(gate.clone(), ticket, id, presented, span, bodiless)
}

/// What is refused whatever a route demands.
fn refused<B>(gate: &Gate, request: &Request<B>) -> Option<DenialKind> {
    gate.refuses_path(request)
        .then_some(DenialKind::AmbiguousPath)
}

/// A CORS preflight runs no handler: browsers send it without a key. What it is told is a CORS
/// layer's business, further out.
fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

pin_project! {
    /// The response of a [`GateService`].
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        finish: Finish,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Refused {
            denial: Option<Denial>,
        },
        Preflight,
        Running {
            #[pin]
            inner: F,
        },
        Reporting {
            report: BoxFuture<RateReport>,
            response: Option<Response<Body>>,
        },
        Settling {
            settle: BoxFuture<Option<u64>>,
            response: Option<Response<Body>>,
        },
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let _entered = this.finish.enter_span();
        let response = match this.state.as_mut().project() {
            StateProj::Refused { denial } => match denial.take() {
                Some(denial) => denial.into_response(),
                None => return Poll::Pending,
            },
            StateProj::Preflight => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            // After a panic the future is not polled again: it is dropped with this one.
            StateProj::Running { inner } => {
                match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                    Ok(Poll::Ready(answered)) => answered?,
                    Ok(Poll::Pending) => {
                        this.finish.keep_alive();
                        return Poll::Pending;
                    }
                    Err(panic) => panicked(&*panic),
                }
            }
            StateProj::Reporting { report, response } => {
                let report = ready!(report.as_mut().poll(cx));
                let Some(response) = response.take() else {
                    return Poll::Pending;
                };
                this.finish.reported(report);
                response
            }
            StateProj::Settling { settle, response } => {
                let charged = ready!(settle.as_mut().poll(cx));
                let Some(response) = response.take() else {
                    return Poll::Pending;
                };
                return Poll::Ready(Ok(match charged {
                    Some(_) => response,
                    None => this.finish.not_settled(&response),
                }));
            }
        };
        // An app's own envelope or charge rule may panic too.
        let finished = catch_unwind(AssertUnwindSafe(|| this.finish.finish(response)));
        match finished.unwrap_or_else(|panic| Finished::Now(this.finish.last_resort(&*panic))) {
            Finished::Now(response) => return Poll::Ready(Ok(response)),
            Finished::AfterReport(report, response) => this.state.set(State::Reporting {
                report,
                response: Some(response),
            }),
            Finished::AfterSettle(closing, response) => this.state.set(State::Settling {
                settle: Box::pin(closing.charged()),
                response: Some(response),
            }),
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response<Body> {
    tracing::error!(panic = panic_text(panic), "a handler panicked");
    let denial = Denial::new(DenialKind::Internal).with_reason("a handler panicked");
    denial.into_response()
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// One service for each connection, which knows its peer.
impl<S, L> Service<IncomingStream<'_, L>> for GateService<S>
where
    S: Clone,
    L: Listener<Addr = SocketAddr>,
{
    type Response = Self;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, L>) -> Self::Future {
        std::future::ready(Ok(Self {
            peer: Some(*stream.remote_addr()),
            ..self.clone()
        }))
    }
}

impl<S> fmt::Debug for GateService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What answers to an identified caller may be kept by: nobody but the caller, and not even it.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
