//! What happens when: a long video in one pass, in bounded memory.
//!
//! The video is cut into units of time, each of which goes through the CNN once. The head reads every
//! run of neighbouring units that is as long as what the model was trained on, and a unit's scores are
//! the mean over the runs that it is part of. Neighbouring units of one label make a segment. No run
//! reaches over a cut: what was before belongs to another scene.

mod cuts;
mod exposures;
mod format;
pub(crate) mod overlay;
mod parts;
pub(crate) mod preview;
mod segments;
mod shot;
mod tracks;

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::Serialize;

use crate::video::{DecodeOptions, Frames, Walk};
use crate::{Classifier, Result};

use exposures::{Exposure, Exposures};
use segments::Segments;
use shot::{Reading, Scored, Shot, Unit};
use tracks::Tracks;

pub use crate::video::Seen;
pub use format::TimelineFormat;
pub(crate) use parts::Cuts;

/// What a model without frame rate of its own was trained on is clips of actions; those of the data
/// sets that are in use last about so long, in seconds.
pub const WINDOW: f64 = 6.0;

/// A stretch of a video in which one thing happens. Of a model that names several labels, stretches may overlap, and
/// where it knows nothing there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    /// Seconds from the video's first picture.
    pub start: f64,
    /// Seconds from the video's first picture.
    pub end: f64,
    /// `None` where the model is not sure.
    pub label: Option<String>,
    /// Mean score of the label; where there is none, of the best guesses.
    pub score: f32,
}

/// How a video is looked at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seconds that the head looks at together; by default what the model was trained on.
    pub window: Option<f64>,
    /// Whether cuts end a run of units.
    pub cuts: bool,
    /// Threads of the decoder.
    pub threads: usize,
    /// See [`DecodeOptions::file`].
    pub file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: None, cuts: true, threads: 1, file: None }
    }
}

/// How time is divided for one model.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Grid {
    /// Frames a second.
    rate: f64,
    /// Frames a unit.
    unit: usize,
    /// Units that the head reads together.
    context: usize,
    /// A network over time takes units of full length only.
    whole_units: bool,
}

impl Grid {
    /// `rate`: pictures of the video a second.
    fn new(classifier: &Classifier, window: Option<f64>, rate: f64) -> Self {
        let sampling = classifier.config().sampling;
        let fps = sampling.fps_at(rate);
        let frames = sampling.frames;
        // An image network makes a feature of each frame, so that its runs may overlap for nothing.
        let whole = classifier.needs_whole_windows();
        let images = classifier.feature_steps(frames) == frames && !whole;
        match fps {
            None if whole => {
                let rate = frames as f64 / window.unwrap_or(WINDOW);
                Self { rate, unit: frames, context: 1, whole_units: true }
            }
            Some(rate) if !images => {
                let context = match window {
                    Some(seconds) => (seconds * rate / frames as f64).round() as usize,
                    None => sampling.windows,
                };
                Self { rate, unit: frames, context: context.max(1), whole_units: true }
            }
            _ => {
                let usual = fps.map_or(WINDOW, |fps| frames as f64 / fps);
                let context = frames.min(4);
                let unit = frames.div_ceil(context);
                let rate = (unit * context) as f64 / window.unwrap_or(usual);
                Self { rate, unit, context, whole_units: !images }
            }
        }
    }
}

/// Watches the video at `path` (`-`: on the standard input) from its first picture to its last, and
/// tells each segment as soon as its end is known. Ends early, without error, once `tell` gives false.
///
/// # Errors
/// [`crate::Error::Clip`] where there is no video that can be read, and whatever `tell` returns.
pub fn watch(
    classifier: &Classifier,
    path: &Path,
    options: &Options,
    mut tell: impl FnMut(Told) -> Result<bool>,
) -> Result<Seen> {
    let decode =
        DecodeOptions { threads: options.threads, file: options.file.clone(), ..DecodeOptions::default() };
    let mut walk = Walk::open(path, classifier.preprocess(), &decode)?;
    let grid = Grid::new(classifier, options.window, walk.rate());
    let claimed = walk.claimed_duration();
    let crop = classifier.preprocess().crop_size;
    let mut collector = Collector {
        classifier,
        grid,
        frames: Frames {
            pixels: Vec::new(),
            natural: None,
            windows: 1,
            per_window: 0,
            height: crop.height,
            width: crop.width,
            times: Vec::new(),
            duration: 0.0,
            warnings: Vec::new(),
            resizing: Default::default(),
        },
        shot: Shot::new(grid.context),
        segments: Joined::new(classifier),
        start: 0.0,
    };
    let mut exposures = Exposures::new(grid.rate, classifier.config().sampling.luma_lag, options.cuts);
    let mut rgb = vec![0; crop.height * crop.width * 3];
    let mut end = 0.0;
    while let Some(shown) = walk.step()? {
        end = shown.end;
        if exposures.wants(shown.end) {
            walk.convert(&mut rgb);
            while let Some(frame) = exposures.show(&rgb, crop.width, shown.end) {
                for segment in collector.take(&frame)? {
                    if !tell(Told::Segment(segment))? {
                        return Ok(walk.seen());
                    }
                }
            }
        }
        if !tell(Told::At { now: shown.end, of: claimed })? {
            return Ok(walk.seen());
        }
    }
    walk.convert(&mut rgb);
    let mut done = Vec::new();
    for frame in exposures.finish(&rgb, crop.width, end) {
        done.extend(collector.take(&frame)?);
    }
    done.extend(collector.finish(end)?);
    for segment in done {
        if !tell(Told::Segment(segment))? {
            break;
        }
    }
    Ok(walk.seen())
}

