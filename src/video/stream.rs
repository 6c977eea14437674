//! Long videos: decoded around the wanted moments only, a few packets in memory at a time.

use std::collections::VecDeque;

use ffmpeg_next::Packet;

use super::collector::Collector;
use super::decoder::Decoder;
use super::input::Input;
use super::memory::timestamp;
use super::timeline::{Timeline, reorder_depth};
use crate::Result;

/// Where a jump is tried although no index tells of a keyframe: seconds ahead.
const FAR: f64 = 10.0;
/// Packets read ahead, to see which pictures are gone again by the wanted moment.
const AHEAD: usize = 16;

/// When a long video begins and how long it lasts, in its own ticks and in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub first: i64,
    pub duration: f64,
    /// See [`reorder_depth`].
    pub delay: usize,
}

impl Span {
    /// By the container's word and the `head` of the file, as far as both tell.
    pub fn claimed(input: &Input, head: &[Packet]) -> Option<Self> {
        let times: Vec<_> = head.iter().map(|p| Some((p.dts(), p.pts()?))).collect::<Option<_>>()?;
        let first = times.iter().map(|t| t.1).min()?;
        let duration = input.duration()?;
        Some(Self { first, duration, delay: reorder_depth(times.into_iter()) })
    }

    /// By reading the whole file without decoding it.
    pub fn measured(input: &mut Input) -> Result<Option<Self>> {
        input.seek(i64::MIN);
        let mut times = Vec::new();
        while let Ok(packet) = input.read()? {
            let Some(time) = packet.pts().or(packet.dts()) else { return Ok(None) };
            times.push((time, packet.duration()));
        }
        if times.is_empty() {
            return Ok(None);
        }
        let delay = reorder_depth(times.iter().map(|t| (None, t.0)));
        times.sort_unstable();
        times.dedup_by_key(|t| t.0);
        let first = times[0].0;
        let timeline = Timeline::new(times, f64::from(input.time_base()), input.frame_rate());
        Ok(Some(Self { first, duration: timeline.duration, delay }))
    }

    /// `moment` (seconds from the first picture) in the stream's ticks.
    pub fn stamp(&self, moment: f64, tick: f64) -> i64 {
        self.first.saturating_add(((moment + 5e-7) / tick).floor() as i64)
    }
}

/// Decodes what `collector` wants. Returns the time of the last picture seen where the video ended
/// before the last wanted moment.
pub(super) fn decode(
    input: &mut Input,
    span: &Span,
    threads: usize,
    collector: &mut Collector,
) -> Result<Option<i64>> {
    let ticks = |seconds: f64| (seconds / f64::from(input.time_base())) as i64;
    let (far, step) = (ticks(FAR), ticks(1.0).max(1));
    let wanted: Vec<i64> = collector.wanted().keys().copied().collect();
    let mut decoder = Decoder::open(input, threads, Some(span.delay))?;
    let can_skip = decoder.can_skip_unneeded();
    let mut position = span.first;
    let mut ended = None;
    let mut queue = Queue::default();
    input.seek(i64::MIN);
    for wanted in wanted {
        let jump = input.keyframe_before(wanted).is_some_and(|key| key > position)
            || wanted.saturating_sub(position) > far;
        if jump && !collector.has_passed(wanted) && ended.is_none() {
            queue.seek_before(input, wanted, step)?;
            collector.end_stretch(i64::MIN);
            decoder.flush();
        }
        while !collector.has_passed(wanted) && ended.is_none() {
            queue.fill(input)?;
            let packet = queue.packets.pop_front();
            let unneeded = packet.as_ref().is_some_and(|p| queue.replaces(p, wanted));
            decoder.skip_unneeded(unneeded && can_skip);
            decoder.send(packet.as_ref());
            while let Some(frame) = decoder.receive() {
                if let Some(stamp) = timestamp(&frame) {
                    collector.take(stamp, frame);
                }
            }
            match packet {
                Some(packet) => position = packet.dts().or(packet.pts()).unwrap_or(position),
                None => ended = Some(collector.last_seen().unwrap_or(span.first)),
            }
        }
    }
    collector.end_stretch(i64::MAX);
    Ok(ended)
}

/// The next few packets, read ahead.
#[derive(Default)]
struct Queue {
    packets: VecDeque<Packet>,
    ended: bool,
}

impl Queue {
    fn fill(&mut self, input: &mut Input) -> Result<()> {
        while self.packets.len() < AHEAD && !self.ended {
            match input.read()? {
                Ok(packet) => self.packets.push_back(packet),
                Err(_) => self.ended = true,
            }
        }
        Ok(())
    }

    /// Whether at the moment `wanted` a later picture than that of `packet` is already on screen.
    fn replaces(&self, packet: &Packet, wanted: i64) -> bool {
        let Some(time) = packet.pts() else { return false };
        self.packets.iter().filter_map(Packet::pts).any(|later| time < later && later <= wanted)
    }

    /// Reads on from a keyframe that is shown at `wanted` or before.
    fn seek_before(&mut self, input: &mut Input, wanted: i64, step: i64) -> Result<()> {
        let mut back = 0;
        loop {
            let target = wanted.saturating_sub(back);
            if !input.seek(target) {
                input.seek(i64::MIN);
                back = i64::MAX;
            }
            *self = Self::default();
            self.fill(input)?;
            let key = self.packets.iter().find(|p| p.is_key()).and_then(Packet::pts);
            // Some containers land behind the wanted moment: try further ahead of it.
            if back == i64::MAX || key.is_some_and(|key| key <= wanted) {
                return Ok(());
            }
            back = if back > step << 8 { i64::MAX } else { back * 2 + step };
        }
    }
}
