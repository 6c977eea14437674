//! What is done between two rounds: the head learns, is measured, and says which clips come next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::choice::{self, typical, unsure};
use super::groups::twins;
use super::linear::{Linear, Rows, best, scores, sharpness};
use super::{Figure, Guess, Method, Why};
use crate::Result;
use crate::learning::metrics::wilson;

/// Labels after which clips are chosen by the model instead of by what is typical, or two a label where that is more.
/// On UCF-101's clips 14, 28 and 42 lead to the same.
const TYPICAL: usize = 28;

/// Share of the clips of a round that are for the test alone.
const TESTED: f64 = 0.1;

/// Held-out clips from which on they alone say how good the model is.
pub(super) const ENOUGH: usize = 50;

/// Parts of a cross-validation.
const FOLDS: usize = 5;

/// Groups of learned clips from which on there is one.
pub(super) const CROSSED: usize = 2 * FOLDS;

/// The model disagrees with a person where what it takes a clip for is above the first of these scores, and what the
/// person said is below the second: the clip is shown again.
const DISAGREES: [f32; 2] = [0.5, 0.1];

/// What is known when a round ends. All lists are by rows: the clips that have features.
pub(super) struct Snapshot {
    /// The clips' numbers.
    pub clips: Vec<usize>,
    pub features: Vec<Arc<[f32]>>,
    /// What a person said it shows.
    pub labels: Vec<Option<String>>,
    /// Whether its group is on the test's side.
    pub held_out: Vec<bool>,
    /// Whether it may be offered.
    pub open: Vec<bool>,
    pub groups: Vec<usize>,
    /// Whether it has a label that was given once only.
    pub said_once: Vec<bool>,
    /// Labels given in all, offers under way among them, and how many of these are for the test.
    pub given: usize,
    pub tested: usize,
    /// How many clips a round has.
    pub count: usize,
    /// Whether the model has stopped changing: from there on it looks for slips, too.
    pub settled: bool,
    /// Whether twins are to be looked for.
    pub wants_twins: bool,
    pub seed: u64,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Lesson {
    /// For each clip what the model takes it for.
    pub guesses: Vec<(usize, Guess)>,
    pub figure: Option<Figure>,
    /// The next round, and what goes on with it where the one after isn't there in time.
    pub round: Vec<(usize, Why)>,
    pub reserve: Vec<(usize, Why)>,
    /// Pairs of clips that are twins, where they were looked for.
    pub twins: Vec<(usize, usize)>,
}

/// A head's logits for every row, and the labels that its classes mean.
struct Learned {
    names: Vec<String>,
    /// The class of each learned row.
    class: HashMap<usize, usize>,
    logits: Vec<Vec<f32>>,
}

impl Learned {
    /// How many learned clips each class has.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.names.len()];
        self.class.values().for_each(|&class| sizes[class] += 1);
        sizes
    }

    /// What its logits are to be multiplied by, as those of `crossed` rows say.
    fn sharpness(&self, crossed: &BTreeMap<usize, Vec<f32>>) -> f32 {
        let clips: Vec<(&[f32], usize)> =
            crossed.iter().map(|(row, logits)| (&**logits, self.class[row])).collect();
        if clips.is_empty() { 1.0 } else { sharpness(&clips) }
    }
}

