//! A video's clock: time stamps that leap are mended, those that tell of a real pause are kept.

use std::collections::VecDeque;

/// Pictures that may come in a file before one that is shown earlier: no codec in use delays them further.
pub(super) const MOST_DELAY: usize = 16;

/// Where a step ahead stops being a pause and becomes a leap, in seconds.
///
/// A slide, or a screen on which nothing moves, may stay for minutes, and a player waits that long; a stamp
/// that lies hours ahead comes from a recorder that began anew. Players draw this line at an hour (FFplay).
/// At ten minutes no pause that anybody records lies beyond, and leaps of a quarter of an hour are found.
pub(super) const LEAP: f64 = 600.0;

/// The same in a container made for broadcast, where stamps start anew at any time and a still picture is
/// sent again and again: FFplay and FFmpeg take a step of ten seconds there for a leap. That would swallow the
/// pictures of a camera that takes one every ten seconds, and the pause between two recordings on one clock.
const LEAP_IN_BROADCAST: f64 = 60.0;

/// Turns the stamps of a video's packets, in the order of the file, into stamps of one clock.
///
/// Recordings are joined end to end, recorders start anew, a stream changes to another source, a bit falls over.
/// So a stamp is believed where it goes on from those before it: not further ahead than a leap, and not
/// further back than pictures are ever out of order. Where one doesn't, the stamps after it say what happened:
///
/// - They go on from those before: this stamp alone is bogus, and the picture gets the place that is left free.
/// - They go on from this one: a new part begins, and is shown when the part before it ends.
///
/// Everything is in ticks of the stream. Without a leap, stamps stay what they are.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// Ticks ahead that are a leap.
    leap: i64,
    /// Ticks a picture, where nothing better is known.
    usual: i64,
    /// Ticks to add to a stamp of this part.
    shift: i64,
    /// Mended stamps of this part: the last ones, as many as can be out of order and one.
    recent: VecDeque<i64>,
    /// The greatest mended stamp and how long its picture lasts.
    latest: Option<(i64, i64)>,
    /// Stamps that did not go on from those before.
    pub leaps: usize,
}

/// A stamp on the mended clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mended {
    /// So many ticks later than it says.
    Shifted(i64),
    /// What it says means nothing; this is its place.
    Bogus(i64),
}

impl Clock {
    /// `tick`: seconds. `rate`: pictures a second, if known. `broadcast`: see [`LEAP_IN_BROADCAST`].
    pub(super) fn new(tick: f64, rate: Option<f64>, broadcast: bool) -> Self {
        let ticks = |seconds: f64| ((seconds / tick) as i64).max(1);
        Self {
            leap: ticks(if broadcast { LEAP_IN_BROADCAST } else { LEAP }),
            usual: ticks(1.0 / rate.unwrap_or(25.0)),
            shift: 0,
            recent: VecDeque::new(),
            latest: None,
            leaps: 0,
        }
    }

    /// Forgets what came before: after a jump in the file, the first stamp is believed.
    pub(super) fn restart(&mut self) {
        (self.shift, self.latest) = (0, None);
        self.recent.clear();
    }

    /// Ticks ahead that are a leap.
    pub(super) fn leap(&self) -> i64 {
        self.leap
    }

    /// What to add to the stamps of packets that are not shown.
    pub(super) fn shift(&self) -> i64 {
        self.shift
    }

    /// The next shown picture says that it comes at `stamp` and lasts `length`; `key`: that nothing after it in
    /// the file is shown before it, save what only leads up to it. `coming`: what the next ones say, a few
    /// more than can be out of order; asked only where it matters.
    pub(super) fn mend(
        &mut self,
        stamp: i64,
        length: i64,
        key: bool,
        coming: impl FnOnce() -> Vec<i64>,
    ) -> Mended {
        let time = stamp.saturating_add(self.shift);
        if self.goes_on(time, key) {
            self.note(time, length);
            return Mended::Shifted(self.shift);
        }
        self.leaps += 1;
        let coming = coming();
        let latest = self.latest.map_or(0, |(latest, _)| latest);
        let go_on = |raw: &&i64| {
            let time = raw.saturating_add(self.shift);
            self.goes_on(time, false) && !self.recent.contains(&time)
        };
        let are_nearer = |raw: &&i64| {
            let away = |from: i64, to: i64| from.saturating_sub(to).saturating_abs();
            away(**raw, stamp) < away(raw.saturating_add(self.shift), latest)
        };
        let (with_those_before, with_this) =
            (coming.iter().filter(go_on).count(), coming.iter().filter(are_nearer).count());
        if with_those_before > 0 && with_those_before >= with_this {
            let coming: Vec<i64> =
                coming.iter().filter(go_on).map(|raw| raw.saturating_add(self.shift)).collect();
            let place = self.free_place(&coming);
            self.note(place, length);
            return Mended::Bogus(place);
        }
        // What leads up to a new part's first packet is shown before it.
        let first = coming.iter().filter(are_nearer).copied().fold(stamp, i64::min);
        self.shift = self.end().saturating_sub(first);
        self.recent.clear();
        self.note(stamp.saturating_add(self.shift), length);
        Mended::Shifted(self.shift)
    }

