//! `POST /classify`: a clip's labels, as `classify --format json` has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::engine::Seen;
use super::metrics::Stage;
use super::queue::Place;
use super::receive::{apart, receive};
use super::refusal::{Refusal, Wrong};
use super::upload::Clip;
use super::wish::Wish;
use crate::output::pages::Filmstrip;
use crate::output::{Format, Labelled};

/// A clip's labels.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    #[serde(flatten)]
    labelled: Labelled,
    /// What was wrong with the clip without keeping it from being labelled; left out where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
    /// Where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filmstrip: Option<Strip>,
}

/// A picture of some of the frames that the model saw, side by side.
#[derive(Serialize, ToSchema)]
struct Strip {
    /// A JPEG as `data:` address.
    source: String,
    /// Of the picture, in pixels.
    width: u32,
    /// Of one row, in pixels.
    height: u32,
    /// When each of the frames is shown, in seconds.
    times: Vec<f64>,
    /// Whether there are two rows: the frames in natural colours, and below them as the network saw them.
    both: bool,
}

impl From<Filmstrip> for Strip {
    fn from(strip: Filmstrip) -> Self {
        let Filmstrip { jpeg, width, height, times, both } = strip;
        let times = times.into_iter().map(|time| (time * 1e3).round() / 1e3).collect();
        Self {
            source: format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)),
            width,
            height,
            times,
            both,
        }
    }
}

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what stands in a form, which is read field by field")]
pub(super) struct Form {
    /// The clip.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// See the parameter.
    top_k: Option<u32>,
    /// See the parameter.
    threshold: Option<f32>,
    /// See the parameter.
    model: Option<String>,
}

/// A bare file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "says what a body is, which is read as it comes")]
pub(super) struct Bytes(Vec<u8>);

/// A file of the server's machine.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what stands in JSON, which is read field by field")]
pub(super) struct OfRoot {
    /// Below the folder that the server was started with (`--root`).
    path: String,
    /// See the parameter.
    top_k: Option<u32>,
    /// See the parameter.
    threshold: Option<f32>,
    /// See the parameter.
    model: Option<String>,
}

/// Label a clip
///
/// The clip is the field `file` of a form, the bare body, or a file of the server's machine that JSON names:
/// `{"path": "a file below --root", "top_k": 3}`.
#[utoipa::path(
    post,
    path = "/classify",
    operation_id = "classify",
    tag = "clips",
    params(
        ("model" = Option<String>, Query, description = "One of the models; the first where none is named"),
        ("top_k" = Option<u32>, Query, description = "How many labels", minimum = 1, example = 5),
        ("threshold" = Option<f32>, Query, description = "The least score of a label", minimum = 0, maximum = 1),
        ("name" = Option<String>, Query, description = "What it is called; its ending tells formats apart"),
        ("filmstrip" = Option<bool>, Query, description = "Whether a picture of some frames is wanted"),
    ),
    request_body(content(
        (Form = "multipart/form-data"),
        (Bytes = "application/octet-stream"),
        (OfRoot = "application/json"),
    )),
    responses(
        (status = 200, body = Answer, description = "The clip's labels, best first"),
        (status = 400, body = Wrong, description = "The request makes no sense"),
        (status = 404, body = Wrong, description = "No such model or file"),
        (status = 408, body = Wrong, description = "The upload stopped"),
        (status = 413, body = Wrong, description = "The clip is too large"),
        (status = 422, body = Wrong, description = "The clip can't be labelled"),
        (status = 429, body = Wrong, description = "Too many requests wait; Retry-After says when to come back"),
        (status = 500, body = Wrong, description = "The clip crashed the decoder"),
    ),
)]
pub(super) async fn classify(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<Answer>, Refusal> {
    let (place, start) = (shared.queue.enter()?, Instant::now());
    let (clip, wish) = receive(&shared, request).await?;
    shared.metrics.took(Stage::Upload, start.elapsed());
    let top = wish.top_k.unwrap_or(Format::Json.default_top());
    let name = clip.name.clone();
    let Seen { labels, strip } = label(&shared, place, clip, wish).await?;
    Ok(Json(Answer {
        labelled: Labelled::new(&name, &labels, top),
        warnings: labels.warnings,
        filmstrip: strip.map(Strip::from),
    }))
}

/// Labels a clip that is here, when it is its turn; labels below the threshold that is wished for are left out.
pub(super) async fn label(
    shared: &Arc<Shared>,
    place: Place,
    clip: Clip,
    wish: Wish,
) -> Result<Seen, Refusal> {
    // Before it waits for its turn.
    shared.engine.model(wish.model.as_deref())?;
    let turn = place.turn().await?;
    let alone = shared.queue.has_one();
    let stop = Gone::default();
    let (stopped, shared) = (stop.0.clone(), shared.clone());
    apart(move || {
        // Both are held until the work is done, also where the client has gone.
        let _place = place;
        let mut seen = shared.engine.label(&clip, &wish, alone, &stopped)?;
        turn.clip_is_done();
        if let Some(threshold) = wish.threshold {
            seen.labels.labels.retain(|label| label.score >= threshold);
        }
        Ok(seen)
    })
    .await
}

/// Becomes true when it is dropped: with the answer that is being made when its client goes away.
#[derive(Default)]
pub(super) struct Gone(pub Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
