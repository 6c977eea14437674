//! A whole video, picture by picture, in one pass and bounded memory.

use std::collections::VecDeque;
use std::path::Path;

use ffmpeg_next::{ffi, frame};

use super::coding;
use super::completeness::{self, Extent};
use super::decoder::{Decoder, Stamps};
use super::feed::Feed;
use super::input::End;
use super::picture::ratio;
use super::read::read_content;
use super::timeline::Times;
use super::{Converter, DecodeOptions, Orientation, Preprocess, reason};
use crate::{Error, Result};

/// Goes through a video from its first picture to its last.
pub struct Walk {
    feed: Feed,
    decoder: Decoder,
    converter: Converter,
    /// Decoded and not yet shown, with their times.
    ahead: VecDeque<(f64, frame::Video)>,
    /// The picture on screen.
    shown: Option<frame::Video>,
    stamps: Stamps,
    times: Times,
    /// The longest time between two pictures, in seconds.
    longest: f64,
    ended: bool,
    cut_off: Option<String>,
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
        let mut feed = match path.to_str() {
            Some("-") => Feed::standard_input(options.deadline)?,
            _ => Feed::open(path, options.file.as_deref(), options.deadline)?,
        };
        feed.input.analyse()?;
        let input = &feed.input;
        let stream = input.stream();
        // SAFETY: the stream belongs to the open input.
        let (orientation, aspect) =
            unsafe { (Orientation::of_stream(stream), ratio((*stream).sample_aspect_ratio)) };
        let is_pipe = path == Path::new("-");
        // Of a pipe, what is seen on the way has to do. What is wrong with a film is said by the walk itself.
        let content = if is_pipe { None } else { read_content(path, preprocess, options).ok().flatten() };
        let decoder = Decoder::open(input, options.threads, None)?;
        let times = Times::new(f64::from(input.time_base()), input.frame_rate());
        Ok(Self {
            converter: Converter::new(preprocess, orientation, aspect, content),
            decoder,
            feed,
            ahead: VecDeque::new(),
            shown: None,
            stamps: Stamps::default(),
            times,
            longest: 0.0,
            ended: false,
            cut_off: None,
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
        while self.ahead.len() < 2 && !self.ended {
            self.decode()?;
        }
        let Some((start, next)) = self.ahead.pop_front() else {
            if self.pictures == 0 {
                let end = self.feed.held().end.unwrap_or(End::Clean);
                let reason = match end {
                    End::Broken if self.is_pipe => {
                        "can't be read from a pipe; an MP4 whose index is at its end needs a file, or \
                         `ffmpeg -i IN -c copy -f matroska -`"
                    }
                    _ if self.feed.held().packets != Some(0) => reason::none_decoded(&self.feed.input.path),
                    end => end.without_pictures(),
                };
                return Err(Error::clip(&self.feed.input.path, reason));
            }
            self.cut_off = self.look_what_is_missing()?;
            return Ok(None);
        };
        // SAFETY: a decoded frame is valid while borrowed.
        let flags = unsafe { (*next.as_ptr()).flags };
        self.damaged += u64::from(flags & ffi::AV_FRAME_FLAG_CORRUPT != 0);
        self.pictures += 1;
        self.until = self.ahead.front().map_or_else(|| self.end(), |(start, _)| *start);
        if !self.ahead.is_empty() {
            self.longest = self.longest.max(self.until - start);
        }
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
        self.times.first_stamp()
    }

    /// Pictures a second, by what the container says or FFmpeg guesses.
    pub(crate) fn rate(&self) -> f64 {
        self.times.rate()
    }

    /// Seconds of video by the container's word.
    pub fn claimed_duration(&self) -> Option<f64> {
        self.feed.input.duration()
    }

    /// What was seen so far; all of it once [`Self::step`] gave `None`.
    pub fn seen(&self) -> Seen {
        let duration = self.until;
        let mut warnings = Vec::from_iter(self.cut_off.clone());
        let errors = self.decoder.errors as u64;
        if self.damaged + errors > 0 {
            let n = self.damaged.max(errors);
            warnings.push(format!("damaged: {n} of its pictures are not whole"));
        }
        // SAFETY: the stream belongs to the open input.
        warnings.extend(unsafe { coding::warning(self.feed.input.stream()) });
        Seen { pictures: self.pictures, duration, warnings }
    }

    /// When the last picture ends. Pictures after it that can't be decoded would have been shown in its place.
    fn end(&self) -> f64 {
        let tick = f64::from(self.feed.input.time_base());
        let said = self.feed.until().map_or(0.0, |until| until as f64 * tick - self.times.first_stamp());
        self.times.end().max(said)
    }

    /// What to say of a video that ends too early, after its end.
    fn look_what_is_missing(&self) -> Result<Option<String>> {
        let Self { until: duration, longest, .. } = *self;
        let extent = Extent { duration, until: self.times.first_stamp() + duration, longest };
        completeness::warning(&self.feed.input, self.feed.held(), extent)
    }

    /// Decodes one more packet.
    fn decode(&mut self) -> Result<()> {
        match self.feed.read()? {
            Ok(packet) => self.decoder.send(Some(&packet)),
            Err(_) => {
                self.decoder.send(None);
                self.ended = true;
            }
        }
        let loose = self.feed.held().untimed;
        while let Some(frame) = self.decoder.receive() {
            // SAFETY: a decoded frame is valid while borrowed.
            let length = unsafe { (*frame.as_ptr()).pkt_duration };
            self.ahead.push_back((self.times.next(self.stamps.next(&frame), length, loose), frame));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
