//! Clips in processes of their own, so that one that crashes or hangs the decoder costs itself only.
//!
//! FFmpeg is a large C library that meets files from anywhere. Inside our own process a crash in it
//! would end a night's run, and a thread that hangs in it can't be stopped. So the command hands clips
//! to copies of itself: one line of JSON in, one line out, over pipes. A worker that takes too long is
//! killed, one that died is replaced, and either clip gets an error that says so.
//!
//! It costs nothing that can be measured: 200 clips of UCF-101 (320×240, EfficientNet-Lite0, 16 frames
//! of 224²) took 23.4 s of processor time in threads of one process and 23.0 s in worker processes, on
//! two cores in the mean of three rounds that took turns (`examples/worker_cost.rs`). A worker's start
//! is hidden behind the others' work. What it does cost is memory: a model's weights once a core.

mod pool;
mod process;
mod serve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::paths;
use crate::model::Changes;
use crate::output::pages::Filmstrip;
use crate::stores;
use crate::timeline::Segment;
use crate::video::{Frames, Preprocess, Sampling, Span};

pub(crate) use pool::Answer;
pub use pool::{Pool, start_by};
pub(crate) use process::{crashed, describe, too_late};
pub use serve::serve;
pub(crate) use serve::step_back;

/// First argument of a process that is a worker. Never shown to people.
pub(crate) const ARGUMENT: &str = "__worker";

/// A clip's path as workers are asked for it, which stay in the folder that they were started in: from the root on; of an
/// address what stands before its query, and for [`Pool::ask_signed`] the query.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for an address with a password.
pub fn place(path: &Path) -> crate::Result<(PathBuf, Option<String>)> {
    let (path, query) = stores::parted(path)?;
    let path = if stores::is_address(&path) { path } else { std::path::absolute(&path).unwrap_or(path) };
    Ok((path, query))
}

/// What a worker is told before its first clip.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// A model's name or folder; none for work that needs no model.
    pub model: Option<String>,
    /// What was asked for instead of its own settings.
    pub changes: Changes,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Threads of decoder and network.
    pub threads: usize,
    /// How many of a clip's best labels are told.
    pub top: usize,
    /// The CNN alone and as training reads clips, for features that a training will find; at a low priority, as nobody
    /// waits for them.
    #[serde(default)]
    pub training: bool,
}

impl Setup {
    /// For work that needs no model.
    pub fn without_model(threads: usize) -> Self {
        Self {
            model: None,
            changes: Changes::default(),
            device: "cpu".into(),
            threads,
            top: 0,
            training: false,
        }
    }
}

/// One piece of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Answered by [`crate::ClipLabels`].
    Label(Clip),
    /// Saves the clip's filmstrip. Answered by nothing.
    Strip(Clip),
    /// Decodes every picture. Answered by [`Checked`].
    Check(Clip),
    /// Answered by how many seconds of video the container tells, if it does.
    Length(Clip),
    /// Decodes every picture, and tells on the way how far it is. Answered by [`Cuts`](crate::timeline::Cuts).
    Cuts(Clip),
    /// Saves the frames that the model sees: `u8 [windows, frames, height, width, 3]`. Answered by [`Saved`].
    Frames(Clip),
    /// Saves what the CNN makes of them: `f32 [windows, T', D]`. Answered by [`Saved`].
    Features(Clip),
    /// Answered by [`Watched`].
    Timeline(Film),
    /// Saves the frames that a model sees which the worker doesn't have: `u8 [windows, frames, height, width, 3]`.
    /// Answered by [`Decoded`].
    Decode(Look),
    /// Says as what browsers play the clip, if they do, or saves a copy for them. Answered by an optional [`Kind`](crate::timeline::preview::Kind).
    Preview(Preview),
}

impl Request {
    /// Label the clip at `path`.
    pub fn label(path: &Path) -> Self {
        Self::Label(Clip { path: path.to_owned(), to: None, span: None })
    }

    /// Label the clip at `path`, and save its filmstrip at `strip`.
    pub fn label_with_strip(path: &Path, strip: PathBuf) -> Self {
        Self::Label(Clip { path: path.to_owned(), to: Some(strip), span: None })
    }

    /// Save the filmstrip of the clip at `path`.
    pub fn strip(path: &Path, strip: PathBuf) -> Self {
        Self::Strip(Clip { path: path.to_owned(), to: Some(strip), span: None })
    }

    /// Decode the clip at `path`.
    pub fn check(path: &Path) -> Self {
        Self::Check(Clip { path: path.to_owned(), to: None, span: None })
    }

    /// Say how long the clip at `path` is.
    pub(crate) fn length(path: &Path) -> Self {
        Self::Length(Clip { path: path.to_owned(), to: None, span: None })
    }

    /// Say where the film at `path` is cut.
    pub(crate) fn cuts(path: &Path) -> Self {
        Self::Cuts(Clip { path: path.to_owned(), to: None, span: None })
    }

    /// Save the frames of the clip at `path` that the model sees, bare numbers, in the file `to`.
    pub fn frames(path: &Path, to: PathBuf) -> Self {
        Self::Frames(Clip { path: path.to_owned(), to: Some(to), span: None })
    }

