//! When each picture of a clip is shown, and which pictures the wanted moments fall on.

use ffmpeg_next::packet::Ref;
use ffmpeg_next::{Packet, ffi};

use super::input::Input;

/// The pictures that a clip shows, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    /// What the decoder's pictures are told apart by, ascending.
    pub stamps: Vec<i64>,
    /// Seconds from the first picture; as long as `stamps`.
    pub times: Vec<f64>,
    /// Seconds from the first picture's start to the last one's end.
    pub duration: f64,
}

impl Timeline {
    /// From what the packets say; `None` where they don't say it of every picture.
    pub fn of_packets(packets: &[Packet], input: &Input) -> Option<Self> {
        let codec = input.codec();
        let mut shown = Vec::with_capacity(packets.len());
        for packet in packets.iter().filter(|p| p.size() > 0) {
            let pts = packet.pts()?;
            if !is_hidden(packet, codec) {
                shown.push((pts, packet.duration()));
            }
        }
        let total = shown.len();
        shown.sort_unstable();
        shown.dedup_by_key(|(pts, _)| *pts);
        // Many pictures at one time: these times mean something else.
        if shown.is_empty() || shown.len() * 10 < total * 9 {
            return None;
        }
        let tick = f64::from(input.time_base());
        Some(Self::new(shown, tick, input.frame_rate()))
    }

    /// From decoded pictures in the order in which they came, as (time, length) in ticks of `tick` seconds.
    /// They are told apart by their number, since their times may be missing or repeat.
    pub fn of_pictures(pictures: &[(Option<i64>, i64)], tick: f64, rate: Option<f64>) -> Self {
        let times: Option<Vec<i64>> = pictures.iter().map(|(time, _)| *time).collect();
        let times = times.filter(|t| t.is_sorted_by(|a, b| a < b));
        let numbers = 0..pictures.len() as i64;
        let mut timeline = match times {
            Some(times) => {
                let shown = times.into_iter().zip(pictures.iter().map(|p| p.1)).collect();
                Self::new(shown, tick, rate)
            }
            None => {
                let shown = numbers.clone().map(|i| (i, 1)).collect();
                Self::new(shown, 1.0 / rate.unwrap_or(25.0), None)
            }
        };
        timeline.stamps = numbers.collect();
        timeline
    }

    /// From (time, length) in ticks, ascending.
    pub fn new(shown: Vec<(i64, i64)>, tick: f64, rate: Option<f64>) -> Self {
        let stamps: Vec<i64> = shown.iter().map(|s| s.0).collect();
        let first = stamps.first().copied().unwrap_or(0);
        let times: Vec<f64> = stamps.iter().map(|s| s.saturating_sub(first) as f64 * tick).collect();
        // The last picture lasts as long as it says, else as long as the one before it.
        let said = shown.last().map_or(0, |s| s.1.max(0)) as f64 * tick;
        let before = match times[..] {
            [.., a, b] => b - a,
            _ => rate.map_or(0.0, |r| 1.0 / r),
        };
        let last = if said > 0.0 { said } else { before };
        let duration = times.last().map_or(0.0, |t| t + last);
        Self { stamps, times, duration }
    }

    /// Leaves out what comes before `stamp`. Returns whether there was something.
    pub fn start_at(&mut self, stamp: i64) -> bool {
        let n = self.stamps.partition_point(|s| *s < stamp).min(self.stamps.len() - 1);
        let skipped = self.times[n];
        self.stamps.drain(..n);
        self.times.drain(..n);
        self.times.iter_mut().for_each(|t| *t -= skipped);
        self.duration -= skipped;
        n > 0
    }

    /// The picture on screen at `moment` (seconds from the first): its place in `stamps`.
    pub fn at(&self, moment: f64) -> usize {
        // Half a microsecond: a moment computed from the same numbers belongs to its picture.
        self.times.partition_point(|t| *t <= moment + 5e-7).saturating_sub(1)
    }
}

/// Whether the picture is decoded for others' sake only: outside the container's edit list, or marked so.
fn is_hidden(packet: &Packet, codec: ffi::AVCodecID) -> bool {
    // Not through the wrapper's flags, which don't know this one.
    // SAFETY: a packet is valid while borrowed.
    let discarded = unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 };
    // The fifth bit of a VP8 picture says whether it is shown.
    let vp8 = codec == ffi::AVCodecID::AV_CODEC_ID_VP8;
    discarded || (vp8 && packet.data().is_some_and(|d| d.first().is_some_and(|b| b & 0x10 == 0)))
}

/// What a packet says of its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub time: i64,
    pub key: bool,
    pub shown: bool,
}

impl Listed {
    pub fn new(packet: &Packet, codec: ffi::AVCodecID) -> Self {
        let time = packet.pts().unwrap_or(i64::MIN);
        Self { time, key: packet.is_key(), shown: !is_hidden(packet, codec) }
    }
}

/// A run of packets to decode without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// First and last packet, in decoding order.
    pub first: usize,
    pub last: usize,
    /// The last wanted picture in it.
    pub until: i64,
}

