//! From a file to the frames that a model sees. Only this room touches FFmpeg, and `timeline/overlay`, which writes videos.

mod ahead;
mod bars;
mod clock;
mod coding;
mod collector;
mod completeness;
mod decoder;
mod ending;
mod feed;
mod input;
mod orientation;
mod packets;
mod picture;
mod plan;
mod preprocess;
mod probe;
mod read;
mod reason;
mod resample;
mod sampling;
mod seeking;
mod span;
mod stream;
mod timeline;
mod tone;
mod walk;

use std::path::{Path, PathBuf};

use orientation::Orientation;
use picture::Converter;
pub(crate) use picture::luma;

pub(crate) use ahead::ReadAhead;
pub use preprocess::{CropSize, Preprocess, Size};
pub(crate) use probe::ClipInfo;
pub use probe::probe;
pub(crate) use probe::{decodes_av1, ffmpeg_version, has_decoder};
pub use read::read_frames;
pub use resample::Resample;
pub use sampling::Sampling;
pub use span::Span;
pub(crate) use walk::Shown;
pub use walk::{Seen, Walk};

/// Goes up whenever other pixels come out of some clips: what was computed from the old ones is stale.
pub(crate) const PIXELS: u32 = 1;

/// Endings by which videos are known in a folder, in lower case. A file that is named explicitly is tried
/// whatever its ending.
pub(crate) const VIDEO_EXTENSIONS: &[&str] = &[
    "3g2", "3gp", "asf", "avi", "dv", "f4v", "flv", "gif", "h264", "h265", "hevc", "ivf", "m1v", "m2ts",
    "m2v", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "nut", "obu", "ogm", "ogv", "qt", "rm",
    "rmvb", "ts", "vob", "webm", "wmv", "y4m",
];

/// Whether a file's ending says that it is a video.
pub(crate) fn has_video_ending(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    VIDEO_EXTENSIONS.contains(&ending.to_ascii_lowercase().as_str())
}

/// What of a video is read, and how.
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// Threads of the decoder: one a clip where many clips are decoded side by side.
    pub threads: usize,
    /// Bytes of video up to which a clip is read into memory; of a longer one only parts are, as far as its
    /// container tells where they are.
    pub memory: usize,
    /// When to give up.
    pub deadline: Option<std::time::Instant>,
    /// The stretch that [`read_frames`] looks at; all of the video without it. The other options don't change which pixels
    /// come out.
    pub span: Option<Span>,
    /// The file that holds the clip where it isn't the path itself, as one without a name. The path's ending counts all
    /// the same: it tells some formats apart.
    pub file: Option<PathBuf>,
}

impl DecodeOptions {
    /// Options for `span` of a video, or all of it.
    pub fn of(span: Option<Span>) -> Self {
        Self { span, ..Self::default() }
    }
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { threads: 1, memory: 48 << 20, deadline: None, span: None, file: None }
    }
}

/// The frames of a clip that a model sees: upright, at one size, RGB.
#[derive(Debug, Clone)]
pub struct Frames {
    /// `u8 [windows, per_window, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// The same frames as people see them, where the model sees brightness at three moments instead of colours
    /// ([`Sampling::luma_lag`]).
    pub natural: Option<Vec<u8>>,
    /// Stretches of the clip that the network sees one by one.
    pub windows: usize,
    /// Frames in each.
    pub per_window: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// When each frame is shown, in seconds from the video's first frame; `windows · per_window` long.
    pub times: Vec<f64>,
    /// Seconds from the first frame's start to the last frame's end, of the stretch that was looked at.
    pub duration: f64,
    /// What was wrong with the clip without keeping it from being used (truncated, …).
    pub warnings: Vec<String>,
    /// How long bringing the decoded pictures to the model's size and to RGB took.
    pub resizing: std::time::Duration,
}

impl Frames {
    /// The pixels of one window: `u8 [per_window, height, width, 3]`.
    pub fn window(&self, index: usize) -> &[u8] {
        let len = self.per_window * self.height * self.width * 3;
        &self.pixels[index * len..][..len]
    }

    /// The first `windows` and no others.
    pub(crate) fn keep_windows(&mut self, windows: usize) {
        self.windows = self.windows.min(windows);
        let frames = self.windows * self.per_window;
        let len = frames * self.height * self.width * 3;
        self.pixels.truncate(len);
        self.natural.iter_mut().for_each(|natural| natural.truncate(len));
        self.times.truncate(frames);
    }

    /// One window in which the clip's middle frame stands still.
    pub(crate) fn still(mut self) -> Self {
        let len = self.height * self.width * 3;
        let middle = self.windows * self.per_window / 2;
        let frame = |pixels: &[u8]| pixels[middle * len..][..len].to_vec();
        let seen = match &self.natural {
            // The brightness of one moment three times.
            Some(natural) => frame(natural).as_chunks().0.iter().flat_map(|rgb| [luma(*rgb); 3]).collect(),
            None => frame(&self.pixels),
        };
        self.natural = self.natural.map(|natural| frame(&natural).repeat(self.per_window));
        self.pixels = seen.repeat(self.per_window);
        self.times = vec![self.times[middle]; self.per_window];
        self.windows = 1;
        self
    }
}
