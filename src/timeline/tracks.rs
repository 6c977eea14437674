//! Segments of a video that may show several things at once: they may overlap.

use super::Segment;
use super::segments::Segments;
use super::shot::Scored;
use crate::Classifier;

/// Joins units of a label as they come, each label for itself.
pub(super) struct Tracks {
    /// One a label; where it isn't shown it has segments of no label.
    tracks: Vec<Segments>,
    /// Ended ones that have to wait for one that began before them.
    waiting: Vec<Segment>,
}

impl Tracks {
    /// For so many labels.
    pub(super) fn new(labels: usize) -> Self {
        Self { tracks: (0..labels).map(|_| Segments::default()).collect(), waiting: Vec::new() }
    }

    /// Adds a unit. Returns the segments that it ends, by their beginning; all begin after those before.
    pub(super) fn push(&mut self, unit: Scored, classifier: &Classifier) -> Vec<Segment> {
        let config = classifier.config();
        self.add(&unit, &config.id2label, &config.thresholds)
    }

    fn add(&mut self, unit: &Scored, labels: &[String], thresholds: &[f64]) -> Vec<Segment> {
        for (label, track) in self.tracks.iter_mut().enumerate() {
            let scores = vec![unit.scores[label]];
            let own = Scored { start: unit.start, end: unit.end, scores, knowing: None };
            let ended = track.add(own, &labels[label..=label], thresholds[label]);
            self.waiting.extend(ended.into_iter().filter(|segment| segment.label.is_some()));
        }
        self.ripe()
    }

    /// A cut follows the last unit.
    pub(super) fn cut(&mut self) {
        self.tracks.iter_mut().for_each(Segments::cut);
    }

    /// The last segments of a video that is over at `end`.
    pub(super) fn finish(&mut self, end: f64) -> Vec<Segment> {
        for track in &mut self.tracks {
            let ended = track.finish(end);
            self.waiting.extend(ended.into_iter().filter(|segment| segment.label.is_some()));
        }
        self.ripe()
    }

    /// What nothing that is still under way can come before.
    fn ripe(&mut self) -> Vec<Segment> {
        let first = self.tracks.iter().filter_map(Segments::since).fold(f64::INFINITY, f64::min);
        self.waiting.sort_by(|a, b| a.start.total_cmp(&b.start));
        let ripe = self.waiting.partition_point(|segment| segment.start <= first);
        self.waiting.drain(..ripe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of units of one second, each of which shows the labels A and B or not; `|` is a cut.
    fn segments(units: &[&str]) -> Vec<String> {
        let seconds = units.iter().filter(|unit| **unit != "|").count();
        segments_until(seconds as f64, units)
    }

    /// The same of a video that is over at `end`.
    fn segments_until(end: f64, units: &[&str]) -> Vec<String> {
        let labels = ["A".to_string(), "B".into()];
        let (mut tracks, mut done, mut time) = (Tracks::new(2), Vec::new(), 0.0);
        for unit in units {
            if *unit == "|" {
                tracks.cut();
                continue;
            }
            let scores = ["A", "B"].map(|label| if unit.contains(label) { 0.8 } else { 0.1 });
            done.extend(tracks.add(
                &Scored { start: time, end: time + 1.0, scores: scores.into(), knowing: None },
                &labels,
                &[0.5, 0.5],
            ));
            time += 1.0;
        }
        done.extend(tracks.finish(end));
        done.iter().map(|s| format!("{}{}-{}", s.label.as_deref().unwrap_or("?"), s.start, s.end)).collect()
    }

    #[test]
    fn labels_overlap_and_gaps_are_gaps() {
        assert_eq!(segments(&["A", "AB", "AB", "B", "", "", "A", "A"]), ["A0-3", "B1-4", "A6-8"]);
        assert_eq!(segments(&["", "", ""]), [""; 0]);
    }

    #[test]
    fn they_come_by_their_beginning() {
        assert_eq!(segments(&["A", "AB", "AB", "A", "A", "A"]), ["A0-6", "B1-3"]);
        assert_eq!(segments(&["AB", "AB", "A", "A", "AB", "AB", "", ""]), ["B0-2", "A0-6", "B4-6"]);
    }

    #[test]
    fn what_the_last_unit_shows_holds_until_the_end() {
        assert_eq!(segments_until(2.5, &["A", "AB"]), ["A0-2.5", "B1-2.5"]);
        assert_eq!(segments_until(1.5, &["A", "AB"]), ["A0-1.5", "B1-1.5"]);
        // What ended before is over.
        assert_eq!(segments_until(4.5, &["AB", "AB", "B", "B"]), ["A0-2", "B0-4.5"]);
        assert_eq!(segments_until(3.5, &["A", "A", ""]), ["A0-2"]);
    }

    #[test]
    fn a_lone_unit_is_its_neighbours_unless_it_is_a_scene() {
        assert_eq!(segments(&["A", "A", "", "A", "A"]), ["A0-5"]);
        assert_eq!(segments(&["A", "A", "|", "", "|", "A", "A"]), ["A0-2", "A3-5"]);
    }
}
