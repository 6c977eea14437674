//! All packets of a clip, by number: everything about their times is known beforehand.

use ffmpeg_next::{Packet, frame};

use super::collector::Collector;
use super::decoder::{Decoder, Stamps, timestamp};
use super::feed::Feed;
use super::input::Input;
use super::plan::{Segment, are_in_order, plan, reorder_depth};
use super::reason;
use super::timeline::{Listed, Timeline};
use crate::{Error, Result};

/// The video packets of a clip, in decoding order.
pub(super) struct Packets {
    pub feed: Feed,
    listed: Vec<Listed>,
    source: Source,
    threads: usize,
}

enum Source {
    Memory(Vec<Packet>),
    /// Read again, one after the other. `read`: how many were, of which the last is `held`.
    File {
        held: Option<Packet>,
        read: usize,
    },
}

impl Packets {
    /// That are in memory, as `feed` gave them.
    pub(super) fn in_memory(feed: Feed, packets: Vec<Packet>, threads: usize) -> Self {
        let codec = feed.input.codec();
        let listed = packets.iter().map(|packet| Listed::new(packet, codec)).collect();
        Self { feed, listed, source: Source::Memory(packets), threads }
    }

    /// That are too large for memory. `listed`: what `feed` gave from its beginning.
    pub(super) fn in_file(mut feed: Feed, listed: Vec<Listed>, threads: usize) -> Result<Self> {
        feed.reopen()?;
        Ok(Self { feed, listed, source: Source::File { held: None, read: 0 }, threads })
    }

    pub(super) fn are_in_memory(&self) -> bool {
        matches!(self.source, Source::Memory(_))
    }

    /// See [`are_in_order`].
    pub(super) fn are_in_order(&self) -> bool {
        are_in_order(&self.listed)
    }

    /// See [`reorder_depth`].
    pub(super) fn reorder_depth(&self) -> usize {
        reorder_depth(&self.listed)
    }

    /// When each picture is shown. Where the packets don't say, everything is decoded once to see.
    /// The second value tells whether they did.
    pub(super) fn timeline(&mut self) -> Result<(Timeline, bool)> {
        let input = &self.feed.input;
        let (tick, rate) = (f64::from(input.time_base()), input.frame_rate());
        if let Some(mut timeline) = Timeline::of_packets(&self.listed, tick, rate) {
            if let Some(first) = self.first_picture(&timeline)? {
                timeline.start_at(first);
            }
            return Ok((timeline, true));
        }
        let mut decoder = Decoder::open(input, self.threads, None)?;
        let (mut pictures, mut stamps) = (Vec::new(), Stamps::default());
        for index in 0..=self.listed.len() {
            decoder.send(self.packet(index)?);
            while let Some(frame) = decoder.receive() {
                // SAFETY: a decoded frame is valid.
                let length = unsafe { (*frame.as_ptr()).pkt_duration };
                pictures.push((stamps.next(&frame), length));
            }
        }
        if pictures.is_empty() {
            let path = &self.feed.input.path;
            return Err(Error::clip(path, reason::none_decoded(path)));
        }
        Ok((Timeline::of_pictures(&pictures, tick, rate), false))
    }

    /// The first picture that can be decoded, where that may not be the first that is listed: a file cut
    /// out of another begins with pictures whose references are gone.
    fn first_picture(&mut self, timeline: &Timeline) -> Result<Option<i64>> {
        if starts_with_a_keyframe(&self.listed, timeline) {
            return Ok(None);
        }
        let mut decoder = Decoder::open(&self.feed.input, self.threads, Some(self.reorder_depth()))?;
        for index in 0..=self.listed.len() {
            decoder.send(self.packet(index)?);
            if let Some(frame) = decoder.receive() {
                return Ok(timestamp(&frame));
            }
        }
        Ok(None)
    }

