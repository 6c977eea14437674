//! What a request brings: a clip and what is asked for.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Query, Request};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::Shared;
use super::refusal::Refusal;
use super::upload::{Clip, file_name, in_time, keep, keep_field, not_a_form};
use super::wish::Wish;

/// Bytes of JSON at most: while it is read, it is in memory.
pub(super) const MOST_JSON: u64 = 32 << 20;
/// Bytes of a form's field that isn't a file.
const MOST_TEXT: usize = 64 << 10;

/// What a clip is called that comes without a name.
const NAMELESS: &str = "clip";

/// A form's field, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Takes the clip that a request for labels brings: a form with the field `file`, JSON with a `path` below the root,
/// or the bare file.
pub(super) async fn receive(shared: &Shared, request: Request) -> Result<(Clip, Wish), Refusal> {
    let mut wish = parameters(&request)?;
    let limit = shared.limits.max_size;
    // Before anything is read, where the client says how much it is. A form is a little more than its file.
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > limit.saturating_add(MOST_TEXT as u64)) {
        return Err(Refusal::too_large(limit));
    }
    let kind = kind(request.headers());
    let clip = match kind.as_str() {
        "multipart/form-data" => form(shared, request, &mut wish).await?,
        "application/json" => {
            let mut object = json_object(shared, request.into_body()).await?;
            let Some(Value::String(path)) = object.remove("path") else {
                return Err(Refusal::senseless("JSON must be {\"path\": \"a file below --root\"}"));
            };
            for (name, value) in &object {
                wish.set_json(name, value)?;
            }
            below_root(shared, path).await?
        }
        _ => {
            let name = wish.name.as_deref().map(file_name).or_else(|| disposition(request.headers()));
            let (file, size) = keep(request.into_body(), &shared.limits.temp, limit).await?;
            shared.metrics.bytes.inc_by(size);
            Clip { name: name.unwrap_or_else(|| NAMELESS.into()), file }
        }
    };
    Ok((clip, wish))
}

/// The parameters in a request's address.
pub(super) fn parameters(request: &Request) -> Result<Wish, Refusal> {
    let mut wish = Wish::default();
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .map_err(|error| Refusal::senseless(format!("the address can't be read: {}", error.body_text())))?;
    for (name, value) in &pairs {
        wish.set(name, value)?;
    }
    Ok(wish)
}

/// The type of a body, without its details.
fn kind(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The name that a bare file comes with.
fn disposition(headers: &HeaderMap) -> Option<PathBuf> {
    let text = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let name = text.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    Some(file_name(name.trim_matches('"')))
}

async fn form(shared: &Shared, request: Request, wish: &mut Wish) -> Result<Clip, Refusal> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Refusal::senseless(error.body_text()))?;
    let mut clip = None;
    while let Some(mut field) = in_time(form.next_field()).await?.map_err(|e| not_a_form(&e))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            let called = field.file_name().map(file_name);
            let (file, size) = keep_field(&mut field, &shared.limits.temp, shared.limits.max_size).await?;
            shared.metrics.bytes.inc_by(size);
            if clip.replace((called, file)).is_some() {
                return Err(Refusal::senseless("one clip a request: the field file is there twice"));
            }
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = in_time(field.chunk()).await?.map_err(|e| not_a_form(&e))? {
            if text.len() + chunk.len() > MOST_TEXT {
                return Err(Refusal::senseless(format!("the field {name} is too long")));
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text);
        wish.set(&name, &text.map_err(|_| Refusal::senseless(format!("the field {name} is no text")))?)?;
    }
    let (called, file) =
        clip.ok_or_else(|| Refusal::senseless("the form has no field file with the clip"))?;
    let name = wish.name.as_deref().map(file_name).or(called).filter(|name| !name.as_os_str().is_empty());
    Ok(Clip { name: name.unwrap_or_else(|| NAMELESS.into()), file })
}

async fn below_root(shared: &Shared, path: String) -> Result<Clip, Refusal> {
    let Some(root) = shared.limits.root.clone() else {
        let reason = "this server reads no files of its own machine: start it with --root FOLDER";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    };
    apart(move || Ok(Clip { file: root.open(&path)?, name: path.into() })).await
}

/// The object that a body of JSON is.
pub(super) async fn json_object(shared: &Shared, body: Body) -> Result<Map<String, Value>, Refusal> {
    let limit = MOST_JSON.min(shared.limits.max_size);
    let (mut file, size) =
        keep(body, &shared.limits.temp, limit).await.map_err(|refusal| match refusal.status {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
                refusal.status,
                format!("JSON of more than {limit} bytes: send the bare file to /classify instead"),
            ),
            _ => refusal,
        })?;
    shared.metrics.bytes.inc_by(size);
    apart(move || {
        let mut text = Vec::with_capacity(size as usize);
        file.rewind().and_then(|()| file.read_to_end(&mut text)).map_err(|e| lost(&e))?;
        serde_json::from_slice(&text).map_err(|e| Refusal::senseless(format!("not a JSON object: {e}")))
    })
    .await
}

/// The clip that a text holds in base64, with or without `data:…;base64,` before it.
pub(super) async fn from_base64(
    shared: &Shared,
    text: String,
    name: Option<String>,
) -> Result<Clip, Refusal> {
    let mut file = tempfile::tempfile_in(&shared.limits.temp).map_err(|e| lost(&e))?;
    apart(move || {
        let bytes = match text.split_once(";base64,") {
            Some((kind, bytes)) if kind.starts_with("data:") => bytes,
            _ => text.as_str(),
        };
        // Read piece by piece: no second copy of it is in memory.
        let mut reader = base64::read::DecoderReader::new(bytes.trim().as_bytes(), &BASE64);
        io::copy(&mut reader, &mut file)
            .map_err(|e| Refusal::senseless(format!("not a clip in base64: {e}")))?;
        let name = name.as_deref().map_or_else(|| NAMELESS.into(), file_name);
        Ok(Clip { name, file })
    })
    .await
}

/// Does what may take a while where it keeps nobody waiting.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refusal::ours("a mistake inside this program, please report it")))
}

pub(super) fn lost(error: &io::Error) -> Refusal {
    Refusal::ours(format!("a temporary file can't be used: {}", crate::error::plain(error)))
}

/// What stands in `file` from `from` on, `length` bytes, as a file of its own.
pub(super) fn part(mut file: File, from: u64, length: u64, temp: &std::path::Path) -> Result<File, Refusal> {
    let copy = || -> io::Result<File> {
        let mut part = tempfile::tempfile_in(temp)?;
        file.seek(io::SeekFrom::Start(from))?;
        io::copy(&mut file.take(length), &mut part)?;
        Ok(part)
    };
    copy().map_err(|e| lost(&e))
}
