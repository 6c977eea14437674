//! Which clips are of one source and stay on one side of the test, and which side that is.

use std::collections::HashMap;

use candle_core::{Result, Tensor};

use crate::learning::dataset::Grouping;

/// Cosine of two clips' standardised features from which on they count as twins. Of 860 clips of UCF-101 by I3D's
/// features it joins two of three pairs of one source video; 99 of 100 pairs that it joins are of one.
pub(super) const TWINS: f32 = 0.75;

/// Rows that are compared with all others at a time.
const BLOCK: usize = 512;

/// Share of the groups that is held out for the test.
const HELD_OUT: f64 = 0.1;

/// With fewer groups none is held out: it could be half of the clips.
const FEWEST: usize = 10;

/// The groups of clips, by the clips' numbers.
#[derive(Debug)]
pub(super) struct Groups {
    grouping: Grouping,
    /// What a list or the clips' names say.
    names: Vec<Option<String>>,
    /// A clip of the same group with a lower number, or itself.
    parent: Vec<usize>,
    /// Of a group, by the clip that stands for it, how many clips it has.
    sizes: Vec<usize>,
    /// How many groups there were before any two were joined.
    at_first: usize,
    /// Decides which groups are held out.
    draws: Vec<f64>,
}

impl Groups {
    /// Of clips with these `names` of groups; those without are groups of their own. `draws`: a number from 0 to 1 for
    /// each clip, at random but always the same.
    pub(super) fn new(grouping: Grouping, names: Vec<Option<String>>, draws: Vec<f64>) -> Self {
        let mut first = HashMap::new();
        let parent: Vec<usize> = (names.iter().enumerate())
            .map(|(i, name)| name.as_ref().map_or(i, |name| *first.entry(name.clone()).or_insert(i)))
            .collect();
        let mut groups = Self { grouping, names, sizes: vec![0; parent.len()], parent, at_first: 0, draws };
        for clip in 0..groups.parent.len() {
            let of = groups.of(clip);
            groups.sizes[of] += 1;
        }
        groups.at_first = groups.count();
        groups
    }

    fn count(&self) -> usize {
        (0..self.parent.len()).filter(|&clip| self.parent[clip] == clip).count()
    }

    /// The clip that stands for the group of `clip`.
    pub(super) fn of(&self, mut clip: usize) -> usize {
        while self.parent[clip] != clip {
            clip = self.parent[clip];
        }
        clip
    }

    /// What the group of `clip` is called; none for a clip alone. `name` is what a clip is called.
    pub(super) fn name<'a>(&self, clip: usize, name: impl Fn(usize) -> &'a str) -> Option<String> {
        let of = self.of(clip);
        self.names[of].clone().or_else(|| (self.sizes[of] > 1).then(|| format!("like {}", name(of))))
    }

    /// Whether twins have to be looked for, as nothing names groups.
    pub(super) fn wants_twins(&self) -> bool {
        self.grouping == Grouping::Clip
    }

    /// Puts the clips of each pair into one group, as long as no group takes in more than a tenth of all clips: a camera
    /// that never moves makes all clips alike.
    pub(super) fn join(&mut self, pairs: &[(usize, usize)]) {
        let most = (self.parent.len() / 10).max(2);
        for &(a, b) in pairs {
            let (a, b) = (self.of(a), self.of(b));
            let (low, high) = (a.min(b), a.max(b));
            if low != high && self.sizes[low] + self.sizes[high] <= most {
                self.sizes[low] += self.sizes[high];
                self.parent[high] = low;
            }
        }
    }

    /// Whether each clip is on the test's side. `said`: on which side a label put it. A group with a label that was
    /// learned is learned; else one with a label that was held out is held out; of the others a tenth is, at random.
    pub(super) fn held_out(&self, said: &[Option<bool>]) -> Vec<bool> {
        let clips = self.parent.len();
        let of: Vec<usize> = (0..clips).map(|clip| self.of(clip)).collect();
        let share = if self.count() < FEWEST { 0.0 } else { HELD_OUT };
        let mut held: Vec<bool> = self.draws.iter().map(|&draw| draw < share).collect();
        let labelled = |side: bool| (0..clips).filter(move |&clip| said[clip] == Some(side));
        labelled(true).for_each(|clip| held[of[clip]] = true);
        labelled(false).for_each(|clip| held[of[clip]] = false);
        of.iter().map(|&of| held[of]).collect()
    }

    /// How clips are kept together, for people.
    pub(super) fn describe(&self) -> String {
        let from = match self.grouping {
            Grouping::Clip => {
                // Names that are there all the same are those of films whose parts are labelled.
                let alike = match self.names.iter().any(Option::is_some) {
                    true => {
                        "All parts of a film are on one side of the test, as they are of one source. Nothing says which \
                         videos are of one source, so those that look nearly the same are kept together, too"
                    }
                    false => {
                        "Nothing names the clips' sources, so clips that look nearly the same are kept on one side of \
                         the test"
                    }
                };
                let joined = self.at_first - self.count();
                return format!("{alike}: {joined} were put to others so far. --group says it better.");
            }
            named => named.describe(),
        };
        format!("Clips of one source are on one side of the test: {from}.")
    }
}

