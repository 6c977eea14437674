//! Clips that show none of the labels.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Dataset, Options, Problem, Row, Sample, Split, folder};
use crate::{Error, Result};

/// The label of clips that show none of the labels, in a list or as a class folder. No model answers it.
pub const NONE: &str = "_none_";

/// Clips that show none of the labels, where each shows one; they have none.
#[derive(Debug, Clone, Default)]
pub struct NoneClips {
    /// In the list's order, or sorted by path.
    pub samples: Vec<Sample>,
    /// Those that were left out.
    pub problems: Vec<Problem>,
}

impl NoneClips {
    /// The clips of one part of the split.
    pub fn part(&self, split: Split) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.split == split)
    }

    /// Those that training looks at, in the samples' order.
    pub(in crate::learning) fn learned(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.split != Split::Test)
    }
}

impl Dataset {
    /// Makes validation clips of background clips to learn from: those of a source that validates the labels, and where the
    /// data gives none to validate, whole groups of others.
    pub(super) fn cut_background(&mut self, options: &Options) {
        let given = self.none.part(Split::Val).next().is_some();
        if given && self.cut.is_none() {
            return;
        }
        let groups = |split| self.part(split).map(|clip| clip.group.as_str()).collect::<HashSet<_>>();
        let (learned, validated) = (groups(Split::Train), groups(Split::Val));
        let mut clips = BTreeMap::<&str, usize>::new();
        for clip in self.none.part(Split::Train) {
            *clips.entry(&clip.group).or_default() += 1;
        }
        let wanted = (clips.values().sum::<usize>() as f64 * options.share).round() as usize;
        // Sources on both sides of the labels' cut keep nothing apart.
        let only_in = |group: &str, one: &HashSet<&str>, other: &HashSet<&str>| {
            one.contains(group) && !other.contains(group)
        };
        let (mut cut, mut others): (Vec<&str>, Vec<&str>) =
            clips.keys().copied().partition(|group| only_in(group, &validated, &learned));
        others.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
        let mut left = others.len();
        for group in others.into_iter().filter(|group| !only_in(group, &learned, &validated)) {
            let enough = cut.iter().map(|group| clips[group]).sum::<usize>() >= wanted;
            // The last one is left to learn from.
            if given || enough || left == 1 {
                break;
            }
            cut.push(group);
            left -= 1;
        }
        let cut: HashSet<String> = cut.into_iter().map(str::to_owned).collect();
        let of_cut = |clip: &&mut Sample| clip.split == Split::Train && cut.contains(&clip.group);
        self.none.samples.iter_mut().filter(of_cut).for_each(|clip| clip.split = Split::Val);
    }
}

/// The videos at any depth below `dir`, to learn from.
pub(super) fn read(dir: &Path) -> Result<Vec<Row>> {
    if !dir.is_dir() {
        return Err(Error::data(dir, "--background wants a folder of clips that show none of the labels"));
    }
    let row = |path: PathBuf| Row {
        name: path.to_string_lossy().into_owned(),
        path,
        labels: vec![NONE.into()],
        ..Row::default()
    };
    let rows: Vec<Row> = folder::videos(dir).map(row).collect();
    match rows.is_empty() {
        true => {
            Err(Error::data(dir, "no video in it; --background wants clips that show none of the labels"))
        }
        false => Ok(rows),
    }
}