impl Snapshot {
    /// Learns, measures and chooses.
    pub(super) fn learn(&self) -> Result<Lesson> {
        let mut lesson = Lesson::default();
        if self.clips.is_empty() {
            return Ok(lesson);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let rows = Rows::standardised(self.features.iter().map(|row| &**row))?;
        let directions = rows.directions()?;
        if self.wants_twins {
            let of_rows = twins(&directions)?;
            lesson.twins = of_rows.into_iter().map(|(a, b)| (self.clips[a], self.clips[b])).collect();
        }
        let learned = self.fit(&rows)?;
        let mut checks = Vec::new();
        if let Some(learned) = &learned {
            let crossed = self.cross_validate(&rows, learned, &mut rng)?;
            let sharpness = learned.sharpness(&crossed);
            for (row, logits) in learned.logits.iter().enumerate() {
                let (class, score, _) = best(&scores(logits, sharpness));
                lesson.guesses.push((self.clips[row], Guess { label: learned.names[class].clone(), score }));
            }
            lesson.figure = self.held_out_figure(learned).or_else(|| self.crossed_figure(learned, &crossed));
            if self.settled {
                checks = self.checks(learned, &crossed, sharpness);
            }
        }
        let mut open = self.open.clone();
        let mut choose = || -> Result<Vec<(usize, Why)>> {
            let chosen = self.choose(&open, &directions, learned.as_ref(), &mut rng)?;
            chosen.iter().for_each(|(row, _)| open[*row] = false);
            Ok(chosen.into_iter().map(|(row, why)| (self.clips[row], why)).collect())
        };
        let mut round = choose()?;
        lesson.reserve = choose()?;
        let clip = |row: usize| self.clips[row];
        for row in self.draw(&mut rng) {
            round.insert(rng.random_range(0..=round.len()), (clip(row), Why::Test));
        }
        round.truncate(self.count);
        round.extend(checks.into_iter().take(self.count.div_ceil(4)).map(|row| (clip(row), Why::Check)));
        lesson.round = round;
        Ok(lesson)
    }

    fn rows(&self) -> std::ops::Range<usize> {
        0..self.clips.len()
    }

    /// A head by what was said of the clips that are learned; none where that are less than two classes.
    fn fit(&self, rows: &Rows) -> Result<Option<Learned>> {
        let said: Vec<(usize, &String)> = (self.rows().filter(|row| !self.held_out[*row]))
            .filter_map(|row| Some((row, self.labels[row].as_ref()?)))
            .collect();
        let names: Vec<String> =
            said.iter().map(|(_, label)| (*label).clone()).collect::<BTreeSet<_>>().into_iter().collect();
        if names.len() < 2 {
            return Ok(None);
        }
        let number: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        let class: HashMap<usize, usize> =
            said.iter().map(|(row, label)| (*row, number[label.as_str()])).collect();
        let learned: Vec<usize> = said.iter().map(|(row, _)| *row).collect();
        let classes: Vec<usize> = learned.iter().map(|row| class[row]).collect();
        let logits = Linear::fit(&rows.pick(&learned)?, &classes, names.len())?.logits(rows)?;
        Ok(Some(Learned { names, class, logits }))
    }

    /// How good the head is on the clips that were held out, where there are enough of them.
    fn held_out_figure(&self, learned: &Learned) -> Option<Figure> {
        let tested = || self.rows().filter(|row| self.held_out[*row] && self.labels[*row].is_some());
        let clips = tested().count();
        if clips < ENOUGH {
            return None;
        }
        let right = |row: &usize| {
            let (class, ..) = best(&learned.logits[*row]);
            self.labels[*row].as_ref() == Some(&learned.names[class])
        };
        let worth = format!(
            "Measured on {clips} clips that were drawn at random and are never learned: with 95 % certainty it is in the \
             interval for all clips of this kind."
        );
        Some(figure(tested().filter(right).count(), clips, Method::HeldOut, worth))
    }

    /// For each learned row, in their order, the logits of a head that knows none of its group; none where there are few.
    fn cross_validate(
        &self,
        rows: &Rows,
        learned: &Learned,
        rng: &mut ChaCha8Rng,
    ) -> Result<BTreeMap<usize, Vec<f32>>> {
        let mut groups: Vec<usize> = learned.class.keys().map(|&row| self.groups[row]).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.shuffle(rng);
        let mut crossed = BTreeMap::new();
        if groups.len() < CROSSED {
            return Ok(crossed);
        }
        let fold: HashMap<usize, usize> = groups.into_iter().zip((0..FOLDS).cycle()).collect();
        let mut all: Vec<usize> = learned.class.keys().copied().collect();
        all.sort_unstable();
        for part in 0..FOLDS {
            let (out, known): (Vec<usize>, Vec<usize>) =
                all.iter().copied().partition(|&row| fold[&self.groups[row]] == part);
            let classes: Vec<usize> = known.iter().map(|row| learned.class[row]).collect();
            let head = Linear::fit(&rows.pick(&known)?, &classes, learned.names.len())?;
            crossed.extend(out.iter().copied().zip(head.logits(&rows.pick(&out)?)?));
        }
        Ok(crossed)
    }

    fn crossed_figure(&self, learned: &Learned, crossed: &BTreeMap<usize, Vec<f32>>) -> Option<Figure> {
        if crossed.is_empty() {
            return None;
        }
        let right = crossed.iter().filter(|(row, logits)| best(logits).0 == learned.class[*row]).count();
        let held = self.rows().filter(|row| self.held_out[*row] && self.labels[*row].is_some()).count();
        let worth = format!(
            "Cross-validated by group on the {} learned clips, as only {held} of {ENOUGH} held-out ones are labelled: these \
             were chosen because they are typical or hard, so it says little of the rest.",
            crossed.len()
        );
        Some(figure(right, crossed.len(), Method::CrossValidated, worth))
    }

    /// Clips that were called otherwise than a model that doesn't know them is sure of, the surest first.
    fn checks(&self, learned: &Learned, crossed: &BTreeMap<usize, Vec<f32>>, sharpness: f32) -> Vec<usize> {
        let mut doubtful: Vec<(usize, f32)> = (crossed.iter())
            .filter(|(row, _)| self.said_once[**row])
            .filter_map(|(&row, logits)| {
                let scores = scores(logits, sharpness);
                let (_, score, _) = best(&scores);
                let disagrees = score > DISAGREES[0] && scores[learned.class[&row]] < DISAGREES[1];
                disagrees.then_some((row, score))
            })
            .collect();
        doubtful.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        doubtful.into_iter().map(|(row, _)| row).collect()
    }

    /// Clips for the test, at random, so that a tenth of all labels is.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let wanted = (TESTED * (self.given + self.count) as f64).round() as usize;
        let mut held: Vec<usize> = self.rows().filter(|&row| self.open[row] && self.held_out[row]).collect();
        held.shuffle(rng);
        held.truncate(wanted.saturating_sub(self.tested));
        held
    }

