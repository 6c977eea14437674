//! `read_frames`: the way of a file to the frames that a model sees.

use std::collections::BTreeMap;
use std::path::Path;

use ffmpeg_next::Packet;

use super::collector::{Collector, Wanted};
use super::input::{End, Input};
use super::memory::Packets;
use super::picture::ratio;
use super::stream::{self, Span};
use super::{Converter, DecodeOptions, Frames, Orientation, Preprocess, Sampling, reason};
use crate::{Error, Result};

/// Clips with up to this many bytes of video are decoded from memory.
const SHORT: usize = 48 << 20;

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
    if sampling.windows == 0 || sampling.frames == 0 {
        return Err(Error::Usage("no frames wanted: ask for at least one".into()));
    }
    let mut input = Input::open(path, options.deadline)?;
    let (packets, end) = read_packets(&mut input)?;
    match end {
        Some(end) => read_short(&mut input, packets, end, sampling, preprocess, options.threads),
        None => read_long(&mut input, &packets, sampling, preprocess, options.threads),
    }
}

/// All packets and how they ended, or those that fit into memory.
fn read_packets(input: &mut Input) -> Result<(Vec<Packet>, Option<End>)> {
    let mut packets = Vec::new();
    let mut bytes = 0;
    loop {
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
        if bytes > SHORT {
            return Ok((packets, None));
        }
    }
}

fn read_short(
    input: &mut Input,
    packets: Vec<Packet>,
    end: End,
    sampling: &Sampling,
    preprocess: &Preprocess,
    threads: usize,
) -> Result<Frames> {
    if packets.is_empty() {
        return Err(Error::clip(&input.path, reason::no_packets(end)));
    }
    let count = packets.len();
    let packets = Packets::new(packets, threads);
    let (timeline, timed) = packets.timeline(input)?;
    let moments = sampling.moments(timeline.duration);
    let wanted: Vec<i64> = moments.iter().map(|t| timeline.stamps[timeline.at(*t)]).collect();
    let collected = packets.decode(input, timed, || collector(input, &wanted, preprocess))?;
    let mut warnings = Vec::new();
    let (have, claimed) = (timeline.duration, input.duration().unwrap_or(0.0));
    let missing = input.frame_count().is_some_and(|n| n > count as u64 + 1) && claimed > have * 1.02;
    if end == End::Broken || missing {
        warnings.push(reason::truncated(have, claimed));
    }
    let time_of = |stamp: i64| match timeline.stamps.binary_search(&stamp) {
        Ok(i) => timeline.times[i],
        Err(i) => timeline.times[i.min(timeline.times.len() - 1)],
    };
    assemble(input, collected, &wanted, sampling, preprocess, time_of, timeline.duration, warnings)
}

fn read_long(
    input: &mut Input,
    head: &[Packet],
    sampling: &Sampling,
    preprocess: &Preprocess,
    threads: usize,
) -> Result<Frames> {
    let tick = f64::from(input.time_base());
    let claimed = Span::claimed(input, head);
    let mut measured = claimed.is_none();
    let mut span = match claimed {
        Some(span) => span,
        None => measure(input)?,
    };
    loop {
        let moments = sampling.moments(span.duration);
        let wanted: Vec<i64> = moments.iter().map(|t| span.stamp(*t, tick)).collect();
        let mut collected = collector(input, &wanted, preprocess);
        let ended = stream::decode(input, &span, threads, &mut collected)?;
        let last = wanted.iter().max().copied().unwrap_or(0);
        if !measured && ended.is_some_and(|seen| last.saturating_sub(seen) as f64 * tick > 1.0) {
            span = measure(input)?;
            measured = true;
            continue;
        }
        let mut warnings = Vec::new();
        let said = input.duration().unwrap_or(0.0);
        if measured && said > span.duration + 1.0 {
            warnings.push(reason::truncated(span.duration, said));
        }
        let time_of = |stamp: i64| stamp.saturating_sub(span.first) as f64 * tick;
        return assemble(input, collected, &wanted, sampling, preprocess, time_of, span.duration, warnings);
    }
}

fn measure(input: &mut Input) -> Result<Span> {
    Span::measured(input)?.ok_or_else(|| {
        let reason = "is too long to be read without times in it; put it into a container, as with \
             `ffmpeg -i IN -c copy OUT.mkv`";
        Error::clip(&input.path, reason)
    })
}

fn collector(input: &Input, wanted: &[i64], preprocess: &Preprocess) -> Collector {
    let stream = input.stream();
    // SAFETY: the stream belongs to the open input.
    let (orientation, aspect) =
        unsafe { (Orientation::of_stream(stream), ratio((*stream).sample_aspect_ratio)) };
    let crop = preprocess.crop_size;
    let converter = Converter::new(preprocess, orientation, aspect);
    Collector::new(wanted.iter().copied(), converter, crop.height * crop.width * 3)
}

/// Puts the pictures into the order of the moments.
#[allow(clippy::too_many_arguments)]
fn assemble(
    input: &Input,
    collected: Collector,
    wanted: &[i64],
    sampling: &Sampling,
    preprocess: &Preprocess,
    time_of: impl Fn(i64) -> f64,
    duration: f64,
    mut warnings: Vec<String>,
) -> Result<Frames> {
    let damaged = collected.damaged;
    let mut pictures: BTreeMap<i64, Wanted> = collected.finish();
    pictures.retain(|_, picture| !picture.rgb.is_empty());
    if pictures.is_empty() {
        return Err(Error::clip(&input.path, "none of its pictures can be decoded"));
    }
    if damaged > 0 {
        warnings.push(format!("damaged: {damaged} of its pictures are not whole"));
    }
    let crop = preprocess.crop_size;
    let mut pixels = Vec::with_capacity(wanted.len() * crop.height * crop.width * 3);
    let mut times = Vec::with_capacity(wanted.len());
    for stamp in wanted {
        let before = pictures.range(..=stamp).next_back();
        let (_, picture) = before.or_else(|| pictures.range(stamp..).next()).expect("not empty");
        pixels.extend_from_slice(&picture.rgb);
        times.push(time_of(picture.stamp));
    }
    Ok(Frames {
        pixels,
        windows: sampling.windows,
        per_window: sampling.frames,
        height: crop.height,
        width: crop.width,
        times,
        duration,
        warnings,
    })
}
