//! A handler behind its route's guard, in one box with it.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::handler::{Handler, HandlerService};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use tower::ServiceExt;
use tower_service::Service;

use crate::admission::RouteGuard;
use crate::guard::{Guarded, ResponseFuture};
use crate::idempotency::Once;
use crate::routes::{Answer, Route};

/// Wraps a handler, not the route that axum makes of it: a layer would cost one more box.
#[derive(Clone)]
pub(super) struct GuardedHandler<H> {
    handler: H,
    guard: RouteGuard,
}

impl<H> GuardedHandler<H> {
    pub(super) const fn new(handler: H, route: Arc<Route>) -> Self {
        Self {
            handler,
            guard: RouteGuard(route),
        }
    }
}

impl<H> GuardedHandler<Once<H>> {
    /// A handler that works once for each idempotency key.
    pub(super) fn once(handler: H, route: Arc<Route>) -> Self {
        Self::new(Once::new(handler, Arc::clone(&route)), route)
    }
}

impl<H, T, S> Handler<T, S> for GuardedHandler<H>
where
    H: Handler<T, S>,
    S: Clone + Send + Sync + 'static,
    T: 'static,
{
    type Future = Infallibly<ResponseFuture<HandlerService<H, T, S>, RouteGuard>>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let mut service = Guarded::new(self.handler.with_state(state), self.guard);
        Infallibly {
            inner: service.call(request),
        }
    }
}

pin_project! {
    /// The answer of a service that cannot fail.
    pub(super) struct Infallibly<F> {
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Answer>> Future for Infallibly<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.project().inner.poll(cx).map(|Ok(response)| response)
    }
}

/// A service as a handler, so that both are guarded by the same code.
#[derive(Clone)]
pub(super) struct ServiceHandler<Svc>(pub(super) Svc);

impl<Svc, S> Handler<(), S> for ServiceHandler<Svc>
where
    Svc: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    Svc::Response: IntoResponse,
    Svc::Future: Send,
{
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, _: S) -> Self::Future {
        Box::pin(async move {
            let Ok(response) = self.0.oneshot(request).await;
            response.into_response()
        })
    }
}

impl<H> fmt::Debug for GuardedHandler<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedHandler").finish_non_exhaustive()
    }
}
