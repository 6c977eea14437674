//! `read_frames`: the way of a file to the frames that a model sees.

use std::collections::BTreeMap;
use std::path::Path;

use ffmpeg_next::Packet;

use super::bars::Content;
use super::coding;
use super::collector::{Collector, Wanted};
use super::input::{End, Input};
use super::memory::Packets;
use super::picture::{Colours, ratio};
use super::stream::{self, Span};
use super::{Converter, DecodeOptions, Frames, Orientation, Preprocess, Sampling, reason};
use crate::{Error, Result};

/// Clips with up to this many bytes of video are decoded from memory.
const SHORT: usize = 48 << 20;
/// Pictures that tell where a film's bars are, and the bytes that may be read ahead for them.
const CONTENT_FRAMES: usize = 16;
const CONTENT_AHEAD: usize = 4 << 20;

/// Reads the frames that a model sees: those on screen at the moments that `sampling` names, upright,
/// at the size of `preprocess`.
///
/// Memory: up to 48 MB of packets and a few decoded pictures, whatever the video's length.
///
/// # Errors
/// [`Error::Clip`] with the reason where not a single frame can be had, or `options.deadline` passes.
/// A clip that is cut off or damaged but shows something gives frames and [`Frames::warnings`].
pub fn read_frames(
    path: &Path,
    sampling: &Sampling,
    preprocess: &Preprocess,
    options: &DecodeOptions,
) -> Result<Frames> {
    Ok(read(path, sampling, preprocess, options, SHORT)?.0)
}

/// What lies inside black bars in pictures from all over the clip, where `preprocess` cuts them off.
///
/// # Errors
/// As [`read_frames`].
pub(super) fn read_content(
    path: &Path,
    preprocess: &Preprocess,
    options: &DecodeOptions,
) -> Result<Option<Content>> {
    if !preprocess.cut_bars {
        return Ok(None);
    }
    let sampling = Sampling { windows: 1, frames: CONTENT_FRAMES, fps: None, luma_lag: None };
    Ok(read(path, &sampling, preprocess, options, CONTENT_AHEAD)?.1)
}

/// The frames, and what lies inside black bars. A clip with up to `memory` bytes of video is decoded from memory.
fn read(
    path: &Path,
    sampling: &Sampling,
    preprocess: &Preprocess,
    options: &DecodeOptions,
    memory: usize,
) -> Result<(Frames, Option<Content>)> {
    if sampling.windows == 0 || sampling.frames == 0 {
        return Err(Error::Usage("no frames wanted: ask for at least one".into()));
    }
    let mut input = Input::open(path, options.deadline)?;
    let (packets, end) = read_packets(&mut input, memory)?;
    // SAFETY: the stream belongs to the open input.
    let colours = unsafe { coding::warning(input.stream()) };
    let reader = Reader { input, sampling, preprocess, threads: options.threads };
    let (mut frames, content) = match end {
        Some(end) => reader.short(packets, end),
        None => reader.long(&packets),
    }?;
    frames.warnings.extend(colours);
    Ok((frames, content))
}

/// All packets and how they ended, or those that fit into `memory`, in bytes.
fn read_packets(input: &mut Input, memory: usize) -> Result<(Vec<Packet>, Option<End>)> {
    let mut packets = Vec::new();
    let mut bytes = 0;
    while bytes <= memory {
        match input.read()? {
            Ok(packet) => {
                if reason::is_encrypted(&packet) {
                    return Err(Error::clip(
                        &input.path,
                        "is encrypted (DRM); only a decrypted copy can be read",
                    ));
                }
                bytes += packet.size() + size_of::<Packet>();
                packets.push(packet);
            }
            Err(end) => return Ok((packets, Some(end))),
        }
    }
    Ok((packets, None))
}

struct Reader<'a> {
    input: Input,
    sampling: &'a Sampling,
    preprocess: &'a Preprocess,
    threads: usize,
}

