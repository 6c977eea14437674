//! When each picture of a video is shown.

use ffmpeg_next::packet::Ref;
use ffmpeg_next::{Packet, ffi};

use super::clock::LEAP;

/// What a packet says of its picture, on the mended clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Ticks; the least number where it doesn't say.
    pub time: i64,
    /// Ticks; 0 where it doesn't say.
    pub length: i64,
    pub decoded: Option<i64>,
    pub key: bool,
    pub shown: bool,
    /// Holds no picture: a sign that the one before stays.
    pub empty: bool,
}

impl Listed {
    pub(super) fn new(packet: &Packet, codec: ffi::AVCodecID) -> Self {
        Self {
            time: packet.pts().unwrap_or(i64::MIN),
            length: packet.duration().max(0),
            decoded: packet.dts(),
            key: packet.is_key(),
            shown: !is_hidden(packet, codec),
            empty: packet.size() == 0,
        }
    }
}

/// Whether the picture is decoded for others' sake only: outside the container's edit list, or marked so.
pub(super) fn is_hidden(packet: &Packet, codec: ffi::AVCodecID) -> bool {
    // Not through the wrapper's flags, which don't know this one.
    // SAFETY: a packet is valid while borrowed.
    let discarded = unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 };
    // The fifth bit of a VP8 picture says whether it is shown.
    let vp8 = codec == ffi::AVCodecID::AV_CODEC_ID_VP8;
    discarded || (vp8 && packet.data().is_some_and(|d| d.first().is_some_and(|b| b & 0x10 == 0)))
}

/// What a video shows when: the one definition that every way of reading goes by.
///
/// It begins with the first picture that is shown, which neither an edit list hides nor is missing what it
/// needs for being decoded, and ends when the last one's time is over. Stamps are those of the mended
/// [`Clock`](super::clock::Clock).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    pictures: Pictures,
    /// Seconds from the first picture's start to the last one's end.
    pub duration: f64,
    /// The longest time from one picture to the next that is known, in seconds.
    pub longest: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Pictures {
    /// All, in order of time: what each is told apart by (its stamp, or its number) and its seconds from the first.
    Listed { stamps: Vec<i64>, times: Vec<f64> },
    /// Only the first one's stamp is known, and how long a tick is.
    Between { first: i64, tick: f64 },
}

impl Timeline {
    /// From what all packets say; `None` where they don't say it of every picture. `tick`: seconds.
    pub(super) fn of_packets(packets: &[Listed], tick: f64, rate: Option<f64>) -> Option<Self> {
        let pictures = packets.iter().filter(|packet| !packet.empty);
        if pictures.clone().any(|packet| packet.time == i64::MIN) {
            return None;
        }
        let shown = pictures.filter(|packet| packet.shown);
        let mut shown: Vec<(i64, i64)> = shown.map(|packet| (packet.time, packet.length)).collect();
        let total = shown.len();
        shown.sort_unstable();
        shown.dedup_by_key(|(time, _)| *time);
        // Many pictures at one time: these times mean something else.
        if shown.is_empty() || shown.len() * 10 < total * 9 {
            return None;
        }
        let mut times = Times::new(tick, rate);
        let starts = shown.iter().map(|(time, length)| times.next(Some(*time), *length, false)).collect();
        Some(Self::listed(shown.iter().map(|(time, _)| *time).collect(), starts, times.end()))
    }

    /// From decoded pictures in the order in which they came, as (stamp, length) in ticks.
    /// They are told apart by their number, since their stamps may be missing or repeat.
    pub(super) fn of_pictures(pictures: &[(Option<i64>, i64)], tick: f64, rate: Option<f64>) -> Self {
        let mut times = Times::new(tick, rate);
        let starts = pictures.iter().map(|(stamp, length)| times.next(*stamp, *length, true)).collect();
        Self::listed((0..pictures.len() as i64).collect(), starts, times.end())
    }

    /// From what the first and the last packets say, where what lies between is known to be in order.
    pub(super) fn between(head: &[Listed], tail: &[Listed], tick: f64, rate: Option<f64>) -> Option<Self> {
        let (head, tail) = (Self::of_packets(head, tick, rate)?, Self::of_packets(tail, tick, rate)?);
        let first = head.first();
        Some(Self {
            pictures: Pictures::Between { first, tick },
            duration: tail.first().saturating_sub(first) as f64 * tick + tail.duration,
            longest: head.longest.max(tail.longest),
        })
    }

