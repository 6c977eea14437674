//! Long videos: decoded around the wanted moments only, a few packets in memory at a time.

use std::collections::VecDeque;

use ffmpeg_next::Packet;

use super::collector::Collector;
use super::decoder::{Decoder, timestamp};
use super::feed::Feed;
use super::input::{End, Entry};
use super::packets::starts_with_a_keyframe;
use super::plan::are_in_order;
use super::timeline::{Listed, Timeline};
use crate::Result;

/// Where a jump is tried although no index tells of a keyframe: seconds ahead.
const FAR: f64 = 10.0;
/// Packets read ahead, to see which pictures are gone again by the wanted moment.
const AHEAD: usize = 16;
/// A part of the file without an entry in its index, in bytes, about which the index says nothing.
const UNKNOWN: i64 = 64 << 20;

/// The timeline of a long video by its first packets, its last ones, and an index that vouches for those
/// between: that they follow each other without a leap and none of them is hidden. `None` where it doesn't,
/// so that only reading all of the file tells.
pub(super) fn vouched_timeline(feed: &mut Feed, head: &[Listed]) -> Result<Option<Timeline>> {
    let known_to_leap = feed.input.is_broadcast() || feed.clock().leaps > 0;
    let Some(first) = head.first().filter(|_| !known_to_leap) else { return Ok(None) };
    // Some containers read their index only when it's needed.
    if !feed.seek(first.time) {
        return Ok(None);
    }
    let entries = feed.input.index();
    let Some(last) = entries.iter().rfind(|entry| entry.key).copied() else { return Ok(None) };
    if !vouches(&entries, head.len(), last, feed) || !feed.seek(last.stamp) {
        return Ok(None);
    }
    let codec = feed.input.codec();
    let mut tail = Vec::new();
    let end = loop {
        match feed.read()? {
            Ok(packet) => tail.push(Listed::new(&packet, codec)),
            Err(end) => break end,
        }
    };
    let (tick, rate) = (f64::from(feed.input.time_base()), feed.input.frame_rate());
    let timeline = Timeline::between(head, &tail, tick, rate);
    let whole = end == End::Clean && feed.clock().leaps == 0 && are_in_order(head) && are_in_order(&tail);
    Ok(timeline.filter(|timeline| whole && starts_with_a_keyframe(head, timeline)))
}

/// Whether the index has an entry for every part of the file and every step is one that a clock makes.
///
/// `seen`: packets at the file's beginning that are known anyway; `last`: from where on they will be.
fn vouches(entries: &[Entry], seen: usize, last: Entry, feed: &Feed) -> bool {
    let leap = feed.clock().leap();
    let follow = |pair: &[Entry]| {
        let (step, bytes) =
            (pair[1].stamp.saturating_sub(pair[0].stamp), pair[1].position.saturating_sub(pair[0].position));
        (0..=leap).contains(&step) && (0..UNKNOWN).contains(&bytes)
    };
    let hidden = |entry: &Entry| entry.hidden && entry.stamp < last.stamp;
    let reaches_the_end = feed.input.size().is_some_and(|size| size.saturating_sub(last.position) < UNKNOWN);
    entries[0].position < UNKNOWN
        && reaches_the_end
        && entries.windows(2).all(follow)
        && !entries.iter().skip(seen).any(hidden)
}

/// Decodes what `collector` wants. Returns the time of the last picture seen where the video ended
/// before the last wanted moment.
///
/// `first`: the stamp of the first picture. `delay`: see [`reorder_depth`](super::plan::reorder_depth).
pub(super) fn decode(
    feed: &mut Feed,
    first: i64,
    delay: usize,
    threads: usize,
    collector: &mut Collector,
) -> Result<Option<i64>> {
    let ticks = |seconds: f64| (seconds / f64::from(feed.input.time_base())) as i64;
    let (far, step) = (ticks(FAR), ticks(1.0).max(1));
    let wanted: Vec<i64> = collector.wanted().keys().copied().collect();
    let mut decoder = Decoder::open(&feed.input, threads, Some(delay))?;
    let can_skip = decoder.can_skip_unneeded();
    let mut position = first;
    let mut ended = None;
    let mut queue = Queue::default();
    feed.rewind()?;
    for wanted in wanted {
        let jump = feed.input.keyframe_before(wanted).is_some_and(|key| key > position)
            || wanted.saturating_sub(position) > far;
        if jump && !collector.has_passed(wanted) && ended.is_none() {
            queue.seek_before(feed, wanted, step)?;
            collector.end_stretch(i64::MIN);
            decoder.flush();
        }
        while !collector.has_passed(wanted) && ended.is_none() {
            queue.fill(feed)?;
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
                None => ended = Some(collector.last_seen().unwrap_or(first)),
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
    fn fill(&mut self, feed: &mut Feed) -> Result<()> {
        while self.packets.len() < AHEAD && !self.ended {
            match feed.read()? {
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
    fn seek_before(&mut self, feed: &mut Feed, wanted: i64, step: i64) -> Result<()> {
        let mut back = 0;
        loop {
            let target = wanted.saturating_sub(back);
            if !feed.seek(target) {
                feed.rewind()?;
                back = i64::MAX;
            }
            *self = Self::default();
            self.fill(feed)?;
            let key = self.packets.iter().find(|p| p.is_key()).and_then(Packet::pts);
            // Some containers land behind the wanted moment: try further ahead of it.
            if back == i64::MAX || key.is_some_and(|key| key <= wanted) {
                return Ok(());
            }
            back = if back > step << 8 { i64::MAX } else { back * 2 + step };
        }
    }
}
