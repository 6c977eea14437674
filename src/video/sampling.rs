//! Which moments of a clip are looked at.

use serde::{Deserialize, Serialize};

/// How the frames that a model sees are spread over a clip: `windows` runs of `frames` frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Windows a clip; spread evenly over it.
    #[serde(default = "one")]
    pub windows: usize,
    /// Frames a window.
    pub frames: usize,
    /// Frames per second inside a window; without it and `stride`, a window's frames are spread over its
    /// whole share of the clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Instead of `fps`: pictures of the clip from one frame of a window to the next, whatever their rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// A frame's red, green and blue are the brightness at three moments, this many seconds apart: what
    /// moves gets coloured edges, so that an image network sees motion, and colour, by which it would
    /// know a place instead of an action, is gone (Kim et al. 2022, arXiv:2201.10394).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luma_lag: Option<f64>,
}

fn one() -> usize {
    1
}

/// Frames a clip at most: what is more was not meant, and takes all memory.
const MOST_FRAMES: usize = 100_000;

impl Sampling {
    /// `windows` equal parts of the clip, with `frames` frames all over each.
    pub const fn spread(windows: usize, frames: usize) -> Self {
        Self { windows, frames, fps: None, stride: None, luma_lag: None }
    }

    /// Checks that the numbers are possible ones.
    ///
    /// # Errors
    /// What is wrong, in words that begin with "sampling".
    pub fn check(&self) -> Result<(), String> {
        let Self { windows, frames, fps, stride, luma_lag } = *self;
        if !(1..=MOST_FRAMES).contains(&windows.saturating_mul(frames)) {
            return Err(format!(
                "sampling of {windows} windows of {frames} frames is not possible: 1 to {MOST_FRAMES} frames a clip"
            ));
        }
        if fps.is_some_and(|fps| !(fps > 0.0 && fps.is_finite())) {
            return Err("sampling fps must be above 0".into());
        }
        if stride == Some(0) {
            return Err("sampling stride must be above 0".into());
        }
        if fps.is_some() && stride.is_some() {
            return Err("sampling has both fps and stride: keep one of them".into());
        }
        if luma_lag.is_some_and(|lag| !(lag > 0.0 && lag <= 10.0)) {
            return Err("sampling luma_lag must be above 0 and at most 10 seconds".into());
        }
        Ok(())
    }

    /// How close a window's frames are, in words.
    pub(crate) fn pace(&self) -> String {
        match (self.fps, self.stride) {
            (Some(fps), _) => format!("{fps} a second"),
            (None, Some(1)) => "every picture".into(),
            (None, Some(stride)) => format!("every {stride}{} picture", ordinal_ending(stride)),
            (None, None) => "spread over the clip".into(),
        }
    }

    /// Frames per second inside a window, of a clip of `rate` pictures a second.
    pub fn fps_at(&self, rate: f64) -> Option<f64> {
        self.fps.or(self.stride.map(|stride| rate / stride as f64))
    }

    /// The wanted moments in seconds from the clip's first frame, window after window.
    ///
    /// `duration`: seconds from the first frame's start to the last frame's end. `starts`: when each picture is
    /// shown, ascending; only asked with `stride`.
    ///
    /// Without `fps` and `stride` each moment is the middle of one of `windows · frames` equal parts. With `fps`
    /// the windows stand evenly, the first at the clip's start, the last against its end; a clip shorter than
    /// one window is played again from its start until the window is full.
    ///
    /// With `stride` the windows stand so on the clip's every `stride`-th picture, counted, as time says nothing
    /// where the rate changes; after the last of these it stays. That is how VideoMAE and TimeSformer were
    /// measured (github.com/MCG-NJU/VideoMAE `kinetics.py`, github.com/facebookresearch/SlowFast `decoder.py`).
    pub fn moments(&self, duration: f64, starts: &[f64]) -> Vec<f64> {
        let moments = match self.stride {
            Some(stride) => self.counted_moments(stride, starts),
            None => self.timed_moments(duration),
        };
        let Some(lag) = self.luma_lag else { return moments };
        let of_frame = |t: f64| [t - lag, t, t + lag].map(|t| t.clamp(0.0, duration.max(0.0)));
        moments.into_iter().flat_map(of_frame).collect()
    }

    /// How many moments there are for each frame: one, or three for a frame of brightness.
    pub fn moments_a_frame(&self) -> usize {
        if self.luma_lag.is_some() { 3 } else { 1 }
    }