    fn listed(stamps: Vec<i64>, times: Vec<f64>, duration: f64) -> Self {
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        Self { pictures: Pictures::Listed { stamps, times }, duration, longest }
    }

    /// Leaves out what comes before `stamp`. Returns whether there was something.
    pub(super) fn start_at(&mut self, stamp: i64) -> bool {
        let Pictures::Listed { stamps, times } = &mut self.pictures else { return false };
        let n = stamps.partition_point(|s| *s < stamp).min(stamps.len() - 1);
        let skipped = times[n];
        stamps.drain(..n);
        times.drain(..n);
        times.iter_mut().for_each(|t| *t -= skipped);
        self.duration -= skipped;
        n > 0
    }

    /// The seconds from `start` to each picture on screen in the `length` seconds from there on; empty where pictures are
    /// not listed.
    pub(super) fn starts_within(&self, start: f64, length: f64) -> Vec<f64> {
        let Pictures::Listed { times, .. } = &self.pictures else { return Vec::new() };
        let first = match start > 0.0 {
            true => times.partition_point(|t| *t <= start).saturating_sub(1),
            false => 0,
        };
        let shown = times[first..].iter().take_while(|t| **t < start + length);
        shown.map(|t| (t - start).max(0.0)).collect()
    }

    /// What the first picture is told apart by.
    pub(super) fn first(&self) -> i64 {
        match &self.pictures {
            Pictures::Listed { stamps, .. } => stamps[0],
            Pictures::Between { first, .. } => *first,
        }
    }

    /// What the picture on screen at `moment` (seconds from the first) is told apart by. Where the pictures are
    /// not listed: the moment's own stamp.
    pub(super) fn at(&self, moment: f64) -> i64 {
        // Half a microsecond: a moment computed from the same numbers belongs to its picture.
        let moment = moment + 5e-7;
        match &self.pictures {
            Pictures::Listed { stamps, times } => {
                stamps[times.partition_point(|t| *t <= moment).saturating_sub(1)]
            }
            Pictures::Between { first, tick } => first.saturating_add((moment / tick).floor() as i64),
        }
    }

    /// Seconds from the first picture to the one at `stamp`.
    pub(super) fn time_of(&self, stamp: i64) -> f64 {
        match &self.pictures {
            Pictures::Listed { stamps, times } => {
                times[stamps.partition_point(|s| *s < stamp).min(times.len() - 1)]
            }
            Pictures::Between { first, tick } => stamp.saturating_sub(*first) as f64 * tick,
        }
    }
}

/// Gives pictures, in the order in which they are shown, their times: seconds from the first that never fall.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// Seconds.
    tick: f64,
    /// Seconds a picture, where nothing better is known.
    usual: f64,
    /// The stamp at 0 s, as soon as one is known.
    zero: Option<f64>,
    now: Option<f64>,
    /// The latest stamp.
    stamp: Option<i64>,
    /// How long the latest picture lasts.
    length: f64,
}

impl Times {
    /// `tick`: seconds. `rate`: pictures a second, if known.
    pub(super) fn new(tick: f64, rate: Option<f64>) -> Self {
        Self { tick, usual: 1.0 / rate.unwrap_or(25.0), zero: None, now: None, stamp: None, length: 0.0 }
    }

    /// Pictures a second, where nothing better is known.
    pub(super) fn rate(&self) -> f64 {
        1.0 / self.usual
    }

    /// When the next picture is shown, which comes at `stamp` and lasts `length` ticks (0: unknown).
    /// Without a stamp, or with that of the picture before (a clock that stands still), it comes when that one ends.
    ///
    /// `loose`: whether not every packet has a stamp. FFmpeg then gives those that there are to pictures nearby, so
    /// that they count only where they lead far away.
    pub(super) fn next(&mut self, stamp: Option<i64>, length: i64, loose: bool) -> f64 {
        let expected = self.end();
        let time = stamp.map_or(expected, |stamp| {
            // Exact where stamps are, as long as they fit into 53 bits.
            let zero = *self.zero.get_or_insert(stamp as f64 - (expected / self.tick).round());
            (stamp as f64 - zero) * self.tick
        });
        let stands_still = stamp.is_some() && self.stamp == stamp;
        self.stamp = stamp.or(self.stamp);
        let is_near = (time - expected).abs() < NEARBY * self.usual;
        let says_nothing = stands_still || (loose && is_near);
        let time = if says_nothing { expected } else { time.max(self.now.unwrap_or(0.0)) };
        let step = self.now.map_or(0.0, |before| time - before);
        self.length = match length {
            1.. if length as f64 * self.tick <= LEAP => length as f64 * self.tick,
            // As long as the one before it.
            _ if step > 0.0 => step.min(LEAP),
            _ => self.usual,
        };
        self.now = Some(time);
        time
    }

