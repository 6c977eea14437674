//! Everything that can go wrong, as one type whose text names the file and says what to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the file it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A clip that can't be labelled; the others go on.
    #[error("{}: {reason}", path.display())]
    Clip {
        /// The clip.
        path: PathBuf,
        /// Why, and where it helps what to do.
        reason: String,
    },
    /// A model folder that can't be used.
    #[error("model {}: {reason}", path.display())]
    Model {
        /// The folder, or an embedded model's name.
        path: PathBuf,
        /// Why, and where it helps what to do.
        reason: String,
    },
    /// A data set (folder or list of labelled clips) that can't be used.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The folder or list.
        path: PathBuf,
        /// Why, and where it helps what to do.
        reason: String,
    },
    /// A file that can't be read or written.
    #[error("{}: {}", path.display(), plain(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A request that contradicts itself or asks for what isn't there.
    #[error("{0}")]
    Usage(String),
    /// The user ended it before there was anything to keep.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// A version of the kernels was asked for that isn't there.
    #[error(transparent)]
    Kernels(#[from] classify_kernels::Error),
    /// A tensor operation failed: a mistake of ours or memory that ran out.
    #[error("tensor operation failed: {}", words(.0))]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// A clip error for `path`.
    pub fn clip(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Clip { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }

    /// A model error for `path`.
    pub fn model(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Model { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }

    /// A data set error for `path`.
    pub fn data(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Data { path: path.as_ref().to_owned(), reason: reason.to_string() }
    }

    /// What is wrong, without the file's name: for places that show the name beside it.
    pub fn reason(&self) -> String {
        match self {
            Self::Clip { reason, .. } | Self::Model { reason, .. } | Self::Data { reason, .. } => {
                reason.clone()
            }
            Self::Io { source, .. } => plain(source),
            other => other.to_string(),
        }
    }

    /// An input or output error at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }
}

/// Does `work` on the clip at `path`. A mistake of ours on one strange clip becomes that clip's error: it must not
/// cost a night's run.
pub(crate) fn guard<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Err(Error::clip(path, format!("a mistake inside this program, please report it: {text}")))
    })
}

/// What `error` says, without the trace that candle adds where RUST_BACKTRACE is set.
pub(crate) fn words(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What lies at the bottom of `error`: what is above it says only that something went wrong.
#[cfg(any(feature = "hub", feature = "stores"))]
pub(crate) fn root_cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}

/// What the operating system says, without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or folder".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error ").next().unwrap_or(&text);
            // In the middle of a sentence.
            let mut letters = text.chars();
            letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
        }
    }
}