    fn timed_moments(&self, duration: f64) -> Vec<f64> {
        let total = self.windows * self.frames;
        let Some(fps) = self.fps else {
            let part = duration / total as f64;
            return (0..total).map(|i| (i as f64 + 0.5) * part).collect();
        };
        let room = (duration - self.frames as f64 / fps).max(0.0);
        // Half a frame in: the middle of each frame's time on screen, safe from rounding.
        (0..total)
            .map(|i| self.window_start(i / self.frames, room) + ((i % self.frames) as f64 + 0.5) / fps)
            .map(|t| if duration > 0.0 { t % duration } else { 0.0 })
            .collect()
    }

    fn counted_moments(&self, stride: usize, starts: &[f64]) -> Vec<f64> {
        let kept: Vec<f64> = starts.iter().copied().step_by(stride).collect();
        let room = kept.len().saturating_sub(self.frames) as f64;
        let number = |i: usize| self.window_start(i / self.frames, room) as usize + i % self.frames;
        let moment = |number: usize| kept.get(number).or(kept.last()).copied().unwrap_or(0.0);
        (0..self.windows * self.frames).map(|i| moment(number(i))).collect()
    }

    /// Where the window `w` starts if the last one starts at `room`.
    fn window_start(&self, w: usize, room: f64) -> f64 {
        match self.windows {
            1 => room / 2.0,
            n => room * w as f64 / (n - 1) as f64,
        }
    }
}

/// The `th` of 4th.
fn ordinal_ending(n: usize) -> &'static str {
    match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_the_middle_of_equal_parts() {
        assert_eq!(Sampling::spread(1, 4).moments(8.0, &[]), [1.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn windows_span_the_clip_and_loop_a_short_one() {
        let sampling = Sampling { fps: Some(2.0), ..Sampling::spread(2, 2) };
        assert_eq!(sampling.moments(5.0, &[]), [0.25, 0.75, 4.25, 4.75]);
        assert_eq!(sampling.moments(0.5, &[]), [0.25, 0.25, 0.25, 0.25]);
        assert!(sampling.moments(0.0, &[]).iter().all(|t| *t == 0.0));
    }

    #[test]
    fn strides_count_pictures_whenever_they_are_shown() {
        let sampling = |windows| Sampling { stride: Some(3), ..Sampling::spread(windows, 2) };
        // Pictures 0, 3, 6, 9 of a clip that gets slower.
        let starts: Vec<f64> = (0..11).map(|n| f64::from(n * n)).collect();
        assert_eq!(sampling(2).moments(121.0, &starts), [0.0, 9.0, 36.0, 81.0]);
        assert_eq!(sampling(1).moments(121.0, &starts), [9.0, 36.0]);
        assert_eq!(sampling(3).moments(121.0, &starts), [0.0, 9.0, 9.0, 36.0, 36.0, 81.0]);
        // Too short for a window: the last picture stays.
        assert_eq!(sampling(2).moments(2.0, &[0.0, 1.0]), [0.0; 4]);
        assert_eq!(sampling(1).moments(16.0, &starts[..4]), [0.0, 9.0]);
        let lagged = Sampling { luma_lag: Some(1.0), ..sampling(1) };
        assert_eq!(lagged.moments(16.0, &starts[..4]), [0.0, 0.0, 1.0, 8.0, 9.0, 10.0]);
    }

    #[test]
    fn the_pace_is_told_in_words() {
        let strided = |stride| Sampling { stride: Some(stride), ..Sampling::spread(1, 1) }.pace();
        let words = [1, 2, 4, 12, 32, 103].map(strided);
        let every = ["", "2nd ", "4th ", "12th ", "32nd ", "103rd "].map(|n| format!("every {n}picture"));
        assert_eq!(words, every);
        assert_eq!(Sampling { fps: Some(12.5), ..Sampling::spread(1, 1) }.pace(), "12.5 a second");
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let good = Sampling { stride: Some(4), ..Sampling::spread(5, 16) };
        assert_eq!(good.check(), Ok(()));
        for (bad, said) in [
            (Sampling { windows: 0, ..good }, "0 windows"),
            (Sampling { windows: 10_000, ..good }, "10000 windows"),
            (Sampling { stride: Some(0), ..good }, "stride"),
            (Sampling { fps: Some(5.0), ..good }, "both"),
            (Sampling { fps: Some(0.0), stride: None, ..good }, "fps"),
            (Sampling { luma_lag: Some(11.0), ..good }, "luma_lag"),
        ] {
            assert!(bad.check().unwrap_err().contains(said), "{bad:?}");
        }
    }
}