    /// Save the features of the clip at `path`, bare numbers as this machine has them, in the file `to`.
    pub fn features(path: &Path, to: PathBuf) -> Self {
        Self::Features(Clip { path: path.to_owned(), to: Some(to), span: None })
    }

    /// Say what happens when in the film at `path`; `window` and `cuts` as in [`crate::timeline::Options`].
    pub fn timeline(path: &Path, window: Option<f64>, cuts: bool) -> Self {
        Self::Timeline(Film { path: path.to_owned(), window, cuts, file: None, to: None })
    }

    /// Say as what browsers play the clip at `path`.
    pub(crate) fn playable(path: &Path) -> Self {
        Self::Preview(Preview { path: path.to_owned(), span: None, to: None })
    }

    /// Save a copy of the clip at `path` for browsers in the file `to`: of its part `span`, else of its beginning.
    pub(crate) fn preview(path: &Path, span: Option<Span>, to: PathBuf) -> Self {
        Self::Preview(Preview { path: path.to_owned(), span, to: Some(to) })
    }

    /// The same for a stretch of the clip alone, where it is about frames or features.
    pub(crate) fn within(mut self, span: Option<Span>) -> Self {
        if let Self::Frames(clip) | Self::Features(clip) | Self::Strip(clip) = &mut self {
            clip.span = span;
        }
        self
    }

    fn path(&self) -> &Path {
        match self {
            Self::Timeline(film) => &film.path,
            Self::Decode(look) => &look.path,
            Self::Preview(preview) => &preview.path,
            Self::Label(clip)
            | Self::Strip(clip)
            | Self::Check(clip)
            | Self::Length(clip)
            | Self::Cuts(clip)
            | Self::Frames(clip)
            | Self::Features(clip) => &clip.path,
        }
    }
}

/// The clip that a request is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Clip {
    #[serde(with = "paths::exact")]
    path: PathBuf,
    /// Where to save what an answer has no room for; when labelling, a picture of some of the frames.
    to: Option<PathBuf>,
    /// The stretch of the video that it is; all of it without one.
    span: Option<Span>,
}

/// The film that a request is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Film {
    #[serde(with = "paths::exact")]
    pub path: PathBuf,
    pub window: Option<f64>,
    pub cuts: bool,
    /// See [`crate::DecodeOptions::file`].
    pub file: Option<PathBuf>,
    /// A pipe that each segment is written to as soon as its end is known, a line of JSON; the answer has none then.
    pub to: Option<PathBuf>,
}

/// How a model looks at a clip, for a worker that has no model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Look {
    #[serde(with = "paths::exact")]
    pub(crate) path: PathBuf,
    /// See [`crate::DecodeOptions::file`].
    pub(crate) file: Option<PathBuf>,
    /// Where to save the frames.
    pub(crate) to: PathBuf,
    pub(crate) sampling: Sampling,
    pub(crate) preprocess: Preprocess,
    /// Of the decoder.
    pub(crate) threads: usize,
    /// Of some frames of so many windows a picture is wanted.
    pub(crate) strip: Option<usize>,
}

/// All of a clip's [`Frames`] but their pixels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decoded {
    windows: usize,
    per_window: usize,
    height: usize,
    width: usize,
    times: Vec<f64>,
    duration: f64,
    warnings: Vec<String>,
    resizing: Duration,
    pub strip: Option<Filmstrip>,
}

impl Decoded {
    fn of(frames: &Frames) -> Self {
        Self {
            windows: frames.windows,
            per_window: frames.per_window,
            height: frames.height,
            width: frames.width,
            times: frames.times.clone(),
            duration: frames.duration,
            warnings: frames.warnings.clone(),
            resizing: frames.resizing,
            strip: None,
        }
    }

    /// Bytes of the frames.
    pub(crate) fn len(&self) -> usize {
        self.windows * self.per_window * self.height * self.width * 3
    }

    /// The frames whose pixels these are.
    pub(crate) fn with(self, pixels: Vec<u8>) -> Frames {
        let Self { windows, per_window, height, width, times, duration, warnings, resizing, strip: _ } = self;
        let natural = None;
        Frames { pixels, natural, windows, per_window, height, width, times, duration, warnings, resizing }
    }
}

/// The clip that a browser should play.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Preview {
    #[serde(with = "paths::exact")]
    path: PathBuf,
    /// The part of it that a copy shows.
    span: Option<Span>,
    /// Where a copy is saved; without, it is only said whether browsers play the file itself.
    to: Option<PathBuf>,
}

/// How far a worker is with a film, as a line before the answer.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// Seconds of the film.
    at: f64,
}

/// What was saved.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub shape: Vec<usize>,
    /// What is wrong with the clip.
    pub warnings: Vec<String>,
}

/// A film's segments.
#[derive(Debug, Serialize)]
struct Watched {
    segments: Vec<Segment>,
    duration_s: f64,
    /// What is wrong with it.
    warnings: Vec<String>,
}

/// What decoding a whole clip showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checked {
    pub pictures: u64,
    /// Seconds.
    pub duration_s: f64,
    /// What is wrong with it.
    pub warnings: Vec<String>,
}
