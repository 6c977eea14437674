//! A clip on its way here: kept in a file that has no name, so that nothing is left of it whatever happens.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use futures_core::Stream;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use super::refusal::Refusal;

/// How long a client may send nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How long what a refused client sends is read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that are written at a time.
const BLOCK: usize = 256 << 10;

/// A clip that is here.
pub(super) struct Clip {
    /// What the client calls it.
    pub name: PathBuf,
    pub file: File,
}

impl Clip {
    /// Where a worker finds it.
    pub(super) fn place(&self) -> PathBuf {
        place(&self.file)
    }
}

/// The address of an open file, for other processes of the same user.
pub(super) fn place(file: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
}

/// What a client calls its file, without folders.
pub(super) fn file_name(text: &str) -> PathBuf {
    Path::new(text.rsplit(['/', '\\']).next().unwrap_or_default()).into()
}

/// A file without a name that is being written, up to a limit.
pub(super) struct Spool {
    out: BufWriter<tokio::fs::File>,
    size: u64,
    limit: u64,
}

impl Spool {
    /// In the folder `temp`, for up to `limit` bytes.
    pub(super) fn new(temp: &Path, limit: u64) -> Result<Self, Refusal> {
        let file = tempfile::tempfile_in(temp).map_err(|e| broken_disk(&e))?;
        Ok(Self { out: BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file)), size: 0, limit })
    }

    /// Adds `bytes`.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(Refusal::too_large(self.limit));
        }
        self.out.write_all(bytes).await.map_err(|e| broken_disk(&e))
    }

    /// The whole file, and how many bytes it has.
    pub(super) async fn finish(mut self) -> Result<(File, u64), Refusal> {
        self.out.flush().await.map_err(|e| broken_disk(&e))?;
        Ok((self.out.into_inner().into_std().await, self.size))
    }
}

fn broken_disk(error: &io::Error) -> Refusal {
    let reason = format!("the upload can't be kept: {}", crate::error::plain(error));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, reason)
        }
        _ => Refusal::ours(reason),
    }
}

/// Keeps a whole body, and says how many bytes it has.
pub(super) async fn keep(body: Body, temp: &Path, limit: u64) -> Result<(File, u64), Refusal> {
    let mut spool = Spool::new(temp, limit)?;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = in_time(next(&mut stream)).await? {
        let chunk = chunk.map_err(|_| broken_off())?;
        spool.push(&chunk).await?;
    }
    spool.finish().await
}

/// Keeps a form's file.
pub(super) async fn keep_field(
    field: &mut Field<'_>,
    temp: &Path,
    limit: u64,
) -> Result<(File, u64), Refusal> {
    let mut spool = Spool::new(temp, limit)?;
    while let Some(chunk) = in_time(field.chunk()).await?.map_err(|e| not_a_form(&e))? {
        spool.push(&chunk).await?;
    }
    spool.finish().await
}

/// What `step` gives, unless the client has fallen silent.
pub(super) async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, Refusal> {
    let silent = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the upload has stopped: send it again");
    timeout(SILENCE, step).await.map_err(silent)
}

fn broken_off() -> Refusal {
    Refusal::senseless("the upload broke off before its end")
}

/// Why a form can't be read.
pub(super) fn not_a_form(error: &MultipartError) -> Refusal {
    Refusal::senseless(format!("not a form that can be read: {}", error.body_text()))
}

async fn next(stream: &mut BodyDataStream) -> Option<Result<Bytes, axum::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// A request's body that is read on when nobody wants it any more, for a while. Most clients send all of their
/// request before they look for an answer, and would never see why they are refused.
pub(super) struct Patient(Option<BodyDataStream>);

impl Patient {
    pub(super) fn wrap(body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::from_stream(Self(Some(body.into_data_stream())))
    }
}

impl Stream for Patient {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.0 else { return Poll::Ready(None) };
        let item = ready!(Pin::new(stream).poll_next(context));
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(item)
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if let (Some(mut stream), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime
                .spawn(timeout(PATIENCE, async move { while let Some(Ok(_)) = next(&mut stream).await {} }));
        }
    }
}