/// What is told on the way.
#[derive(Debug)]
pub enum Told {
    /// The next segment.
    Segment(Segment),
    /// How far it is.
    At {
        /// Seconds of the video so far.
        now: f64,
        /// Of how many, where the container says.
        of: Option<f64>,
    },
}

/// Gathers frames into units.
struct Collector<'a> {
    classifier: &'a Classifier,
    grid: Grid,
    /// Frames of the unit that is being filled, and when it began.
    frames: Frames,
    start: f64,
    shot: Shot,
    segments: Joined,
}

/// Units joined to segments.
enum Joined {
    /// One label at a time.
    OneOf(Segments),
    /// As many as there are.
    AnyOf(Tracks),
}

impl Joined {
    fn new(classifier: &Classifier) -> Self {
        match classifier.config().thresholds.len() {
            0 => Self::OneOf(Segments::default()),
            labels => Self::AnyOf(Tracks::new(labels)),
        }
    }

    fn push(&mut self, unit: Scored, classifier: &Classifier) -> Vec<Segment> {
        match self {
            Self::OneOf(segments) => segments.push(unit, classifier),
            Self::AnyOf(tracks) => tracks.push(unit, classifier),
        }
    }

    fn cut(&mut self) {
        match self {
            Self::OneOf(segments) => segments.cut(),
            Self::AnyOf(tracks) => tracks.cut(),
        }
    }

    fn finish(&mut self, end: f64) -> Vec<Segment> {
        match self {
            Self::OneOf(segments) => segments.finish(end),
            Self::AnyOf(tracks) => tracks.finish(end),
        }
    }
}

impl Collector<'_> {
    /// One more frame. Returns the segments that it ends.
    fn take(&mut self, frame: &Exposure) -> Result<Vec<Segment>> {
        let mut done = Vec::new();
        // When the frame's share of time begins.
        let time = frame.index as f64 / self.grid.rate;
        if frame.is_cut {
            self.end_shot(time, &mut done)?;
        }
        if self.frames.per_window == 0 {
            self.start = time;
        }
        self.frames.pixels.extend_from_slice(&frame.rgb);
        self.frames.per_window += 1;
        if self.frames.per_window == self.grid.unit {
            self.end_unit(time + 1.0 / self.grid.rate, &mut done)?;
        }
        Ok(done)
    }

    fn end_unit(&mut self, end: f64, done: &mut Vec<Segment>) -> Result<()> {
        let have = self.frames.per_window;
        if have == 0 {
            return Ok(());
        }
        if self.grid.whole_units {
            // Played again from its start until it is full, as short clips are.
            let len = self.frames.pixels.len() / have;
            for i in 0..self.grid.unit - have {
                let from = i % have * len;
                self.frames.pixels.extend_from_within(from..from + len);
            }
            self.frames.per_window = self.grid.unit;
        }
        let features = self.classifier.features(&self.frames)?.squeeze(0)?;
        self.frames.pixels.clear();
        self.frames.per_window = 0;
        let unit = Unit::new(self.start, end, features);
        let (classifier, grid) = (self.classifier, self.grid);
        if let Some(unit) = self.shot.push(unit, |f| read(classifier, &grid, f))? {
            done.extend(self.segments.push(unit, self.classifier));
        }
        Ok(())
    }

    fn end_shot(&mut self, end: f64, done: &mut Vec<Segment>) -> Result<()> {
        self.end_unit(end, done)?;
        let (classifier, grid) = (self.classifier, self.grid);
        for unit in self.shot.end(|f| read(classifier, &grid, f))? {
            done.extend(self.segments.push(unit, self.classifier));
        }
        self.segments.cut();
        Ok(())
    }

    fn finish(mut self, end: f64) -> Result<Vec<Segment>> {
        let mut done = Vec::new();
        self.end_shot(end, &mut done)?;
        done.extend(self.segments.finish(end));
        Ok(done)
    }
}

/// What the head makes of a run of units' features, each `f32 [T', D]`.
fn read(classifier: &Classifier, grid: &Grid, features: &[&Tensor]) -> Result<Reading> {
    let features = match grid.whole_units {
        true => Tensor::stack(features, 0)?,
        false => Tensor::cat(features, 0)?.unsqueeze(0)?,
    };
    let logits = classifier.logits(&features)?;
    let knowing = match classifier.config().knowing {
        Some(_) => classifier.knowing(&features, &logits)?,
        None => None,
    };
    Ok(Reading { scores: classifier.scores(&logits)?, knowing })
}
