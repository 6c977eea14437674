//! Clips that show none of the labels.

use std::path::{Path, PathBuf};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Options, Problem, Row, Sample, Split, folder};
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

    /// Whole groups of the training clips become validation clips, where there are none yet.
    pub(super) fn cut_validation(&mut self, options: &Options) {
        if self.part(Split::Val).next().is_some() {
            return;
        }
        let mut groups: Vec<String> = self.part(Split::Train).map(|sample| sample.group.clone()).collect();
        let wanted = (groups.len() as f64 * options.share).round() as usize;
        groups.sort();
        groups.dedup();
        // The last one is left to learn from.
        let last = groups.len().saturating_sub(1);
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
        let mut cut = 0;
        for group in &groups[..last] {
            if cut >= wanted {
                break;
            }
            let of_group = |sample: &&mut Sample| sample.split == Split::Train && sample.group == *group;
            for sample in self.samples.iter_mut().filter(of_group) {
                sample.split = Split::Val;
                cut += 1;
            }
        }
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
