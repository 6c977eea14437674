//! A whole video, picture by picture, in one pass and bounded memory.

use std::collections::VecDeque;
use std::path::Path;

use ffmpeg_next::{ffi, frame};

use super::coding;
use super::decoder::Decoder;
use super::input::{End, Input};
use super::memory::timestamp;
use super::picture::{Colours, ratio};
use super::read::read_content;
use super::{Converter, DecodeOptions, Orientation, Preprocess, reason};
use crate::{Error, Result};

/// Goes through a video from its first picture to its last.
pub struct Walk {
    input: Input,
    decoder: Decoder,
    converter: Converter,
    /// Decoded and not yet shown, with their times.
    ahead: VecDeque<(f64, frame::Video)>,
    /// The picture on screen.
    shown: Option<frame::Video>,
    clock: Clock,
    end: Option<End>,
    /// Whether a packet is not whole.
    cut: bool,
    pictures: u64,
    damaged: u64,
    /// When the picture on screen ends.
    until: f64,
    is_pipe: bool,
}

/// When a picture is on screen, in seconds from the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    pub start: f64,
    pub end: f64,
}

/// What was seen on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Pictures so far.
    pub pictures: u64,
    /// Seconds from the first picture's start to the end of the last one so far.
    pub duration: f64,
    /// What is wrong with the video.
    pub warnings: Vec<String>,
}

impl Walk {
    /// Opens the video at `path`, or on the standard input where `path` is `-`.
    ///
    /// # Errors
    /// [`Error::Clip`] where there is no video that FFmpeg can read.
    pub fn open(path: &Path, preprocess: &Preprocess, options: &DecodeOptions) -> Result<Self> {
        let mut input = match path.to_str() {
            Some("-") => Input::standard_input(options.deadline)?,
            _ => Input::open(path, options.deadline)?,
        };
        input.analyse()?;
        let stream = input.stream();
        // SAFETY: the stream belongs to the open input.
        let (orientation, aspect) =
            unsafe { (Orientation::of_stream(stream), ratio((*stream).sample_aspect_ratio)) };
        let is_pipe = path == Path::new("-");
        // Of a pipe, what is seen on the way has to do. What is wrong with a film is said by the walk itself.
        let content = if is_pipe { None } else { read_content(path, preprocess, options).ok().flatten() };
        let decoder = Decoder::open(&input, options.threads, None)?;
        let clock = Clock::new(f64::from(input.time_base()), input.frame_rate());
        Ok(Self {
            converter: Converter::new(preprocess, orientation, aspect, Colours::Rgb, content),
            decoder,
            input,
            ahead: VecDeque::new(),
            shown: None,
            clock,
            end: None,
            cut: false,
            pictures: 0,
            damaged: 0,
            until: 0.0,
            is_pipe,
        })
    }

    /// Shows the next picture; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Clip`] where there is not a single picture, or the deadline passed.
    pub fn step(&mut self) -> Result<Option<Shown>> {
        // One more than is shown: it says when that one ends.
        while self.ahead.len() < 2 && self.end.is_none() {
            self.decode()?;
        }
        let Some((start, next)) = self.ahead.pop_front() else {
            if self.pictures == 0 {
                let reason = match self.end {
                    Some(End::Broken) if self.is_pipe => {
                        "can't be read from a pipe; an MP4 whose index is at its end needs a file, or \
                         `ffmpeg -i IN -c copy -f matroska -`"
                    }
                    _ if self.decoder.errors > 0 => reason::NONE_DECODED,
                    end => reason::no_packets(end.unwrap_or(End::Clean)),
                };
                return Err(Error::clip(&self.input.path, reason));
            }
            return Ok(None);
        };
        // SAFETY: a decoded frame is valid while borrowed.
        let flags = unsafe { (*next.as_ptr()).flags };
        self.damaged += u64::from(flags & ffi::AV_FRAME_FLAG_CORRUPT != 0);
        self.pictures += 1;
        self.until = self.ahead.front().map_or(self.clock.end(), |(start, _)| *start);
        self.shown = Some(next);
        Ok(Some(Shown { start, end: self.until }))
    }

    /// The picture on screen, upright at the size of the preprocessing: `u8 [height, width, 3]`.
    /// False where it can't be converted; `rgb` then keeps what it held.
    pub fn convert(&mut self, rgb: &mut [u8]) -> bool {
        let Some(shown) = &self.shown else { return false };
        self.converter.convert(shown, rgb).is_ok()
    }

    /// When the first picture comes on the film's own clock, in seconds.
    pub(crate) fn first_stamp(&self) -> f64 {
        self.clock.first
    }

    /// Seconds of video by the container's word.
    pub fn claimed_duration(&self) -> Option<f64> {
        self.input.duration()
    }

