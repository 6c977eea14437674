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
    /// Frames per second inside a window; without it, a window's frames are spread over its
    /// whole share of the clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// A frame's red, green and blue are the brightness at three moments, this many seconds apart: what
    /// moves gets coloured edges, so that an image network sees motion, and colour, by which it would
    /// know a place instead of an action, is gone (Kim et al. 2022, arXiv:2201.10394).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub luma_lag: Option<f64>,
}

fn one() -> usize {
    1
}

impl Sampling {
    /// The wanted moments in seconds from the clip's first frame, window after window.
    ///
    /// `duration`: seconds from the first frame's start to the last frame's end. Without `fps`
    /// each moment is the middle of one of `windows · frames` equal parts. With `fps` the windows
    /// stand evenly, the first at the clip's start, the last against its end; a clip shorter than
    /// one window is played again from its start until the window is full.
    pub fn moments(&self, duration: f64) -> Vec<f64> {
        let moments = self.frame_moments(duration);
        let Some(lag) = self.luma_lag else { return moments };
        let of_frame = |t: f64| [t - lag, t, t + lag].map(|t| t.clamp(0.0, duration.max(0.0)));
        moments.into_iter().flat_map(of_frame).collect()
    }

    /// How many moments there are for each frame: one, or three for a frame of brightness.
    pub fn moments_a_frame(&self) -> usize {
        if self.luma_lag.is_some() { 3 } else { 1 }
    }

    fn frame_moments(&self, duration: f64) -> Vec<f64> {
        let total = self.windows * self.frames;
        let Some(fps) = self.fps else {
            let part = duration / total as f64;
            return (0..total).map(|i| (i as f64 + 0.5) * part).collect();
        };
        let room = (duration - self.frames as f64 / fps).max(0.0);
        let start = |w: usize| match self.windows {
            1 => room / 2.0,
            n => room * w as f64 / (n - 1) as f64,
        };
        // Half a frame in: the middle of each frame's time on screen, safe from rounding.
        (0..total)
            .map(|i| start(i / self.frames) + ((i % self.frames) as f64 + 0.5) / fps)
            .map(|t| if duration > 0.0 { t % duration } else { 0.0 })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_the_middle_of_equal_parts() {
        let sampling = Sampling { windows: 1, frames: 4, fps: None, luma_lag: None };
        assert_eq!(sampling.moments(8.0), [1.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn windows_span_the_clip_and_loop_a_short_one() {
        let sampling = Sampling { windows: 2, frames: 2, fps: Some(2.0), luma_lag: None };
        assert_eq!(sampling.moments(5.0), [0.25, 0.75, 4.25, 4.75]);
        assert_eq!(sampling.moments(0.5), [0.25, 0.25, 0.25, 0.25]);
        assert!(sampling.moments(0.0).iter().all(|t| *t == 0.0));
    }
}