/// Pairs of rows that are twins, by their `directions [rows, D]`.
pub(super) fn twins(directions: &Tensor) -> Result<Vec<(usize, usize)>> {
    let rows = directions.dim(0)?;
    let others = directions.t()?;
    let mut pairs = Vec::new();
    for start in (0..rows).step_by(BLOCK) {
        let block = directions.narrow(0, start, BLOCK.min(rows - start))?.matmul(&others)?;
        for (i, likeness) in block.to_vec2::<f32>()?.iter().enumerate() {
            let row = start + i;
            pairs.extend((0..row).filter(|&other| likeness[other] > TWINS).map(|other| (other, row)));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn alone(clips: usize) -> Groups {
        let draws = (0..clips).map(|i| i as f64 / clips as f64).collect();
        Groups::new(Grouping::Clip, vec![None; clips], draws)
    }

    #[test]
    fn twins_are_found_and_kept_together() {
        let rows = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, -0.8]], &Device::Cpu).unwrap();
        assert_eq!(twins(&rows).unwrap(), [(0, 2)]);
        let mut groups = alone(40);
        groups.join(&[(0, 20), (20, 30), (5, 0)]);
        assert_eq!([0, 5, 20, 30, 7].map(|clip| groups.of(clip)), [0, 0, 0, 0, 7]);
        let clip_names: Vec<String> = (0..40).map(|i| format!("{i}.mp4")).collect();
        let name = |clip| groups.name(clip, |clip| &clip_names[clip]);
        assert_eq!((name(30).as_deref(), name(7)), (Some("like 0.mp4"), None));
        // No chain of twins takes in everything.
        groups.join(&(0..39).map(|i| (i, i + 1)).collect::<Vec<_>>());
        let largest = (0..40).map(|of| (0..40).filter(|&clip| groups.of(clip) == of).count()).max();
        assert_eq!(largest, Some(4));
        assert!(groups.describe().contains("nearly the same"));
    }

    #[test]
    fn parts_of_a_film_are_together_as_they_are_of_one_source() {
        let names = [Some("film.mp4"), Some("film.mp4"), None, None].map(|name| name.map(str::to_owned));
        let mut groups = Groups::new(Grouping::Clip, names.to_vec(), vec![0.0; 4]);
        assert_eq!(groups.of(1), 0);
        let said = groups.describe();
        assert!(said.starts_with("All parts of a film") && said.contains(": 0 were put to others"), "{said}");
        groups.join(&[(2, 3)]);
        let said = groups.describe();
        assert!(said.contains("nearly the same") && said.contains(": 1 were put to others"), "{said}");
    }

    #[test]
    fn a_group_is_never_on_both_sides() {
        let mut groups = alone(100);
        groups.join(&[(3, 50), (4, 60), (61, 5), (70, 71)]);
        let mut said = vec![None; 100];
        let held = groups.held_out(&said);
        assert_eq!(held.iter().filter(|held| **held).count(), 10 + 3, "a tenth of the groups");
        assert!(held[3] && held[50] && held[60] && !held[70]);
        // A label on one side takes the group there; learned wins, so that the test stays honest.
        (said[50], said[60], said[4], said[71]) = (Some(false), Some(true), Some(false), Some(true));
        let held = groups.held_out(&said);
        assert_eq!(
            [3, 50, 4, 60, 70, 71, 5].map(|clip| held[clip]),
            [false, false, false, false, true, true, true]
        );
        for clip in 0..100 {
            assert_eq!(held[clip], held[groups.of(clip)]);
        }
    }

    #[test]
    fn names_make_groups_and_few_groups_hold_out_none() {
        let names = ["a", "b", "a"].map(|name| Some(name.to_owned())).to_vec();
        let groups = Groups::new(Grouping::Name, names, vec![0.0; 3]);
        assert_eq!((groups.of(2), groups.wants_twins()), (0, false));
        assert_eq!(groups.held_out(&[None; 3]), [false; 3]);
        assert!(groups.describe().contains("_gNN_"), "{}", groups.describe());
    }
}
