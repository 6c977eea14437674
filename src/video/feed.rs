//! The packets of a video on its mended clock.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use ffmpeg_next::Packet;

use super::clock::{Clock, MOST_DELAY, Mended};
use super::input::{End, Input};
use super::reason;
use super::timeline::is_hidden;
use crate::{Error, Result};

/// Gives the packets of a video's stream one by one, in the order of the file. Whatever reads a video does so
/// through this, and so sees it on the same [`Clock`].
pub(super) struct Feed {
    pub input: Input,
    clock: Clock,
    /// Read ahead, with stamps as they are in the file: they tell what a leap is.
    queue: VecDeque<Packet>,
    held: Held,
    deadline: Option<Instant>,
}

/// What was read of a file so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// How the file ended, once it did.
    pub end: Option<End>,
    /// Packets, where that is all from the file's beginning on.
    pub packets: Option<u64>,
    /// Whether only a part of the file's last packet is there.
    pub cut: bool,
    /// Bytes of the last packet.
    pub size: usize,
    /// See [`Clock::leaps`].
    pub leaps: usize,
    /// Whether a picture's packet doesn't say when it is shown.
    pub untimed: bool,
}

impl Feed {
    /// See [`Input::open`].
    pub(super) fn open(path: &Path, file: Option<&Path>, deadline: Option<Instant>) -> Result<Self> {
        Ok(Self::of(Input::open(path, file, deadline)?, deadline))
    }

    /// See [`Input::standard_input`].
    pub(super) fn standard_input(deadline: Option<Instant>) -> Result<Self> {
        Ok(Self::of(Input::standard_input(deadline)?, deadline))
    }

    fn of(input: Input, deadline: Option<Instant>) -> Self {
        let clock = Clock::new(f64::from(input.time_base()), input.frame_rate(), input.is_broadcast());
        let held = Held { packets: Some(0), ..Held::default() };
        Self { input, clock, queue: VecDeque::new(), held, deadline }
    }

    /// Begins anew, in every respect.
    pub(super) fn reopen(&mut self) -> Result<()> {
        *self = Self::open(&self.input.path, Some(&self.input.file), self.deadline)?;
        Ok(())
    }

    /// Goes to a keyframe as [`Input::seek`] does. The clock goes by the stamps that it finds there.
    pub(super) fn seek(&mut self, stamp: i64) -> bool {
        self.queue.clear();
        (self.held.end, self.held.packets) = (None, None);
        self.clock.restart();
        self.input.seek(stamp)
    }

    /// When the last shown picture ends, in the stream's ticks; `None` where packets don't tell.
    pub(super) fn until(&self) -> Option<i64> {
        (!self.held.untimed).then(|| self.clock.end())
    }

    /// Goes back to the beginning.
    pub(super) fn rewind(&mut self) -> Result<()> {
        // A container that is searched by its stamps doesn't find back to its first packet for certain.
        if self.input.is_broadcast() || !self.seek(i64::MIN) { self.reopen() } else { Ok(()) }
    }

    /// The clock, as far as packets were read.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What was read so far.
    pub(super) fn held(&self) -> Held {
        Held { cut: self.input.partial, leaps: self.clock.leaps, ..self.held }
    }

    /// The next packet, or how the file ended.
    ///
    /// # Errors
    /// Where the deadline passed, or the packet is encrypted.
    pub(super) fn read(&mut self) -> Result<Result<Packet, End>> {
        while self.queue.len() <= MOST_DELAY && self.held.end.is_none() {
            match self.input.read()? {
                Ok(packet) if reason::is_encrypted(&packet) => {
                    let reason = "is encrypted (DRM); only a decrypted copy can be read";
                    return Err(Error::clip(&self.input.path, reason));
                }
                Ok(packet) => self.queue.push_back(packet),
                Err(end) => self.held.end = Some(end),
            }
        }
        match self.queue.pop_front() {
            Some(packet) => {
                self.held.packets = self.held.packets.map(|packets| packets + 1);
                self.held.size = packet.size();
                Ok(Ok(self.mend(packet)))
            }
            None => Ok(Err(self.held.end.unwrap_or(End::Clean))),
        }
    }

    fn mend(&mut self, mut packet: Packet) -> Packet {
        let codec = self.input.codec();
        let (pts, dts) = (packet.pts(), packet.dts());
        let is_shown = |packet: &Packet| packet.size() > 0 && !is_hidden(packet, codec);
        self.held.untimed |= packet.size() > 0 && pts.is_none();
        let mended = match pts.or(dts) {
            Some(stamp) if is_shown(&packet) => {
                let coming = || {
                    let shown = self.queue.iter().filter(|later| is_shown(later));
                    shown.filter_map(|later| later.pts().or(later.dts())).collect()
                };
                self.clock.mend(stamp, packet.duration(), packet.is_key(), coming)
            }
            _ => Mended::Shifted(self.clock.shift()),
        };
        let (new_pts, new_dts) = match mended {
            Mended::Shifted(0) => return packet,
            Mended::Shifted(shift) => {
                let shifted = |stamp: Option<i64>| stamp.map(|stamp| stamp.saturating_add(shift));
                (shifted(pts), shifted(dts))
            }
            Mended::Bogus(place) => (pts.map(|_| place), if pts.is_none() { Some(place) } else { None }),
        };
        packet.set_pts(new_pts);
        packet.set_dts(new_dts);
        packet
    }
}
