//! Whether the server lives, and how it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};

use super::Shared;

/// Whether the server lives
#[utoipa::path(
    get,
    path = "/v2/health/live",
    operation_id = "live",
    tag = "state",
    responses((status = 200, description = "It does"))
)]
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether the server takes requests
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    operation_id = "ready",
    tag = "state",
    responses((status = 200, description = "It does"), (status = 503, description = "It is ending")),
)]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> StatusCode {
    match shared.stop.load(Ordering::Relaxed) {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    }
}

/// Counters for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "state",
    responses((status = 200, body = String, content_type = "text/plain", description = "In OpenMetrics' format")),
)]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> ([(HeaderName, &'static str); 1], String) {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], shared.metrics.text())
}
