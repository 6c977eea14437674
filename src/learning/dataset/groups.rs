//! Which clips come from one source and must stay on one side of a split.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
    sync::LazyLock,
};

use rayon::prelude::*;
use regex::Regex;

use super::{Problem, Row, Sample, Warning};
use crate::{Error, Result};

/// Where a data set's groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The list's group column.
    Column,
    /// The `--group` pattern.
    Pattern,
    /// `_gNN_` in the clips' names, as in UCF-101.
    Name,
    /// Unknown: each video is a group of its own.
    Clip,
}

impl Grouping {
    /// For people: "by …".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Column => "by the list's group column",
            Self::Pattern => "by the --group pattern",
            Self::Name => "by _gNN_ in the clips' names",
            Self::Clip => "each video its own",
        }
    }
}

/// Everything up to `_gNN` of `v_PullUps_g01_c02.avi`: group numbers count within a class, so the
/// class in front of them belongs to the group's name.
static UCF_GROUP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"([^/\\]*?_g\d+)_[^/\\]*$").expect("a valid pattern"));

/// The group of every row.
pub(super) fn of_rows(
    rows: &[Row],
    pattern: Option<&str>,
    warnings: &mut Vec<Warning>,
) -> Result<(Grouping, Vec<String>)> {
    let pattern = pattern.map(compile).transpose()?;
    let captured = |regex: &Regex, row: &Row| captured(regex, &row.name);
    let (grouping, found): (_, Vec<Option<String>>) = if rows.iter().any(|r| r.group.is_some()) {
        if pattern.is_some() {
            warnings.push(Warning::PatternUnused);
        }
        let groups = rows.iter().map(|row| row.group.clone()).collect();
        (Grouping::Column, groups)
    } else if let Some(regex) = &pattern {
        let groups: Vec<_> = rows.iter().map(|row| captured(regex, row)).collect();
        let missed = || groups.iter().zip(rows).filter(|(group, _)| group.is_none());
        if let Some((_, row)) = missed().next() {
            warnings.push(Warning::PatternUnmatched { clips: missed().count(), example: row.name.clone() });
        }
        (Grouping::Pattern, groups)
    } else {
        let groups: Vec<_> = rows.iter().map(|row| captured(&UCF_GROUP, row)).collect();
        // What background clips are called says nothing of the others.
        let known = groups.iter().zip(rows).any(|(group, row)| group.is_some() && !row.is_background());
        (if known { Grouping::Name } else { Grouping::Clip }, groups)
    };
    let own = |(group, row): (Option<String>, &Row)| group.unwrap_or_else(|| row.name.clone());
    Ok((grouping, found.into_iter().zip(rows).map(own).collect()))
}

/// The groups that the clips' own names tell, by `pattern` or as UCF-101 names its clips, and where they come from.
///
/// # Errors
/// [`Error::Usage`] for a bad pattern.
pub(crate) fn of_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    pattern: Option<&str>,
) -> Result<(Grouping, Vec<Option<String>>)> {
    let pattern = pattern.map(compile).transpose()?;
    let regex = pattern.as_ref().unwrap_or(&UCF_GROUP);
    let groups: Vec<_> = names.into_iter().map(|name| captured(regex, name)).collect();
    let grouping = match (&pattern, groups.iter().any(Option::is_some)) {
        (Some(_), _) => Grouping::Pattern,
        (None, true) => Grouping::Name,
        (None, false) => Grouping::Clip,
    };
    Ok((grouping, groups))
}

/// What the capture of `regex` finds in `name`.
fn captured(regex: &Regex, name: &str) -> Option<String> {
    Some(regex.captures(name)?.get(1)?.as_str().to_owned())
}

fn compile(pattern: &str) -> Result<Regex> {
    let regex = Regex::new(pattern).map_err(|e| Error::Usage(format!("--group: {e}")))?;
    if regex.captures_len() < 2 {
        let text = format!(
            "--group '{pattern}' has no capture: put parentheses around the part of the path that names the group"
        );
        return Err(Error::Usage(text));
    }
    Ok(regex)
}

/// Sets of samples (indices) that are the same stretch of byte-identical files. The groups of all that is cut from such
/// files are joined; samples that can't be read move to `problems`.
pub(super) fn same_content(samples: &mut Vec<Sample>, problems: &mut Vec<Problem>) -> Vec<Vec<usize>> {
    // Only files of equal length can be equal: few have to be read.
    let mut by_size: HashMap<u64, Vec<&Path>> = HashMap::new();
    let mut clips_of: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (i, sample) in samples.iter().enumerate() {
        clips_of.entry(&sample.path).or_default().push(i);
    }
    for path in clips_of.keys() {
        let size = fs::metadata(path).map_or(0, |m| m.len());
        by_size.entry(size).or_default().push(*path);
    }
    let candidates: Vec<&Path> = by_size.into_values().filter(|c| c.len() > 1).flatten().collect();
    let hashes: Vec<(&Path, std::io::Result<blake3::Hash>)> =
        candidates.into_par_iter().map(|path| (path, hash(path))).collect();
    let mut of_content: HashMap<blake3::Hash, Vec<usize>> = HashMap::new();
    let mut unreadable = BTreeMap::new();
    for (path, hash) in hashes {
        let clips = clips_of.remove(path).unwrap_or_default();
        match hash {
            Ok(hash) => of_content.entry(hash).or_default().extend(clips),
            Err(error) => unreadable.extend(clips.into_iter().map(|i| (i, error.to_string()))),
        }
    }
    // A file that no other is equal to can stand in a list more than once.
    let alone = clips_of.into_values();
    let of_content: Vec<Vec<usize>> = of_content.into_values().chain(alone).filter(|s| s.len() > 1).collect();
    let mut same: Vec<Vec<usize>> =
        of_content.iter().flat_map(|clips| of_one_stretch(samples, clips)).collect();
    same.sort_unstable();
    for clips in &of_content {
        let group = samples[clips[0]].group.clone();
        for &other in &clips[1..] {
            let other = samples[other].group.clone();
            join(samples, &group, &other);
        }
    }
    if !unreadable.is_empty() {
        remove(samples, problems, &unreadable, &mut same);
    }
    same
}

/// Those of `clips`, cut from files of equal content, that are the same stretch: sets of two or more, rising.
fn of_one_stretch(samples: &[Sample], clips: &[usize]) -> Vec<Vec<usize>> {
    let mut stretches: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &i in clips {
        let stretch = samples[i].span.map_or_else(String::new, |span| span.to_string());
        stretches.entry(stretch).or_default().push(i);
    }
    stretches
        .into_values()
        .filter(|same| same.len() > 1)
        .map(|mut same| {
            same.sort_unstable();
            same
        })
        .collect()
}

/// Gives all samples of group `other` the group `group`.
fn join(samples: &mut [Sample], group: &str, other: &str) {
    if group != other {
        let members = samples.iter_mut().filter(|s| s.group == other);
        members.for_each(|s| s.group = group.to_owned());
    }
}

/// Moves unreadable samples to `problems` and renumbers `same`.
fn remove(
    samples: &mut Vec<Sample>,
    problems: &mut Vec<Problem>,
    unreadable: &BTreeMap<usize, String>,
    same: &mut [Vec<usize>],
) {
    for index in same.iter_mut().flatten() {
        *index -= unreadable.range(..*index).count();
    }
    let all = std::mem::take(samples);
    for (i, sample) in all.into_iter().enumerate() {
        match unreadable.get(&i) {
            Some(reason) => problems.push(Problem { sample, reason: reason.clone() }),
            None => samples.push(sample),
        }
    }
}

fn hash(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}
