//! Why a request gets no labels.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::output::one_line;

/// An answer that says in one line what is wrong and what to do.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub reason: String,
    /// Seconds after which to try again.
    retry_after: Option<u64>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Wrong {
    /// One line, for people.
    pub error: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: one_line(&reason.into()), retry_after: None }
    }

    /// The request makes no sense.
    pub(super) fn senseless(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The clip can't be labelled.
    pub(super) fn unusable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
    }

    /// Ours is the fault.
    pub(super) fn ours(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// More is asked than can be done.
    pub(super) fn busy(seconds: u64) -> Self {
        let reason = format!("too many requests wait already: try again in {seconds} s");
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason) }
    }

    /// More bytes than `limit`.
    pub(super) fn too_large(limit: u64) -> Self {
        let reason = format!("larger than the {limit} bytes that this server takes (--max-size allows more)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }

    /// The line that it is.
    pub(super) fn wrong(&self) -> Wrong {
        Wrong { error: self.reason.clone() }
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
