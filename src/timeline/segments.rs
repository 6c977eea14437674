//! Neighbouring units of one label, as one segment.

use super::Segment;
use super::shot::Scored;
use crate::Classifier;

/// Joins units as they come.
#[derive(Default)]
pub(super) struct Segments {
    current: Option<Open>,
    /// A unit of another label, in case it is a lone one.
    doubtful: Option<Open>,
    after_cut: bool,
}

struct Open {
    segment: Segment,
    /// Index of the label, or of none.
    label: Option<usize>,
    units: usize,
    /// Sum over its units of the probabilities.
    sum: Vec<f32>,
}

impl Segments {
    /// Adds a unit. Returns the segments that it ends.
    pub(super) fn push(&mut self, unit: Scored, classifier: &Classifier) -> Vec<Segment> {
        let threshold = classifier.threshold().unwrap_or(0.0);
        let least = match unit.knowing {
            Some(score) if score >= threshold => 0.0,
            Some(_) => f64::INFINITY,
            None => threshold,
        };
        self.add(unit, &classifier.config().id2label, least)
    }

    /// One of `labels` holds where its probability is `threshold` or more.
    pub(super) fn add(&mut self, unit: Scored, labels: &[String], threshold: f64) -> Vec<Segment> {
        let best = (0..unit.scores.len()).max_by(|a, b| unit.scores[*a].total_cmp(&unit.scores[*b]));
        let label = best.filter(|best| f64::from(unit.scores[*best]) >= threshold);
        let best_score = best.map_or(0.0, |best| unit.scores[best]);
        let name = label.map(|label| labels[label].clone());
        let segment = Segment { start: unit.start, end: unit.end, label: name, score: best_score };
        let new = Open { segment, label, units: 1, sum: unit.scores };

        let mut done = Vec::new();
        if std::mem::take(&mut self.after_cut) {
            // What stands before a cut is no lone unit among others of its scene.
            self.settle(&mut done);
        }
        let Some(current) = &mut self.current else {
            self.current = Some(new);
            return done;
        };
        match self.doubtful.take() {
            Some(doubtful) if new.label == current.label => {
                current.join(doubtful);
                current.join(new);
            }
            Some(mut doubtful) => {
                // Two units in a row say otherwise.
                done.extend(self.current.take().map(Open::close));
                if doubtful.label == new.label {
                    doubtful.join(new);
                    self.current = Some(doubtful);
                } else {
                    self.current = Some(doubtful);
                    self.doubtful = Some(new);
                }
            }
            None if new.label == current.label => current.join(new),
            None => self.doubtful = Some(new),
        }
        done
    }

    /// When the earliest segment with a label began that hasn't ended yet.
    pub(super) fn since(&self) -> Option<f64> {
        let open = [&self.current, &self.doubtful].into_iter().flatten();
        open.filter(|open| open.label.is_some()).map(|open| open.segment.start).next()
    }

    /// A cut follows the last unit.
    pub(super) fn cut(&mut self) {
        self.after_cut = true;
    }

    /// What the last unit said counts, also if it was alone with it.
    fn settle(&mut self, done: &mut Vec<Segment>) {
        if let Some(doubtful) = self.doubtful.take() {
            done.extend(self.current.take().map(Open::close));
            self.current = Some(doubtful);
        }
    }

    /// The last segments of a video that is over at `end`: within its last unit, or a little after it, as pictures too
    /// few for a unit of their own belong to what is seen in the last one.
    pub(super) fn finish(&mut self, end: f64) -> Vec<Segment> {
        let mut done = Vec::new();
        self.settle(&mut done);
        if let Some(mut last) = self.current.take() {
            last.segment.end = end.max(last.segment.start);
            done.push(last.close());
        }
        done
    }
}

impl Open {
    fn join(&mut self, other: Self) {
        self.segment.end = other.segment.end;
        // Only where there is no label: the mean of the best guesses.
        self.segment.score += other.segment.score;
        self.units += other.units;
        for (sum, score) in self.sum.iter_mut().zip(other.sum) {
            *sum += score;
        }
    }

    fn close(mut self) -> Segment {
        let sum = self.label.map_or(self.segment.score, |label| self.sum[label]);
        self.segment.score = sum / self.units as f32;
        self.segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of units of one second; `|` is a cut, `?` a unit without a sure label.
    fn segments(units: &str) -> Vec<(f64, f64, String)> {
        let labels = ["A".to_string(), "B".into(), "C".into()];
        let (mut segments, mut done, mut time) = (Segments::default(), Vec::new(), 0.0);
        for unit in units.chars() {
            let scores = match unit {
                '|' => {
                    segments.cut();
                    continue;
                }
                '?' => vec![0.4, 0.3, 0.3],
                letter => "ABC".chars().map(|l| if l == letter { 0.8 } else { 0.1 }).collect(),
            };
            let unit = Scored { start: time, end: time + 1.0, scores, knowing: None };
            time += 1.0;
            done.extend(segments.add(unit, &labels, 0.5));
        }
        done.extend(segments.finish(time));
        done.into_iter().map(|s| (s.start, s.end, s.label.unwrap_or("?".into()))).collect()
    }

    fn names(units: &str) -> String {
        let name = |s: &(f64, f64, String)| format!("{}{}", s.2, s.1 - s.0);
        segments(units).iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn neighbours_of_one_label_are_one_segment() {
        assert_eq!(segments("AAABB"), [(0.0, 3.0, "A".into()), (3.0, 5.0, "B".into())]);
        assert_eq!(names("A|A"), "A2");
        assert_eq!(names("AA??BB"), "A2 ?2 B2");
        assert_eq!(names(""), "");
    }

    #[test]
    fn a_lone_unit_amid_others_is_theirs_unless_it_is_a_scene() {
        assert_eq!(names("AABAA"), "A5");
        assert_eq!(names("AA|B|AA"), "A2 B1 A2");
        assert_eq!(names("AAB|AA"), "A2 B1 A2");
        assert_eq!(names("AAB"), "A2 B1");
        assert_eq!(names("AABCC"), "A2 B1 C2");
    }

    #[test]
    fn the_score_is_the_mean_of_the_labels_scores() {
        let labels = ["A".to_string(), "B".into()];
        let mut segments = Segments::default();
        for (i, a) in [0.9, 0.7].into_iter().enumerate() {
            let scores = vec![a, 1.0 - a];
            let unit = Scored { start: i as f64, end: i as f64 + 1.0, scores, knowing: None };
            assert!(segments.add(unit, &labels, 0.5).is_empty());
        }
        assert!((segments.finish(2.0)[0].score - 0.8).abs() < 1e-6);
    }

    #[test]
    fn the_last_segment_ends_with_the_video() {
        let labels = ["A".to_string(), "B".into()];
        for (end, wanted) in [(2.4, 2.4), (1.6, 1.6)] {
            let mut segments = Segments::default();
            for (start, scores) in [(0.0, vec![0.9, 0.1]), (1.0, vec![0.1, 0.9])] {
                let unit = Scored { start, end: start + 1.0, scores, knowing: None };
                assert!(segments.add(unit, &labels, 0.5).is_empty());
            }
            let times: Vec<_> = segments.finish(end).iter().map(|s| (s.start, s.end)).collect();
            assert_eq!(times, [(0.0, 1.0), (1.0, wanted)]);
        }
    }
}