/// Which of `packets` (in decoding order) to decode for the `wanted` pictures (ascending): from the
/// keyframe before each, joined where they touch.
pub(super) fn plan(packets: &[Listed], wanted: &[i64]) -> Vec<Segment> {
    let mut by_time: Vec<usize> = (0..packets.len()).filter(|i| packets[*i].shown).collect();
    by_time.sort_by_key(|i| packets[*i].time);
    let mut runs: Vec<Segment> = Vec::new();
    for stamp in wanted {
        let place = by_time.partition_point(|i| packets[*i].time < *stamp);
        let Some(&index) = by_time.get(place).filter(|i| packets[**i].time == *stamp) else { continue };
        // A picture that is shown before the keyframe it follows in the file needs the one before.
        let is_start = |i: &usize| packets[*i].key && packets[*i].time <= *stamp;
        let first = (0..=index).rev().find(is_start).unwrap_or(0);
        runs.push(Segment { first, last: index, until: *stamp });
    }
    runs.sort_by_key(|run| run.first);
    let mut joined: Vec<Segment> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(before) if run.first <= before.last + 1 => {
                before.last = before.last.max(run.last);
                before.until = before.until.max(run.until);
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// How many pictures at most come in the file before one that is shown earlier.
///
/// `times`: when each is decoded, if known, and shown.
pub(super) fn reorder_depth(times: impl Iterator<Item = (Option<i64>, i64)>) -> usize {
    // The latest times so far, few of which lie after a new one.
    let mut latest: Vec<i64> = Vec::new();
    let mut decoded_before = None;
    let mut depth = 0;
    for (decoded, shown) in times {
        // An edit list repeats pictures: the file's own order ends there.
        if decoded < decoded_before {
            latest.clear();
        }
        decoded_before = decoded;
        let place = latest.partition_point(|t| *t <= shown);
        depth = depth.max(latest.len() - place);
        latest.insert(place, shown);
        if latest.len() > MOST_DELAY {
            latest.remove(0);
        }
    }
    depth
}

/// No codec in use delays pictures further.
const MOST_DELAY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(shown: &[(i64, i64)]) -> Timeline {
        Timeline::new(shown.to_vec(), 0.1, None)
    }

    #[test]
    fn a_moment_shows_the_last_picture_that_began() {
        let t = timeline(&[(50, 0), (51, 0), (59, 4)]);
        assert_eq!(t.times.len(), 3);
        assert!((t.duration - 1.3).abs() < 1e-9);
        assert_eq!([0.0, 0.05, 0.1, 0.85, 0.9, 9.0].map(|m| t.at(m)), [0, 0, 1, 1, 2, 2]);
        assert!((timeline(&[(0, 0), (2, 0), (4, 0)]).duration - 0.6).abs() < 1e-9);
        assert_eq!(timeline(&[(7, 0)]).duration, 0.0);
        let mut t = timeline(&[(50, 0), (51, 0), (59, 4)]);
        assert!(t.start_at(51) && !t.start_at(0));
        assert_eq!(t.stamps, [51, 59]);
        assert!((t.duration - 1.2).abs() < 1e-9 && (t.times[1] - 0.8).abs() < 1e-9);
    }

    #[test]
    fn pictures_without_times_go_by_the_rate() {
        let t = Timeline::of_pictures(&[(None, 0), (None, 0)], 0.1, Some(10.0));
        assert_eq!((t.stamps, t.times, t.duration), (vec![0, 1], vec![0.0, 0.1], 0.2));
        let t = Timeline::of_pictures(&[(Some(5), 1), (Some(9), 1)], 0.5, Some(10.0));
        assert_eq!((t.stamps, t.times, t.duration), (vec![0, 1], vec![0.0, 2.0], 2.5));
    }

    #[test]
    fn plans_only_the_groups_that_are_wanted() {
        // I P B B | I P B B | I P B B, in decoding order.
        let listed = |time, key| Listed { time, key, shown: true };
        let packets: Vec<Listed> = (0..3)
            .flat_map(|g| [(g * 4, true), (g * 4 + 3, false), (g * 4 + 1, false), (g * 4 + 2, false)])
            .map(|(time, key)| listed(time, key))
            .collect();
        let segment = |first, last, until| Segment { first, last, until };
        assert_eq!(plan(&packets, &[1, 9]), [segment(0, 2, 1), segment(8, 10, 9)]);
        // Touching groups are decoded as one.
        assert_eq!(plan(&packets, &[3, 2, 4]), [segment(0, 4, 4)]);
        // Open group: the B at 3 comes after the I at 4 in the file, but needs the one before.
        let open = [listed(0, true), listed(4, true), listed(3, false)];
        assert_eq!(plan(&open, &[3]), [segment(0, 2, 3)]);
        // An edit list shows the second turn of what is there twice.
        let hidden = Listed { shown: false, ..listed(0, true) };
        assert_eq!(plan(&[hidden, listed(1, false), listed(0, true)], &[0]), [segment(2, 2, 0)]);
    }

    #[test]
    fn measures_how_far_pictures_are_out_of_order() {
        let depth = |times: &[i64]| reorder_depth(times.iter().map(|t| (None, *t)));
        assert_eq!(depth(&[0, 1, 2, 3]), 0);
        assert_eq!(depth(&[0, 3, 1, 2, 4]), 1);
        assert_eq!(depth(&[0, 4, 2, 1, 3, 8, 6]), 2);
        let repeated = [(0, 0), (1, 2), (2, 1), (0, 0), (1, 2), (2, 1)];
        assert_eq!(reorder_depth(repeated.iter().map(|(d, s)| (Some(*d), *s))), 1);
    }
}