    /// Decodes the wanted pictures of a timeline.
    ///
    /// `timed`: whether they are told apart by their stamps, not by their numbers.
    /// `collector` makes a new one for each attempt: the saving way may turn out not to work.
    pub(super) fn decode(
        &mut self,
        timed: bool,
        collector: impl Fn(&Input) -> Collector,
    ) -> Result<Collector> {
        let mut collected = collector(&self.feed.input);
        if !timed {
            self.count(&mut collected)?;
        // All of a long video is too much to decode for one damaged picture.
        } else if !self.attempt(true, &mut collected)? && self.are_in_memory() {
            collected = collector(&self.feed.input);
            self.attempt(false, &mut collected)?;
        }
        Ok(collected)
    }

    /// Pictures known by their number.
    fn count(&mut self, collector: &mut Collector) -> Result<()> {
        let mut decoder = Decoder::open(&self.feed.input, self.threads, None)?;
        let mut numbers = 0..;
        let all = (0, self.listed.len() - 1);
        self.run(&mut decoder, all, |_| false, collector, |_| numbers.next())?;
        collector.end_stretch(i64::MAX);
        Ok(())
    }

    /// Pictures known by their times. `save`: start at keyframes in the middle and leave out pictures that
    /// nothing needs. Returns whether that gave what it promised.
    fn attempt(&mut self, save: bool, collector: &mut Collector) -> Result<bool> {
        let mut decoder = Decoder::open(&self.feed.input, self.threads, Some(self.reorder_depth()))?;
        let wanted: Vec<i64> = collector.wanted().keys().copied().collect();
        let segments = if save && !decoder.needs_start() {
            plan(&self.listed, &wanted)
        } else {
            vec![Segment { first: 0, last: self.listed.len() - 1, until: i64::MAX }]
        };
        let times: Vec<i64> = self.listed.iter().map(|packet| packet.time).collect();
        let skip = save && decoder.can_skip_unneeded();
        for (i, segment) in segments.iter().enumerate() {
            if i > 0 {
                decoder.flush();
            }
            let unneeded = |i: usize| skip && wanted.binary_search(&times[i]).is_err();
            let range = (segment.first, segment.last);
            self.run(&mut decoder, range, unneeded, collector, timestamp)?;
            collector.end_stretch(segment.until);
        }
        collector.damaged += decoder.errors;
        // What is damaged is to look as it does in a player, which has decoded all that came before.
        Ok(collector.stand_ins() == 0 && collector.damaged == 0)
    }

    /// Sends the packets `first..=last`, then the end, and passes on what comes out.
    fn run(
        &mut self,
        decoder: &mut Decoder,
        (first, last): (usize, usize),
        unneeded: impl Fn(usize) -> bool,
        collector: &mut Collector,
        mut stamp: impl FnMut(&frame::Video) -> Option<i64>,
    ) -> Result<()> {
        for index in first..=last + 1 {
            if index <= last {
                decoder.skip_unneeded(unneeded(index));
                decoder.send(self.packet(index)?);
            } else {
                decoder.send(None);
            }
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

    /// Reads from the first packet on again, where they are read from the file.
    pub(super) fn rewind(&mut self) -> Result<()> {
        if let Source::File { read, .. } = &mut self.source {
            *read = 0;
            self.feed.reopen()?;
        }
        Ok(())
    }

    /// The packet with this number; `None` behind the last.
    fn packet(&mut self, index: usize) -> Result<Option<&Packet>> {
        self.feed.input.check_deadline()?;
        if matches!(self.source, Source::File { read, .. } if index + 1 < read) {
            self.rewind()?;
        }
        let (held, read) = match &mut self.source {
            Source::Memory(packets) => return Ok(packets.get(index)),
            Source::File { held, read } => (held, read),
        };
        while *read <= index {
            *held = self.feed.read()?.ok();
            *read += 1;
        }
        Ok(held.as_ref())
    }
}

/// Whether the first shown picture needs nothing that lies before the file's first packet.
pub(super) fn starts_with_a_keyframe(listed: &[Listed], timeline: &Timeline) -> bool {
    listed.first().is_some_and(|head| head.key && head.time <= timeline.first())
}