impl Reader<'_> {
    /// A clip whose `packets` are all in memory.
    fn short(&self, packets: Vec<Packet>, end: End) -> Result<(Frames, Option<Content>)> {
        let input = &self.input;
        if packets.is_empty() {
            return Err(Error::clip(&input.path, reason::no_packets(end)));
        }
        let count = packets.len() as u64;
        let cut = end == End::Broken || packets.iter().any(Packet::is_corrupt);
        let packets = Packets::new(packets, self.threads);
        let (timeline, timed) = packets.timeline(input)?;
        let moments = self.sampling.moments(timeline.duration);
        let wanted: Vec<i64> = moments.iter().map(|t| timeline.stamps[timeline.at(*t)]).collect();
        let mut collected = packets.decode(input, timed, || self.collector(&wanted, None))?;
        // All pictures of a clip are cut alike.
        while collected.cut_unevenly() {
            let (content, resizing) = (collected.content(), collected.resizing);
            collected = packets.decode(input, timed, || self.collector(&wanted, content))?;
            collected.resizing += resizing;
        }

        let mut warnings = Vec::new();
        let (have, claimed) = (timeline.duration, input.duration().unwrap_or(0.0));
        let listed = input.frame_count().unwrap_or(0);
        if cut || (listed > count + 1 && claimed > have * 1.02) {
            warnings.push(reason::truncated(have, claimed));
        }
        let (stand_ins, damaged) = (collected.stand_ins(), collected.damaged);
        if damaged > 0 && stand_ins > 0 {
            warnings.push(format!(
                "damaged: {stand_ins} of the frames can't be decoded, others stand in for them"
            ));
        } else if damaged > 0 {
            warnings.push(format!("damaged: {damaged} of its pictures are not whole"));
        }
        let time_of = |stamp: i64| {
            let place = timeline.stamps.partition_point(|s| *s < stamp);
            timeline.times[place.min(timeline.times.len() - 1)]
        };
        let content = collected.content();
        let frames = self.assemble(collected, &wanted, timeline.duration, time_of)?;
        Ok((Frames { warnings, ..frames }, content))
    }

    /// A video that is too long for memory, of which `head` is the beginning.
    fn long(mut self, head: &[Packet]) -> Result<(Frames, Option<Content>)> {
        let tick = f64::from(self.input.time_base());
        let mut measured = false;
        let mut content = None;
        let mut span = match Span::claimed(&self.input, head) {
            Some(span) => span,
            None => {
                measured = true;
                self.measure()?
            }
        };
        loop {
            let moments = self.sampling.moments(span.duration);
            let wanted: Vec<i64> = moments.iter().map(|t| span.stamp(*t, tick)).collect();
            let mut collected = self.collector(&wanted, content);
            let ended = stream::decode(&mut self.input, &span, self.threads, &mut collected)?;
            let last = wanted.iter().max().copied().unwrap_or(0);
            if !measured && ended.is_some_and(|seen| last.saturating_sub(seen) as f64 * tick > 1.0) {
                // The container claims more than there is.
                measured = true;
                span = self.measure()?;
                continue;
            }
            content = collected.content();
            if collected.cut_unevenly() {
                continue;
            }
            let mut warnings = Vec::new();
            let claimed = self.input.duration().unwrap_or(0.0);
            if measured && claimed > span.duration + 1.0 {
                warnings.push(reason::truncated(span.duration, claimed));
            }
            if collected.damaged_shown > 0 {
                warnings.push(format!("damaged: {} of its pictures are not whole", collected.damaged_shown));
            }
            let time_of = |stamp: i64| stamp.saturating_sub(span.first) as f64 * tick;
            let frames = self.assemble(collected, &wanted, span.duration, time_of)?;
            return Ok((Frames { warnings, ..frames }, content));
        }
    }

    fn measure(&mut self) -> Result<Span> {
        Span::measured(&mut self.input)?.ok_or_else(|| {
            let reason = "is too long to be read without times in it; put it into a container, as with \
                 `ffmpeg -i IN -c copy OUT.mkv`";
            Error::clip(&self.input.path, reason)
        })
    }

    fn collector(&self, wanted: &[i64], content: Option<Content>) -> Collector {
        let stream = self.input.stream();
        // SAFETY: the stream belongs to the open input.
        let (orientation, aspect) =
            unsafe { (Orientation::of_stream(stream), ratio((*stream).sample_aspect_ratio)) };
        let colours = if self.sampling.moments_a_frame() == 3 { Colours::Luma } else { Colours::Rgb };
        let converter = Converter::new(self.preprocess, orientation, aspect, colours, content);
        Collector::new(wanted.iter().copied(), converter)
    }

    /// Puts the pictures into the order of the moments. `time_of`: seconds of a picture from the first.
    fn assemble(
        &self,
        collected: Collector,
        wanted: &[i64],
        duration: f64,
        time_of: impl Fn(i64) -> f64,
    ) -> Result<Frames> {
        let resizing = collected.resizing;
        let mut pictures: BTreeMap<i64, Wanted> = collected.finish();
        pictures.retain(|_, picture| !picture.pixels.is_empty());
        let crop = self.preprocess.crop_size;
        let mut pixels = Vec::with_capacity(wanted.len() * crop.height * crop.width * 3);
        let mut times = Vec::with_capacity(wanted.len());
        let find = |stamp: &i64| {
            let before = pictures.range(..=stamp).next_back();
            let found = before.or_else(|| pictures.range(stamp..).next());
            found
                .map(|(_, picture)| picture)
                .ok_or_else(|| Error::clip(&self.input.path, reason::NONE_DECODED))
        };
        for stamps in wanted.chunks(self.sampling.moments_a_frame()) {
            let shown = stamps.iter().map(find).collect::<Result<Vec<&Wanted>>>()?;
            match shown[..] {
                [before, now, after] => {
                    let start = pixels.len();
                    pixels.resize(start + now.pixels.len() * 3, 0);
                    let moments = before.pixels.iter().zip(&now.pixels).zip(&after.pixels);
                    for (pixel, ((a, b), c)) in pixels[start..].as_chunks_mut().0.iter_mut().zip(moments) {
                        *pixel = [*a, *b, *c];
                    }
                }
                _ => pixels.extend_from_slice(&shown[0].pixels),
            }
            times.push(time_of(shown[shown.len() / 2].stamp));
        }
        Ok(Frames {
            pixels,
            windows: self.sampling.windows,
            per_window: self.sampling.frames,
            height: crop.height,
            width: crop.width,
            times,
            duration,
            warnings: Vec::new(),
            resizing,
        })
    }
}
