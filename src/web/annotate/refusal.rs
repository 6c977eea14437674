//! Errors as answers: `{"error": "…"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Error;

/// Why a request isn't answered.
pub(super) struct Refusal(StatusCode, String);

impl Refusal {
    /// There is no such clip.
    pub(super) fn unknown() -> Self {
        Self(StatusCode::NOT_FOUND, "no such clip: this page is of other clips, load it again".into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Usage(_) => StatusCode::BAD_REQUEST,
            Error::Clip { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Interrupted(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let text = match &error {
            // The page shows the clip beside it.
            Error::Clip { .. } => error.reason(),
            _ => error.to_string(),
        };
        Self(status, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
