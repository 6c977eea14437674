//! Cutting a validation part, or folds, by group and stratified by class.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::super::{Dataset, Grouping, Options, Sample, Task, Warning};
use super::Split;
use super::iterative::deal;
use crate::{Error, Result};

/// How a validation part was cut from the training clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Clips of one source stay on one side.
    ByGroup,
    /// Each clip for itself.
    ByClip,
}

/// Clips that stay together, with how many of each class they are: `(class, clips)`.
struct Unit {
    samples: Vec<usize>,
    classes: Vec<(usize, f64)>,
}

impl Dataset {
    /// Cuts the validation part where the data names none.
    pub(in crate::learning::dataset) fn cut_validation(&mut self, options: &Options) {
        if self.count(Split::Test) + self.unreadable(Split::Test).count() == 0 {
            self.warnings.push(Warning::NoTest);
        }
        for split in [Split::Val, Split::Test] {
            let clips = self.unreadable(split).count();
            if clips > 0 && self.count(split) == 0 {
                self.warnings.push(Warning::LostPart(split, clips));
            }
        }
        if self.count(Split::Val) > 0 {
            return;
        }
        let cut = self.choose_cut();
        let train: Vec<usize> = self.of(&[Split::Train]);
        let counts = counts(&self.samples, &train, self.labels.len());
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let units = self.units(&train, cut, &mut rng);
        let mut chosen = self.choose(&units, &counts, options.share);
        let mut missing = self.not_validated(&chosen, &counts);
        if cut == Cut::ByGroup && !missing.is_empty() {
            let clips: Vec<usize> = (train.iter().copied())
                .filter(|&i| self.samples[i].labels.iter().any(|l| missing.contains(l)))
                .collect();
            let units = self.units(&clips, Cut::ByClip, &mut rng);
            chosen.extend(self.choose(&units, &counts, options.share));
            let still = self.not_validated(&chosen, &counts);
            missing.retain(|label| !still.contains(label));
            if !missing.is_empty() {
                self.warnings.push(Warning::CutByClip(self.names(&missing)));
            }
            missing = still;
        }
        // A class with one clip has its own warning.
        missing.retain(|&class| counts[class] > 1.0);
        if !missing.is_empty() {
            self.warnings.push(Warning::NotValidated(self.names(&missing)));
        }
        chosen.iter().for_each(|&i| self.samples[i].split = Split::Val);
        self.cut = Some(cut);
    }

    /// By group, unless groups are unknown or the given test part doesn't keep them apart either.
    ///
    /// A validation part must resemble the test: where the published test clips come from the
    /// trained sources, whole held-out sources would answer another question, and with the few
    /// sources that such sets have, on a handful of untypical clips. A pattern given by the user
    /// is always obeyed.
    fn choose_cut(&mut self) -> Cut {
        if self.grouping == Grouping::Clip {
            self.warnings.push(Warning::NoGroups);
            // Still by group: byte-identical clips share one.
            return Cut::ByGroup;
        }
        let train: HashSet<&str> = self.part(Split::Train).map(|s| s.group.as_str()).collect();
        let known = |s: &&Sample| train.contains(s.group.as_str());
        let shared = self.part(Split::Test).filter(known).count();
        if self.grouping != Grouping::Pattern && 2 * shared > self.count(Split::Test) {
            self.warnings.push(Warning::GroupsDontSeparate);
            return Cut::ByClip;
        }
        Cut::ByGroup
    }