    fn goes_on(&self, time: i64, key: bool) -> bool {
        let Some((latest, _)) = self.latest else { return true };
        let lowest = self.recent.iter().copied().min().unwrap_or(latest);
        if time > latest {
            return time.saturating_sub(latest) <= self.leap;
        }
        let all_earlier_are_later = time < lowest && self.recent.len() > MOST_DELAY;
        let starts_anew = key && time <= lowest && time < latest;
        !(all_earlier_are_later || starts_anew || lowest.saturating_sub(time) > self.leap)
    }

    fn note(&mut self, time: i64, length: i64) {
        if self.latest.is_none_or(|(latest, _)| time >= latest) {
            // One that lasts longer than a pause can be reaches over a leap.
            self.latest = Some((time, if length > self.leap { 0 } else { length }));
        }
        self.recent.push_back(time);
        if self.recent.len() > MOST_DELAY + 1 {
            self.recent.pop_front();
        }
    }

    /// When the latest picture ends.
    pub(super) fn end(&self) -> i64 {
        let (latest, length) = self.latest.unwrap_or_default();
        latest.saturating_add(if length > 0 { length } else { self.step() })
    }

    /// Ticks from one picture to the next: the usual gap between the last ones. Those that are still to come in the
    /// file leave wider ones.
    fn step(&self) -> i64 {
        let mut times: Vec<i64> = self.recent.iter().copied().collect();
        times.sort_unstable();
        let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        gaps.retain(|gap| *gap > 0);
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or(self.usual)
    }

    /// The time between the pictures around, those just before and `coming`, that no picture has.
    fn free_place(&self, coming: &[i64]) -> i64 {
        let around: Vec<i64> = self.recent.iter().chain(coming).copied().collect();
        let mut sorted = around.clone();
        sorted.sort_unstable();
        let middle = |a: i64, b: i64| a.saturating_add(b.saturating_sub(a) / 2);
        match (self.recent.back(), coming.first()) {
            (Some(before), Some(after)) if around == sorted => middle(*before, *after),
            // Pictures are out of order: the widest gap is that of the one that is missing.
            _ => {
                let widest = sorted.windows(2).max_by_key(|pair| pair[1].saturating_sub(pair[0]));
                widest.map_or(self.end(), |pair| middle(pair[0], pair[1]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes through packets of a tenth of a second each, whose keyframes stand where the stamps say so.
    fn mended(stamps: &[i64], keys: &[usize]) -> (Vec<i64>, usize) {
        let mut clock = Clock::new(0.1, Some(10.0), false);
        let mend = |(i, stamp): (usize, &i64)| {
            let coming = || stamps[i + 1..].iter().take(MOST_DELAY).copied().collect();
            match clock.mend(*stamp, 1, keys.contains(&i), coming) {
                Mended::Shifted(shift) => stamp + shift,
                Mended::Bogus(place) => place,
            }
        };
        let times = stamps.iter().enumerate().map(mend).collect();
        (times, clock.leaps)
    }

    #[test]
    fn what_goes_on_stays_as_it_is() {
        // Out of order, with a slide of nine minutes.
        let stamps = [50, 53, 51, 52, 56, 54, 55, 5456, 5454, 5455];
        assert_eq!(mended(&stamps, &[0]), (stamps.to_vec(), 0));
    }

    #[test]
    fn pictures_out_of_order_leave_the_last_one_its_usual_length() {
        let mut clock = Clock::new(0.1, Some(10.0), false);
        // Of twenty pictures that don't say how long they last, the file has not yet had the next to last.
        for stamp in (0..30).step_by(2).chain([32, 30, 36]) {
            clock.mend(stamp, 0, stamp == 0, Vec::new);
        }
        assert_eq!(clock.end(), 38);
    }

    #[test]
    fn a_part_follows_the_one_before() {
        for there in [90_000, -90_000] {
            let stamps: Vec<i64> = (0..20).chain((0..20).map(|i| there + i)).collect();
            assert_eq!(mended(&stamps, &[0, 20]), ((0..40).collect(), 1));
        }
        // The same stamps again, and only a few of them.
        assert_eq!(mended(&[0, 1, 2, 0, 1, 2], &[0, 3]), ((0..6).collect(), 1));
        // Pictures that lead up to the part's first keyframe are shown before it.
        let stamps = [0, 3, 1, 2, 90_002, 90_000, 90_001, 90_003];
        assert_eq!(mended(&stamps, &[0, 4]), (vec![0, 3, 1, 2, 6, 4, 5, 7], 1));
    }

    #[test]
    fn a_bogus_stamp_costs_nothing_but_itself() {
        for bogus in [999_999, -999_999, i64::MAX, i64::MIN] {
            let mut stamps: Vec<i64> = (0..40).map(|i| 2 * i).collect();
            stamps[30] = bogus;
            let expected: Vec<i64> = (0..40).map(|i| 2 * i).collect();
            assert_eq!(mended(&stamps, &[0]), (expected, 1), "{bogus}");
        }
        let mut stamps: Vec<i64> = (0..20).flat_map(|g| [6 * g, 6 * g + 4, 6 * g + 2]).collect();
        let expected = stamps.clone();
        stamps[31] = 999_999;
        assert_eq!(mended(&stamps, &[0]), (expected, 1));
    }
}
