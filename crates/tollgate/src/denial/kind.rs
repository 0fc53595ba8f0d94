//! The kinds of denial: one table of statuses, codes and messages.

use http::StatusCode;

/// In which way a request was turned away.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DenialKind {
    /// No credential was sent. 401 `missing_api_key`.
    MissingCredential,
    /// The credential is no good. 401 `invalid_api_key`.
    InvalidCredential,
    /// The key was revoked, where the app tells. 401 `revoked_api_key`.
    RevokedKey,
    /// The key has expired, where the app tells. 401 `expired_api_key`.
    ExpiredKey,
    /// The key is disabled, where the app tells. 401 `disabled_api_key`.
    DisabledKey,
    /// The key is not good yet, where the app tells. 401 `api_key_not_yet_valid`.
    KeyNotYetValid,
    /// Two credentials were sent, even if they are equal. 400 `ambiguous_api_key`.
    AmbiguousCredential,
    /// Too many bad credentials came from this address. 429 `too_many_failed_attempts`.
    TooManyFailures,
    /// The route is for sessions, and there is none. 401 `session_required`.
    SessionRequired,
    /// The organization is suspended. 403 `organization_suspended`.
    OrganizationSuspended,
    /// The organization is restricted for billing reasons. 403 `billing_restricted`.
    BillingRestricted,
    /// The key may not be used from this address. 403 `ip_not_allowed`.
    IpNotAllowed,
    /// The key lacks a scope. 403 `insufficient_permissions`.
    InsufficientPermissions,
    /// The plan is too low. 403 `plan_required`.
    PlanRequired,
    /// The plan lacks a feature, or a number of it is too small. 403 `entitlement_required`.
    EntitlementRequired,
    /// Something was asked for that the organization does not own. 403 `resource_not_owned`.
    ResourceNotOwned,
    /// The request must name a resource, and does not. 400 `missing_parameter`.
    MissingParameter,
    /// The path can be read in two ways. 400 `ambiguous_path`.
    AmbiguousPath,
    /// A rate limit is used up. 429 `rate_limit_exceeded`.
    RateLimited,
    /// A quota is used up. 429 `quota_exceeded`.
    QuotaExceeded,
    /// Too many requests are under way at once. 429 `too_many_concurrent_requests`.
    TooManyInFlight,
    /// The wallet has too few credits. 402 `insufficient_credits`.
    InsufficientCredits,
    /// The route demands an idempotency key, and none was sent. 400 `idempotency_key_required`.
    IdempotencyKeyRequired,
    /// The idempotency key is no good, or there are two. 400 `invalid_idempotency_key`.
    InvalidIdempotencyKey,
    /// The first request with this idempotency key is under way. 409 `request_in_progress`.
    RequestInProgress,
    /// The request was done, but its outcome was too large to be stored. 409 `outcome_not_stored`.
    OutcomeNotStored,
    /// The idempotency key was used for another request. 422 `idempotency_key_reused`.
    IdempotencyKeyReused,
    /// A store is down, or too slow. 503 `service_unavailable`.
    Unavailable,
    /// The app is put together wrongly, or a handler failed. 500 `internal_error`.
    Internal,
    /// An error of the framework or of the app that came without a body worth keeping; the code
    /// follows from the status: `not_found`, `method_not_allowed`, `payload_too_large`, …
    Status(u16),
}

impl DenialKind {
    /// The kinds that Tollgate itself makes, for tables.
    pub const ALL: [Self; 29] = [
        Self::MissingCredential,
        Self::InvalidCredential,
        Self::RevokedKey,
        Self::ExpiredKey,
        Self::DisabledKey,
        Self::KeyNotYetValid,
        Self::AmbiguousCredential,
        Self::TooManyFailures,
        Self::SessionRequired,
        Self::OrganizationSuspended,
        Self::BillingRestricted,
        Self::IpNotAllowed,
        Self::InsufficientPermissions,
        Self::PlanRequired,
        Self::EntitlementRequired,
        Self::ResourceNotOwned,
        Self::MissingParameter,
        Self::AmbiguousPath,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::TooManyInFlight,
        Self::InsufficientCredits,
        Self::IdempotencyKeyRequired,
        Self::InvalidIdempotencyKey,
        Self::RequestInProgress,
        Self::OutcomeNotStored,
        Self::IdempotencyKeyReused,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The machine code, which never changes.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// The status, unless the app maps it to another.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// What a person is told, unless the app maps it or the denial says more.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().2
    }