    /// The data in `k` divisions: each clip outside the test part is in the validation part of
    /// exactly one of them and in the training part of the others. Groups stay whole, classes are
    /// spread evenly; the same seed gives the same folds.
    ///
    /// # Errors
    /// [`Error::Usage`] for fewer than two folds or more folds than groups.
    pub fn folds(&self, k: usize, seed: u64) -> Result<Vec<Self>> {
        let clips = self.of(&[Split::Train, Split::Val]);
        let counts = counts(&self.samples, &clips, self.labels.len());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cut = self.cut.unwrap_or(Cut::ByGroup);
        let mut units = self.units(&clips, cut, &mut rng);
        if k < 2 || k > units.len() {
            let text = format!("--cross-validate {k}: wanted 2 to {}, the number of groups", units.len());
            return Err(Error::Usage(text));
        }
        let mut fold_of = vec![0; self.samples.len()];
        let mut load = vec![vec![0.0; self.labels.len()]; k];
        let mut clips_in = vec![0; k];
        if self.task == Task::OneOf {
            // The largest first: small ones then even out what those left uneven.
            units.sort_by_key(|u| std::cmp::Reverse(u.samples.len()));
        }
        let dealt = (self.task == Task::AnyOf).then(|| dealt(&units, counts.len(), &vec![1.0 / k as f64; k]));
        for (number, unit) in units.iter().enumerate() {
            // Growth of the sum of squared class shares: least where the fold lacks these classes.
            let growth = |fold: &usize| -> f64 {
                let add = |&(class, n): &(usize, f64)| {
                    let has: f64 = load[*fold][class];
                    ((has + n).powi(2) - has.powi(2)) / counts[class].powi(2)
                };
                unit.classes.iter().map(add).sum()
            };
            let order =
                |a: &usize, b: &usize| growth(a).total_cmp(&growth(b)).then(clips_in[*a].cmp(&clips_in[*b]));
            let best = match &dealt {
                Some(fold_of) => fold_of[number],
                None => (0..k).min_by(order).unwrap_or(0),
            };
            unit.samples.iter().for_each(|&i| fold_of[i] = best);
            unit.classes.iter().for_each(|&(c, n)| load[best][c] += n);
            clips_in[best] += unit.samples.len();
        }
        let short: Vec<usize> = (0..self.labels.len())
            .filter(|&c| counts[c] > 0.0 && load.iter().any(|fold| fold[c] == 0.0))
            .collect();
        let divide = |fold: usize| {
            let mut data = self.clone();
            for &i in &clips {
                data.samples[i].split = match fold_of[i] == fold {
                    true => Split::Val,
                    false => Split::Train,
                };
            }
            if !short.is_empty() {
                let names = self.names(&short);
                data.warnings.push(Warning::FewGroupsForFolds(names));
            }
            data
        };
        Ok((0..k).map(divide).collect())
    }

    /// The clips `of` in units that stay together, in random order.
    fn units(&self, of: &[usize], cut: Cut, rng: &mut ChaCha8Rng) -> Vec<Unit> {
        let twin: HashMap<usize, usize> =
            (self.twins.iter()).flat_map(|twins| twins.iter().map(|&i| (i, twins[0]))).collect();
        let mut members: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
        for &i in of {
            let key = match cut {
                Cut::ByGroup => (self.samples[i].group.as_str(), 0),
                Cut::ByClip => ("", *twin.get(&i).unwrap_or(&i)),
            };
            members.entry(key).or_default().push(i);
        }
        let unit = |clips: Vec<usize>| {
            let mut classes = BTreeMap::new();
            for &i in &clips {
                self.samples[i].labels.iter().for_each(|&l| *classes.entry(l).or_insert(0.0) += 1.0);
            }
            Unit { samples: clips, classes: classes.into_iter().collect() }
        };
        let mut units: Vec<Unit> = members.into_values().map(unit).collect();
        units.shuffle(rng);
        units
    }

    /// The clips of about `share` of the `units`.
    fn choose(&self, units: &[Unit], counts: &[f64], share: f64) -> Vec<usize> {
        match self.task {
            Task::OneOf => choose(units, counts, share),
            Task::AnyOf => {
                let mut taken: Vec<bool> = dealt(units, counts.len(), &[share, 1.0 - share])
                    .into_iter()
                    .map(|part| part == 0)
                    .collect();
                take_missing(units, counts, &mut taken);
                let taken = units.iter().zip(taken).filter(|(_, taken)| *taken);
                taken.flat_map(|(unit, _)| unit.samples.iter().copied()).collect()
            }
        }
    }

    fn of(&self, parts: &[Split]) -> Vec<usize> {
        let wanted = |&i: &usize| parts.contains(&self.samples[i].split);
        (0..self.samples.len()).filter(wanted).collect()
    }