    /// When the latest picture ends.
    pub(super) fn end(&self) -> f64 {
        self.now.map_or(0.0, |now| now + self.length)
    }

    /// The stamp of the first picture, in seconds.
    pub(super) fn first_stamp(&self) -> f64 {
        self.zero.unwrap_or(0.0) * self.tick
    }
}

/// Pictures by which loose stamps may be off.
const NEARBY: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(shown: &[(i64, i64)]) -> Timeline {
        let packet = |(time, length): &(i64, i64)| Listed {
            time: *time,
            length: *length,
            shown: true,
            ..Listed::default()
        };
        Timeline::of_packets(&shown.iter().map(packet).collect::<Vec<_>>(), 0.1, None).unwrap()
    }

    #[test]
    fn a_moment_shows_the_last_picture_that_began() {
        let t = timeline(&[(50, 0), (51, 0), (59, 4)]);
        assert!((t.duration - 1.3).abs() < 1e-9 && (t.longest - 0.8).abs() < 1e-9);
        assert_eq!([0.0, 0.05, 0.1, 0.85, 0.9, 9.0].map(|m| t.at(m)), [50, 50, 51, 51, 59, 59]);
        assert!((timeline(&[(0, 0), (2, 0), (4, 0)]).duration - 0.6).abs() < 1e-9);
        assert!((timeline(&[(7, 0)]).duration - 0.04).abs() < 1e-9);
        let mut t = timeline(&[(50, 0), (51, 0), (59, 4)]);
        assert!(t.start_at(51) && !t.start_at(0));
        assert_eq!(t.first(), 51);
        assert!((t.duration - 1.2).abs() < 1e-9 && (t.time_of(59) - 0.8).abs() < 1e-9);
    }

    #[test]
    fn what_is_hidden_counts_for_nothing() {
        let packet = |time, shown| Listed { time, length: 1, shown, ..Listed::default() };
        let packets =
            [packet(-2, false), packet(-1, false), packet(0, true), packet(1, true), packet(2, false)];
        let t = Timeline::of_packets(&packets, 0.1, None).unwrap();
        assert_eq!((t.first(), t.at(9.0)), (0, 1));
        assert!((t.duration - 0.2).abs() < 1e-9);
        let between = Timeline::between(&packets[..3], &packets[3..], 0.1, None).unwrap();
        assert_eq!((between.first(), between.at(0.15)), (0, 1));
        assert!((between.duration - 0.2).abs() < 1e-9);
    }

    #[test]
    fn pictures_without_times_go_by_the_rate() {
        let t = Timeline::of_pictures(&[(None, 0), (None, 0)], 0.1, Some(10.0));
        assert_eq!([0.05, 0.15].map(|m| t.at(m)), [0, 1]);
        assert!((t.duration - 0.2).abs() < 1e-9);
        let t = Timeline::of_pictures(&[(Some(5), 1), (Some(9), 1)], 0.5, Some(10.0));
        assert_eq!((t.time_of(1), t.duration), (2.0, 2.5));
        // Two pictures late, and one without a stamp.
        let stamps = [Some(0), Some(3), None, Some(3), Some(4), Some(50)].map(|stamp| (stamp, 1));
        let t = Timeline::of_pictures(&stamps, 0.1, Some(10.0));
        assert!((t.time_of(4) - 0.4).abs() < 1e-9 && (t.time_of(5) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn times_only_grow() {
        let mut times = Times::new(0.1, Some(10.0));
        let stamps = [None, Some(50), Some(51), Some(53), Some(2), None, Some(56), Some(56), Some(56)];
        let starts = stamps.map(|stamp| (times.next(stamp, 0, false) * 1e6).round() / 1e6);
        assert_eq!(starts, [0.0, 0.1, 0.2, 0.4, 0.4, 0.5, 0.7, 0.9, 1.1]);
    }
}
