//! `read_frames`: the way of a file to the frames that a model sees.

use std::collections::BTreeMap;
use std::path::Path;

use ffmpeg_next::Packet;

use super::bars::Content;
use super::coding;
use super::collector::{Collector, Wanted};
use super::completeness::{self, Extent};
use super::feed::{Feed, Held};
use super::input::{End, Input};
use super::packets::Packets;
use super::picture::{luma, ratio};
use super::plan::reorder_depth;
use super::seeking;
use super::timeline::{Listed, Timeline};
use super::{Converter, DecodeOptions, Frames, Orientation, Preprocess, Sampling, Span, reason};
use crate::{Error, Result};

/// Packets, unless they are larger, that are read before anything else, also where less memory is allowed: they
/// tell when the first picture is shown and how far pictures are out of order.
const HEAD: usize = 32;
const HEAD_BYTES: usize = 8 << 20;
/// Pictures that tell where a film's bars are, and the bytes that may be read ahead for them.
const CONTENT_FRAMES: usize = 16;
const CONTENT_AHEAD: usize = 4 << 20;

/// Reads the frames that a model sees: those on screen at the moments that `sampling` names, upright,
/// at the size of `preprocess`.
///
/// Memory: up to `options.memory` bytes of packets and a few decoded pictures, whatever the video's length.
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
    Ok(read(path, sampling, preprocess, options)?.0)
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
    let sampling = Sampling::spread(1, CONTENT_FRAMES);
    let options = DecodeOptions { memory: options.memory.min(CONTENT_AHEAD), ..options.clone() };
    Ok(read(path, &sampling, preprocess, &options)?.1)
}

/// The frames, and what lies inside black bars.
fn read(
    path: &Path,
    sampling: &Sampling,
    preprocess: &Preprocess,
    options: &DecodeOptions,
) -> Result<(Frames, Option<Content>)> {
    if sampling.windows == 0 || sampling.frames == 0 {
        return Err(Error::Usage("no frames wanted: ask for at least one".into()));
    }
    let mut feed = Feed::open(path, options.file.as_deref(), options.deadline)?;
    // SAFETY: the stream belongs to the open input.
    let colours = unsafe { coding::warning(feed.input.stream()) };
    let memory = options.memory.min(feed.input.worth_keeping());
    let (packets, all) = read_packets(&mut feed, memory)?;
    if packets.is_empty() {
        return Err(Error::clip(path, feed.held().end.unwrap_or(End::Clean).without_pictures()));
    }
    let reader = Reader { sampling, preprocess, threads: options.threads, span: options.span };
    let (mut frames, content) = if all {
        let held = feed.held();
        reader.numbered(Packets::in_memory(feed, packets, options.threads), held)?
    } else {
        let codec = feed.input.codec();
        let head: Vec<Listed> = packets.iter().map(|packet| Listed::new(packet, codec)).collect();
        drop(packets);
        reader.long(feed, &head)?
    };
    frames.warnings.extend(colours);
    Ok((frames, content))
}

/// The first packets, and whether they are all: those that fit into `memory`, in bytes.
fn read_packets(feed: &mut Feed, memory: usize) -> Result<(Vec<Packet>, bool)> {
    let mut packets = Vec::new();
    let mut bytes = 0;
    while bytes <= memory || (packets.len() < HEAD && bytes < HEAD_BYTES) {
        let Ok(packet) = feed.read()? else { return Ok((packets, bytes <= memory)) };
        bytes += packet.size() + size_of::<Packet>();
        packets.push(packet);
    }
    Ok((packets, false))
}

struct Reader<'a> {
    sampling: &'a Sampling,
    preprocess: &'a Preprocess,
    threads: usize,
    span: Option<Span>,
}

/// The pictures that a model sees of a video.
struct Look {
    /// What the pictures on screen at the wanted moments are told apart by.
    wanted: Vec<i64>,
    /// Seconds that the stretch lasts that is looked at.
    duration: f64,
    /// What is wrong with the stretch.
    warning: Option<String>,
}

