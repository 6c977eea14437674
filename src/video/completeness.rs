//! Whether a video is all there: what a file claims against what it holds.

use ffmpeg_next::ffi;

use super::ending;
use super::feed::Held;
use super::input::{End, Input};
use super::reason;
use super::timeline::Timeline;
use crate::Result;

/// What a file shows, once it was read to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Seconds from the first picture's start to the last one's end.
    pub duration: f64,
    /// When the last picture ends by its own stamp, in seconds.
    pub until: f64,
    /// The longest time between two pictures, in seconds.
    pub longest: f64,
}

impl Extent {
    /// `tick`: seconds, where the timeline goes by stamps.
    pub(super) fn of(timeline: &Timeline, tick: Option<f64>) -> Self {
        let first = tick.map_or(0.0, |tick| timeline.first() as f64 * tick);
        let Timeline { duration, longest, .. } = *timeline;
        Self { duration, until: first + duration, longest }
    }
}

/// Containers whose headers tell the duration of what was put in, as far as they tell.
const TRUSTED: [&str; 7] = ["mov", "matroska", "flv", "asf", "mxf", "rm", "smjpeg"];

/// Those of them whose duration is held against what there is.
const LAST_AS_LONG: [&str; 4] = ["matroska", "asf", "mxf", "rm"];

/// Containers in which FFmpeg says at the file's end that it can't read on, as it does in the middle.
const END_WITH_AN_ERROR: [&str; 2] = ["gxf", "roq"];

/// What to say of a file that was read to its end and shows less than was put into it.
///
/// A file that is whole must pass: so a claim counts only where nothing else explains it.
///
/// # Errors
/// Where the deadline passes.
pub(super) fn warning(input: &Input, held: Held, extent: Extent) -> Result<Option<String>> {
    let format = input.format();
    let family = format.split(',').next().unwrap_or_default();
    // On a clock that leaps, durations mean nothing.
    let claimed = input.claimed_duration().filter(|_| held.leaps == 0 && TRUSTED.contains(&family));
    let early = if input.size().is_some() { ending::is_early(&input.file, family, held.size) } else { None };
    let broken =
        held.end == Some(End::Broken) && !(early == Some(false) && END_WITH_AN_ERROR.contains(&family));
    let cut = broken
        || held.cut
        || early == Some(true)
        || (family == "mov" && lacks_pictures(input, held, claimed, extent))
        || (LAST_AS_LONG.contains(&family) && lacks_time(input, claimed, extent)?);
    Ok(cut.then(|| reason::truncated(extent.duration, claimed.unwrap_or(0.0))))
}

/// Whether the index lists more pictures than there are. (Those outside an edit list are not in it.)
fn lacks_pictures(input: &Input, held: Held, claimed: Option<f64>, extent: Extent) -> bool {
    let more = held.packets.is_some_and(|have| input.index_length() as u64 > have + 1);
    more && claimed.is_some_and(|claimed| claimed > extent.duration * 1.02)
}

/// Whether the file claims to last longer than its pictures, and neither how long the last one may stay nor
/// another stream (its sound) explains that.
fn lacks_time(input: &Input, claimed: Option<f64>, extent: Extent) -> Result<bool> {
    let Some(claimed) = claimed else { return Ok(false) };
    let margin = (claimed * 0.02).max(1.0).max(extent.longest * 1.5);
    let lacks = |until: f64| claimed > until + margin;
    if !lacks(extent.duration.max(extent.until)) {
        return Ok(false);
    }
    Ok(lacks(input.last_moment()?))
}

impl Input {
    /// Seconds of video as the header says, not as FFmpeg guesses.
    fn claimed_duration(&self) -> Option<f64> {
        // SAFETY: the context is open.
        let method = unsafe { (*self.context()).duration_estimation_method };
        let from_header = method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM;
        // Nothing was estimated where nothing was analysed.
        self.duration().filter(|_| from_header || !self.is_analysed())
    }
}
