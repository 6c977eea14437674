//! Short clips: all packets in memory, so that everything about their times is known beforehand.

use ffmpeg_next::{Packet, frame};

use super::collector::Collector;
use super::decoder::Decoder;
use super::input::Input;
use super::reason;
use super::timeline::{Listed, Segment, Timeline, plan, reorder_depth};
use crate::{Error, Result};

/// The video packets of a clip, in decoding order.
pub(super) struct Packets {
    packets: Vec<Packet>,
    threads: usize,
}

impl Packets {
    pub fn new(packets: Vec<Packet>, threads: usize) -> Self {
        Self { packets, threads }
    }

    /// When each picture is shown. Where the packets don't say, everything is decoded once to see.
    /// The second value tells whether they did.
    pub fn timeline(&self, input: &Input) -> Result<(Timeline, bool)> {
        if let Some(mut timeline) = Timeline::of_packets(&self.packets, input) {
            if let Some(first) = self.first_picture(input, &timeline)? {
                timeline.start_at(first);
            }
            return Ok((timeline, true));
        }
        let mut decoder = Decoder::open(input, self.threads, None)?;
        let mut pictures = Vec::new();
        let packets = self.packets.iter().map(Some).chain([None]);
        for packet in packets {
            input.check_deadline()?;
            decoder.send(packet);
            while let Some(frame) = decoder.receive() {
                // SAFETY: a decoded frame is valid.
                let length = unsafe { (*frame.as_ptr()).pkt_duration };
                pictures.push((timestamp(&frame), length));
            }
        }
        if pictures.is_empty() {
            return Err(Error::clip(&input.path, reason::NONE_DECODED));
        }
        let tick = f64::from(input.time_base());
        Ok((Timeline::of_pictures(&pictures, tick, input.frame_rate()), false))
    }

    /// The first picture that can be decoded, where that may not be the first that is listed: a file cut
    /// out of another begins with pictures whose references are gone.
    fn first_picture(&self, input: &Input, timeline: &Timeline) -> Result<Option<i64>> {
        let head = &self.packets[0];
        if head.is_key() && head.pts() <= timeline.stamps.first().copied() {
            return Ok(None);
        }
        let mut decoder = Decoder::open(input, self.threads, Some(self.reorder_depth()))?;
        for packet in self.packets.iter().map(Some).chain([None]) {
            input.check_deadline()?;
            decoder.send(packet);
            if let Some(frame) = decoder.receive() {
                return Ok(timestamp(&frame));
            }
        }
        Ok(None)
    }

    fn reorder_depth(&self) -> usize {
        reorder_depth(self.packets.iter().filter_map(|p| Some((p.dts(), p.pts()?))))
    }

    /// Decodes the wanted pictures of `timeline`.
    ///
    /// `collector` makes a new one for each attempt: the saving way may turn out not to work.
    pub fn decode(&self, input: &Input, timed: bool, collector: impl Fn() -> Collector) -> Result<Collector> {
        let mut collected = collector();
        if !timed {
            self.count(input, &mut collected)?;
        } else if !self.attempt(input, true, &mut collected)? {
            collected = collector();
            self.attempt(input, false, &mut collected)?;
        }
        Ok(collected)
    }

    /// Pictures known by their number.
    fn count(&self, input: &Input, collector: &mut Collector) -> Result<()> {
        let mut decoder = Decoder::open(input, self.threads, None)?;
        let mut numbers = 0..;
        let all = (0, self.packets.len() - 1);
        self.run(input, &mut decoder, all, |_| false, collector, |_| numbers.next())?;
        collector.end_stretch(i64::MAX);
        Ok(())
    }

    /// Pictures known by their times. `save`: start at keyframes in the middle and leave out pictures that
    /// nothing needs. Returns whether that gave what it promised.
    fn attempt(&self, input: &Input, save: bool, collector: &mut Collector) -> Result<bool> {
        let end = self.packets.len() - 1;
        let codec = input.codec();
        let listed: Vec<Listed> = self.packets.iter().map(|p| Listed::new(p, codec)).collect();
        let mut decoder = Decoder::open(input, self.threads, Some(self.reorder_depth()))?;
        let wanted: Vec<i64> = collector.wanted().keys().copied().collect();
        let mut segments = plan(&listed, &wanted);
        if !save || decoder.needs_start() {
            segments = vec![Segment { first: 0, last: end, until: i64::MAX }];
        }
        let skip = save && decoder.can_skip_unneeded();
        for (i, segment) in segments.iter().enumerate() {
            if i > 0 {
                decoder.flush();
            }
            let unneeded = |i: usize| skip && wanted.binary_search(&listed[i].time).is_err();
            let range = (segment.first, segment.last);
            self.run(input, &mut decoder, range, unneeded, collector, timestamp)?;
            collector.end_stretch(segment.until);
        }
        collector.damaged += decoder.errors;
        // What is damaged is to look as it does in a player, which has decoded all that came before.
        Ok(collector.stand_ins() == 0 && collector.damaged == 0)
    }

    /// Sends the packets `first..=last`, then the end, and passes on what comes out.
    fn run(
        &self,
        input: &Input,
        decoder: &mut Decoder,
        (first, last): (usize, usize),
        unneeded: impl Fn(usize) -> bool,
        collector: &mut Collector,
        mut stamp: impl FnMut(&frame::Video) -> Option<i64>,
    ) -> Result<()> {
        for index in first..=last + 1 {
            input.check_deadline()?;
            if index <= last {
                decoder.skip_unneeded(unneeded(index));
            }
            let packet = self.packets.get(index).filter(|_| index <= last);
            decoder.send(packet);
            while let Some(frame) = decoder.receive() {
                if let Some(stamp) = stamp(&frame) {
                    collector.take(stamp, frame);
                }
                if collector.is_complete() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// When a decoded picture is shown, in the stream's ticks.
pub(super) fn timestamp(frame: &frame::Video) -> Option<i64> {
    // The wrapper's `timestamp` is FFmpeg's best guess where the packet had no time.
    frame.pts().or_else(|| frame.timestamp())
}
