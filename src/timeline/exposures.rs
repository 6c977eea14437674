//! Frames out of a stream of pictures; a frame's channels may be of different moments.

use std::collections::VecDeque;

use super::cuts::CutFinder;
use crate::video::luma;

/// Builds frames at a steady rate, as [`Sampling`](crate::video::Sampling) does for a clip.
pub(super) struct Exposures {
    /// Frames a second.
    rate: f64,
    /// Seconds between the moments of a frame's channels, where they are brightness; else 0.
    lag: f64,
    cuts: Option<CutFinder>,
    /// Begun and not yet complete.
    pending: VecDeque<Exposure>,
    next: u64,
}

/// A frame in the making.
pub(super) struct Exposure {
    /// How many frames came before.
    pub index: u64,
    /// `u8 [height, width, 3]`.
    pub rgb: Vec<u8>,
    /// Whether a new scene begins with it.
    pub is_cut: bool,
    /// Channels that it has.
    channels: usize,
}

impl Exposures {
    pub(super) fn new(rate: f64, lag: Option<f64>, cuts: bool) -> Self {
        let cuts = cuts.then(CutFinder::default);
        Self { rate, lag: lag.unwrap_or(0.0), cuts, pending: VecDeque::new(), next: 0 }
    }

    /// When a channel of a frame is exposed: the middle of the frame's share of time, give or take the lag.
    fn moment(&self, index: u64, channel: usize) -> f64 {
        (index as f64 + 0.5) / self.rate + (channel as f64 - 1.0) * self.lag
    }

    /// Whether a picture that is on screen until `end` is part of a frame.
    pub(super) fn wants(&self, end: f64) -> bool {
        let begun = self.pending.iter().map(|frame| self.moment(frame.index, frame.channels));
        begun.chain([self.moment(self.next, 0)]).any(|moment| moment < end)
    }

    /// The next frame that is complete with the picture `rgb`, `width` pixels wide, on screen until `end`. To be
    /// called until there is none: a still picture may be many frames, which are not made all at once.
    pub(super) fn show(&mut self, rgb: &[u8], width: usize, end: f64) -> Option<Exposure> {
        let first = self.pending.front().map_or(self.next, |frame| frame.index);
        let last = if self.moment(first, 2) < end { first } else { u64::MAX };
        while self.next <= last && self.moment(self.next, 0) < end {
            self.begin(rgb);
        }
        let mut pending = std::mem::take(&mut self.pending);
        for frame in &mut pending {
            while frame.channels < 3 && self.moment(frame.index, frame.channels) < end {
                self.expose(frame, rgb, width);
            }
        }
        let complete = pending.front().is_some_and(|frame| frame.channels == 3);
        self.pending = pending;
        if complete { self.pending.pop_front() } else { None }
    }

    /// The video is over, `rgb` was its last picture: what is left of the frames that it shows.
    pub(super) fn finish(mut self, rgb: &[u8], width: usize, end: f64) -> Vec<Exposure> {
        // A video that is shorter than one share has a frame, too.
        if self.next == 0 {
            self.begin(rgb);
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|frame| frame.index == 0 || self.moment(frame.index, 1) < end);
        for frame in &mut pending {
            while frame.channels < 3 {
                self.expose(frame, rgb, width);
            }
        }
        pending.into()
    }

    fn begin(&mut self, rgb: &[u8]) {
        let frame = Exposure { index: self.next, rgb: rgb.to_vec(), is_cut: false, channels: 0 };
        self.pending.push_back(frame);
        self.next += 1;
    }

    /// Takes the frame's next channel from `rgb`.
    fn expose(&mut self, frame: &mut Exposure, rgb: &[u8], width: usize) {
        let channel = frame.channels;
        for (to, from) in frame.rgb.chunks_exact_mut(3).zip(rgb.chunks_exact(3)) {
            to[channel] = if self.lag > 0.0 { luma([from[0], from[1], from[2]]) } else { from[channel] };
        }
        // The frame's own moment is that of its green; there the picture is whole.
        if channel == 1 {
            frame.is_cut = self.cuts.as_mut().is_some_and(|cuts| cuts.is_cut(rgb, width));
        }
        frame.channels += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of one pixel, `seconds / count` each, that show their number; what comes of them.
    fn frames(seconds: f64, count: usize, rate: f64, lag: Option<f64>) -> Vec<[u8; 3]> {
        let mut exposures = Exposures::new(rate, lag, false);
        let mut done = Vec::new();
        for i in 0..count {
            let end = seconds * (i + 1) as f64 / count as f64;
            if exposures.wants(end) {
                done.extend(std::iter::from_fn(|| exposures.show(&[i as u8; 3], 1, end)));
            }
        }
        done.extend(exposures.finish(&[count as u8 - 1; 3], 1, seconds));
        assert!(done.iter().enumerate().all(|(i, frame)| frame.index == i as u64));
        done.iter().map(|frame| [frame.rgb[0], frame.rgb[1], frame.rgb[2]]).collect()
    }

    #[test]
    fn plain_frames_are_the_pictures_at_the_middle_of_their_share() {
        assert_eq!(frames(4.0, 40, 1.0, None), [[5; 3], [15; 3], [25; 3], [35; 3]]);
        // Fewer pictures than frames, and a video shorter than one share.
        assert_eq!(frames(2.0, 2, 2.0, None), [[0; 3], [0; 3], [1; 3], [1; 3]]);
        assert_eq!(frames(0.2, 2, 1.0, None), [[1; 3]]);
    }

    #[test]
    fn lagging_channels_come_from_before_and_after() {
        assert_eq!(frames(2.0, 20, 1.0, Some(0.21)), [[2, 5, 7], [12, 15, 17]]);
        // More than a share apart, and beyond the video's ends.
        assert_eq!(frames(2.0, 20, 1.0, Some(1.2)), [[0, 5, 17], [3, 15, 19]]);
    }
}
