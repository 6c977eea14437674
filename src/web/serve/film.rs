//! `POST /timeline`: what happens when in a long video, line by line while it is watched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, channel};
use utoipa::ToSchema;

use super::Shared;
use super::classify::{Bytes, Form, Gone, OfRoot};
use super::metrics::Stage;
use super::receive::receive;
use super::refusal::{Refusal, Wrong};

/// Lines that wait for a slow client.
const AHEAD: usize = 64;

/// A stretch of a video in which one thing happens.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    path: String,
    start_s: f64,
    end_s: f64,
    /// Null where the model isn't sure.
    label: Option<String>,
    score: f64,
}

/// Watch a long video
///
/// Answers with a line of JSON for each stretch of the video, as soon as its end is known. A video that can't be
/// watched to its end has a last line with `error`.
#[utoipa::path(
    post,
    path = "/timeline",
    operation_id = "timeline",
    tag = "clips",
    params(
        ("model" = Option<String>, Query, description = "One of the models; the first where none is named"),
        ("name" = Option<String>, Query, description = "What the video is called"),
        ("window" = Option<f64>, Query, description = "Seconds that are looked at together"),
        ("cuts" = Option<bool>, Query, description = "Whether cuts between scenes end a label"),
    ),
    request_body(content(
        (Form = "multipart/form-data"),
        (Bytes = "application/octet-stream"),
        (OfRoot = "application/json"),
    )),
    responses(
        (status = 200, body = Line, content_type = "application/x-ndjson", description = "A line a stretch"),
        (status = 400, body = Wrong, description = "The request makes no sense"),
        (status = 404, body = Wrong, description = "No such model or file"),
        (status = 413, body = Wrong, description = "The video is too large"),
        (status = 422, body = Wrong, description = "The video can't be watched"),
        (status = 429, body = Wrong, description = "Too many requests wait; Retry-After says when to come back"),
    ),
)]
pub(super) async fn timeline(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (place, start) = (shared.queue.enter()?, Instant::now());
    let (clip, wish) = receive(&shared, request).await?;
    shared.metrics.took(Stage::Upload, start.elapsed());
    shared.engine.model(wish.model.as_deref())?;
    let turn = place.film().await?;
    let stop = Gone::default();
    let stopped = stop.0.clone();
    let (sender, mut lines) = channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let _held = (place, turn);
        let tell = |line| sender.blocking_send(Ok(line)).is_ok();
        if let Err(refusal) = shared.engine.watch(&clip, &wish, &stopped, tell) {
            // Nobody may wait for it any more.
            let _ = sender.blocking_send(Err(refusal));
        }
    });
    // What is wrong before the first line is an answer of its own.
    let first = match lines.recv().await {
        Some(Err(refusal)) => return Err(refusal),
        Some(Ok(line)) => Some(line),
        None => None,
    };
    let body = Body::from_stream(Lines { first, lines, _stop: stop });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The lines of an answer, as they come.
struct Lines {
    first: Option<String>,
    lines: Receiver<Result<String, Refusal>>,
    _stop: Gone,
}

impl Stream for Lines {
    type Item = Result<String, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(line) = self.first.take() {
            return Poll::Ready(Some(Ok(line)));
        }
        self.lines.poll_recv(context).map(|line| {
            line.map(|line| {
                let last = |refusal: Refusal| format!("{}\n", serde_json::json!({"error": refusal.reason}));
                Ok(line.unwrap_or_else(last))
            })
        })
    }
}