    /// The one table of statuses, codes and messages.
    #[expect(clippy::too_many_lines, reason = "a table, one row a kind")]
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::MissingCredential => (
                S::UNAUTHORIZED,
                "missing_api_key",
                "An API key is required.",
            ),
            Self::InvalidCredential => (
                S::UNAUTHORIZED,
                "invalid_api_key",
                "The API key is not valid.",
            ),
            Self::RevokedKey => (
                S::UNAUTHORIZED,
                "revoked_api_key",
                "The API key was revoked.",
            ),
            Self::ExpiredKey => (
                S::UNAUTHORIZED,
                "expired_api_key",
                "The API key has expired.",
            ),
            Self::DisabledKey => (
                S::UNAUTHORIZED,
                "disabled_api_key",
                "The API key is disabled.",
            ),
            Self::KeyNotYetValid => (
                S::UNAUTHORIZED,
                "api_key_not_yet_valid",
                "The API key is not valid yet.",
            ),
            Self::AmbiguousCredential => (
                S::BAD_REQUEST,
                "ambiguous_api_key",
                "Send exactly one API key.",
            ),
            Self::TooManyFailures => (
                S::TOO_MANY_REQUESTS,
                "too_many_failed_attempts",
                "Too many bad API keys came from this address.",
            ),
            Self::SessionRequired => (
                S::UNAUTHORIZED,
                "session_required",
                "Sign in; API keys are not accepted here.",
            ),
            Self::OrganizationSuspended => (
                S::FORBIDDEN,
                "organization_suspended",
                "The organization is suspended.",
            ),
            Self::BillingRestricted => (
                S::FORBIDDEN,
                "billing_restricted",
                "The organization's billing restricts this route.",
            ),
            Self::IpNotAllowed => (
                S::FORBIDDEN,
                "ip_not_allowed",
                "The API key may not be used from this address.",
            ),
            Self::InsufficientPermissions => (
                S::FORBIDDEN,
                "insufficient_permissions",
                "The API key lacks a permission that this route requires.",
            ),
            Self::PlanRequired => (
                S::FORBIDDEN,
                "plan_required",
                "This route requires a higher plan.",
            ),
            Self::EntitlementRequired => (
                S::FORBIDDEN,
                "entitlement_required",
                "The plan does not include this.",
            ),
            Self::ResourceNotOwned => (
                S::FORBIDDEN,
                "resource_not_owned",
                "The organization does not own this resource.",
            ),
            Self::MissingParameter => (
                S::BAD_REQUEST,
                "missing_parameter",
                "A required parameter is missing.",
            ),
            Self::AmbiguousPath => (
                S::BAD_REQUEST,
                "ambiguous_path",
                "The path has an empty or dot segment, a `;`, or an encoded separator.",
            ),
            Self::RateLimited => (
                S::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                "The rate limit is used up.",
            ),
            Self::QuotaExceeded => (
                S::TOO_MANY_REQUESTS,
                "quota_exceeded",
                "The quota is used up.",
            ),
            Self::TooManyInFlight => (
                S::TOO_MANY_REQUESTS,
                "too_many_concurrent_requests",
                "Too many requests are under way at once.",
            ),
            Self::InsufficientCredits => (
                S::PAYMENT_REQUIRED,
                "insufficient_credits",
                "There are too few credits for this request.",
            ),
            Self::IdempotencyKeyRequired => (
                S::BAD_REQUEST,
                "idempotency_key_required",
                "Send an Idempotency-Key.",
            ),
            Self::InvalidIdempotencyKey => (
                S::BAD_REQUEST,
                "invalid_idempotency_key",
                "Send one Idempotency-Key of 1 to 255 visible characters.",
            ),
            Self::RequestInProgress => (
                S::CONFLICT,
                "request_in_progress",
                "A request with this Idempotency-Key is under way.",
            ),
            Self::OutcomeNotStored => (
                S::CONFLICT,
                "outcome_not_stored",
                "The request was done before; its answer was too large to be kept.",
            ),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key was used for another request.",
            ),
            Self::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "service_unavailable",
                "The service is unavailable for the moment.",
            ),
            Self::Internal => (
                S::INTERNAL_SERVER_ERROR,
                "internal_error",
                "The service failed.",
            ),
            Self::Status(status) => status_row(status),
        }
    }
}

fn status_row(status: u16) -> (StatusCode, &'static str, &'static str) {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (code, message) = match status.as_u16() {
        400 => ("bad_request", "The request cannot be understood."),
        401 => ("unauthorized", "The request is not authorized."),
        402 => ("payment_required", "Payment is required."),
        403 => ("forbidden", "The request is not allowed."),
        404 => ("not_found", "There is nothing at this path."),
        405 => ("method_not_allowed", "The path does not take this method."),
        406 => ("not_acceptable", "No acceptable form is available."),
        408 => ("request_timeout", "The request took too long."),
        409 => ("conflict", "The request conflicts with another."),
        410 => ("gone", "What was here is gone."),
        413 => ("payload_too_large", "The body is too large."),
        414 => ("uri_too_long", "The URI is too long."),
        415 => (
            "unsupported_media_type",
            "The body's media type is not supported.",
        ),
        422 => (
            "unprocessable_content",
            "The body does not have the right form.",
        ),
        429 => ("too_many_requests", "There were too many requests."),
        431 => (
            "request_header_fields_too_large",
            "The headers are too large.",
        ),
        501 => ("not_implemented", "This is not implemented."),
        502 => ("bad_gateway", "Another service failed."),
        503 => (
            "service_unavailable",
            "The service is unavailable for the moment.",
        ),
        504 => ("gateway_timeout", "The service took too long."),
        ..=499 => ("bad_request", "The request was refused."),
        _ => ("internal_error", "The service failed."),
    };
    (status, code, message)
}
