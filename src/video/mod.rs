//! From a file to the frames that a model sees.

mod preprocess;
mod sampling;

pub use preprocess::{CropSize, Preprocess, ShortestEdge};
pub use sampling::Sampling;

/// The frames of a clip that a model sees: upright, at one size, RGB.
#[derive(Debug, Clone)]
pub struct Frames {
    /// `u8 [windows, per_window, height, width, 3]`.
    pub pixels: Vec<u8>,
    pub windows: usize,
    pub per_window: usize,
    pub height: usize,
    pub width: usize,
    /// When each frame is shown, in seconds from the clip's first frame; `windows · per_window` long.
    pub times: Vec<f64>,
    /// Seconds from the first frame's start to the last frame's end.
    pub duration: f64,
    /// What was wrong with the clip without keeping it from being used (truncated, …).
    pub warnings: Vec<String>,
}

impl Frames {
    /// The pixels of one window: `u8 [per_window, height, width, 3]`.
    pub fn window(&self, index: usize) -> &[u8] {
        let len = self.per_window * self.height * self.width * 3;
        &self.pixels[index * len..][..len]
    }
}

// Stand-in until the decoder lands.
#[derive(Debug, Clone, Default)]
pub struct DecodeOptions {
    pub threads: usize,
    pub deadline: Option<std::time::Instant>,
}
pub fn read_frames(
    _: &std::path::Path,
    _: &Sampling,
    _: &Preprocess,
    _: &DecodeOptions,
) -> crate::Result<Frames> {
    Err(crate::Error::Usage("not there yet".into()))
}
