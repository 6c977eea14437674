//! A film's sound, packet by packet, as it is.

use std::path::Path;

use ffmpeg_next::format::{self, context};
use ffmpeg_next::{Packet, Rational, codec, media};

pub(in crate::timeline) struct Sound {
    input: context::Input,
    stream: usize,
    time_base: Rational,
    /// Read, and to be shown later.
    ahead: Option<Packet>,
}

impl Sound {
    /// The best sound of the film at `path`; `None` where it has none.
    pub(super) fn open(path: &Path) -> Option<Self> {
        // The wrapper panics on names that aren't UTF-8.
        path.to_str()?;
        let mut input = format::input(path).ok()?;
        let stream = input.streams().best(media::Type::Audio)?;
        let (stream, time_base) = (stream.index(), stream.time_base());
        for mut other in input.streams_mut().filter(|s| s.index() != stream) {
            // SAFETY: the stream belongs to the open input.
            unsafe { (*other.as_mut_ptr()).discard = ffmpeg_next::ffi::AVDiscard::AVDISCARD_ALL };
        }
        Some(Self { input, stream, time_base, ahead: None })
    }

    pub(super) fn parameters(&self) -> codec::Parameters {
        self.input.stream(self.stream).expect("found when it was opened").parameters()
    }

    pub(super) fn time_base(&self) -> Rational {
        self.time_base
    }

    /// The next packet that begins before `until`, in seconds of the film's own clock.
    pub(super) fn next(&mut self, until: f64) -> Option<Packet> {
        let packet = match self.ahead.take() {
            Some(packet) => packet,
            None => self.read()?,
        };
        let begins = packet.pts().or(packet.dts()).unwrap_or(0) as f64 * f64::from(self.time_base);
        if begins >= until {
            self.ahead = Some(packet);
            return None;
        }
        Some(packet)
    }

    fn read(&mut self) -> Option<Packet> {
        loop {
            let mut packet = Packet::empty();
            packet.read(&mut self.input).ok()?;
            if packet.stream() == self.stream {
                return Some(packet);
            }
        }
    }
}