    /// What was seen so far; all of it once [`Self::step`] gave `None`.
    pub fn seen(&self) -> Seen {
        let duration = self.until;
        let claimed = self.input.duration().unwrap_or(0.0);
        let mut warnings = Vec::new();
        let missing = self.input.frame_count().is_some_and(|n| n > self.pictures + 1)
            && claimed > duration * 1.02 + 0.5;
        if self.cut || self.end == Some(End::Broken) || (self.end.is_some() && missing) {
            warnings.push(reason::truncated(duration, claimed));
        }
        let errors = self.decoder.errors as u64;
        if self.damaged + errors > 0 {
            let n = self.damaged.max(errors);
            warnings.push(format!("damaged: {n} of its pictures are not whole"));
        }
        // SAFETY: the stream belongs to the open input.
        warnings.extend(unsafe { coding::warning(self.input.stream()) });
        Seen { pictures: self.pictures, duration, warnings }
    }

    /// Decodes one more packet.
    fn decode(&mut self) -> Result<()> {
        match self.input.read()? {
            Ok(packet) => {
                if reason::is_encrypted(&packet) {
                    let reason = "is encrypted (DRM); only a decrypted copy can be read";
                    return Err(Error::clip(&self.input.path, reason));
                }
                self.cut |= packet.is_corrupt();
                self.decoder.send(Some(&packet));
            }
            Err(end) => {
                self.decoder.send(None);
                self.end = Some(end);
            }
        }
        while let Some(frame) = self.decoder.receive() {
            // SAFETY: a decoded frame is valid while borrowed.
            let length = unsafe { (*frame.as_ptr()).pkt_duration };
            self.ahead.push_back((self.clock.tick(timestamp(&frame), length), frame));
        }
        Ok(())
    }
}

/// A slide stays on screen for minutes; a longer wait is a break in the stamps.
const LEAP: f64 = 600.0;

/// Turns the pictures' stamps into seconds that only grow: streams that were joined or cut start
/// their stamps anew or leap ahead by hours, and some have none.
struct Clock {
    tick: f64,
    /// Seconds a picture, where nothing better is known.
    usual: f64,
    /// Seconds to add to a stamp.
    shift: Option<f64>,
    now: f64,
    /// The first stamp, in seconds.
    first: f64,
    /// How long the picture on screen stays there.
    length: f64,
}

impl Clock {
    fn new(tick: f64, rate: Option<f64>) -> Self {
        Self { tick, usual: 1.0 / rate.unwrap_or(25.0), shift: None, now: 0.0, first: 0.0, length: 0.0 }
    }

    /// The time of the picture with `stamp`, which says that it lasts `length` ticks.
    fn tick(&mut self, stamp: Option<i64>, length: i64) -> f64 {
        let expected = self.end();
        let stamp = stamp.map(|s| s as f64 * self.tick);
        let time = match (stamp, self.shift) {
            (Some(stamp), Some(shift)) if (0.0..LEAP).contains(&(stamp + shift - self.now)) => stamp + shift,
            (Some(stamp), before) => {
                if before.is_none() {
                    self.first = stamp;
                }
                self.shift = Some(expected - stamp);
                expected
            }
            (None, _) => expected,
        };
        let before = time - self.now;
        self.length = match length {
            1.. => (length as f64 * self.tick).min(LEAP),
            _ if before > 0.0 => before.min(1.0),
            _ => self.usual,
        };
        self.now = time;
        time
    }

    /// When the picture on screen ends.
    fn end(&self) -> f64 {
        self.now + self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_only_grows() {
        let mut clock = Clock::new(0.1, Some(10.0));
        let stamps = [Some(50), Some(51), Some(53), Some(2), Some(3), None, Some(9), Some(99_999)];
        let times = stamps.map(|s| (clock.tick(s, 0) * 1e6).round() / 1e6);
        assert_eq!(times, [0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 1.2, 1.7]);
    }

    #[test]
    fn every_picture_of_a_sample_comes_once() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/bikes.mp4");
        let preprocess = Preprocess::new(32, 127.0, 128.0);
        let mut walk = Walk::open(&path, &preprocess, &DecodeOptions::default()).unwrap();
        let (mut times, mut rgb) = (vec![], vec![0; 32 * 32 * 3]);
        while let Some(shown) = walk.step().unwrap() {
            assert!(times.last().is_none_or(|last: &Shown| last.end == shown.start));
            times.push(shown);
            assert!(walk.convert(&mut rgb));
        }
        let seen = walk.seen();
        assert_eq!((seen.pictures, seen.warnings.len()), (250, 0));
        assert!((seen.duration - 10.0).abs() < 0.01, "{seen:?}");
        assert!(times.iter().all(|shown| (shown.end - shown.start - 0.04).abs() < 1e-6));
    }

    #[test]
    fn bars_are_known_before_they_are_seen() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clips/bars.mp4");
        let preprocess = Preprocess { cut_bars: true, ..Preprocess::new(32, 127.0, 128.0) };
        let mut walk = Walk::open(&path, &preprocess, &DecodeOptions::default()).unwrap();
        assert!(walk.converter.content.is_some());
        let mut rgb = vec![0; 32 * 32 * 3];
        while walk.step().unwrap().is_some() {
            assert!(walk.convert(&mut rgb));
        }
        assert!(!walk.converter.cut_unevenly);
        let [red, green, blue] = [rgb[0], rgb[1], rgb[2]];
        assert!(red > 250 && green < 5 && blue < 5, "{red} {green} {blue}");
    }
}
