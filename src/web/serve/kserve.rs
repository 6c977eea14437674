//! The Open Inference Protocol, version 2, by which KServe and Triton are asked, for one clip a request.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Shared;
use super::classify::label;
use super::metrics::Stage;
use super::pipeline::top;
use super::receive::{MOST_JSON, apart, from_base64, json_object, lost, part};
use super::upload::{Clip, keep};
use super::wish::Wish;
use crate::web::refusal::{Refusal, Wrong};

/// The server.
#[derive(Serialize, ToSchema)]
pub(super) struct About {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 1],
    /// Their names; the first answers where a request names none.
    models: Vec<String>,
}

/// A model.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    name: String,
    versions: [&'static str; 1],
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

/// A tensor that goes in or comes out.
#[derive(Serialize, ToSchema)]
struct TensorMetadata {
    name: &'static str,
    datatype: &'static str,
    /// -1 where it is as long as there are labels.
    shape: [i64; 1],
}

/// A request.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Infer {
    #[serde(default)]
    #[schema(nullable = false)]
    id: Option<String>,
    /// One tensor, `clip`.
    inputs: Vec<Input>,
    /// `top_k` and `threshold`.
    #[serde(default)]
    #[schema(value_type = Object, required = false)]
    parameters: Map<String, Value>,
    /// Not looked at: all outputs are always answered.
    #[serde(default)]
    #[schema(value_type = Vec<Object>, required = false)]
    outputs: Vec<Value>,
}

/// The tensor `clip`.
#[derive(Serialize, Deserialize, ToSchema)]
struct Input {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    /// One text: the clip in base64. Left out where its bytes follow the JSON.
    #[serde(default)]
    #[schema(required = false)]
    data: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Object, required = false)]
    parameters: Map<String, Value>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Inferred {
    model_name: String,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// `labels`, BYTES, and `scores`, FP32, best first. By a model that has a threshold for "not sure", `confident`, BOOL:
    /// whether it knows such clips well enough. By one that names several labels, `above`, BOOL: whether the clip shows
    /// each of them.
    #[schema(value_type = Vec<Object>)]
    outputs: Vec<Value>,
}

/// The server's name and version
#[utoipa::path(
    get,
    path = "/v2",
    operation_id = "about",
    tag = "inference",
    responses((status = 200, body = About, description = "Name, version and models")),
)]
pub(super) async fn about(State(shared): State<Arc<Shared>>) -> Json<About> {
    Json(About {
        name: "classify",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["binary_tensor_data"],
        models: shared.engine.models.iter().map(|model| model.name.clone()).collect(),
    })
}

/// What a model takes and gives
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    operation_id = "model",
    tag = "inference",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, body = Metadata, description = "Its tensors"),
        (status = 404, body = Wrong, description = "No such model"),
    ),
)]
pub(super) async fn model(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
) -> Result<Json<Metadata>, Refusal> {
    let tensor = |name, datatype, shape| TensorMetadata { name, datatype, shape: [shape] };
    let model = shared.engine.model(Some(&model))?;
    let config = model.classifier.config();
    let confident = config.can_doubt().then(|| tensor("confident", "BOOL", 1));
    let above = config.names_several().then(|| tensor("above", "BOOL", -1));
    let outputs = [tensor("labels", "BYTES", -1), tensor("scores", "FP32", -1)];
    Ok(Json(Metadata {
        name: model.name.clone(),
        versions: ["1"],
        platform: "classify",
        inputs: vec![tensor("clip", "BYTES", 1)],
        outputs: outputs.into_iter().chain(confident).chain(above).collect(),
    }))
}

/// Whether a model is there
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    operation_id = "model_ready",
    tag = "inference",
    params(("model" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "It is"),
        (status = 404, body = Wrong, description = "It isn't"),
    ),
)]
pub(super) async fn ready(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
) -> Result<StatusCode, Refusal> {
    shared.engine.model(Some(&model)).map(|_| StatusCode::OK)
}

