//! Gathers the wanted pictures out of all that the decoder shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ffmpeg_next::{ffi, frame};

use super::Converter;
use super::bars::Content;

/// Takes decoded pictures in the order in which they are shown and converts the wanted ones.
///
/// A picture's fate is settled when the next one comes: it is on screen until then.
pub(super) struct Collector {
    wanted: BTreeMap<i64, Wanted>,
    converter: Converter,
    held: Option<(i64, frame::Video)>,
    missing: usize,
    /// Pictures that the decoder marked as damaged.
    pub damaged: usize,
    /// Those of them that were taken for a wanted one.
    pub damaged_shown: usize,
    /// Time spent on resizing and converting.
    pub resizing: Duration,
}

#[derive(Default)]
pub(super) struct Wanted {
    /// The converted picture, empty as long as there is none.
    pub pixels: Vec<u8>,
    /// The picture that it shows: the wanted one or, where that can't be had, the one before.
    pub stamp: i64,
}

impl Collector {
    pub(super) fn new(wanted: impl IntoIterator<Item = i64>, converter: Converter) -> Self {
        let wanted: BTreeMap<_, _> = wanted.into_iter().map(|w| (w, Wanted::default())).collect();
        Self {
            missing: wanted.len(),
            wanted,
            converter,
            held: None,
            damaged: 0,
            damaged_shown: 0,
            resizing: Duration::ZERO,
        }
    }

    /// Whether each wanted picture itself has come.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The next picture on screen.
    pub(super) fn take(&mut self, stamp: i64, frame: frame::Video) {
        self.damaged += usize::from(is_damaged(&frame));
        match self.held.take() {
            // What was wanted before the first picture gets the first.
            None => self.give(i64::MIN, stamp, stamp, &frame),
            Some((held_stamp, held)) if held_stamp < stamp => {
                self.give(held_stamp, stamp, held_stamp, &held);
            }
            // It comes too late, and takes the place of the one on screen.
            Some((held_stamp, _)) => {
                self.held = Some((held_stamp, frame));
                return;
            }
        }
        self.held = Some((stamp, frame));
    }

    /// After the last picture of a stretch: nothing follows it up to `until`.
    pub(super) fn end_stretch(&mut self, until: i64) {
        if let Some((stamp, frame)) = self.held.take() {
            self.give(stamp, until.saturating_add(1), stamp, &frame);
        }
    }

    /// Gives `frame` to whatever is wanted in `from..to`.
    fn give(&mut self, from: i64, to: i64, stamp: i64, frame: &frame::Video) {
        if from >= to {
            return;
        }
        let mut pixels: Vec<u8> = Vec::new();
        for (wanted, slot) in self.wanted.range_mut(from..to) {
            let have = (!slot.pixels.is_empty()).then_some(slot.stamp);
            if !is_better(stamp, have, *wanted) {
                continue;
            }
            if pixels.is_empty() {
                pixels.resize(self.converter.size(), 0);
                let start = Instant::now();
                let converted = self.converter.convert(frame, &mut pixels);
                self.resizing += start.elapsed();
                if converted.is_err() {
                    return;
                }
                self.damaged_shown += usize::from(is_damaged(frame));
            }
            slot.pixels.clone_from(&pixels);
            slot.stamp = stamp;
            self.missing -= usize::from(stamp == *wanted);
        }
    }

    /// What lies inside black bars in all that was taken, where they are cut off.
    pub(super) fn content(&self) -> Option<Content> {
        self.converter.content
    }

    /// Whether that was not known for the first ones taken, so that they were cut to something else.
    pub(super) fn cut_unevenly(&self) -> bool {
        self.converter.cut_unevenly
    }

    /// What came, by what was wanted.
    pub(super) fn finish(self) -> BTreeMap<i64, Wanted> {
        self.wanted
    }

    /// Whether a picture after the one on screen at `wanted` has come.
    pub(super) fn has_passed(&self, wanted: i64) -> bool {
        self.held.as_ref().is_some_and(|(stamp, _)| *stamp > wanted)
    }

    pub(super) fn last_seen(&self) -> Option<i64> {
        self.held.as_ref().map(|(stamp, _)| *stamp)
    }

    /// Wanted pictures that could not be had.
    pub(super) fn stand_ins(&self) -> usize {
        self.wanted.iter().filter(|(wanted, got)| got.pixels.is_empty() || got.stamp != **wanted).count()
    }

    pub(super) fn wanted(&self) -> &BTreeMap<i64, Wanted> {
        &self.wanted
    }
}

fn is_damaged(frame: &frame::Video) -> bool {
    // SAFETY: a decoded frame is valid while borrowed.
    let flags = unsafe { (*frame.as_ptr()).flags };
    flags & ffi::AV_FRAME_FLAG_CORRUPT != 0 || frame.is_corrupt()
}

/// Whether the picture of time `new` shows `wanted` better than the one of time `have`: the last that began
/// before, or else the first after.
fn is_better(new: i64, have: Option<i64>, wanted: i64) -> bool {
    match have {
        None => true,
        Some(have) if new <= wanted => have > wanted || have < new,
        Some(have) => have > wanted && new < have,
    }
}
