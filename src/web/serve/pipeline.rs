//! `POST /`: a clip in JSON, answered as the pipelines of the transformers library are.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Shared;
use super::classify::label;
use super::metrics::Stage;
use super::receive::{from_base64, json_object, parameters};
use super::wish::Wish;
use crate::output::{Format, Labelled, Scored};
use crate::web::refusal::{Refusal, Wrong};

/// A clip and what is asked for.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Inputs {
    /// The clip in base64; or its address, on a host that the server was allowed (`--allow-url`).
    inputs: String,
    /// `top_k`, `threshold`, `model`.
    #[serde(default)]
    #[schema(value_type = Object, required = false)]
    parameters: Map<String, Value>,
}

/// A label of a clip. A pipeline's own clients read `label` and `score`, and don't mind what stands beside them.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    #[serde(flatten)]
    scored: Scored,
    /// Whether the model knows such clips well enough; left out where it has no threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    confident: Option<bool>,
}

/// Label a clip that is inside JSON
///
/// Answers as a pipeline of the transformers library does: labels and scores, best first.
#[utoipa::path(
    post,
    path = "/",
    operation_id = "pipeline",
    tag = "clips",
    request_body(content = Inputs),
    responses(
        (status = 200, body = Vec<Entry>, description = "The clip's labels, best first"),
        (status = 400, body = Wrong, description = "The request makes no sense"),
        (status = 413, body = Wrong, description = "The clip is too large"),
        (status = 422, body = Wrong, description = "The clip can't be labelled"),
        (status = 429, body = Wrong, description = "Too many requests wait; Retry-After says when to come back"),
    ),
)]
pub(super) async fn pipeline(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<Vec<Entry>>, Refusal> {
    let (place, start) = (shared.queue.enter()?, Instant::now());
    let mut wish = parameters(&request)?;
    let inputs = {
        // Few at a time: what is inside JSON is in memory while it is read.
        let _turn = shared.json.acquire().await;
        let object = json_object(&shared, request.into_body()).await?;
        let Inputs { inputs, parameters } = serde_json::from_value(Value::Object(object)).map_err(|e| {
            Refusal::senseless(format!("JSON must be {{\"inputs\": \"base64\", \"parameters\": {{}}}}: {e}"))
        })?;
        for (name, value) in &parameters {
            wish.set_json(name, value)?;
        }
        match inputs.split_once("://") {
            Some(("http" | "https", _)) => Err(inputs),
            _ => Ok(from_base64(&shared, inputs, wish.name.take()).await?),
        }
    };
    let clip = match inputs {
        Ok(clip) => clip,
        Err(address) => shared.fetch(address).await?,
    };
    shared.metrics.took(Stage::Upload, start.elapsed());
    let (top, name) = (top(&wish), clip.name.clone());
    let clip = label(&shared, place, clip, wish).await?.labels;
    let entry = |scored| Entry { scored, confident: clip.confident };
    Ok(Json(Labelled::new(&name, &clip, top).labels.into_iter().map(entry).collect()))
}

/// How many labels are wished for.
pub(super) fn top(wish: &Wish) -> usize {
    wish.top_k.unwrap_or(Format::Json.default_top())
}