    fn names(&self, classes: &[usize]) -> Vec<String> {
        classes.iter().map(|&c| self.labels[c].clone()).collect()
    }

    /// Classes with training clips of which none is in `chosen`.
    fn not_validated(&self, chosen: &[usize], counts: &[f64]) -> Vec<usize> {
        let has: HashSet<usize> =
            chosen.iter().flat_map(|&i| self.samples[i].labels.iter().copied()).collect();
        (0..counts.len()).filter(|c| counts[*c] > 0.0 && !has.contains(c)).collect()
    }
}

/// How many of the clips `of` each class has.
fn counts(samples: &[Sample], of: &[usize], classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    of.iter().flat_map(|&i| &samples[i].labels).for_each(|&label| counts[label] += 1.0);
    counts
}

/// Takes the smallest unit of each label that is in none of the taken ones, unless nothing of some label would be left.
fn take_missing(units: &[Unit], counts: &[f64], taken: &mut [bool]) {
    for label in 0..counts.len() {
        let of = |label: usize, taken: &[bool]| -> f64 {
            let units = units.iter().zip(taken).filter(|(_, taken)| **taken);
            units.flat_map(|(unit, _)| &unit.classes).filter(|(l, _)| *l == label).map(|(_, n)| n).sum()
        };
        if of(label, taken) > 0.0 {
            continue;
        }
        let fits = |unit: &Unit| {
            let mut classes = unit.classes.iter();
            unit.classes.iter().any(|(l, _)| *l == label)
                && classes.all(|&(l, n)| of(l, taken) + n < counts[l])
        };
        let best = (0..units.len())
            .filter(|&i| !taken[i] && fits(&units[i]))
            .min_by_key(|&i| units[i].samples.len());
        if let Some(best) = best {
            taken[best] = true;
        }
    }
}

/// Each unit's part, see [`deal`].
fn dealt(units: &[Unit], labels: usize, shares: &[f64]) -> Vec<usize> {
    let units: Vec<_> = units.iter().map(|unit| (unit.samples.len(), unit.classes.as_slice())).collect();
    deal(&units, labels, shares)
}

/// Units that together hold about `share` of each class, and never all of a class.
///
/// One pass takes each unit that brings the classes nearer to their share; a second one gives each
/// class that is still without a clip its best unit.
fn choose(units: &[Unit], counts: &[f64], share: f64) -> Vec<usize> {
    let mut taken = vec![0.0; counts.len()];
    let mut chosen = vec![false; units.len()];
    // Squared distance of the classes' shares from the wanted one, after less before.
    let change = |unit: &Unit, taken: &[f64]| -> f64 {
        let distance = |class: usize, n: f64| (n / counts[class] - share).powi(2);
        let classes = unit.classes.iter();
        classes.map(|&(c, n)| distance(c, taken[c] + n) - distance(c, taken[c])).sum()
    };
    let leaves_some = |unit: &Unit, taken: &[f64]| {
        let mut classes = unit.classes.iter();
        classes.all(|&(c, n)| taken[c] + n < counts[c])
    };
    let mut take = |i: usize, taken: &mut [f64]| {
        chosen[i] = true;
        units[i].classes.iter().for_each(|&(c, n)| taken[c] += n);
    };
    for (i, unit) in units.iter().enumerate() {
        if change(unit, &taken) < 0.0 && leaves_some(unit, &taken) {
            take(i, &mut taken);
        }
    }
    for class in 0..counts.len() {
        if taken[class] > 0.0 {
            continue;
        }
        let fitting = (units.iter().enumerate())
            .filter(|(_, unit)| unit.classes.iter().any(|&(c, _)| c == class) && leaves_some(unit, &taken));
        let best = fitting.min_by(|a, b| change(a.1, &taken).total_cmp(&change(b.1, &taken)));
        if let Some((i, _)) = best {
            take(i, &mut taken);
        }
    }
    (units.iter().zip(chosen))
        .filter(|(_, chosen)| *chosen)
        .flat_map(|(unit, _)| unit.samples.iter().copied())
        .collect()
}