    /// Rows for a round, of those that are `open`.
    fn choose(
        &self,
        open: &[bool],
        directions: &candle_core::Tensor,
        learned: Option<&Learned>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<(usize, Why)>> {
        let count = self.count;
        let open: Vec<bool> = self.rows().map(|row| open[row] && !self.held_out[row]).collect();
        let labelled: Vec<bool> =
            self.rows().map(|row| self.labels[row].is_some() && !self.held_out[row]).collect();
        let rows = choice::Rows { directions, open: &open, labelled: &labelled, groups: &self.groups };
        let classes = learned.map_or(0, |learned| learned.names.len());
        Ok(match learned {
            Some(learned) if self.given >= TYPICAL.max(2 * classes) => {
                // As they come, which says who is nearer to a border; it is what was measured.
                let shy: Vec<Vec<f32>> = learned.logits.iter().map(|logits| scores(logits, 1.0)).collect();
                unsure(rows, &shy, &learned.sizes(), count)?
                    .into_iter()
                    .map(|row| (row, Why::Unsure))
                    .collect()
            }
            _ => typical(rows, count, rng)?.into_iter().map(|row| (row, Why::Typical)).collect(),
        })
    }
}

fn figure(right: usize, clips: usize, method: Method, worth: String) -> Figure {
    let value = right as f64 / clips.max(1) as f64;
    Figure { value, interval: wilson(right, clips), clips, method, worth }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::annotation::made_up;

    /// What is promised of two cores; beside a build they took a third of it.
    #[test]
    fn a_thousand_labels_are_learned_within_three_seconds() {
        let (features, classes) = made_up::clips(2000, 14, 1024, 2);
        let labels = |clip: usize| (clip < 1000).then(|| format!("class {}", classes[clip]));
        let snapshot = Snapshot {
            clips: (0..2000).collect(),
            features: features.into_iter().map(Arc::from).collect(),
            labels: (0..2000).map(labels).collect(),
            held_out: (0..2000).map(|clip| clip % 10 == 0).collect(),
            open: (0..2000).map(|clip| clip >= 1000).collect(),
            groups: (0..2000).map(|clip| clip / 4).collect(),
            said_once: vec![true; 2000],
            given: 1000,
            tested: 100,
            count: 14,
            settled: true,
            wants_twins: true,
            seed: 0,
        };
        let start = Instant::now();
        let lesson = snapshot.learn().unwrap();
        let took = start.elapsed();
        println!("1000 labels of 2000 clips: {took:?}");
        assert_eq!((lesson.guesses.len(), lesson.round.len()), (2000, 14));
        assert!(took.as_secs_f64() < 3.0, "{took:?}");
    }
}
