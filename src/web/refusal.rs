//! Why a request isn't answered, as an answer: `{"error": "…"}`.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Error;
use crate::output::one_line;

/// An answer that says in one line what is wrong and what to do.
#[derive(Debug, Clone)]
pub(in crate::web) struct Refusal {
    pub status: StatusCode,
    pub reason: String,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Wrong {
    /// One line, for people.
    pub error: String,
}

impl Refusal {
    pub(in crate::web) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: one_line(&reason.into()), retry_after: None }
    }

    /// The request makes no sense.
    pub(in crate::web) fn senseless(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The clip can't be labelled.
    pub(in crate::web) fn unusable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
    }

    /// Ours is the fault.
    pub(in crate::web) fn ours(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// More is asked than can be done.
    pub(in crate::web) fn busy(seconds: u64) -> Self {
        let reason = format!("too many requests wait already: try again in {seconds} s");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason) }
    }

    /// More bytes than `limit`.
    pub(in crate::web) fn too_large(limit: u64) -> Self {
        let reason = format!("larger than the {limit} bytes that this server takes (--max-size allows more)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }

    /// The line that it is.
    pub(in crate::web) fn wrong(&self) -> Wrong {
        Wrong { error: self.reason.clone() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match &error {
            Error::Usage(_) => Self::senseless(error.to_string()),
            // Whoever asked knows which clip it is.
            Error::Clip { .. } => Self::unusable(error.reason()),
            Error::Interrupted(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            _ => Self::ours(error.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.wrong())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