/// Label a clip that is a tensor
///
/// The tensor `clip` of datatype BYTES and shape [1] holds the file: in base64 inside the JSON, or, as the protocol's
/// binary extension has it, behind the JSON, whose length the header `Inference-Header-Content-Length` says.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    operation_id = "infer",
    tag = "inference",
    params(("model" = String, Path, description = "The model's name")),
    request_body(content = Infer),
    responses(
        (status = 200, body = Inferred, description = "The clip's labels, best first"),
        (status = 400, body = Wrong, description = "The request makes no sense"),
        (status = 404, body = Wrong, description = "No such model"),
        (status = 413, body = Wrong, description = "The clip is too large"),
        (status = 422, body = Wrong, description = "The clip can't be labelled"),
        (status = 429, body = Wrong, description = "Too many requests wait; Retry-After says when to come back"),
    ),
)]
pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<Inferred>, Refusal> {
    let (place, start) = (shared.queue.enter()?, Instant::now());
    let several = shared.engine.model(Some(&model))?.classifier.config().names_several();
    let header = request.headers().get("inference-header-content-length");
    let number = |length: &HeaderValue| length.to_str().ok()?.parse().ok();
    let wrong = || Refusal::senseless("Inference-Header-Content-Length: must be a number");
    let header = header.map(|length| number(length).ok_or_else(wrong)).transpose()?;
    let mut wish = Wish { model: Some(model.clone()), ..Wish::default() };
    let (id, clip) = match header {
        Some(json) => behind_json(&shared, request, json, &mut wish).await?,
        None => {
            // As in the pipeline.
            let _turn = shared.json.acquire().await;
            let object = json_object(&shared, request.into_body()).await?;
            let (id, mut input) = understood(Value::Object(object), &mut wish)?;
            if input.data.len() != 1 {
                return Err(Refusal::senseless("the tensor clip has one element: the file in base64"));
            }
            (id, from_base64(&shared, input.data.swap_remove(0), None).await?)
        }
    };
    shared.metrics.took(Stage::Upload, start.elapsed());
    let top = top(&wish);
    let mut labels = label(&shared, place, clip, wish).await?.labels;
    labels.shorten(top);
    let names: Vec<&str> = labels.labels.iter().map(|label| label.label.as_str()).collect();
    let scores: Vec<f32> = labels.labels.iter().map(|label| label.score).collect();
    let shape = [names.len()];
    let mut outputs = vec![
        json!({"name": "labels", "datatype": "BYTES", "shape": shape, "data": names}),
        json!({"name": "scores", "datatype": "FP32", "shape": shape, "data": scores}),
    ];
    if let Some(confident) = labels.confident {
        outputs.push(json!({"name": "confident", "datatype": "BOOL", "shape": [1], "data": [confident]}));
    }
    if several {
        let above: Vec<bool> = labels.labels.iter().map(|label| label.above == Some(true)).collect();
        outputs.push(json!({"name": "above", "datatype": "BOOL", "shape": shape, "data": above}));
    }
    Ok(Json(Inferred { model_name: model, model_version: "1", id, outputs }))
}

/// The request's id and its tensor.
fn understood(request: Value, wish: &mut Wish) -> Result<(Option<String>, Input), Refusal> {
    let Infer { id, mut inputs, parameters, outputs: _ } = serde_json::from_value(request)
        .map_err(|e| Refusal::senseless(format!("not a request of the inference protocol: {e}")))?;
    for (name, value) in parameters.iter().filter(|(name, _)| !is_the_protocols(name)) {
        wish.set_json(name, value)?;
    }
    match (inputs.pop(), inputs.len()) {
        (Some(input), 0)
            if input.name == "clip"
                && input.datatype == "BYTES"
                && input.shape.iter().product::<i64>() == 1 =>
        {
            Ok((id, input))
        }
        _ => Err(Refusal::senseless("there must be one input, clip, of datatype BYTES and shape [1]")),
    }
}

/// Whether a parameter says how tensors are written.
fn is_the_protocols(name: &str) -> bool {
    name.starts_with("binary_data")
}

/// A clip whose bytes follow `json` bytes of JSON, with their number before them.
async fn behind_json(
    shared: &Arc<Shared>,
    request: Request,
    json: u64,
    wish: &mut Wish,
) -> Result<(Option<String>, Clip), Refusal> {
    if json > MOST_JSON {
        return Err(Refusal::too_large(MOST_JSON));
    }
    let limit = shared.limits.max_size.saturating_add(json).saturating_add(4);
    let (file, size) = keep(request.into_body(), &shared.limits.temp, limit).await?;
    shared.metrics.bytes.inc_by(size);
    let temp = shared.limits.temp.clone();
    let (text, file) = apart(move || cut(file, json, size, &temp)).await?;
    let text =
        serde_json::from_slice(&text).map_err(|e| Refusal::senseless(format!("not a JSON object: {e}")))?;
    let (id, _) = understood(text, wish)?;
    Ok((id, Clip { name: "clip".into(), file }))
}

/// The JSON, and the file behind it.
fn cut(mut file: File, json: u64, size: u64, temp: &std::path::Path) -> Result<(Vec<u8>, File), Refusal> {
    let (mut text, mut length) = (vec![0; json.min(size) as usize], [0; 4]);
    file.rewind().and_then(|()| file.read_exact(&mut text)).map_err(|e| lost(&e))?;
    let whole = file.read_exact(&mut length).is_ok();
    let length = u64::from(u32::from_le_bytes(length));
    if !whole || json + 4 + length != size {
        return Err(Refusal::senseless(
            "behind the JSON must stand 4 bytes with the clip's length, then the clip",
        ));
    }
    Ok((text, part(file, json + 4, length, temp)?))
}