impl Reader<'_> {
    /// A video that is too long for memory, of which `head` is the beginning.
    fn long(&self, mut feed: Feed, head: &[Listed]) -> Result<(Frames, Option<Content>)> {
        // Pictures can be counted only where all of them are listed.
        if self.sampling.stride.is_none()
            && let Some(timeline) = seeking::vouched_timeline(&mut feed, head)?
        {
            let extent = Extent::of(&timeline, Some(f64::from(feed.input.time_base())));
            let warning = completeness::warning(&feed.input, feed.held(), extent)?;
            if let Some(done) = self.seek(&mut feed, &timeline, reorder_depth(head), &warning)? {
                return Ok(done);
            }
        }
        // Only reading all of it tells, without decoding it.
        feed.reopen()?;
        let codec = feed.input.codec();
        let mut listed = Vec::new();
        while let Ok(packet) = feed.read()? {
            listed.push(Listed::new(&packet, codec));
        }
        let held = feed.held();
        self.numbered(Packets::in_file(feed, listed, self.threads)?, held)
    }

    /// A clip all of whose `packets` are known.
    fn numbered(&self, mut packets: Packets, held: Held) -> Result<(Frames, Option<Content>)> {
        let (timeline, timed) = packets.timeline()?;
        let tick = f64::from(packets.feed.input.time_base());
        let extent = Extent::of(&timeline, timed.then_some(tick));
        let warning = completeness::warning(&packets.feed.input, held, extent)?;
        // By their stamps, pictures are found without reading all packets again.
        if timed && held.leaps == 0 && !packets.are_in_memory() && packets.are_in_order() {
            let delay = packets.reorder_depth();
            if let Some(done) = self.seek(&mut packets.feed, &timeline, delay, &warning)? {
                return Ok(done);
            }
            packets.rewind()?;
        }
        let look = self.look(&packets.feed.input.path, &timeline)?;
        let mut collected = packets.decode(timed, |input| self.collector(input, &look, None))?;
        // All pictures of a clip are cut alike.
        while collected.cut_unevenly() {
            let (content, resizing) = (collected.content(), collected.resizing);
            collected = packets.decode(timed, |input| self.collector(input, &look, content))?;
            collected.resizing += resizing;
        }
        let mut warnings = Vec::from_iter(warning);
        let (stand_ins, damaged) = (collected.stand_ins(), collected.damaged);
        if damaged > 0 && stand_ins > 0 {
            warnings.push(format!(
                "damaged: {stand_ins} of the frames can't be decoded, others stand in for them"
            ));
        } else if damaged > 0 {
            warnings.push(format!("damaged: {damaged} of its pictures are not whole"));
        }
        self.assemble(&packets.feed.input, collected, &look, &timeline, warnings)
    }

    /// Goes through the file from one wanted picture to the next; `None` where the video ends before the last.
    fn seek(
        &self,
        feed: &mut Feed,
        timeline: &Timeline,
        delay: usize,
        warning: &Option<String>,
    ) -> Result<Option<(Frames, Option<Content>)>> {
        let look = self.look(&feed.input.path, timeline)?;
        let mut content = None;
        loop {
            let mut collected = self.collector(&feed.input, &look, content);
            let ended = seeking::decode(feed, timeline.first(), delay, self.threads, &mut collected)?;
            let last = timeline.time_of(look.wanted.iter().max().copied().unwrap_or(0));
            if ended.is_some_and(|seen| last - timeline.time_of(seen) > 1.0) {
                return Ok(None);
            }
            content = collected.content();
            if collected.cut_unevenly() {
                continue;
            }
            let mut warnings = Vec::from_iter(warning.clone());
            if collected.damaged_shown > 0 {
                warnings.push(format!("damaged: {} of its pictures are not whole", collected.damaged_shown));
            }
            return self.assemble(&feed.input, collected, &look, timeline, warnings).map(Some);
        }
    }

    /// What to look at in the video at `path`.
    fn look(&self, path: &Path, timeline: &Timeline) -> Result<Look> {
        let whole = (0.0, timeline.duration, None);
        let (start, duration, warning) = match self.span {
            Some(span) => span.within(timeline.duration).map_err(|reason| Error::clip(path, reason))?,
            None => whole,
        };
        let starts = timeline.starts_within(start, duration);
        let moments = self.sampling.moments(duration, &starts);
        let wanted = moments.into_iter().map(|moment| timeline.at(start + moment)).collect();
        Ok(Look { wanted, duration, warning })
    }

    fn collector(&self, input: &Input, look: &Look, content: Option<Content>) -> Collector {
        let stream = input.stream();
        // SAFETY: the stream belongs to the open input.
        let (orientation, aspect) =
            unsafe { (Orientation::of_stream(stream), ratio((*stream).sample_aspect_ratio)) };
        let converter = Converter::new(self.preprocess, orientation, aspect, content);
        Collector::new(look.wanted.iter().copied(), converter)
    }

    /// Puts the pictures into the order of the moments.
    fn assemble(
        &self,
        input: &Input,
        collected: Collector,
        look: &Look,
        timeline: &Timeline,
        mut warnings: Vec<String>,
    ) -> Result<(Frames, Option<Content>)> {
        let wanted = &look.wanted;
        warnings.extend(look.warning.clone());
        let (content, resizing) = (collected.content(), collected.resizing);
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
                .ok_or_else(|| Error::clip(&input.path, reason::none_decoded(&input.path)))
        };
        let mut natural = self.sampling.luma_lag.map(|_| Vec::with_capacity(pixels.capacity()));
        for stamps in wanted.chunks(self.sampling.moments_a_frame()) {
            let shown = stamps.iter().map(find).collect::<Result<Vec<&Wanted>>>()?;
            let middle = &shown[shown.len() / 2];
            match (&mut natural, &shown[..]) {
                (Some(natural), [before, now, after]) => {
                    natural.extend_from_slice(&now.pixels);
                    let start = pixels.len();
                    pixels.resize(start + now.pixels.len(), 0);
                    let [before, now, after] = [before, now, after].map(|moment| moment.pixels.as_chunks().0);
                    let moments = before.iter().zip(now).zip(after);
                    for (pixel, ((a, b), c)) in pixels[start..].as_chunks_mut().0.iter_mut().zip(moments) {
                        *pixel = [luma(*a), luma(*b), luma(*c)];
                    }
                }
                _ => pixels.extend_from_slice(&middle.pixels),
            }
            times.push(timeline.time_of(middle.stamp));
        }
        let frames = Frames {
            pixels,
            natural,
            windows: self.sampling.windows,
            per_window: self.sampling.frames,
            height: crop.height,
            width: crop.width,
            times,
            duration: look.duration,
            warnings,
            resizing,
        };
        Ok((frames, content))
    }
}
